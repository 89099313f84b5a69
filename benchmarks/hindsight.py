"""What the best of many settings of a stochastic solver, known afterwards, takes to 1 %.

Where a solver with its defaults is later within 1 % of the optimum than scikit-learn's
LogisticRegression (lbfgs), is that its defaults' fault? Every first rate, schedule and batch size
of a grid is fitted on the problem of `optimum` for few epochs, then more (schedules like cosine
depend on the number), until a fit is within 1 %. What came there in the least time is run again
in turns with scikit-learn's. One row a schedule; `fits`: how many were made; `none`: none of them
came so close.
"""

import warnings
from functools import partial
from itertools import product

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from benchmarks import report, timing
from benchmarks.objectives import logistic
from benchmarks.optimum import ALPHA, CASES, PEER, make, problem, shortest
from skopt_est import LogisticRegression
from skopt_est.solvers import LINEAR_SOLVERS

CASE = "10k x 1000"
RATES = (0.003, 0.01, 0.03, 0.05, 0.1, 0.2, 0.5)
BATCHES = (32, 64, 256, 1024)
SCHEDULES = ("constant", "invscaling", "adaptive", "cosine", "one_cycle")
EPOCHS = (3, 5, 7, 10, 14, 20, 28, 40)
GAP = 0.01


def add_arguments(parser) -> None:
    timing.add_repeats(parser)
    parser.add_argument(
        "--solvers", nargs="+", choices=list(LINEAR_SOLVERS), default=["adam", "nadam"]
    )


def fit(solver, X, y, schedule, rate, batch, epochs):
    model = LogisticRegression(
        alpha=ALPHA,
        solver=solver,
        learning_rate=schedule,
        learning_rate_init=rate,
        batch_size=batch,
        max_iter=epochs,
        tol=0.0,
        n_iter_no_change=epochs,
        random_state=0,
    )
    return timing.timed(lambda: model.fit(X, y))


def fit_peer(X, y, max_iter):
    return timing.timed(lambda: make(PEER, len(y), max_iter).fit(X, y))


def best_setting(solver, schedule, X, y, best) -> tuple[tuple | None, int]:
    """Rate, batch size and epochs of the fit that was soonest within the gap; and how many fits
    were made."""
    found, least, made = None, np.inf, 0
    for rate, batch in product(RATES, BATCHES):
        for epochs in EPOCHS:
            seconds, model = fit(solver, X, y, schedule, rate, batch, epochs)
            made += 1
            if logistic(model.coef_, model.intercept_, X, y, ALPHA) / best - 1 <= GAP:
                if seconds < least:
                    found, least = (rate, batch, epochs), seconds
                break
    return found, made


def run(args) -> list[report.Row]:
    rows: list[report.Row] = []
    X, y = problem(*CASES[CASE])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        exact = make(PEER, len(y), 5000).set_params(tol=1e-9).fit(X.astype(np.float64), y)
        best = logistic(exact.coef_, exact.intercept_, X, y, ALPHA)
        k = shortest(PEER, X, y, best)[GAP]
        for solver, schedule in product(args.solvers, SCHEDULES):
            setting, made = best_setting(solver, schedule, X, y, best)
            row = {"case": CASE, "solver": solver, "schedule": schedule, "fits": made}
            if setting is None:
                rows.append(row | {"rate": "none"})
            else:
                sides = {
                    "ours": partial(fit, solver, X, y, schedule, *setting),
                    PEER: partial(fit_peer, X, y, k),
                }
                figures = timing.alternate(sides, args.repeats)
                ours, theirs = (figures[side].median for side in sides)
                row |= dict(zip(("rate", "batch", "epochs"), setting, strict=True))
                row |= {"ms": 1000 * ours, "lbfgs ms": 1000 * theirs, "x": theirs / ours}
                rows.append(row)
            report.show_last(rows)
    return rows
