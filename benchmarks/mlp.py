"""One epoch of a network, Adam on float32 rows: ms, against scikit-learn and PyTorch.

An epoch is a fit of twice so many epochs less one of so many, over their number, so that what a
fit does once is left out. All draw batches in random order; alpha is zero, as the others mean
another thing by it. PyTorch (if it is installed) runs the plain loop with its fused Adam on a
random permutation. BLAS is warmed by one large product before anything is timed. The losses of the
last epoch stand beside the times. `products` are the matrix products of an epoch alone, by NumPy's
BLAS, in matrices that are used again and again: what is left of the ratios if all else took no
time, with these products. The last two cases have X in double precision, in which the
others train, too: ours as it does by default and with dtype="float32".
"""

import itertools
import math
import warnings
from functools import partial

import numpy as np
import sklearn.neural_network
from sklearn.exceptions import ConvergenceWarning

import skopt_est
from benchmarks import peers, problems, report, timing
from skopt_est import MLPClassifier

# rows, columns, hidden layers, batch, epochs of a run
CASES = {
    "1k x 10, (32), b32": (1000, 10, (32,), 32, 100),
    "5k x 30, (64, 64), b32": (5000, 30, (64, 64), 32, 10),
    "50k x 20, (100), b200": (50_000, 20, (100,), 200, 3),
    "50k x 100, (100), b200": (50_000, 100, (100,), 200, 3),
    "50k x 100, (256, 256), b256": (50_000, 100, (256, 256), 256, 1),
    "50k x 100, (256, 256, 256), b1024": (50_000, 100, (256, 256, 256), 1024, 1),
}
SINGLE = "50k x 100, (100), b200"
DOUBLE = {
    "50k x 100 float64, (100), b200": {},
    "50k x 100 float64, (100), b200, dtype=float32": {"dtype": "float32"},
}
# the ratios to reach, in the order of CASES: the others' BLAS gains from AVX-512 too
REACH = {
    "avx512": {"scikit-learn": (90, 10, 9, 4, 2, 1.6), "torch": (100, 15, 10, 4, 1.5, 1.25)},
    "avx2": {"scikit-learn": (90, 16, 13, 4, 1.9, 1.5), "torch": (150, 24, 16, 5, 1.4, 1.3)},
}


def add_arguments(parser) -> None:
    timing.add_cases(parser, CASES | DOUBLE)
    timing.add_repeats(parser)


def trained(estimator, hidden, batch, X, y, epochs, **params):
    """The model of a fit of exactly so many epochs."""
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
    model.fit(X, y)
    if model.n_iter_ != epochs:
        raise RuntimeError(f"{model.n_iter_} epochs in place of {epochs}")
    return model


def fit(*arguments, **params) -> float:
    """The last loss of such a fit."""
    return trained(*arguments, **params).loss_


def fit_torch(hidden, batch, X, y, epochs):
    torch = peers.torch()
    units = (X.shape[1], *hidden)
    layers = []
    for n_in, n_out in zip(units, hidden, strict=False):
        layers += [torch.nn.Linear(n_in, n_out), torch.nn.ReLU()]
    net = torch.nn.Sequential(*layers, torch.nn.Linear(units[-1], 1))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.001, fused=True)
    loss_of = torch.nn.BCEWithLogitsLoss()
    rows, targets = torch.from_numpy(X), torch.from_numpy(y.astype("float32"))
    total = math.nan
    for _ in range(epochs):
        order, total = torch.randperm(len(rows)), 0.0
        for begin in range(0, len(rows), batch):
            picked = order[begin : begin + batch]
            optimizer.zero_grad()
            loss = loss_of(net(rows[picked])[:, 0], targets[picked])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(picked)
    return total / len(rows)


def products(n, d, hidden, batch):
    """Seconds of the products of an epoch: forward, gradients of weights, gradients of layers."""
    rng, units = np.random.default_rng(0), (d, *hidden, 1)

    def matrices(shapes):
        return [rng.standard_normal(shape, dtype=np.float32) for shape in shapes]

    weights = matrices(itertools.pairwise(units))
    gradients = matrices(itertools.pairwise(units))
    outputs, slopes = (matrices((batch, width) for width in units) for _ in range(2))

    def one_batch():
        for i, weight in enumerate(weights):
            np.matmul(outputs[i], weight, out=slopes[i + 1])
        for i in reversed(range(len(weights))):
            np.matmul(outputs[i].T, slopes[i + 1], out=gradients[i])
            if i:
                np.matmul(slopes[i + 1], weights[i].T, out=slopes[i])

    batches = max(1, n // batch)
    seconds, _ = timing.timed(lambda: [one_batch() for _ in range(batches)])
    return seconds * n / (batches * batch), None


def reach(case, peer) -> float | None:
    table = REACH.get(skopt_est.show_config(mode="dicts")["simd"])
    return table[peer][list(CASES).index(case)] if table and case in CASES else None


def measure(case, repeats) -> report.Row:
    n, d, *network, epochs = CASES[case if case in CASES else SINGLE]
    X, y = problems.dense(n, d, np.float64 if case in DOUBLE else np.float32)
    fits = {
        "ours": partial(fit, MLPClassifier, *network, X, y, **DOUBLE.get(case, {})),
        "scikit-learn": partial(fit, sklearn.neural_network.MLPClassifier, *network, X, y),
    }
    if peers.torch() is not None and case in CASES:
        fits["torch"] = partial(fit_torch, *network, X, y)
    sides = {name: partial(timing.epoch, call, epochs) for name, call in fits.items()}
    if case in CASES:
        sides["products"] = partial(products, n, d, *network)
    figures = timing.alternate(sides, repeats)
    ours, others = figures["ours"], [name for name in fits if name != "ours"]
    row: report.Row = {"case": case}
    row |= {f"{name} ms": 1000 * figure.median for name, figure in figures.items()}
    for name in others:
        row[f"x {name}"] = figures[name].median / ours.median
        row[f"reach {name}"] = reach(case, name)
        row[f"± % {name}"] = timing.noise(ours, figures[name])
    return row | {f"loss, {name}": figures[name].result for name in fits}


def readme(rows: list[report.Row]) -> list[report.Row]:
    """Without noise."""
    kept = ("case", " ms", "x ", "reach ", "loss, ")
    return [
        {k: v for k, v in row.items() if k.startswith(kept) or k.endswith(kept)} for row in rows
    ]


def run(args) -> list[report.Row]:
    timing.warm_blas()
    rows: list[report.Row] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for case in args.cases:
            rows.append(measure(case, args.repeats))
            report.show_last(rows)
    return rows
