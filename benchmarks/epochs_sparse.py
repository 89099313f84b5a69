"""One epoch of log loss on CSR rows, batch size 1, ns a non-zero entry.

Against SGDClassifier; lightning's AdaGradClassifier and Vowpal Wabbit where they are installed.
adam is compared with our own adagrad.
"""

from functools import partial

import numpy as np

from benchmarks import peers, problems, report, timing
from benchmarks.epochs_dense import ALPHA, logistic_regression, sgd_classifier
from benchmarks.objectives import logistic
from benchmarks.vowpal import Rows

# rows, columns, non-zeros a row, columns by Zipf's law
CASES = {
    "CSR 20k x 100k, 50 a row": (20_000, 100_000, 50, False),
    "CSR 20k x 100k, 50 a row, as words": (20_000, 100_000, 50, True),
}
# solvers and their rates; None: automatic (those of adagrad and adam are too long for columns as
# rare as these: on random labels they fit the noise)
SOLVERS = {"sgd": None, "adagrad": 0.002, "adam": 1e-5}
EPOCHS = {"adam": 2, "VW sgd": 40, "VW adagrad": 40}  # of the shorter fit, where not 10
REACH = {("sgd", "SGDClassifier"): 2.5, ("adagrad", "SGDClassifier"): 1.8}
REACH["adam", "our adagrad"] = 0.5


def lightning_adagrad(X, y, epochs):
    """It takes double precision only, and has no intercept."""
    model = peers.lightning().AdaGradClassifier(
        loss="log", alpha=ALPHA, eta=0.5, n_iter=epochs, shuffle=True, random_state=0
    )
    return model.fit(X, y)


def measure(case, repeats, textbook):
    n, d, per_row, zipf = CASES[case]
    X, y = problems.csr(n, d, per_row, zipf=zipf)
    params = {"batch_size": 1, "precondition": not textbook}
    fits = {
        solver: partial(
            *(logistic_regression, X, y),
            **(params | {"solver": solver, "learning_rate_init": rate or "auto"}),
        )
        for solver, rate in SOLVERS.items()
    }
    fits["SGDClassifier"] = partial(sgd_classifier, X, y, eta0=0.5)
    against = {solver: ["SGDClassifier"] for solver in SOLVERS}
    against["adam"].append("our adagrad")
    if peers.lightning() is not None:
        fits["lightning adagrad"] = partial(lightning_adagrad, X.astype(np.float64), y)
        against["adagrad"].append("lightning adagrad")
    if peers.vowpalwabbit() is not None:
        rows = Rows(X, y)
        for rule in ("sgd", "adagrad"):
            fits[f"VW {rule}"] = partial(rows.train, rule, ALPHA)
            against[rule].append(f"VW {rule}")
    sides = {name: partial(timing.epoch, fit, EPOCHS.get(name, 10)) for name, fit in fits.items()}
    figures = timing.alternate(sides, repeats)
    objectives = {name: objective(figure.result, X, y) for name, figure in figures.items()}
    figures["our adagrad"], objectives["our adagrad"] = figures["adagrad"], objectives["adagrad"]
    for solver, others in against.items():
        for other in others:
            head: report.Row = {"case": case, "solver": f"{solver} b1", "against": other}
            row = timing.versus(
                head,
                "ns a non-zero",
                figures[solver],
                figures[other],
                REACH.get((solver, other)),
                1e9 / X.nnz,
            )
            row["objective, ours"], row["objective, theirs"] = (
                objectives[solver],
                objectives[other],
            )
            yield row


def objective(model, X, y) -> float:
    return logistic(model.coef_, getattr(model, "intercept_", np.zeros(1)), X, y, ALPHA)
