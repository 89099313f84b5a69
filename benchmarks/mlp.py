"""One epoch of a network, Adam on float32 rows: ms, against scikit-learn and PyTorch.

An epoch is the difference of fits of so many and twice as many epochs, over their number, so that
what a fit does once is left out. All draw batches in random order; alpha is zero, as the others
mean another thing by it. PyTorch (if it is installed) runs the plain loop with its fused Adam on a
random permutation. BLAS is warmed by one large product before anything is timed. The losses of the
last epoch stand beside the times: the same work was done.
"""

import statistics
import time
import warnings

import numpy as np
import sklearn.neural_network
from scipy.linalg.blas import sgemm
from sklearn.exceptions import ConvergenceWarning

from benchmarks import report
from skopt_est import MLPClassifier

try:
    import torch
except ImportError:
    torch = None

# rows, columns, hidden layers, batch, epochs of a run
CASES = {
    "1k x 10, (32), b32": (1000, 10, (32,), 32, 100),
    "5k x 30, (64, 64), b32": (5000, 30, (64, 64), 32, 10),
    "50k x 20, (100), b200": (50_000, 20, (100,), 200, 3),
    "50k x 100, (100), b200": (50_000, 100, (100,), 200, 3),
    "50k x 100, (256, 256), b256": (50_000, 100, (256, 256), 256, 1),
    "50k x 100, (256, 256, 256), b1024": (50_000, 100, (256, 256, 256), 1024, 1),
}


def add_arguments(parser) -> None:
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), metavar="CASE")
    parser.add_argument("--repeats", type=int, default=5)


def problem(n, d, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d), dtype=np.float32)
    return X, (X[:, : d // 2].sum(axis=1) + rng.standard_normal(n, dtype=np.float32) > 0).astype(
        int
    )


def fit(estimator, hidden, batch, epochs, X, y, **params):
    """Seconds of a fit, and the last loss."""
    model = estimator(
        hidden,
        batch_size=batch,
        max_iter=epochs,
        alpha=0.0,
        tol=0.0,
        n_iter_no_change=10 * epochs,
        random_state=0,
        **params,
    )
    start = time.perf_counter()
    model.fit(X, y)
    return time.perf_counter() - start, model.loss_


def fit_torch(hidden, batch, epochs, X, y):
    units = (X.shape[1], *hidden)
    layers = []
    for n_in, n_out in zip(units, hidden, strict=False):
        layers += [torch.nn.Linear(n_in, n_out), torch.nn.ReLU()]
    net = torch.nn.Sequential(*layers, torch.nn.Linear(units[-1], 1))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.001, fused=True)
    loss_of = torch.nn.BCEWithLogitsLoss()
    rows, targets = torch.from_numpy(X), torch.from_numpy(y.astype(np.float32))
    start = time.perf_counter()
    for _ in range(epochs):
        order, total = torch.randperm(len(rows)), 0.0
        for begin in range(0, len(rows), batch):
            picked = order[begin : begin + batch]
            optimizer.zero_grad()
            loss = loss_of(net(rows[picked])[:, 0], targets[picked])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(picked)
    return time.perf_counter() - start, total / len(rows)


def run(args) -> list[report.Row]:
    large = np.ones((512, 384), np.float32, order="F")
    sgemm(1.0, large, large.T)
    peers = {
        "ours": lambda *case: fit(MLPClassifier, *case),
        "scikit-learn": lambda *case: fit(sklearn.neural_network.MLPClassifier, *case),
    }
    if torch is not None:
        torch.set_num_threads(1)
        peers["torch"] = fit_torch
    rows: list[report.Row] = []
    for case in args.cases:
        n, d, *network, epochs = CASES[case]
        X, y = problem(n, d)
        times: dict[str, list[float]] = {name: [] for name in peers}
        losses = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            for repeat in range(args.repeats + 1):
                for name, peer in peers.items():
                    short, _ = peer(*network, epochs, X, y)
                    long, losses[name] = peer(*network, 2 * epochs, X, y)
                    if repeat:  # the first round warms up
                        times[name].append(1000 * (long - short) / epochs)
        median = {name: statistics.median(values) for name, values in times.items()}
        row: report.Row = {"case": case}
        row |= {f"{name} ms": value for name, value in median.items()}
        row |= {f"x {name}": median[name] / median["ours"] for name in peers if name != "ours"}
        row |= {f"loss, {name}": value for name, value in losses.items()}
        rows.append(row)
        report.show_last(rows)
    return rows
