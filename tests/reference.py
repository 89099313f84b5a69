"""A NumPy oracle for every registered solver, loss and schedule, and for dense training.

Written from the papers and the stated objective, never from the kernels, and slow on purpose:
each rule is a few lines that can be held against its source.

    F(W, b) = (1/S) sum_i s_i loss(y_i, x_i W + b)
              + alpha (l1_ratio |W|_1 + (1 - l1_ratio)/2 |W|_2^2)

SOLVERS, LOSSES and SCHEDULES hold the rules by name; `train` puts them together.
"""

from collections import defaultdict

import numpy as np
from scipy.special import expit, logsumexp, softmax

# --- Losses: (y, f) -> value, gradient with respect to the raw prediction f -------------------
# y and f are (rows, outputs); a row's value is the sum over outputs. A kink has gradient 0.


def squared_error(y, f):
    """(y - f)^2 / 2."""
    return (f - y) ** 2 / 2, f - y


def absolute_error(y, f):
    """|y - f|."""
    return np.abs(f - y), np.sign(f - y)


def huber(y, f, delta=1.35):
    """r^2 / 2 up to delta, linear beyond (Huber 1964, "Robust estimation of a location")."""
    r = f - y
    near = np.abs(r) <= delta
    value = np.where(near, r**2 / 2, delta * (np.abs(r) - delta / 2))
    return value, np.where(near, r, delta * np.sign(r))


def quantile(y, f, quantile=0.5):
    """The pinball loss (Koenker & Bassett 1978, "Regression quantiles")."""
    r = y - f
    value = np.maximum(quantile * r, (quantile - 1) * r)
    return value, np.where(r > 0, -quantile, np.where(r < 0, 1 - quantile, 0.0))


def poisson(y, f):
    """Negative log-likelihood of a count with mean exp(f), without log y!."""
    return np.exp(f) - y * f, np.exp(f) - y


def gamma(y, f):
    """Negative log-likelihood of a gamma variable with mean exp(f), without terms in y alone."""
    return f + y * np.exp(-f), 1 - y * np.exp(-f)


def log_loss_binary(y, f):
    """softplus(f) - y f, y in {0, 1} (Cox 1958, "The regression analysis of binary sequences")."""
    return np.logaddexp(0, f) - y * f, expit(f) - y


def log_loss_multinomial(y, f):
    """logsumexp(f) - f_y: one softmax. y is a column of class numbers."""
    chosen = y == np.arange(f.shape[1])
    value = logsumexp(f, axis=1, keepdims=True) - (chosen * f).sum(axis=1, keepdims=True)
    return value, softmax(f, axis=1) - chosen


# --- Solvers: (g, state, t, eta) -> data step, D ---------------------------------------------
# t counts steps from 1, eta is this step's rate, state is a dict whose slots start at zero, D is
# the step size per coordinate that the penalty's proximal step takes.


def held(D, g, state):
    """A coordinate without gradient keeps the D of its last step that had one (0 before it)."""
    state["D"] = np.where(g != 0, D, state["D"])
    return state["D"]


def gd(g, state, t, eta):
    """w <- w - eta g (Cauchy 1847)."""
    return eta * g, np.full_like(g, eta)


def sgd(g, state, t, eta, momentum=0.0, nesterovs_momentum=True):
    """Sutskever, Martens, Dahl & Hinton 2013, the rate outside of the velocity.

    One gradient moves w by eta (1 + mu + mu^2 + ...) in all, hence D = eta / (1 - mu).
    """
    state["b"] = momentum * state["b"] + g
    step = eta * (g + momentum * state["b"] if nesterovs_momentum else state["b"])
    return step, np.full_like(g, eta / (1 - momentum))


def adagrad(g, state, t, eta, epsilon=1e-8):
    """Duchi, Hazan & Singer 2011, figure 1, diagonal, epsilon outside of the root."""
    state["G"] = state["G"] + g**2
    D = np.where(state["G"] > 0, eta / (np.sqrt(state["G"]) + epsilon), 0.0)
    return D * g, D


def rmsprop(g, state, t, eta, rho=0.9, epsilon=1e-8):
    """Tieleman & Hinton 2012, "Neural networks for machine learning", lecture 6.5."""
    state["v"] = rho * state["v"] + (1 - rho) * g**2
    D = eta / (np.sqrt(state["v"]) + epsilon)
    return D * g, held(D, g, state)


def adam_moments(g, state, t, beta_1, beta_2):
    """m_t and v_t of Kingma & Ba 2015, algorithm 1, neither corrected for its bias."""
    state["m"] = beta_1 * state["m"] + (1 - beta_1) * g
    state["v"] = beta_2 * state["v"] + (1 - beta_2) * g**2
    return state["m"], state["v"]


def adam(g, state, t, eta, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
    """Kingma & Ba 2015, "Adam: a method for stochastic optimization", algorithm 1."""
    m, v = adam_moments(g, state, t, beta_1, beta_2)
    D = eta / (np.sqrt(v / (1 - beta_2**t)) + epsilon)
    return D * m / (1 - beta_1**t), held(D, g, state)


def nadam(g, state, t, eta, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
    """Dozat 2016, "Incorporating Nesterov momentum into Adam", algorithm 2.

    The momentum's schedule is PyTorch's: mu_t = beta_1 (1 - 0.96^(0.004 t) / 2).
    """
    m, v = adam_moments(g, state, t, beta_1, beta_2)
    mu = beta_1 * (1 - 0.96 ** (0.004 * np.arange(1, t + 2)) / 2)  # mu_1 ... mu_{t+1}
    m_hat = mu[-1] * m / (1 - mu.prod()) + (1 - mu[-2]) * g / (1 - mu[:-1].prod())
    D = eta / (np.sqrt(v / (1 - beta_2**t)) + epsilon)
    return D * m_hat, held(D, g, state)


def amsgrad(g, state, t, eta, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
    """Reddi, Kale & Kumar 2018, algorithm 2, with Adam's bias corrections as PyTorch has them."""
    m, v = adam_moments(g, state, t, beta_1, beta_2)
    state["top"] = np.maximum(state["top"], v)
    D = eta / (np.sqrt(state["top"] / (1 - beta_2**t)) + epsilon)
    return D * m / (1 - beta_1**t), held(D, g, state)


def prox(w, D, alpha, l1_ratio):
    """argmin_u alpha (l1_ratio |u| + (1 - l1_ratio)/2 u^2) + (u - w)^2 / (2 D), per coordinate.

    Parikh & Boyd 2014, "Proximal algorithms", section 6.5, in the metric 1/D: the fixed point
    of every solver is the minimiser of F.
    """
    shrunk = np.sign(w) * np.maximum(np.abs(w) - D * alpha * l1_ratio, 0)
    return shrunk / (1 + D * alpha * (1 - l1_ratio))


# --- Schedules: (t, p, power_t, stalls) -> factor of the initial rate -------------------------
# t counts updates from 1, p in [0, 1) is the share of the fit's updates done before this one,
# stalls is how often training has stalled so far.


def constant(t, p, power_t, stalls):
    """The rate as given."""
    return 1.0


def invscaling(t, p, power_t, stalls):
    """Robbins & Monro 1951: a power of the number of updates (not of epochs, not of rows)."""
    return 1 / t**power_t


def adaptive(t, p, power_t, stalls):
    """A fifth after each stall."""
    return 1 / 5**stalls


def cosine(t, p, power_t, stalls):
    """Loshchilov & Hutter 2017, "SGDR", equation 5, one period down to zero."""
    return (1 + np.cos(np.pi * p)) / 2


def one_cycle(t, p, power_t, stalls):
    """Smith & Topin 2018, "Super-convergence", with the default factors of PyTorch's OneCycleLR.

    Half a cosine up from 1/25 over the first 30 %, another down to 1/(25 * 10^4) at the end.
    """
    start, peak, end = 1 / 25, 0.3, 1 / 25e4
    if p < peak:
        return start + (1 - start) * (1 - np.cos(np.pi * p / peak)) / 2
    return end + (1 - end) * (1 + np.cos(np.pi * (p - peak) / (1 - peak))) / 2


def rate_factor(schedule, t, p, power_t=0.5, stalls=0):
    return schedule(p) if callable(schedule) else SCHEDULES[schedule](t, p, power_t, stalls)


def by_name(*rules):
    return {rule.__name__: rule for rule in rules}


LOSSES = by_name(
    squared_error,
    absolute_error,
    huber,
    quantile,
    poisson,
    gamma,
    log_loss_binary,
    log_loss_multinomial,
)
SOLVERS = by_name(gd, sgd, adagrad, rmsprop, adam, nadam, amsgrad)
SCHEDULES = by_name(constant, invscaling, adaptive, cosine, one_cycle)


# --- The objective, and training on it -------------------------------------------------------


def penalty(W, alpha, l1_ratio):
    return alpha * (l1_ratio * np.abs(W).sum() + (1 - l1_ratio) / 2 * (W**2).sum())


def objective(
    X, y, loss, coef, intercept, *, alpha=0.0, l1_ratio=0.0, sample_weight=None, loss_params=None
):
    """F at coef (outputs, features) and intercept (outputs,)."""
    s = np.ones(len(X)) if sample_weight is None else np.asarray(sample_weight, float)
    f = X @ np.atleast_2d(coef).T + intercept
    value, _ = LOSSES[loss](np.reshape(y, (len(X), -1)), f, **(loss_params or {}))
    return s @ value.sum(axis=1) / s.sum() + penalty(coef, alpha, l1_ratio)


def consecutive(n, batch_size):
    """The row numbers of one epoch's batches without shuffling; the last may be shorter."""
    return np.split(np.arange(n), range(batch_size, n, batch_size))


def train(
    X,
    y,
    loss,
    solver,
    *,
    eta,
    n_epochs,
    batches=None,
    sample_weight=None,
    fit_intercept=True,
    alpha=0.0,
    l1_ratio=0.0,
    schedule="constant",
    power_t=0.5,
    tol=0.0,
    n_iter_no_change=5,
    loss_params=None,
    solver_params=None,
):
    """Dense training from zeros, as with precondition=False.

    batches: one epoch's arrays of row numbers, in order; None: all rows in one. y: targets,
    one column an output, or for log_loss_multinomial class numbers 0 ... k-1. A stall is
    n_iter_no_change epochs in a row without a loss below the best by more than tol; only
    "adaptive" acts on it, and only it ends training early, once the rate is below 1e-6.

    Returns coef (outputs, features), intercept (outputs,) and each epoch's loss: the mean of
    the losses as they were met plus the penalty at the epoch's end, or, where one update is
    the whole epoch, F before it.
    """
    (n, d), Y = X.shape, np.reshape(y, (len(X), -1))
    k = int(Y.max()) + 1 if loss == "log_loss_multinomial" else Y.shape[1]
    s = np.ones(n) if sample_weight is None else np.asarray(sample_weight, float)
    A = np.column_stack([X, np.ones(n)]) if fit_intercept else X
    batches = [np.arange(n)] if batches is None else batches
    theta, state, losses = np.zeros((A.shape[1], k)), defaultdict(float), []
    t, stalls, waited, best = 0, 0, 0, np.inf
    for _ in range(n_epochs):
        met, shown = 0.0, penalty(theta[:d], alpha, l1_ratio)
        for rows in batches:
            progress = t / (n_epochs * len(batches))
            t += 1
            rate = eta * rate_factor(schedule, t, progress, power_t, stalls)
            f = A[rows] @ theta
            value, gradient = LOSSES[loss](Y[rows], f, **(loss_params or {}))
            met += s[rows] @ value.sum(axis=1)
            g = A[rows].T @ (s[rows, None] * gradient) / len(rows) * n / s.sum()
            step, D = SOLVERS[solver](g, state, t, rate, **(solver_params or {}))
            theta -= step
            theta[:d] = prox(theta[:d], D[:d], alpha, l1_ratio)  # intercepts: no penalty
        if len(batches) > 1:
            shown = penalty(theta[:d], alpha, l1_ratio)
        losses.append(met / s.sum() + shown)
        waited = 0 if losses[-1] < best - tol else waited + 1
        best = min(best, losses[-1])
        if waited == n_iter_no_change:
            waited, stalls = 0, stalls + 1
            if schedule == "adaptive" and eta / 5**stalls < 1e-6:
                break
    return theta[:d].T, theta[d:].sum(axis=0), losses
