"""Hostile arguments for every function of the compiled engine, and for `fit`.

    python tests/fuzz_engine.py --seconds 3600 --seed 0

Each seed is one case: valid arguments, of which up to three are made wrong (tests/hostile.py), and
calls with them. It must end in an error that is no bug's (`CLEAR`), or in a result; and with finite
numbers in an estimator's attributes if it is `fit`. Cases run in a process of their own, which on a
build with sanitizers (.ci/sanitize) stops at the first bad access. What it stopped at is reported.
"""

import argparse
import collections
import importlib
import itertools
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from hostile import hostile, scale, sprinkle
from scipy import sparse

from skopt_est import LinearRegression, LogisticRegression, MLPClassifier, MLPRegressor
from skopt_est._core import available, get_engine
from skopt_est.solvers import LINEAR_SOLVERS, SOLVERS

CLEAR = (
    *(ValueError, TypeError, OverflowError, AttributeError, BufferError, KeyError, IndexError),
    MemoryError,
)
HANGS = 120  # seconds
LOSSES = (
    *("squared_error", "absolute_error", "huber", "quantile", "poisson", "gamma"),
    *("log_loss_binary", "log_loss_multinomial"),
)


class Calls:
    """Arguments by the names of the calls that take them; some of them spoiled."""

    def __init__(self, rng, **arguments):
        self.arguments = arguments
        names = [(call, name) for call, given in arguments.items() for name in given]
        for at in rng.integers(0, len(names), int(rng.choice(4, p=[0.1, 0.6, 0.2, 0.1]))):
            call, name = names[at]
            arguments[call][name] = hostile(rng, arguments[call][name])

    def __getitem__(self, call):
        return self.arguments[call]


def rows(rng, n, d, dtype, as_csr):
    X = rng.normal(size=(n, d)) * (rng.random((n, d)) < rng.choice([0.1, 0.5, 1.0]))
    X = X.astype(dtype)
    if not as_csr:
        return X
    X = sparse.csr_matrix(X)
    X.indices = X.indices.astype(np.int32)
    return X


def problem(rng, engine):
    """Valid arguments of Data, Network, Model and run_epoch, and of the pass over the data."""
    dtype = rng.choice([np.float32, np.float64])
    n, d, k = int(rng.integers(1, 40)), int(rng.integers(1, 30)), int(rng.choice([1, 1, 2, 5]))
    as_csr = bool(rng.random() < 0.5)
    loss = str(rng.choice(LOSSES))
    k = k + 1 if loss == "log_loss_multinomial" else k
    columns = 1 if loss == "log_loss_multinomial" else k
    Y = rng.integers(0, 2, (n, columns)).astype(dtype) + (loss == "gamma")
    hidden = [int(h) for h in rng.integers(1, 20, rng.choice([0, 0, 1, 2]))]
    scaled, weighted = rng.random(2) < 0.5
    units = (d, *hidden, k)
    size = sum(a * b + b for a, b in itertools.pairwise(units))
    n_weights = size - sum(units[1:])
    name = str(rng.choice([name for name in SOLVERS if name != "lbfgs"]))
    solver = SOLVERS[name](
        momentum=float(rng.choice([0.0, 0.9])), weight_decay=0.01 * (name == "adamw")
    )
    batch = int(rng.choice([1, 1, 3, n, 1000]))
    n_steps = -(-n // batch)
    rates = np.full(n_steps, 0.01)
    coefficients = solver.coefficients(1.0 + np.arange(n_steps), rates, np.zeros(1))
    momentum, kept = solver.momentum_of(coefficients), solver.kept(rates)
    epoch = {
        "order": rng.permutation(n).astype(np.int32),
        "batch_size": batch,
        "resumes": bool(rng.random() < 0.5),
        "coefficients": coefficients,
        "by_feature": as_csr and bool(rng.random() < 0.7),
    }
    if as_csr and momentum is not None:
        weights = np.ascontiguousarray(momentum.weights)
        epoch["tail"] = engine.momentum_tail(weights, min(momentum.ratio, 1.0), kept)
        epoch.update(momentum._asdict(), kept=kept)
        del epoch["weights"]
    if n_steps == 1 and rng.random() < 0.5:
        epoch["gradient"] = (0.1 * rng.normal(size=size)).astype(dtype)
    if rng.random() < 0.5:
        epoch["coefficients"] = coefficients[:1]
    if rng.random() < 0.5:
        epoch["coming"] = rng.integers(n, size=len(epoch["order"])).astype(np.int32)
    average = np.zeros(size) if rng.random() < 0.3 else None
    return {
        "data": {
            "X": rows(rng, n, d, dtype, as_csr),
            "Y": Y,
            "loss_code": engine.LOSS_CODES[loss],
            "loss_param": 0.5,
            "row_weight": rng.random(n).astype(dtype) if weighted else None,
            "shift": rng.normal(size=d).astype(dtype) if scaled and not as_csr else None,
            "inv_scale": rng.random(d).astype(dtype) if scaled else None,
            "output_scale": np.ones(k),
        },
        "network": {
            "units": units,
            "activations": [int(code) for code in rng.integers(0, 10, len(hidden))],
            "dropout": [float(rng.choice([0.0, 0.5])) for _ in hidden],
            "input_dropout": float(rng.choice([0.0, 0.0, 0.2])),
            "fit_intercept": bool(hidden or rng.random() < 0.7),
        },
        "model": {
            "theta": (0.1 * rng.normal(size=size)).astype(dtype),
            "slots": np.zeros((solver.n_slots(), size), dtype),
            "l1": np.full(n_weights, rng.choice([0.0, 0.01]), dtype),
            "l2": np.full(n_weights, rng.choice([0.0, 0.01]), dtype),
            "hyper": solver.hyper(),
            "average": average,
            "max_grad_norm": float(rng.choice([0.0, 0.0, 1.0])),
        },
        "epoch": {**epoch, "mask_key": int(rng.integers(2**63)) if rng.random() < 0.5 else None},
        "pass": {
            "theta": (0.1 * rng.normal(size=size)).astype(dtype),
            "grad": np.empty(size, dtype),
            "order": rng.permutation(n).astype(np.int32) if rng.random() < 0.5 else None,
            "sums": np.empty(k),
        },
    }


def epoch(rng, engine):
    """Epochs and gradients, with spoiled arguments and then with sound ones on what is left."""
    sound = problem(rng, engine)
    calls = Calls(rng, **{call: dict(given) for call, given in sound.items()})
    data, network = engine.Data(**calls["data"]), engine.Network(**calls["network"])
    model = engine.Model(network=network, **calls["model"])
    scratch = engine.Scratch(data, network)
    failed = None
    for given in (calls, calls, sound):
        try:
            engine.run_epoch(data, model, scratch, **given["epoch"])
            engine.value_and_gradient(data, network=network, **given["pass"])
            engine.value_and_gradient(data, network=network, scratch=scratch, **given["pass"])
        except CLEAR as error:
            failed = error
    other = problem(rng, engine)
    for kind in (engine.Scratch(data, network), scratch):
        try:
            engine.run_epoch(engine.Data(**other["data"]), model, kind, **other["epoch"])
        except CLEAR:
            continue
    if failed is not None:
        raise failed


def predict(rng, engine):
    sound = problem(rng, engine)
    X, units = sound["data"]["X"], sound["network"]["units"]
    shapes = list(itertools.pairwise(units))
    calls = Calls(
        rng,
        predict={
            "X": X,
            "coefs": [rng.normal(size=shape).astype(X.dtype) for shape in shapes],
            "intercepts": [rng.normal(size=b).astype(X.dtype) for _, b in shapes],
            "activations": sound["network"]["activations"],
            "finite_only": bool(rng.random() < 0.5),
            "result": np.empty((X.shape[0], units[-1]), X.dtype) if rng.random() < 0.5 else None,
        },
    )
    engine.predict(**calls["predict"])


def moments(rng, engine):
    module = importlib.import_module(engine.__name__.replace("engine", "moments"))
    n, d = int(rng.integers(1, 60)), int(rng.integers(1, 30))
    X = rows(rng, n, d, rng.choice([np.float32, np.float64]), False)
    order = rng.permutation(n)[: rng.integers(0, n + 1)].astype(np.int32)
    weight = rng.random(n) if rng.random() < 0.5 else None
    name = str(rng.choice(["column_moments", "column_squares", "squared_norms"]))
    if name == "column_squares" or (name == "squared_norms" and rng.random() < 0.5):
        X = sparse.csr_matrix(X)
    given = {"X": X, "rows": order, "row_weight": weight}
    if name == "column_moments":
        given["centre"] = bool(rng.random() < 0.5)
    if name == "squared_norms":
        shift = None if sparse.issparse(X) else rng.normal(size=d)
        given = {"X": X, "rows": order, "shift": shift, "inv_scale": rng.random(d)}
    getattr(module, name)(**Calls(rng, call=given)["call"])


def helpers(rng, engine):
    state, n = rng.integers(0, 2**63, 1).astype(np.uint64), int(rng.integers(0, 40))
    block, window = int(rng.integers(1, 9)), int(rng.integers(1, 20))
    start = window * int(rng.integers(0, n // window + 1))
    order = np.empty(int(rng.integers(0, n - start + 1)), np.int32)
    calls = Calls(
        rng,
        shuffled={"rows": np.arange(n, dtype=np.int32), "state": state},
        visit={
            "rows": np.arange(n, dtype=np.int32),
            "blocks": rng.permutation(-(-n // block)).astype(np.int32),
            "block": block,
            "window": window,
            "start": start,
            "order": order,
            "state": state.copy(),
            "coming": np.empty_like(order) if rng.random() < 0.5 else None,
        },
        next_word={"state": state.copy()},
        momentum_tail={
            "weights": rng.random(n),
            "ratio": float(rng.random()),
            "kept": rng.random(n) if rng.random() < 0.5 else None,
        },
        penalty={
            "theta": rng.normal(size=n + 2).astype(rng.choice([np.float32, np.float64])),
            "n": n,
            "l1": rng.random(n),
            "half_l2": rng.random(n),
        },
        all_finite={
            "numbers": rng.normal(size=n).astype(rng.choice([np.float32, np.float64])),
        },
        zeros={"shape": (int(rng.integers(0, 9)), 3), "dtype": np.dtype(np.float32)},
        in_large_pages={"n_bytes": int(rng.choice([0, 9, 1 << 20, 3 << 20]))},
    )
    name = str(rng.choice(list(calls.arguments)))
    getattr(engine, name)(**calls[name])


def fit(rng, engine):
    """Finite numbers of any size, and some that aren't, through an estimator."""
    cls = (LinearRegression, LogisticRegression, MLPRegressor, MLPClassifier)[rng.integers(4)]
    n, d = int(rng.integers(1, 25)), int(rng.integers(1, 6))
    X = rows(rng, n, d, rng.choice([np.float32, np.float64]), rng.random() < 0.4)
    y = rng.normal(size=n) if cls in (LinearRegression, MLPRegressor) else rng.integers(0, 3, n)
    weight = rng.random(n) if rng.random() < 0.5 else None
    if rng.random() < 0.7:
        spoil = scale if rng.random() < 0.7 else sprinkle
        if not sparse.issparse(X):
            X = spoil(rng, X)
        elif X.nnz:
            X.data = spoil(rng, X.data)
    if y.dtype.kind == "f" and rng.random() < 0.5:
        y = scale(rng, y)
    if weight is not None and rng.random() < 0.5:
        weight = scale(rng, weight)
    linear = cls in (LinearRegression, LogisticRegression)
    solvers = LINEAR_SOLVERS if linear else SOLVERS
    params = {
        "solver": str(rng.choice(list(solvers))),
        "learning_rate_init": 10.0 ** rng.uniform(-12, 12) if rng.random() < 0.5 else "auto",
        "alpha": float(rng.choice([0.0, 1e-4, 1e300, 5e-324, 1e12])),
        "l1_ratio": float(rng.choice([0.0, 0.5, 1.0])),
        "batch_size": int(rng.choice([1, 4, 100])),
        "max_iter": int(rng.integers(1, 8)),
        "random_state": 0,
    }
    if linear:
        params["precondition"] = bool(rng.random() < 0.7)
    else:
        params["hidden_layer_sizes"] = (3,)
    if cls is LinearRegression:
        losses = ["squared_error", "huber", "quantile", "poisson", "absolute_error", "gamma"]
        params["loss"] = str(rng.choice(losses))
        if params["loss"] in ("poisson", "gamma"):
            y = np.abs(y) + 1e-300
    est = cls(**params)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        est.fit(X, y, sample_weight=weight)
    arrays = [est.coef_, est.intercept_] if hasattr(est, "coef_") else est.coefs_ + est.intercepts_
    assert all(np.isfinite(array).all() for array in arrays), f"{est!r} has weights that aren't"
    assert np.isfinite(est.best_loss_), f"{est!r} has best_loss_={est.best_loss_}"
    predicted = est.predict(X)
    assert predicted.dtype.kind != "f" or not np.isnan(predicted).any(), f"{est!r} predicts NaN"


TARGETS = (epoch, epoch, epoch, predict, moments, helpers, fit)


def run(seed):
    """One case: its target, and the error it ended in, or None. Raises what is a finding."""
    rng = np.random.default_rng(seed)
    target = TARGETS[rng.integers(len(TARGETS))]
    engine = get_engine(available()[rng.integers(len(available()))])
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            target(rng, engine)
    except CLEAR as error:
        if target is fit and not isinstance(error, ValueError):
            raise
        return target.__name__, error
    return target.__name__, None


def child(first, place):
    """Cases from `first` on, for ever; the number of the one at hand stands in a file."""
    counts = collections.Counter()
    with open(place, "r+b", buffering=0) as file:
        for seed in range(first, 2**62):
            file.seek(0)
            file.write(seed.to_bytes(8, "little"))
            target, error = run(seed)
            counts[target, type(error).__name__ if error else "result"] += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0, help="the first case")
    parser.add_argument("--only", action="store_true", help="this case alone, with its traceback")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        return child(args.seed, args.child)
    if args.only:
        return print(run(args.seed))
    end, seed, findings = time.monotonic() + args.seconds, args.seed, []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "seed")
        while time.monotonic() < end:
            place.write_bytes(seed.to_bytes(8, "little"))
            command = [sys.executable, __file__, "--seed", str(seed), "--child", str(place)]
            status = watch(command, place, end)
            last = int.from_bytes(place.read_bytes(), "little")
            if status:
                findings.append(last)
                print(f"seed {last}:\n{status}\n", flush=True)
            seed = last + 1
    print(f"{seed - args.seed} cases in {args.seconds:g} s, {len(findings)} findings {findings}")
    return sys.exit(bool(findings))


def watch(command, place, end):
    """Let the process run to the end; what it stopped at before, if it did."""
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stderr=output, stdout=output)
        before = None
        while True:
            until = min(HANGS, max(end - time.monotonic(), 0.0))
            try:
                process.wait(until)
                output.seek(0)
                return output.read()[-6000:] or f"exit code {process.returncode}"
            except subprocess.TimeoutExpired:
                now = place.read_bytes()
                if time.monotonic() < end and now != before:
                    before = now
                    continue
                process.kill()
                process.wait()
                return None if time.monotonic() >= end else f"no end within {HANGS} s"


if __name__ == "__main__":
    main()
