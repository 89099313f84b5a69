"""The lines of `verbose`."""

import re
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from skopt_est import LinearRegression, LogisticRegression, MLPClassifier, MLPRegressor
from skopt_est._report import clock, line

EVERY = [LinearRegression, LogisticRegression, MLPClassifier, MLPRegressor]
NUMBER = r"(-?[\d.]+(?:e[+-]\d+)?)"
LINE = re.compile(
    rf"Epoch +(\d+)(?:/(\d+))?(?:  rate {NUMBER} *)?  loss {NUMBER} *"
    rf"(?:  validation score {NUMBER} *)?(?:  (\d+:\d\d:\d\d) left)?"
)


def data(cls, n=60):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 3))
    z = X @ [1.0, -2.0, 0.5] + rng.normal(size=n)
    return X, z if cls in (LinearRegression, MLPRegressor) else (z > 0).astype(int)


def printed(capsys, est, *args, partial=False, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        (est.partial_fit if partial else est.fit)(*args, **kwargs)
    lines = capsys.readouterr().out.splitlines()
    cells = [LINE.fullmatch(line) for line in lines]
    assert None not in cells, lines
    return lines, cells


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("solver", ["gd", "adam", "lbfgs"])
@pytest.mark.parametrize("cls", EVERY)
def test_a_line_tells_what_the_history_does(cls, solver, early_stopping, capsys):
    X, y = data(cls)
    est = cls(solver=solver, max_iter=12, tol=0.0, n_iter_no_change=99, random_state=0)
    est.set_params(verbose=True, early_stopping=early_stopping)
    _, lines = printed(capsys, est, X, y)
    assert len(lines) == est.n_iter_
    for entry, cells in zip(est.history_, lines, strict=True):
        epoch, last, rate, loss, score, left = cells.groups()
        assert (int(epoch), int(last)) == (entry["epoch"], 12)
        assert float(loss) == float(f"{entry['loss']:.6g}")
        if solver == "lbfgs":
            assert rate is None
        else:
            assert float(rate) == float(f"{entry['learning_rate']:.3g}")
        assert (score is not None) == early_stopping
        assert score is None or float(score) == float(f"{entry['validation_score']:.6g}")
        assert left is not None
    assert lines[-1][6] == "0:00:00" or est.n_iter_ < 12


def test_columns_stand_below_one_another(capsys):
    X, y = data(LogisticRegression)
    est = LogisticRegression(verbose=1, max_iter=100, learning_rate=lambda p: 0.12345**p)
    lines, _ = printed(capsys, est, X, y, X_val=X, y_val=y)
    assert len({len(f"{entry['learning_rate']:.3g}") for entry in est.history_}) > 1
    for word in ("rate", "loss", "validation", "left"):
        assert len({line.index(word) for line in lines}) == 1


@pytest.mark.parametrize(("every", "epochs"), [(1, [1, 2, 3, 4, 5]), (2, [2, 4]), (9, [])])
def test_every_so_manyth_epoch(every, epochs, capsys):
    X, y = data(MLPClassifier)
    est = MLPClassifier(3, max_iter=5, verbose=every)
    _, lines = printed(capsys, est, X, y)
    assert [int(cells[1]) for cells in lines] == epochs


def test_resumed_fits_count_on_and_partial_fit_has_no_end(capsys):
    X, y = data(LogisticRegression)
    est = LogisticRegression(max_iter=3, tol=0.0, verbose=True, warm_start=True)
    printed(capsys, est, X, y)
    _, lines = printed(capsys, est, X, y)
    assert [cells.group(1, 2) for cells in lines] == [("4", "6"), ("5", "6"), ("6", "6")]
    lines, cells = printed(capsys, est, X, y, partial=True)
    assert cells[0].group(1, 2, 6) == ("7", None, None)
    assert lines[0] == lines[0].rstrip()


def test_epoch_that_diverged_is_told_of(capsys):
    entry = {"epoch": 7, "loss": np.nan, "validation_score": np.nan, "learning_rate": 1e-12}
    text = line(entry, 1000, 3.7e5)
    assert text.split() == [
        *("Epoch", "7/1000", "rate", "1e-12", "loss", "nan", "validation", "score", "nan"),
        *("102:46:40", "left"),
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0:00:00"), (59.6, "0:01:00"), (3599.4, "0:59:59"), (3661, "1:01:01")],
)
def test_clock(seconds, text):
    assert clock(seconds) == text
