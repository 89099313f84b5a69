"""A NumPy oracle for multi-layer perceptrons: activations, back-propagation and training.

Written from the definitions, in float64, never from the kernels, and slow on purpose. Losses,
solvers and the proximal step are those of `reference`; here are the layers in between.

    a_0 = X,   a_l = activation_l(a_{l-1} W_l + b_l) for hidden layers,   f = a_{L-1} W_L + b_L
    F(W, b) = (1/S) sum_i s_i loss(y_i, f_i)
              + alpha sum_l (l1_ratio |W_l|_1 + (1 - l1_ratio)/2 |W_l|_2^2)

A regression loss is averaged over the outputs; log_loss_binary is summed over them (several
columns are labels of their own). coefs[l] is (inputs, outputs) of its layer.
"""

from collections import defaultdict

import numpy as np
import reference
from reference import by_name
from scipy.special import expit, ndtr

# --- Activations: z -> a, da/dz ---------------------------------------------------------------
# At a kink the branch of z <= 0 decides.

LEAK, ELU_ALPHA = 0.01, 1.0
# The fixed point of mean 0 and variance 1: Klambauer et al. 2017, equation 14.
SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


def identity(z):
    """z."""
    return z, np.ones_like(z)


def logistic(z):
    """1 / (1 + exp(-z))."""
    return expit(z), expit(z) * expit(-z)


def tanh(z):
    """tanh z."""
    return np.tanh(z), 1 - np.tanh(z) ** 2


def relu(z):
    """max(z, 0) (Nair & Hinton 2010)."""
    return np.maximum(z, 0), np.where(z > 0, 1.0, 0.0)


def leaky_relu(z):
    """z above 0, a hundredth of it below (Maas, Hannun & Ng 2013)."""
    slope = np.where(z > 0, 1.0, LEAK)
    return slope * z, slope


def elu(z, alpha=ELU_ALPHA):
    """z above 0, alpha (exp(z) - 1) below (Clevert, Unterthiner & Hochreiter 2016)."""
    below = np.minimum(z, 0)  # keeps exp finite in the branch that is not taken
    return (
        np.where(z > 0, z, alpha * np.expm1(below)),
        np.where(z > 0, 1.0, alpha * np.exp(below)),
    )


def selu(z):
    """A scaled elu (Klambauer, Unterthiner, Mayr & Hochreiter 2017, "Self-normalizing...")."""
    a, slope = elu(z, SELU_ALPHA)
    return SELU_SCALE * a, SELU_SCALE * slope


def gelu(z):
    """z Phi(z), exact, not by tanh (Hendrycks & Gimpel 2016)."""
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    return z * ndtr(z), ndtr(z) + z * density


def silu(z):
    """z sigmoid(z) (Elfwing, Uchibe & Doya 2018)."""
    return z * expit(z), expit(z) * (1 + z * expit(-z))


def mish(z):
    """z tanh(softplus(z)) (Misra 2020)."""
    bend = np.tanh(np.logaddexp(0, z))
    return z * bend, bend + z * (1 - bend**2) * expit(z)


ACTIVATIONS = by_name(identity, logistic, tanh, relu, leaky_relu, elu, selu, gelu, silu, mish)


# --- The net, its loss and gradient -----------------------------------------------------------
# masks[0] multiplies X, masks[l] the output of hidden layer l, in training with dropout 0 or
# 1 / (probability to be kept) in each entry; None, in all or for a layer, leaves them alone.


def _layers(X, coefs, intercepts, activations, masks):
    """What goes into each layer, its derivative by the z it came from, and the prediction."""
    masks = [None] * len(coefs) if masks is None else masks
    kept = [1.0 if mask is None else mask for mask in masks]
    inputs, slopes = [X * kept[0]], []
    for activation, W, b, mask in zip(activations, coefs, intercepts, kept[1:], strict=False):
        a, slope = ACTIVATIONS[activation](inputs[-1] @ W + b)
        inputs.append(a * mask)
        slopes.append(slope * mask)
    return inputs, slopes, inputs[-1] @ coefs[-1] + intercepts[-1]


def forward(X, coefs, intercepts, activations, masks=None):
    """Every layer's output: the hidden ones after activation and mask, then the prediction."""
    inputs, _, f = _layers(X, coefs, intercepts, activations, masks)
    return [*inputs[1:], f]


def _row_losses(y, f, loss, label_smoothing, loss_params):
    """Each row's loss, and its gradient with respect to f (rows, outputs).

    Smoothed labels are eps/2 and 1 - eps/2, and for classes 1 - eps at the true one plus eps/k
    everywhere (Szegedy et al. 2016, "Rethinking the Inception architecture", section 7).
    """
    y, k, eps = np.reshape(y, (len(f), -1)), f.shape[1], label_smoothing
    if loss == "log_loss_binary":
        y = y * (1 - eps) + eps / 2
    value, gradient = reference.LOSSES[loss](y, f, **(loss_params or {}))
    value = value.sum(axis=1)
    if loss == "log_loss_multinomial":
        moved = eps * ((y == np.arange(k)) - 1 / k)  # from the true class to all alike
        return value + (moved * f).sum(axis=1), gradient + moved
    return (value, gradient) if loss == "log_loss_binary" else (value / k, gradient / k)


def _sums(X, y, s, coefs, intercepts, activations, loss, masks, label_smoothing, loss_params):
    """sum_i s_i loss_i and its gradient (Rumelhart, Hinton & Williams 1986)."""
    inputs, slopes, f = _layers(X, coefs, intercepts, activations, masks)
    value, delta = _row_losses(y, f, loss, label_smoothing, loss_params)
    delta = s[:, None] * delta
    by_coefs, by_intercepts = [], []
    for layer in reversed(range(len(coefs))):
        by_coefs.insert(0, inputs[layer].T @ delta)
        by_intercepts.insert(0, delta.sum(axis=0))
        if layer > 0:
            delta = (delta @ coefs[layer].T) * slopes[layer - 1]
    return s @ value, by_coefs, by_intercepts


def loss_and_gradient(
    X,
    y,
    coefs,
    intercepts,
    activations,
    loss,
    *,
    sample_weight=None,
    masks=None,
    label_smoothing=0.0,
    loss_params=None,
):
    """(1/S) sum_i s_i loss_i, and its gradients with respect to coefs and to intercepts."""
    s = np.ones(len(X)) if sample_weight is None else np.asarray(sample_weight, float)
    value, by_coefs, by_intercepts = _sums(
        X, y, s, coefs, intercepts, activations, loss, masks, label_smoothing, loss_params
    )
    S = s.sum()
    return value / S, [g / S for g in by_coefs], [g / S for g in by_intercepts]


# --- Training ---------------------------------------------------------------------------------


def adamw(g, state, t, eta, w, weight_decay=0.01, **moments):
    """Loshchilov & Hutter 2019, "Decoupled weight decay", algorithm 2 as PyTorch has it.

    w <- w (1 - eta weight_decay) - Adam's step: the decay is that of w before the step.
    """
    step, D = reference.adam(g, state, t, eta, **moments)
    return eta * weight_decay * w + step, D


SOLVERS = reference.SOLVERS | by_name(adamw)


def penalty(coefs, alpha, l1_ratio):
    return sum(reference.penalty(W, alpha, l1_ratio) for W in coefs)


def train(
    X,
    y,
    coefs,
    intercepts,
    activations,
    loss,
    solver,
    *,
    eta,
    n_epochs,
    batches=None,
    sample_weight=None,
    alpha=0.0,
    l1_ratio=0.0,
    max_grad_norm=None,
    masks=None,
    label_smoothing=0.0,
    loss_params=None,
    solver_params=None,
):
    """Training from the given weights, which stay as they are, at a constant rate.

    batches: one epoch's arrays of row numbers, in order; None: all rows in one. masks: what
    `forward` takes, one for each update of the training in order. y: targets, one column an
    output, or for log_loss_multinomial class numbers 0 ... k-1. max_grad_norm bounds the norm
    of the whole gradient, all weights and intercepts together.

    Returns coefs, intercepts and each epoch's loss: the mean of the losses as they were met
    plus the penalty at the epoch's end, or, where one update is the whole epoch, F before it.
    """
    n, depth, Y = len(X), len(coefs), np.reshape(y, (len(X), -1))
    s = np.ones(n) if sample_weight is None else np.asarray(sample_weight, float)
    batches = [np.arange(n)] if batches is None else batches
    theta = [np.array(w, float) for w in (*coefs, *intercepts)]
    states, losses, t = [defaultdict(float) for _ in theta], [], 0
    for _ in range(n_epochs):
        met, shown = 0.0, penalty(theta[:depth], alpha, l1_ratio)
        for rows in batches:
            t += 1
            value, by_coefs, by_intercepts = _sums(
                X[rows],
                Y[rows],
                s[rows],
                theta[:depth],
                theta[depth:],
                activations,
                loss,
                None if masks is None else masks[t - 1],
                label_smoothing,
                loss_params,
            )
            met += value
            gradient = [g / len(rows) * n / s.sum() for g in by_coefs + by_intercepts]
            norm = np.sqrt(sum((g**2).sum() for g in gradient))
            if max_grad_norm is not None and norm > max_grad_norm:
                gradient = [g * max_grad_norm / norm for g in gradient]
            for i, (w, g, state) in enumerate(zip(theta, gradient, states, strict=True)):
                settings = dict(solver_params or {})
                if solver == "adamw":  # intercepts: no decay
                    settings |= {"w": w} if i < depth else {"w": w, "weight_decay": 0.0}
                step, D = SOLVERS[solver](g, state, t, eta, **settings)
                w -= step
                if i < depth:  # intercepts: no penalty
                    w[:] = reference.prox(w, D, alpha, l1_ratio)
        if len(batches) > 1:
            shown = penalty(theta[:depth], alpha, l1_ratio)
        losses.append(met / s.sum() + shown)
    return theta[:depth], theta[depth:], losses
