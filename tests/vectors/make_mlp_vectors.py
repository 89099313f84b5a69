"""Makes mlp_torch_vectors.json: perceptrons after 50 full-batch steps of torch.optim.

Run once, on a CPU, in an environment of its own (PyTorch is no dependency of the tests):

    python -m venv torchenv && torchenv/bin/pip install numpy torch==2.13.0
    torchenv/bin/python tests/vectors/make_mlp_vectors.py

Everything is float64, without a penalty, on F = (1/S) sum_i s_i loss_i; regression averages its
loss over the outputs, labels add theirs. Each optimizer meets each activation as the first
hidden layer and each pair of activations occurs once. The file holds the data, the initial
weights and every setting, so that a test needs nothing but it. The same versions make the same
file.

"activations" holds values and slopes on a few z, the kinks among them; "forward" every layer's
output and the gradient of squared_error for one net with the same activation in both layers.

Rounding grows where a step divides by a root that has shrunk, and at kinks. A vector made there
would test nothing: `main` refuses to write a case that a relative change of X by 1e-14 moves by
more than 1e-11.
"""

import itertools
import json
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

N_ROWS, N_FEATURES, HIDDEN, N_STEPS, EPSILON = 30, 5, (6, 4), 50, 1e-8
N_SHOWN = 6  # rows of the section "forward"
OPTIM = torch.optim

ACTIVATIONS = {
    "identity": lambda z: z,
    "logistic": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": functional.relu,
    "leaky_relu": functional.leaky_relu,
    "elu": functional.elu,
    "selu": functional.selu,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "mish": functional.mish,
}


class GradientDescent(OPTIM.Optimizer):
    """w <- w - lr g, written out: torch.optim has no optimizer of this name."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                p -= group["lr"] * p.grad


def adam_settings(solver, rate, beta_2=0.999):
    return {
        "solver": solver,
        "learning_rate_init": rate,
        "beta_1": 0.9,
        "beta_2": beta_2,
        "epsilon": EPSILON,
    }


def momentum_settings(nesterov):
    return {
        "solver": "sgd",
        "learning_rate_init": 0.03,
        "momentum": 0.9,
        "nesterovs_momentum": nesterov,
    }


# name: (the estimators' parameters, the optimizer with the same settings, from coefs, intercepts)
OPTIMIZERS = {
    "gd": (
        {"solver": "gd", "learning_rate_init": 0.1},
        lambda W, b: GradientDescent(W + b, lr=0.1),
    ),
    "sgd": (
        {"solver": "sgd", "learning_rate_init": 0.1, "momentum": 0.0},
        lambda W, b: OPTIM.SGD(W + b, lr=0.1),
    ),
    "sgd with momentum": (
        momentum_settings(nesterov=False),
        lambda W, b: OPTIM.SGD(W + b, lr=0.03, momentum=0.9),
    ),
    "sgd with Nesterov momentum": (
        momentum_settings(nesterov=True),
        lambda W, b: OPTIM.SGD(W + b, lr=0.03, momentum=0.9, nesterov=True),
    ),
    "adagrad": (
        {"solver": "adagrad", "learning_rate_init": 0.05, "epsilon": EPSILON},
        lambda W, b: OPTIM.Adagrad(W + b, lr=0.05, initial_accumulator_value=0, eps=EPSILON),
    ),
    "rmsprop": (
        {"solver": "rmsprop", "learning_rate_init": 0.004, "rho": 0.9, "epsilon": EPSILON},
        lambda W, b: OPTIM.RMSprop(W + b, lr=0.004, alpha=0.9, eps=EPSILON),
    ),
    "adam": (
        adam_settings("adam", 0.01),
        lambda W, b: OPTIM.Adam(W + b, lr=0.01, betas=(0.9, 0.999), eps=EPSILON),
    ),
    "adamw": (
        adam_settings("adamw", 0.01) | {"weight_decay": 0.05},
        lambda W, b: OPTIM.AdamW(
            [{"params": W, "weight_decay": 0.05}, {"params": b, "weight_decay": 0.0}],
            lr=0.01,
            betas=(0.9, 0.999),
            eps=EPSILON,
        ),
    ),
    "nadam": (
        adam_settings("nadam", 0.01),
        lambda W, b: OPTIM.NAdam(
            W + b, lr=0.01, betas=(0.9, 0.999), eps=EPSILON, momentum_decay=0.004
        ),
    ),
    # beta_2 = 0.9: the second moment rises and falls within 50 steps, so its maximum matters.
    "amsgrad": (
        adam_settings("amsgrad", 0.01, beta_2=0.9),
        lambda W, b: OPTIM.Adam(W + b, lr=0.01, betas=(0.9, 0.9), eps=EPSILON, amsgrad=True),
    ),
}

# name: (loss, number of outputs, the loss of each row from targets and predictions)
TASKS = {
    "one target": (
        "squared_error",
        1,
        lambda y, f: functional.mse_loss(f, y, reduction="none").mean(dim=1) / 2,
    ),
    "three targets": (
        "squared_error",
        3,
        lambda y, f: functional.mse_loss(f, y, reduction="none").mean(dim=1) / 2,
    ),
    "two classes": (
        "log_loss_binary",
        1,
        lambda y, f: functional.binary_cross_entropy_with_logits(f, y, reduction="none")[:, 0],
    ),
    "three labels": (
        "log_loss_binary",
        3,
        lambda y, f: functional.binary_cross_entropy_with_logits(f, y, reduction="none").sum(dim=1),
    ),
    "three classes": (
        "log_loss_multinomial",
        3,
        lambda y, f: functional.cross_entropy(f, y[:, 0].long(), reduction="none"),
    ),
}


def make_data():
    """Rows, weights and the targets (rows, columns) by task; three decimals, exact in JSON."""
    rng = np.random.default_rng(11)
    X = rng.normal(size=(N_ROWS, N_FEATURES)).round(3)
    weight = rng.uniform(0.2, 3.0, size=N_ROWS).round(3)
    f = 2 * np.tanh(X @ rng.normal(size=(N_FEATURES, 3))) + X[:, :3]
    noise = rng.normal(scale=0.3, size=f.shape)
    labels = (f + rng.logistic(size=f.shape) > 0).astype(float)
    y = {
        "one target": (f + noise)[:, :1].round(3),
        "three targets": (f + noise).round(3),
        "two classes": labels[:, :1],
        "three labels": labels,
        "three classes": (f + rng.gumbel(size=f.shape)).argmax(axis=1)[:, None].astype(float),
    }
    return X, weight, y


def make_initial(n_outputs):
    rng = np.random.default_rng(n_outputs)
    sizes = (N_FEATURES, *HIDDEN, n_outputs)
    coefs = [
        rng.normal(scale=(2 / a) ** 0.5, size=(a, b)).round(3) for a, b in itertools.pairwise(sizes)
    ]
    return coefs, [rng.normal(scale=0.3, size=b).round(3) for b in sizes[1:]]


def leaves(arrays):
    return [torch.tensor(a, requires_grad=True) for a in arrays]


def layer_outputs(X, coefs, intercepts, activations):
    outputs = [X]
    for W, b, name in zip(coefs, intercepts, [*activations, "identity"], strict=True):
        outputs.append(ACTIVATIONS[name](outputs[-1] @ W + b))
    return outputs[1:]


def run(make_optimizer, X, y, task, activations, sample_weight):
    _, n_outputs, row_losses = TASKS[task]
    coefs, intercepts = map(leaves, make_initial(n_outputs))
    X, y, s = torch.tensor(X), torch.tensor(y), torch.tensor(sample_weight)
    optimizer = make_optimizer(coefs, intercepts)
    for _ in range(N_STEPS):
        optimizer.zero_grad()
        f = layer_outputs(X, coefs, intercepts, activations)[-1]
        ((s * row_losses(y, f)).sum() / s.sum()).backward()
        optimizer.step()
    return [w.detach().numpy() for w in coefs], [w.detach().numpy() for w in intercepts]


def relative_change(got, want):
    """Of the weights and intercepts of a net, all in one vector."""
    got, want = (np.concatenate([w.ravel() for part in net for w in part]) for net in (got, want))
    return np.linalg.norm(got - want) / np.linalg.norm(want)


def lists(arrays):
    return [a.tolist() for a in arrays]


def make_cases(X, weight, targets):
    nearby = X * (1 + 1e-14 * np.random.default_rng(0).normal(size=X.shape))
    names = list(ACTIVATIONS)
    for i, (optimizer, (_, make)) in enumerate(OPTIMIZERS.items()):
        for j, (task, weighted) in enumerate((task, w) for task in TASKS for w in (False, True)):
            # (i, j) -> (i + j, i + 2 j) is one to one modulo 10.
            activations = [names[(i + j) % 10], names[(i + 2 * j) % 10]]
            s = weight if weighted else np.ones(N_ROWS)
            net = run(make, X, targets[task], task, activations, s)
            other = run(make, nearby, targets[task], task, activations, s)
            moved = relative_change(other, net)
            if not moved < 1e-11:
                raise RuntimeError(
                    f"{optimizer}, {task}, {activations} is ill-conditioned: {moved:.0e}"
                )
            yield {
                "optimizer": optimizer,
                "task": task,
                "loss": TASKS[task][0],
                "n_outputs": TASKS[task][1],
                "weighted": weighted,
                "activations": activations,
                "coefs": lists(net[0]),
                "intercepts": lists(net[1]),
            }


def make_activations():
    grid = [-30.0, -6.0, -2.5, -1.0, -0.3, -1e-3, 0.0, 1e-3, 0.3, 1.0, 2.5, 6.0, 30.0]
    section = {"z": grid}
    for name, activation in ACTIVATIONS.items():
        z = torch.tensor(grid, requires_grad=True)
        a = activation(z)
        (slope,) = torch.autograd.grad(a.sum(), z)
        section[name] = {"a": a.tolist(), "slope": slope.tolist()}
    return section


def make_forward(X, y):
    """One entry an activation."""
    for name in ACTIVATIONS:
        coefs, intercepts = map(leaves, make_initial(3))
        outputs = layer_outputs(torch.tensor(X), coefs, intercepts, [name] * 2)
        loss = TASKS["three targets"][2](torch.tensor(y), outputs[-1]).mean()
        loss.backward()
        yield {
            "activation": name,
            "outputs": lists(outputs),
            "loss": loss.item(),
            "coef_gradients": lists(w.grad for w in coefs),
            "intercept_gradients": lists(w.grad for w in intercepts),
        }


def main():
    torch.set_num_threads(1)
    # NAdam keeps its product of momenta in the default type: with float32 the run is 1e-8 off.
    torch.set_default_dtype(torch.float64)
    X, weight, targets = make_data()
    # "forward": a few rows, three times as far out as those of the training
    shown_X, shown_y = (3 * X[:N_SHOWN]).round(3), targets["three targets"][:N_SHOWN]
    vectors = {
        "torch": torch.__version__.split("+")[0],
        "n_steps": N_STEPS,
        "settings": {name: settings for name, (settings, _) in OPTIMIZERS.items()},
        "X": X.tolist(),
        "sample_weight": weight.tolist(),
        "y": {name: y.tolist() for name, y in targets.items()},
        "initial": {
            str(k): dict(zip(("coefs", "intercepts"), map(lists, make_initial(k)), strict=True))
            for k in (1, 3)
        },
        "activations": make_activations(),
        "forward_X": shown_X.tolist(),
        "forward_y": shown_y.tolist(),
    }
    many = {
        "forward": make_forward(shown_X, shown_y),
        "cases": make_cases(X, weight, targets),
    }
    # One line an entry, one line a case: a change of the file can be read as a diff.
    entries = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in vectors.items()]
    for key, rows in many.items():
        entries.append(f'"{key}": [\n' + ",\n".join(map(json.dumps, rows)) + "\n]")
    text = "{\n" + ",\n".join(entries) + "\n}\n"
    Path(__file__).with_name("mlp_torch_vectors.json").write_text(text)


if __name__ == "__main__":
    main()
