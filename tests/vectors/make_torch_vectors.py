"""Makes torch_vectors.json: weights after 100 full-batch steps of torch.optim from zeros.

Run once, on a CPU, in an environment of its own (PyTorch is no dependency of the tests):

    python -m venv torchenv && torchenv/bin/pip install numpy torch==2.13.0
    torchenv/bin/python tests/vectors/make_torch_vectors.py

Everything is float64, without a penalty, on F = (1/S) sum_i s_i loss_i. The file holds the data
and every setting, so that a test needs nothing but it. The same versions make the same file.

A solver that divides by a moving root of g^2 amplifies rounding once a coordinate's gradient has
passed zero: two correct programs may then differ in the second digit. A vector made there would
test nothing, so the seed and the rates below keep away from it, and `main` refuses to write a
case that a relative change of X by 1e-14 moves by more than 1e-12.
"""

import itertools
import json
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

N_ROWS, N_FEATURES, N_STEPS, EPSILON = 30, 5, 100, 1e-8
OPTIM = torch.optim


class GradientDescent(OPTIM.Optimizer):
    """w <- w - lr g, written out: torch.optim has no optimizer of this name."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                p -= group["lr"] * p.grad


# name: (the estimators' parameters, the optimizer with the same settings)
OPTIMIZERS = {
    "gd": (
        {"solver": "gd", "learning_rate_init": 0.05},
        lambda params: GradientDescent(params, lr=0.05),
    ),
    "sgd": (
        {"solver": "sgd", "learning_rate_init": 0.03, "momentum": 0.0},
        lambda params: OPTIM.SGD(params, lr=0.03),
    ),
    "sgd with momentum": (
        {
            "solver": "sgd",
            "learning_rate_init": 0.01,
            "momentum": 0.9,
            "nesterovs_momentum": False,
        },
        lambda params: OPTIM.SGD(params, lr=0.01, momentum=0.9),
    ),
    "sgd with Nesterov momentum": (
        {
            "solver": "sgd",
            "learning_rate_init": 0.01,
            "momentum": 0.9,
            "nesterovs_momentum": True,
        },
        lambda params: OPTIM.SGD(params, lr=0.01, momentum=0.9, nesterov=True),
    ),
    "adagrad": (
        {"solver": "adagrad", "learning_rate_init": 0.1, "epsilon": EPSILON},
        lambda params: OPTIM.Adagrad(params, lr=0.1, initial_accumulator_value=0, eps=EPSILON),
    ),
    "rmsprop": (
        {"solver": "rmsprop", "learning_rate_init": 0.004, "rho": 0.9, "epsilon": EPSILON},
        lambda params: OPTIM.RMSprop(params, lr=0.004, alpha=0.9, eps=EPSILON),
    ),
    "adam": (
        {
            "solver": "adam",
            "learning_rate_init": 0.02,
            "beta_1": 0.9,
            "beta_2": 0.999,
            "epsilon": EPSILON,
        },
        lambda params: OPTIM.Adam(params, lr=0.02, betas=(0.9, 0.999), eps=EPSILON),
    ),
    "nadam": (
        {
            "solver": "nadam",
            "learning_rate_init": 0.02,
            "beta_1": 0.9,
            "beta_2": 0.999,
            "epsilon": EPSILON,
        },
        lambda params: OPTIM.NAdam(
            params, lr=0.02, betas=(0.9, 0.999), eps=EPSILON, momentum_decay=0.004
        ),
    ),
    # beta_2 = 0.9: the second moment rises and falls within 100 steps, so its maximum matters.
    "amsgrad": (
        {
            "solver": "amsgrad",
            "learning_rate_init": 0.02,
            "beta_1": 0.9,
            "beta_2": 0.9,
            "epsilon": EPSILON,
        },
        lambda params: OPTIM.Adam(params, lr=0.02, betas=(0.9, 0.9), eps=EPSILON, amsgrad=True),
    ),
}

# name: the loss of each row, from the targets and the raw predictions (rows, outputs)
LOSSES = {
    "squared_error": lambda y, f: functional.mse_loss(f[:, 0], y, reduction="none") / 2,
    "poisson": lambda y, f: functional.poisson_nll_loss(
        f[:, 0], y, log_input=True, full=False, reduction="none"
    ),
    "log_loss_binary": lambda y, f: functional.binary_cross_entropy_with_logits(
        f[:, 0], y, reduction="none"
    ),
    "log_loss_multinomial": lambda y, f: functional.cross_entropy(f, y.long(), reduction="none"),
}


def make_data():
    """Rows, weights and the targets by loss; three decimals, which JSON holds exactly."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(N_ROWS, N_FEATURES)).round(3)
    weight = rng.uniform(0.2, 3.0, size=N_ROWS).round(3)
    W = rng.uniform(1, 2, size=(N_FEATURES, 3)) * rng.choice([-1, 1], size=(N_FEATURES, 3))
    f = X @ W[:, 0] + 1.5
    scores = X @ W + [1.0, 0.0, -1.0]
    y = {
        "squared_error": (f + rng.normal(scale=0.5, size=N_ROWS)).round(3),
        "poisson": rng.poisson(np.exp(0.5 * f)).astype(float),
        "log_loss_binary": (f + rng.logistic(size=N_ROWS) > 0).astype(float),
        "log_loss_multinomial": (scores + rng.gumbel(size=(N_ROWS, 3)))
        .argmax(axis=1)
        .astype(float),
    }
    return X, weight, y


def run(make_optimizer, X, y, loss, sample_weight, fit_intercept):
    X, y = torch.tensor(X), torch.tensor(y)
    s = torch.tensor(sample_weight)
    n_outputs = 3 if loss == "log_loss_multinomial" else 1
    coef = torch.zeros(n_outputs, N_FEATURES, dtype=torch.float64, requires_grad=True)
    intercept = torch.zeros(n_outputs, dtype=torch.float64, requires_grad=fit_intercept)
    optimizer = make_optimizer([coef, intercept] if fit_intercept else [coef])
    for _ in range(N_STEPS):
        optimizer.zero_grad()
        objective = (s * LOSSES[loss](y, X @ coef.T + intercept)).sum() / s.sum()
        objective.backward()
        optimizer.step()
    return coef.detach().numpy(), intercept.detach().numpy()


def main():
    torch.set_num_threads(1)
    # NAdam keeps its product of momenta in the default type: with float32 the run is 1e-8 off.
    torch.set_default_dtype(torch.float64)
    X, weight, targets = make_data()
    nearby = X * (1 + 1e-14 * np.random.default_rng(0).normal(size=X.shape))
    cases = []
    for optimizer, loss, weighted, fit_intercept in itertools.product(
        OPTIMIZERS, LOSSES, (False, True), (False, True)
    ):
        s = weight if weighted else np.ones(N_ROWS)
        make, y = OPTIMIZERS[optimizer][1], targets[loss]
        coef, intercept = run(make, X, y, loss, s, fit_intercept)
        other, _ = run(make, nearby, y, loss, s, fit_intercept)
        moved = np.linalg.norm(other - coef) / np.linalg.norm(coef)
        if not moved < 1e-12:
            raise RuntimeError(f"{optimizer} on {loss} is ill-conditioned: {moved:.0e}")
        cases.append(
            {
                "optimizer": optimizer,
                "loss": loss,
                "weighted": weighted,
                "fit_intercept": fit_intercept,
                "coef": coef.tolist(),
                "intercept": intercept.tolist(),
            }
        )
    vectors = {
        "torch": torch.__version__.split("+")[0],
        "n_steps": N_STEPS,
        "settings": {name: settings for name, (settings, _) in OPTIMIZERS.items()},
        "X": X.tolist(),
        "sample_weight": weight.tolist(),
        "y": {name: y.tolist() for name, y in targets.items()},
    }
    # One line an entry, one line a case: a change of the file can be read as a diff.
    head = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in vectors.items()]
    rows = ",\n".join(json.dumps(case) for case in cases)
    text = "{\n" + ",\n".join(head) + ',\n"cases": [\n' + rows + "\n]\n}\n"
    Path(__file__).with_name("torch_vectors.json").write_text(text)


if __name__ == "__main__":
    main()
