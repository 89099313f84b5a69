"""Text that the docstrings of all estimators share: written once, put in at import."""

from __future__ import annotations

import re
from collections.abc import Callable
from inspect import signature
from textwrap import indent

PARAMETERS = """\
solver : {"gd", "sgd", "adagrad", "rmsprop", "adam", "nadam", "amsgrad", "lbfgs"}, \
default="adam"
    The optimizer; :mod:`skopt_est.solvers` has the recurrence and the reference of each. All
    minimise the same objective. "gd" and "lbfgs" use all rows for a step, the others batches.

alpha : float, default=1e-4
    Strength of the penalty. Means the same for every solver, batch size and number of rows.

l1_ratio : float in [0, 1], default=0.0
    Share of the L1 norm in the penalty: 0 is ridge, 1 is lasso.

batch_size : int or "auto", default="auto"
    Rows of one step; "auto" is a fiftieth of the training rows, but from 32 to 256. At most all
    rows. Unused by "gd" and "lbfgs".

learning_rate : {"constant", "invscaling", "adaptive", "cosine", "one_cycle"} or callable, \
default="adaptive"
    How the rate goes on from `learning_rate_init`:

    - "constant": not at all;
    - "invscaling": divided by ``t ** power_t`` at solver step t;
    - "adaptive": divided by 5 whenever training stalls (see `tol`), which ends training only
      once the rate is below 1e-6;
    - "cosine": half a cosine from 1 to 0 over the `max_iter` epochs;
    - "one_cycle": up from 1/25 over the first 30 % of the `max_iter` epochs, then down to zero;
    - a callable of the progress in [0, 1) that returns the factor on `learning_rate_init`.

    Reaching `max_iter` warns, also where a schedule is meant to run its course; that takes
    ``n_iter_no_change=inf``. Unused by "lbfgs".

learning_rate_init : float or "auto", default="auto"
    The first learning rate, in the units of training (see `precondition`). "auto" is made from
    the data for "gd" (1 / L, L the smoothness of the objective) and "sgd" (from the row norms),
    and is a constant for the others: 0.1 for "adagrad", 0.003 for "rmsprop", else 0.01.
    Unused by "lbfgs".

power_t : float, default=0.5
    Exponent of "invscaling".

max_iter : int, default=1000
    Most epochs of one fit; for "lbfgs" iterations. The horizon of "cosine", "one_cycle" and
    callables.

shuffle : bool, default=True
    Whether rows are put in a new random order for each epoch. Full-batch steps don't need it.

random_state : int, RandomState instance or None, default=None
    Seed of the order of rows and of the hold-out split.

tol : float or "auto", default="auto"
    An epoch improves if it lowers the least objective so far (early stopping: raises the best
    validation score) by more than this. "auto" is 1e-5 times the objective of the best
    constant model, and 1e-4 for a score. For "lbfgs" (which takes no notice of
    `n_iter_no_change` unless it stops early) the largest entry of the gradient at which it
    stops, in units of training, where correlations of dense columns are taken out, too; "auto"
    is 1e-5. It stops as well where an iteration lowers the objective by less than is lost in its
    rounding.

verbose : bool or int, default=False
    Print a line each epoch, or every so many: epoch, rate, loss, validation score, and the time
    that the epochs up to `max_iter` will take.

warm_start : bool, default=False
    Whether fit goes on from the fit before: with its weights, counters, generator, units of
    training and, for an unchanged solver, its moments and learning rate (a rate that "adaptive"
    brought to its end starts anew).

momentum : float in [0, 1), default=0.0
    Momentum of "sgd".

nesterovs_momentum : bool, default=True
    Whether that momentum is Nesterov's.

beta_1 : float in [0, 1), default=0.9
    Decay of the first moment, the mean gradient, in "adam", "nadam" and "amsgrad".

beta_2 : float in [0, 1), default=0.999
    Decay of the second moment, the mean square, in "adam", "nadam" and "amsgrad".

rho : float in [0, 1), default=0.9
    Decay of the mean square in "rmsprop".

epsilon : float, default=1e-8
    Added to the root in "adagrad", "rmsprop", "adam", "nadam" and "amsgrad", after bias
    correction.

early_stopping : bool, default=False
    Whether the validation score decides when to stop. The weights of the best epoch are kept.

validation_fraction : float in (0, 1), default=0.1
    Share of the rows that `early_stopping` holds out (stratified by class) where `fit` is not
    given `X_val` and `y_val`.

n_iter_no_change : int or inf, default=5
    Training has stalled after so many epochs in a row that did not improve.

scoring : str, callable or None, default="loss"
    The validation score: "loss" is the mean loss, negated; None is the estimator's own `score`;
    else the name of a scikit-learn scorer or a callable ``(estimator, X, y)``. Sample weights
    go to scorers that take them.

average : bool or int, default=False
    Whether `coef_` is the average of the weights over solver steps (Polyak & Juditsky 1992); an
    int begins with the step after which so many samples have been seen. Unused by "lbfgs".

dtype : {"auto", "float32", "float64"}, default="auto"
    Precision of training; "auto" is that of X if it is one of these, else float64.

precondition : bool, default=True
    Train in standardised units: columns with deviation one and, where X is dense and there is an
    intercept, mean zero; for the losses whose scale is the target's, targets likewise. X is not
    copied. This changes the path, not the objective or its minimiser, and it is what makes rates
    comparable between data sets. False starts from zeros in the data's own units.

polish_iter : int or "auto", default="auto"
    Full-batch proximal steps after training, each kept only if it lowers the objective, which
    give an L1 solution its exact zeros. "auto" is 10 where ``alpha * l1_ratio > 0``. Never after
    early stopping, and not in `partial_fit`.

fit_intercept : bool, default=True
    Whether there is an intercept. It is never penalised.
"""

ATTRIBUTES = """\
n_iter_ : int
    Epochs trained (iterations of "lbfgs").

t_ : int
    Samples seen by training; rows held out or of weight zero don't count.

n_updates_ : int
    Solver steps made.

loss_curve_ : list of float
    The objective by epoch: the mean of the batch losses as they were met, plus the penalty at
    the epoch's end. Where all rows make one batch it is exact, at the weights before the step;
    for "lbfgs" it is exact, after the step.

loss_ : float
    The last value of `loss_curve_`; before the polish.

best_loss_ : float
    Its least value.

validation_scores_ : list of float or None
    The validation score by epoch, where there are validation rows.

best_validation_score_ : float or None
    The greatest of them.

best_iter_ : int
    The epoch, from 1, that had the best validation score (early stopping) or the least loss.

history_ : list of dict
    One record an epoch: "epoch", "loss", "validation_score", "learning_rate" (of its last step)
    and "seconds". ``pandas.DataFrame(est.history_)`` is a table of it.

learning_rate_init_ : float
    The first learning rate, where "auto" stands for what was found. Not set by "lbfgs".

n_features_in_ : int
    Number of columns of X.

feature_names_in_ : ndarray of shape (`n_features_in_`,)
    Names of the columns, where X has names that are strings.
"""

FIT = """\
X : {array-like, sparse matrix} of shape (n_samples, n_features)
    Training rows. float32 and float64 in C order, and CSR, are used where they lie; anything
    else is converted.

y : array-like of shape (n_samples,)TARGETS
    Targets.

sample_weight : array-like of shape (n_samples,), default=None
    Weights of the rows. A weight of two is a row twice; a row of weight zero is as good as
    absent.

X_val : {array-like, sparse matrix} of shape (n_validation, n_features), default=None
    Validation rows, scored after each epoch.

y_val : array-like with n_validation entries, default=None
    Their targets.

sample_weight_val : array-like of shape (n_validation,), default=None
    Their weights.
"""

RAISES = """\
ValueError
    For bad data or parameters, naming which; the estimator stays as it was. Also if training
    meets a non-finite number before any epoch was complete.
"""


INTERRUPTIONS = """\
A keyboard interrupt goes through, so that it ends a search, too (scikit-learn's networks swallow
theirs and return; a search then goes on with the next candidate). If an epoch was complete, the
estimator is left fitted, with the best weights so far, and `n_iter_` tells how many epochs these
are of; else it is as it was. So it is when a callback raises an error. After any other error the
estimator is as it was before the call.

With scikit-learn 1.9 or newer, `set_callbacks` takes its callbacks. An epoch is a task of the fit
(with several starts, of a start), and a callback that wants a fitted estimator gets one with the
weights of that epoch, which could be stored and trained further. X and y of a task are the rows
as they were passed, without those held out. A stop request ends training as a stall does, with no
warning. A `partial_fit` is a fit of one epoch.
"""

CLASS_WEIGHT = """\
class_weight : dict, "balanced" or None, default=None
    Weight of each class, multiplied into the weights of its samples. "balanced" is
    ``S / (n_classes * S_class)``, by weight.
"""

LOSSES = """\
loss : {"squared_error", "absolute_error", "huber", "quantile", "poisson", "gamma"}, \
default="squared_error"
    The loss of a target y at the raw prediction f:

    - "squared_error": (y - f)² / 2;
    - "absolute_error": abs(y - f);
    - "huber": (y - f)² / 2 where abs(y - f) <= delta, else
      delta (abs(y - f) - delta / 2);
    - "quantile": quantile (y - f) where y > f, else (1 - quantile) (f - y);
    - "poisson": exp(f) - y f, y at least 0; predicts exp(f);
    - "gamma": f + y exp(-f), y greater than 0; predicts exp(f).

delta : float, default=1.35
    Where "huber" turns linear, in the units of y.

quantile : float in (0, 1), default=0.5
    The quantile that "quantile" predicts.
"""

MLP_PARAMETERS = """\
hidden_layer_sizes : int or array-like of int, default=(100,)
    Units of each hidden layer. ``()`` is no hidden layer: a linear model.

activation : {"identity", "logistic", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu", \
"silu", "mish"} or a sequence of them, default="relu"
    Activation of the hidden layers, one for all or one for each. The slope of "leaky_relu" is
    0.01 below zero, "gelu" is the exact one.

solver : {"gd", "sgd", "adagrad", "rmsprop", "adam", "adamw", "nadam", "amsgrad", "lbfgs"}, \
default="adam"
    The optimizer; :mod:`skopt_est.solvers` has the recurrence and the reference of each. All but
    "adamw" minimise the same objective. "gd" and "lbfgs" use all rows for a step, the others
    batches.

batch_size : int or "auto", default="auto"
    Rows of one step; "auto" is 200. At most all rows. Unused by "gd" and "lbfgs".

learning_rate : {"constant", "invscaling", "adaptive", "cosine", "one_cycle"} or callable, \
default="constant"
    How the rate goes on from `learning_rate_init`, with every solver but "lbfgs":

    - "constant": not at all;
    - "invscaling": divided by ``t ** power_t`` at solver step t;
    - "adaptive": divided by 5 whenever training stalls (see `tol`), which ends training only
      once the rate is below 1e-6;
    - "cosine": half a cosine from 1 to 0 over the `max_iter` epochs;
    - "one_cycle": up from 1/25 over the first 30 % of the `max_iter` epochs, then down to zero;
    - a callable of the progress in [0, 1) that returns the factor on `learning_rate_init`.

    Reaching `max_iter` warns, also where a schedule is meant to run its course; that takes
    ``n_iter_no_change=inf``.

learning_rate_init : float or "auto", default="auto"
    The first learning rate. "auto" is 0.001 for "sgd", "adam" and "rmsprop", 0.003 for "adamw",
    "nadam" and "amsgrad", 0.03 for "adagrad", and 0.3 for "gd", which halves it where a step raised
    the objective. Unused by "lbfgs".

max_iter : int, default=200
    Most epochs of one fit; for "lbfgs" iterations. The horizon of "cosine", "one_cycle" and
    callables.

random_state : int, RandomState instance or None, default=None
    Seed of the initial weights (the same as scikit-learn's for the same seed), the order of rows,
    dropout and the hold-out split.

tol : float, default=1e-4
    An epoch improves if it lowers the least objective so far (early stopping: raises the best
    validation score) by more than this. "lbfgs" (which takes no notice of `n_iter_no_change`
    unless it stops early) stops where the largest entry of the gradient is below it, or where a
    step lowers the objective (one, if it is below) by a smaller share than ``2.2e-9 min(1, tol /
    1e-4)``, or by less than is lost in its rounding.

warm_start : bool, default=False
    Whether fit goes on from the fit before: with its weights, counters, generator and, for an
    unchanged solver, its moments and learning rate (a rate that "adaptive" brought to its end
    starts anew).

momentum : float in [0, 1), default=0.9
    Momentum of "sgd".

beta_1 : float in [0, 1), default=0.9
    Decay of the first moment, the mean gradient, in "adam", "adamw", "nadam" and "amsgrad".

beta_2 : float in [0, 1), default=0.999
    Decay of the second moment, the mean square, in "adam", "adamw", "nadam" and "amsgrad".

epsilon : float, default=1e-8
    Added to the root in "adagrad", "rmsprop" and the four of Adam's kind, after bias correction.

validation_fraction : float in (0, 1), default=0.1
    Share of the rows that `early_stopping` holds out where `fit` is not given `X_val` and `y_val`:
    at least two, stratified by class unless y is a matrix.

n_iter_no_change : int or inf, default=10
    Training has stalled after exactly so many epochs in a row that did not improve.

max_fun : int, default=15000
    Most evaluations of the objective by "lbfgs".

weight_decay : float, default=0.01
    "adamw" alone: in each step weights (not intercepts) shrink by the learning rate times this,
    beside the penalty of `alpha`.

max_grad_norm : float or None, default=None
    A longer gradient of a batch, of all weights and intercepts together, is scaled to this norm
    (Pascanu, Mikolov & Bengio 2013). Not with "lbfgs".

dropout : float in [0, 1) or a sequence of them, default=0.0
    Share of the outputs of the hidden layers, one for all or one for each, that are zero in a
    step of training, the others scaled up (Srivastava et al. 2014). Not with "lbfgs". Where
    predictions are exp of the raw ones ("poisson", "gamma") it makes them too low on average.
    Without hidden layers it has nothing to act on.

input_dropout : float in [0, 1), default=0.0
    The same of the inputs.

average : bool or int, default=False
    Whether `coefs_` and `intercepts_` are averages over solver steps (Polyak & Juditsky 1992);
    an int begins with the step after which so many samples have been seen. Unused by "lbfgs".

n_init : int, default=1
    Trainings of a fit, each from other initial weights. With `early_stopping` that with the best
    validation score is kept, else that with the least objective. `partial_fit` makes one; a
    resumed fit goes on with the one that was kept.
"""

MLP_ATTRIBUTES = """\
coefs_ : list of `n_layers_` - 1 ndarrays of shape (n_inputs, n_outputs)
    Weights of each layer: views of one array.

intercepts_ : list of `n_layers_` - 1 ndarrays of shape (n_outputs,)
    Intercepts of each layer.

n_layers_ : int
    Layers, input and output included.

n_outputs_ : int
    Outputs.
"""


def in_signature_order(cls: type, *texts: str) -> str:
    """The entries of a class's parameters; one in a later text replaces one in an earlier."""
    entries: dict[str, str] = {}
    for text in texts:
        for entry in re.split(r"\n\n(?=\w+ : )", text.strip("\n")):
            entries[entry.partition(" : ")[0]] = entry
    return "\n\n".join(entries[name] for name in signature(cls).parameters) + "\n"


def document(parameters: tuple[str, ...] = (), **texts: str) -> Callable[[type], type]:
    """A class decorator that puts the shared texts where `{name}` stands in the docstrings of
    the class and of `fit` and `partial_fit`; {parameters} are those of the signature."""

    def fill(text: str, texts: dict[str, str]) -> str:
        # in the margin that a name stands in, as Python takes that of docstrings off from 3.13 on
        lines = []
        for line in text.split("\n"):
            name = line.strip()
            part = texts.get(name[1:-1]) if name.startswith("{") else None
            margin = line[: len(line) - len(line.lstrip())]
            lines.append(line if part is None else indent(part, margin).rstrip("\n"))
        return "\n".join(lines)

    def decorate(cls: type) -> type:
        own = {**texts, "parameters": in_signature_order(cls, *parameters)}
        own["interruptions"] = INTERRUPTIONS
        cls.__doc__ = fill(cls.__doc__ or "", own)
        for name in ("fit", "partial_fit"):
            method = vars(cls)[name]
            method = getattr(method, "fn", method)  # what available_if wraps
            method.__doc__ = fill(method.__doc__ or "", own)
        return cls

    return decorate
