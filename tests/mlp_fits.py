"""Small networks and their oracle: data, settings of each solver, and what is compared."""

import itertools

import numpy as np
import reference
import reference_mlp

from skopt_est import MLPClassifier, MLPRegressor

# Rates at which some dozen updates travel far, and stay insensitive to rounding.
SETTINGS = {
    "gd": {"solver": "gd", "learning_rate_init": 0.1},
    "sgd": {"solver": "sgd", "learning_rate_init": 0.05, "momentum": 0.0},
    "momentum": {
        "solver": "sgd",
        "learning_rate_init": 0.01,
        "momentum": 0.8,
        "nesterovs_momentum": False,
    },
    "nesterov": {
        "solver": "sgd",
        "learning_rate_init": 0.01,
        "momentum": 0.8,
        "nesterovs_momentum": True,
    },
    "adagrad": {"solver": "adagrad", "learning_rate_init": 0.05, "epsilon": 1e-6},
    "rmsprop": {"solver": "rmsprop", "learning_rate_init": 0.01, "rho": 0.8},
    "adam": {"solver": "adam", "learning_rate_init": 0.01, "beta_1": 0.8, "beta_2": 0.99},
    "adamw": {"solver": "adamw", "learning_rate_init": 0.01, "beta_1": 0.8, "weight_decay": 0.3},
    "nadam": {"solver": "nadam", "learning_rate_init": 0.01, "beta_1": 0.8, "beta_2": 0.99},
    "amsgrad": {"solver": "amsgrad", "learning_rate_init": 0.01, "beta_1": 0.8, "beta_2": 0.9},
}
EXTRA = {"huber": {"delta": 0.8}, "quantile": {"quantile": 0.3}}
N_ROWS, N_FEATURES, BATCH_SIZE, N_EPOCHS = 37, 6, 5, 6  # 8 batches, the last of 2 rows
BATCHES = reference.consecutive(N_ROWS, BATCH_SIZE)
NETS = {"one layer": ((7,), ("tanh",)), "two layers": ((7, 4), ("gelu", "relu"))}


def is_log_loss(loss):
    return loss.startswith("log_loss")


def make_data(loss, n_outputs=1, seed=0):
    """Rows that are mostly zeros, y as estimators take it, and positive weights."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N_ROWS, N_FEATURES)) * (rng.random((N_ROWS, N_FEATURES)) < 0.4)
    f = X @ rng.uniform(-2, 2, size=(N_FEATURES, max(n_outputs, 3)))
    if loss == "log_loss_multinomial":
        y = (f[:, :3] + rng.gumbel(size=(N_ROWS, 3))).argmax(axis=1)
    else:
        f = f[:, :n_outputs]
        y = {
            "poisson": rng.poisson(np.exp(f / 2 + 1)).astype(float),
            "gamma": rng.gamma(2, np.exp(f / 2)) + 0.1,
            "log_loss_binary": (f + rng.logistic(size=f.shape) > 0).astype(int),
        }.get(loss, np.tanh(f) * 2 + 1 + rng.normal(scale=0.5, size=f.shape))
        y = y[:, 0] if n_outputs == 1 else y
    return X, y, rng.uniform(0.2, 3.0, size=N_ROWS)


def outputs_of(loss, y):
    return 3 if loss == "log_loss_multinomial" else np.reshape(y, (len(y), -1)).shape[1]


def initial(units, seed=0):
    rng = np.random.default_rng(seed)
    sides = list(itertools.pairwise(units))
    coefs = [rng.normal(scale=a**-0.5, size=(a, b)) for a, b in sides]
    return coefs, [rng.normal(scale=0.3, size=b) for b in units[1:]]


def flat(*lists):
    return np.concatenate([np.ravel(w) for part in lists for w in part])


def weights_of(est):
    return flat(est.coefs_, est.intercepts_)


def distance(got, want):
    got, want = np.asarray(got), np.asarray(want)
    return np.linalg.norm(got - want) / np.linalg.norm(want)


def model(loss, **params):
    """In the order of rows, until max_iter."""
    given = {"shuffle": False, "alpha": 0.0, "tol": 0.0, "n_iter_no_change": np.inf}
    given |= {"random_state": 0, "batch_size": BATCH_SIZE, "max_iter": N_EPOCHS} | params
    if is_log_loss(loss):
        return MLPClassifier(**given)
    return MLPRegressor(loss=loss, **EXTRA.get(loss, {}), **given)


def of_net(name):
    sizes, activations = NETS[name]
    return {"hidden_layer_sizes": sizes, "activation": activations}


def oracle(loss, X, y, net, settings, n_epochs=N_EPOCHS, batches=BATCHES, **kwargs):
    hyper = dict(settings)
    solver, eta = hyper.pop("solver"), hyper.pop("learning_rate_init")
    return reference_mlp.train(
        X,
        y,
        *initial((N_FEATURES, *NETS[net][0], outputs_of(loss, y))),
        NETS[net][1],
        loss,
        solver,
        eta=eta,
        n_epochs=n_epochs,
        batches=None if solver == "gd" else batches,
        solver_params=hyper,
        loss_params=EXTRA.get(loss),
        **kwargs,
    )


def assert_same(est, coefs, intercepts, losses, bound):
    assert distance(weights_of(est), flat(coefs, intercepts)) < bound
    assert distance(est.loss_curve_, losses) < bound
