"""Solvers and learning rates in the results of a search."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError

from skopt_est._plotting import name_of_score

SOLVER, RATE = "solver", "learning_rate_init"


def results_of(search: Any, solver_param: str | None, metric: str | None) -> dict[str, Any]:
    """The parameters of a SolverComparisonDisplay; of several candidates with one solver and rate
    the best, among those of the last iteration if the search halves."""
    if not hasattr(search, "cv_results_"):
        what = "is not fitted: call fit first" if hasattr(search, "fit") else "is no search"
        error = NotFittedError if hasattr(search, "fit") else ValueError
        raise error(f"{search!r} {what}. A fitted GridSearchCV has the cv_results_ that are shown.")
    results = search.cv_results_
    metric_key, score_name = _metric_of(search, metric)
    solver_param = _solver_param_of(search, solver_param)
    rate_param = solver_param.removesuffix(SOLVER) + RATE
    default = search.estimator.get_params()
    if rate_param not in default:
        raise ValueError(
            f"{search!r} tried {solver_param!r}, but its estimator has no parameter {rate_param!r}."
        )
    means = results[f"mean_test_{metric_key}"]
    iterations = results.get("iter", np.zeros(len(means)))
    chosen: dict[tuple[Any, Any], int] = {}
    for i, params in enumerate(results["params"]):
        pair = tuple(params.get(name, default[name]) for name in (solver_param, rate_param))
        best = chosen.setdefault(pair, i)
        if (iterations[i], _or_least(means[i])) > (iterations[best], _or_least(means[best])):
            chosen[pair] = i
    at = list(chosen.values())
    return {
        "solvers": [solver for solver, _ in chosen],
        "learning_rates": [rate for _, rate in chosen],
        "mean_scores": means[at],
        "std_scores": results[f"std_test_{metric_key}"][at],
        "mean_fit_times": results["mean_fit_time"][at],
        "score_name": score_name,
    }


def _or_least(score: float) -> float:
    """A fit that failed has no score."""
    return -np.inf if np.isnan(score) else score


def _solver_param_of(search: Any, solver_param: str | None) -> str:
    tried = sorted({name for params in search.cv_results_["params"] for name in params})
    if solver_param is not None:
        found = [name for name in tried if name == solver_param]
    else:
        found = [name for name in tried if name.split("__")[-1] == SOLVER]
    if not found:
        wanted = repr(solver_param or SOLVER)
        raise ValueError(f"{search!r} has no {wanted} in its grid: it tried {tried}.")
    if len(found) > 1:
        raise ValueError(f"solver_param=None, and several were tried: choose one of {found}.")
    return found[0]


def _metric_of(search: Any, metric: str | None) -> tuple[str, str]:
    """The metric's name in the results, and on an axis."""
    prefix = "mean_test_"
    metrics = sorted(k.removeprefix(prefix) for k in search.cv_results_ if k.startswith(prefix))
    if metrics == ["score"]:
        if metric is not None:
            raise ValueError(
                f"metric={metric!r}, but the search has one metric only: leave it out."
            )
        return "score", name_of_score(search.scoring, search.estimator)
    if metric is None and isinstance(search.refit, str):
        metric = search.refit
    if metric is None or metric not in metrics:
        raise ValueError(f"metric={metric!r}: the search has the metrics {metrics}, choose one.")
    return metric, name_of_score(metric, search.estimator)
