"""Fitted estimators outside of the process: the version of what is stored, and export."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

import skopt_est

STATE_VERSION = 1
"""To be raised when an attribute of a fitted estimator is added, dropped or changes its meaning.
`__setstate__` then brings the states of earlier versions up to date, or refuses them."""

VERSION, WRITER = "_state_version", "_skopt_est_version"


class StoredEstimator(BaseEstimator):
    """Base of the estimators: files of them say by which rules they are to be read."""

    def __getstate__(self) -> dict[str, Any]:
        versions = {VERSION: STATE_VERSION, WRITER: skopt_est.__version__}
        return {**super().__getstate__(), **versions}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        version, writer = state.pop(VERSION, None), state.pop(WRITER, None)
        if version != STATE_VERSION:
            raise ValueError(_unreadable(type(self).__name__, version, writer))
        super().__setstate__(state)

    def to_sklearn(self) -> BaseEstimator:
        """The fitted scikit-learn estimator that makes the same predictions.

        It shares nothing with this one and doesn't need this package. Its parameters state the same
        objective where scikit-learn has it, so a linear model that is fitted anew to the same rows
        and weights comes to the same minimum.

        Returns
        -------
        estimator : sklearn estimator
            - LogisticRegression for LogisticRegression;
            - for LinearRegression: LinearRegression, Ridge or ElasticNet ("squared_error", by
              `alpha` and `l1_ratio`), PoissonRegressor, GammaRegressor, QuantileRegressor, or
              SGDRegressor ("huber", "absolute_error"); in a MultiOutputRegressor where y was a
              matrix and scikit-learn's estimator takes one target;
            - MLPClassifier and MLPRegressor for those of the same name.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            Where scikit-learn can't make these predictions, saying which feature it lacks: an
            activation, activations that differ by layer, a network of a single class.

        Warns
        -----
        UserWarning
            Where predictions are the same, but parameters of training have no counterpart: it
            names them.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.datasets import load_breast_cancer
        >>> from skopt_est import LogisticRegression
        >>> X, y = load_breast_cancer(return_X_y=True)
        >>> clf = LogisticRegression(solver="lbfgs", alpha=0.01).fit(X, y)
        >>> exported = clf.to_sklearn()
        >>> exported  # C is 1 / (0.01 * 569)
        LogisticRegression(C=0.17...)
        >>> bool(np.allclose(exported.predict_proba(X), clf.predict_proba(X), rtol=0, atol=1e-12))
        True
        """
        from skopt_est._export import to_sklearn

        check_is_fitted(self)
        return to_sklearn(self)


def _unreadable(name: str, version: Any, writer: Any) -> str:
    newer = isinstance(version, int) and version > STATE_VERSION
    wrote = f"skopt_est {writer}" if writer else "an unknown version of skopt_est"
    return (
        f"This {name} was saved by {wrote}, with state version {version!r}; skopt_est "
        f"{skopt_est.__version__} reads version {STATE_VERSION}. "
        + ("Upgrade skopt_est" if newer else "Load it with the version that saved it")
        + ", or fit the estimator anew."
    )
