"""What the classifiers share: classes and their weights, targets, predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit, log_expit, log_softmax, softmax
from sklearn.base import ClassifierMixin
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from skopt_est import _targets
from skopt_est._losses import LOSSES, LogLossMultinomial
from skopt_est._problem import Targets

Array = np.ndarray
# Of one piece of a prediction: what is made of them on the way stays in cache
LABELS_AT_ONCE = 1 << 14


class ProbabilisticClassifier(ClassifierMixin):
    """Binary, multinomial and (where an estimator lets y be a matrix) multilabel targets.

    Stands before a base that has `_raw_prediction`, in the order of inheritance.
    """

    classes_: Array
    _multilabel: bool
    class_weight: Any
    warm_start: bool
    _least_classes = 2
    _class_constraints: dict[str, list[Any]] = {
        "class_weight": [dict, StrOptions({"balanced"}), None]
    }

    def _targets(self, y, weights, dtype, partial, classes) -> Targets:
        check_classification_targets(y)
        resumed = (partial or self.warm_start) and hasattr(self, "_state")
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        multilabel = y.ndim == 2
        if resumed and multilabel != self._multilabel:
            raise ValueError(
                "warm_start and partial_fit go on with the kind of y of the fit before, "
                + ("a matrix of labels." if self._multilabel else "one class a row.")
            )
        self._multilabel = multilabel
        if partial:
            self._first_classes(y, classes)
        else:
            found = np.arange(y.shape[1]) if multilabel else np.unique(y)
            if resumed and not np.array_equal(found, self.classes_):
                raise ValueError(
                    f"warm_start=True needs the classes of the fit before, "
                    f"{self.classes_.tolist()}; y has {found.tolist()}."
                )
            self.classes_ = found
        n_classes = len(self.classes_)
        if n_classes < self._least_classes:
            raise ValueError(
                f"y has one class only ({self.classes_.tolist()}); this classifier needs samples "
                "of at least 2 classes."
            )
        Y = self._encode(y, dtype, "y")
        if multilabel:
            if self.class_weight is not None:
                raise ValueError(
                    f"class_weight={self.class_weight!r} is not defined for several labels a row. "
                    "Pass sample_weight."
                )
            return Targets(Y, LOSSES["log_loss_binary"], n_classes)
        factors = _targets.class_factors(self.class_weight, self.classes_, Y, weights)
        if n_classes > 2:
            return Targets(Y, LogLossMultinomial(n_classes=n_classes), n_classes, factors)
        return Targets(Y, LOSSES["log_loss_binary"], 1, factors)

    def _first_classes(self, y: Array, classes: Any) -> None:
        """partial_fit: the classes of the first call hold for all."""
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' is not defined for partial_fit: it needs all of y. Pass "
                "a dict, made with sklearn.utils.class_weight.compute_class_weight on a large "
                "sample."
            )
        first = not hasattr(self, "_state")
        if classes is None:
            if first:
                raise ValueError("classes must be passed on the first call to partial_fit.")
            return
        classes = np.unique(classes)
        if not first and not np.array_equal(classes, self.classes_):
            raise ValueError(
                f"classes={classes.tolist()} differs from the classes of the first call, "
                f"{self.classes_.tolist()}."
            )
        self.classes_ = classes

    def _encode(self, y, dtype, argument):
        if not self._multilabel:
            if y.ndim == 2 and y.shape[1] != 1:
                raise ValueError(f"{argument} must have one column, got the shape {y.shape}.")
            labels = column_or_1d(y, warn=True)
            return _targets.class_indices(labels, self.classes_, dtype, argument)[:, None]
        if y.ndim != 2 or y.shape[1] != len(self.classes_):
            raise ValueError(
                f"{argument} has the shape {y.shape}; it needs a column for each of the "
                f"{len(self.classes_)} labels."
            )
        if not np.isin(y, (0, 1)).all():
            raise ValueError(
                f"{argument} has a column for each label: its values must be 0 and 1, got "
                f"{np.setdiff1d(y, (0, 1))[:3].tolist()}."
            )
        return np.ascontiguousarray(y, dtype)

    def predict(self, X: Any) -> Array:
        """The most probable class of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,), or (n_samples, n_classes) of 0 and 1 for several labels a row
        """
        two = np.asarray(getattr(self, "classes_", ()))  # not fitted: _raw_prediction tells
        two_whole = len(two) == 2 and two.dtype.kind in "iu"
        signs = two_whole and not getattr(self, "_multilabel", True)
        f = self._raw_prediction(X, signs=signs)
        if f.dtype.kind == "i":
            # A quarter of the time of `take`. A difference that is out of range comes back into it.
            labels = f.reshape(-1).astype(two.dtype, copy=False)
            if two.tolist() != [0, 1]:
                labels *= two[1:] - two[:1]
                labels += two[0]
            return labels
        if self._multilabel:
            return (f > 0).astype(int)
        if len(self.classes_) == 1:
            return np.repeat(self.classes_, len(f))
        labels = np.empty(len(f), self.classes_.dtype)
        for piece in _targets.pieces(len(f), LABELS_AT_ONCE):
            some = f[piece]
            codes = (some[:, 0] > 0).view(np.int8) if f.shape[1] == 1 else some.argmax(axis=1)
            # clip: no code is out of range, and then numpy needs no second array
            self.classes_.take(codes, out=labels[piece], mode="clip")
        return labels

    def predict_proba(self, X: Any) -> Array:
        """Class probabilities.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of ``classes_``; rows sum to 1, except those of several labels a row.
        """
        f = self._raw_prediction(X)
        if self._multilabel:
            return expit(f)
        if len(self.classes_) == 1:
            return np.ones_like(f)
        return softmax(f, axis=1) if f.shape[1] > 1 else np.hstack([expit(-f), expit(f)])

    def predict_log_proba(self, X: Any) -> Array:
        """Logarithms of the class probabilities, finite wherever the raw prediction is.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        f = self._raw_prediction(X)
        exact = f.astype(np.float64)
        if self._multilabel:
            log_proba = log_expit(exact)
        elif len(self.classes_) == 1:
            log_proba = np.zeros_like(exact)
        elif f.shape[1] > 1:
            log_proba = log_softmax(exact, axis=1)
        else:
            log_proba = np.hstack([log_expit(-exact), log_expit(exact)])
        return log_proba.astype(f.dtype)
