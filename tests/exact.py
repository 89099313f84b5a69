"""The objective F of the linear models and its exact minimiser, from NumPy alone.

Nothing of skopt_est is imported here. `Objective` states F once, for any loss, dense or CSR
rows, weights, one or several outputs:

    F(W, b) = 1/S sum_i s_i loss(y_i, x_i W + b)
              + alpha (l1_ratio |W|_1 + (1 - l1_ratio)/2 |W|_2^2),        S = sum_i s_i

`Objective.minimise` finds its minimum in double precision on standardised columns (convex.py).
F is convex, so a vanishing subgradient (`Objective.stationarity`) is a proof; test_exact.py
asks for it, and for agreement with scikit-learn.
"""

from dataclasses import dataclass

import numpy as np
from convex import interior_point, proximal_newton
from scipy import sparse
from scipy.special import expit, logsumexp, softmax, xlogy


def pointwise(loss, y, f, delta=1.35, quantile=0.5):
    """Value, first and second derivative (in f) of a loss of one raw prediction."""
    if loss == "squared_error":
        return 0.5 * (f - y) ** 2, f - y, np.ones_like(f)
    if loss == "huber":
        r = f - y
        inside = np.abs(r) <= delta
        value = np.where(inside, 0.5 * r * r, delta * (np.abs(r) - 0.5 * delta))
        return value, np.clip(r, -delta, delta), inside.astype(float)
    if loss == "absolute_error":
        return np.abs(f - y), np.sign(f - y), np.zeros_like(f)
    if loss == "quantile":
        r = y - f
        return np.maximum(quantile * r, (quantile - 1) * r), (r < 0) - quantile, np.zeros_like(f)
    if loss == "poisson":
        return np.exp(f) - y * f, np.exp(f) - y, np.exp(f)
    if loss == "gamma":
        return f + y * np.exp(-f), 1 - y * np.exp(-f), y * np.exp(-f)
    if loss == "log_loss":
        p = expit(f)
        return np.logaddexp(0, f) - y * f, p - y, p * (1 - p)
    raise ValueError(f"no such loss: {loss!r}")


@dataclass
class Solution:
    coef: np.ndarray  # (outputs, features)
    intercept: np.ndarray  # (outputs,)
    value: float  # F there
    dual: np.ndarray | None = None  # (n, outputs) slopes of a loss with a kink, at its minimum


class Objective:
    """F for one data set; call it, or minimise it."""

    def __init__(
        self,
        X,
        y,
        loss,
        *,
        alpha=1e-4,
        l1_ratio=0.0,
        sample_weight=None,
        fit_intercept=True,
        delta=1.35,
        quantile=0.5,
    ):
        self.X = X.astype(np.float64) if sparse.issparse(X) else np.asarray(X, dtype=np.float64)
        n, self.features = self.X.shape
        weight = np.ones(n) if sample_weight is None else np.asarray(sample_weight, dtype=float)
        self.weight = weight / weight.sum()
        self.loss, self.alpha, self.l1_ratio = loss, alpha, l1_ratio
        self.fit_intercept, self.delta, self.quantile = fit_intercept, delta, quantile
        self.multinomial = False
        if loss == "log_loss":
            classes, index = np.unique(y, return_inverse=True)
            self.multinomial = len(classes) > 2
            y = index
        self.Y = np.asarray(y, dtype=float).reshape(n, -1)
        self.outputs = len(classes) if self.multinomial else self.Y.shape[1]

    def shaped(self, coef, intercept):
        """coef as (outputs, features) and intercept as (outputs,), whatever an estimator has."""
        coef = np.asarray(coef, dtype=float).reshape(self.outputs, self.features)
        return coef, np.broadcast_to(np.asarray(intercept, dtype=float).ravel(), self.outputs)

    def losses(self, raw):
        """Value and derivative of each row's loss at raw predictions (n, outputs)."""
        if self.multinomial:
            index = self.Y[:, 0].astype(int)
            value = logsumexp(raw, axis=1) - raw[np.arange(len(raw)), index]
            return value, softmax(raw, axis=1) - np.eye(self.outputs)[index]
        value, slope, _ = pointwise(self.loss, self.Y, raw, self.delta, self.quantile)
        return value.sum(axis=1), slope

    def penalty(self, coef):
        ridge = 0.5 * (1 - self.l1_ratio) * np.sum(coef**2)
        return self.alpha * (self.l1_ratio * np.abs(coef).sum() + ridge)

    def __call__(self, coef, intercept):
        coef, intercept = self.shaped(coef, intercept)
        value, _ = self.losses(self.X @ coef.T + intercept)
        return float(self.weight @ value + self.penalty(coef))

    def of(self, estimator):
        """F at the weights of a fitted estimator."""
        return self(estimator.coef_, estimator.intercept_)

    def floor(self):
        """The least that the data term could be, whatever the predictions.

        Not zero for the losses of counts and amounts, which leave out a constant of y: without
        it F is not on a scale of its own, and may be negative.
        """
        if self.loss == "poisson":
            least = self.Y - xlogy(self.Y, self.Y)
        elif self.loss == "gamma":
            least = 1 + np.log(self.Y)
        else:
            return 0.0
        return float(self.weight @ least.sum(axis=1))

    def gap(self, estimator, best):
        """How far above the minimum an estimator is, relative to F - floor there."""
        return (self.of(estimator) - best.value) / (best.value - self.floor())

    def scales(self):
        """Weighted mean and deviation of each column (1 for a constant one; no mean without
        an intercept, which alone can absorb it)."""
        mean = np.asarray(self.X.T @ self.weight).ravel()
        if not self.fit_intercept:
            mean = np.zeros(self.features)
        X = self.X.toarray() if sparse.issparse(self.X) else self.X
        deviation = np.sqrt(self.weight @ (X - mean) ** 2)
        flat = deviation <= 1e-12 * np.maximum(np.abs(mean), 1e-300)
        return mean, np.where(flat, 1.0, deviation)

    def subgradient(self, coef, intercept):
        """Gradient of the smooth part, per standardised column, and the thresholds of L1 there."""
        coef, intercept = self.shaped(coef, intercept)
        _, slope = self.losses(self.X @ coef.T + intercept)
        slope = slope * self.weight[:, None]
        mean, deviation = self.scales()
        data = np.asarray(self.X.T @ slope).T - slope.sum(axis=0)[:, None] * mean
        smooth = (data + self.alpha * (1 - self.l1_ratio) * coef) / deviation
        return smooth, slope.sum(axis=0), self.alpha * self.l1_ratio / deviation

    def stationarity(self, coef, intercept):
        """Largest entry of the smallest subgradient, relative to the size of its terms.

        Taken in standardised columns, so that it means the same whatever the units of X.
        """
        coef, intercept = self.shaped(coef, intercept)
        smooth, free, threshold = self.subgradient(coef, intercept)
        at_zero = np.maximum(np.abs(smooth) - threshold, 0)
        inner = np.where(coef == 0, at_zero, np.abs(smooth + threshold * np.sign(coef)))
        _, slope = self.losses(self.X @ coef.T + intercept)
        size = self.weight @ np.abs(slope).sum(axis=1)
        outer = np.abs(free).max() if self.fit_intercept else 0.0
        return max(inner.max(), outer) / size

    def margin(self, solution):
        """How clear the zeros are: the smallest slack of a zero below its threshold, and the
        smallest non-zero step, both as fractions of the threshold's and the largest weight's
        size. A test of exact zeros wants neither to be tiny."""
        smooth, _, threshold = self.subgradient(solution.coef, solution.intercept)
        zero = solution.coef == 0
        slack = (1 - np.abs(smooth) / threshold)[zero].min(initial=1.0)
        scaled = np.abs(solution.coef * self.scales()[1])
        return float(slack), float(scaled[~zero].min(initial=np.inf) / scaled.max())

    def minimise(self):
        mean, deviation = self.scales()
        X = self.X.toarray() if sparse.issparse(self.X) else self.X
        A = (X - mean) / deviation
        lam, mu = self.alpha * self.l1_ratio / deviation, self.alpha * (1 - self.l1_ratio)
        mu = mu / deviation**2
        if self.fit_intercept:
            A = np.column_stack([A, np.ones(len(A))])
            lam, mu = np.append(lam, 0.0), np.append(mu, 0.0)
        dual = None
        if self.multinomial:
            theta = minimise_multinomial(A, self.Y[:, 0].astype(int), self.weight, lam, mu)
        elif self.loss in ("absolute_error", "quantile"):
            high, low = (1, -1) if self.loss == "absolute_error" else (q := self.quantile, q - 1)
            found = [minimise_kinked(A, y, self.weight, lam, mu, high, low) for y in self.Y.T]
            theta, dual = (np.array(part) for part in zip(*found, strict=True))
            dual = dual.T
        else:
            theta = np.array([self._minimise_smooth(A, y, lam, mu) for y in self.Y.T])
        coef = theta[:, : self.features] / deviation
        intercept = np.zeros(self.outputs)
        if self.fit_intercept:
            intercept = theta[:, -1] - coef @ mean
        return Solution(coef, intercept, self(coef, intercept), dual)

    def _minimise_smooth(self, A, y, lam, mu):
        def data_term(theta):
            value, slope, curvature = pointwise(self.loss, y, A @ theta, self.delta)
            hessian = (A.T * (self.weight * curvature)) @ A
            return self.weight @ value, A.T @ (self.weight * slope), hessian

        start = np.zeros(A.shape[1])
        if self.fit_intercept and self.loss in ("poisson", "gamma"):
            start[-1] = np.log(self.weight @ y)
        if self.loss == "huber":
            # The slope a reaches to delta: delta |r| with a tip of a^2 / 2. Newton's steps
            # alone know no way where all residuals are beyond delta.
            start, _ = minimise_kinked(A, y, self.weight, lam, mu, self.delta, -self.delta, 1.0)
        return proximal_newton(data_term, start, lam, mu)


def minimise_multinomial(A, index, weight, lam, mu):
    """All classes in one vector, class-major; the softmax couples them in the Hessian."""
    k, m = index.max() + 1, A.shape[1]
    target = np.eye(k)[index]

    def data_term(theta):
        raw = A @ theta.reshape(k, m).T
        p = softmax(raw, axis=1)
        value = weight @ (logsumexp(raw, axis=1) - raw[np.arange(len(raw)), index])
        hessian = np.empty((k, m, k, m))
        for a in range(k):
            for b in range(a + 1):
                curvature = weight * p[:, a] * ((a == b) - p[:, b])
                hessian[a, :, b] = hessian[b, :, a] = (A.T * curvature) @ A
        return value, ((p - target).T * weight @ A).ravel(), hessian.reshape(k * m, k * m)

    theta = proximal_newton(data_term, np.zeros(k * m), np.tile(lam, k), np.tile(mu, k))
    return theta.reshape(k, m)


def minimise_kinked(A, y, weight, lam, mu, high, low, tip=0.0):
    """Losses with a kink, or with corners; lam |theta_j| is of their kind, with target 0.

    Returns theta and the slope in [low, high] of each row's loss.
    """
    n, thresholded = len(y), np.flatnonzero(lam)
    used = weight > 0
    rows = np.vstack([A[used], np.eye(A.shape[1])[thresholded]])
    zero = np.zeros(len(thresholded))
    lower = np.append(low * weight[used], -lam[thresholded])
    upper = np.append(high * weight[used], lam[thresholded])
    tips = np.append(tip / weight[used], zero)
    theta, a = interior_point(rows, np.append(y[used], zero), lower, upper, mu, tips)
    inside = np.minimum(upper - a, a - lower)[used.sum() :] > 1e-6 * lam[thresholded]
    theta[thresholded[inside]] = 0.0
    slope = np.zeros(n)
    slope[used] = a[: used.sum()] / weight[used]
    return theta, slope
