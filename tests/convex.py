"""Two exact minimisers in double precision, for the oracle in exact.py.

`proximal_newton`: a smooth convex function plus sum lam |theta| + 1/2 sum mu theta^2.
`interior_point`: a sum of absolute values, of unequal slopes and maybe rounded at the tip, plus
1/2 sum mu theta^2.
"""

import numpy as np


def proximal_newton(data_term, theta, lam, mu):
    """Minimise data_term(theta) + sum lam |theta| + 1/2 sum mu theta^2.

    data_term returns value, gradient and Hessian. Each step solves its quadratic model exactly.
    """

    def evaluate(theta):
        with np.errstate(over="ignore", invalid="ignore"):
            value, gradient, hessian = data_term(theta)
            value += lam @ np.abs(theta) + 0.5 * mu @ theta**2
        gradient = gradient + mu * theta
        at_zero = np.maximum(np.abs(gradient) - lam, 0)
        residual = np.where(theta == 0, at_zero, np.abs(gradient + lam * np.sign(theta))).max()
        return value, gradient, hessian, residual

    value, gradient, hessian, residual = evaluate(theta)
    for _ in range(300):
        if residual == 0:
            break
        # The damping only settles directions in which F is flat (softmax intercepts).
        H = hessian + np.diag(mu + 1e-13 * np.trace(hessian) / len(theta) + 1e-300)
        direction = quadratic_with_l1(H, gradient - H @ theta, lam, theta)
        direction -= theta
        step = 1.0
        while step > 1e-12:
            trial = theta + step * direction
            new = evaluate(trial)
            # Near the minimum F itself is all rounding: then the residual decides.
            if new[0] < value - 1e-14 * abs(value) or (
                new[0] <= value + 1e-13 * abs(value) and new[3] < residual
            ):
                break
            step /= 2
        else:
            break
        theta, (value, gradient, hessian, residual) = trial, new
    return theta


def quadratic_with_l1(H, c, lam, start):
    """Minimise 1/2 pHp + cp + sum lam |p|: coordinate descent finds the support, a linear
    system the values on it."""

    def on_support(p):
        free = (p != 0) | (lam == 0)
        exact = np.zeros_like(p)
        signs = np.sign(p[free])
        exact[free] = np.linalg.solve(H[np.ix_(free, free)], -(c + lam * np.sign(p))[free])
        slack = lam - np.abs(H @ exact + c)
        kept = (lam[free] == 0) | (np.sign(exact[free]) == signs)
        return exact, kept.all() and (slack[~free] >= -1e-12 * lam.max()).all()

    p = start.copy()
    if not lam.any():
        return on_support(p)[0]
    slope = H @ p + c
    for _ in range(300):
        for _ in range(10):
            for j in range(len(p)):
                z = p[j] - slope[j] / H[j, j]
                new = np.sign(z) * max(abs(z) - lam[j] / H[j, j], 0.0)
                if new != p[j]:
                    slope += H[:, j] * (new - p[j])
                    p[j] = new
        exact, optimal = on_support(p)
        if optimal:
            return exact
    return p


def interior_point(A, y, low, high, mu, tip):
    """Minimise sum_i max over a in [low_i, high_i] of (a r_i - tip_i a^2 / 2) + 1/2 sum mu theta^2
    with r = y - A theta.

    With r = u - v + tip a, u, v >= 0, a row costs high u - low v + tip a^2 / 2; its multiplier
    a, the slope of its cost, lies in [low, high], at an end where u or v is not zero.
    Primal-dual steps with Mehrotra's predictor and corrector. Returns theta and a.
    """
    rows = len(y)
    spread = np.abs(y - np.median(y)).mean()
    theta, a = np.zeros(A.shape[1]), (low + high) / 2
    u, v = np.maximum(y, 0) + spread, np.maximum(-y, 0) + spread
    for _ in range(200):
        s, t = high - a, a - low  # slacks: u s = v t = 0 at the minimum
        gap = (u @ s + v @ t) / (2 * rows)
        if gap * rows <= 1e-13 * (high @ u - low @ v + 0.5 * tip @ a**2):
            break
        primal, dual = A @ theta + u - v + tip * a - y, mu * theta - A.T @ a
        q = 1 / (u / s + v / t + tip)
        normal = A.T * q @ A + np.diag(mu)
        normal += 1e-15 * np.trace(normal) / len(theta) * np.eye(len(theta))

        # The predictor aims at u s = v t = 0; how far it gets says how much to centre.
        _, da, du, dv = _step(A, normal, q, primal, dual, (u, v, s, t), -u * s, -v * t)
        length = _reach(u, v, s, t, da, du, dv)
        ahead = (u + length * du) @ (s - length * da) + (v + length * dv) @ (t + length * da)
        centre = gap * (ahead / (2 * rows * gap)) ** 3
        us, vt = centre - u * s + du * da, centre - v * t - dv * da
        step, da, du, dv = _step(A, normal, q, primal, dual, (u, v, s, t), us, vt)
        length = _reach(u, v, s, t, da, du, dv)
        theta, a = theta + length * step, a + length * da
        u, v = u + length * du, v + length * dv
    return theta, a


def _step(A, normal, q, primal, dual, point, change_us, change_vt):
    """The Newton step that changes the products u s and v t by so much, to first order."""
    u, v, s, t = point
    h = primal + change_us / s - change_vt / t
    step = np.linalg.solve(normal, -dual - A.T @ (q * h))
    da = -q * (h + A @ step)
    return step, da, (change_us + u * da) / s, (change_vt - v * da) / t


def _reach(u, v, s, t, da, du, dv):
    """The longest step, up to one, that keeps u, v, s and t positive."""
    steepest = -np.concatenate([du / u, dv / v, -da / s, da / t]).min()
    return min(1.0, 0.9995 / max(steepest, 1e-300))
