"""Does batch or layer normalisation help a plain MLP on tabular data?

Fits small fully connected networks (relu, Adam, mini-batches of 200, early
stopping on 10 % of the training rows, best weights restored) with and without
normalisation of the hidden pre-activations (Linear -> Norm -> relu) and
compares the loss on unseen rows.

    python normalisation.py run DATA results.csv          # resumes if it exists
    python normalisation.py table results.csv table.md

DATA is a folder with a module ``load.py`` that offers ``names()`` and
``load(name) -> (X, y, task)``, X being a DataFrame (string columns as category)
or a csr_matrix, and task one of binary, multiclass, regression, count.

One seed fixes the rows, the validation rows, the initial weights of the linear
layers and the order of the batches, so arms of one seed are paired.  Everything
runs on one thread.  Needs numpy, pandas, scipy, scikit-learn and torch.
"""

import argparse
import copy
import csv
import importlib.util
import math
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.sparse import issparse
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from torch import nn
from torch.nn import functional as F

MAX_ROWS = 5000  # training rows, and test rows
MAX_SPARSE = 300  # columns kept of a sparse matrix
BATCH = 200
MAX_EPOCHS = 200
PATIENCE = 10
TOL = 1e-4  # a smaller gain than this counts as none (scikit-learn)
ALPHA = 1e-4  # L2 penalty in scikit-learn's scale
ETA_LIMIT = 30.0  # |log of a predicted mean| is clipped to this
FIELDS = [
    "data",
    "task",
    "hidden",
    "lr",
    "arm",
    "seed",
    "loss",
    "score",
    "val_loss",
    "epochs",
    "seconds",
    "cpu_seconds",
    "n_train",
    "n_features",
    "n_test",
]
NORMS = ("batch_norm", "layer_norm")


# ---------------------------------------------------------------- data


def import_loader(folder):
    """Import load.py from the data folder, without leaving bytecode there."""
    sys.dont_write_bytecode = True
    spec = importlib.util.spec_from_file_location("load", Path(folder) / "load.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def prepare(X, y, task):
    """Return X, numeric y and row weights before any split."""
    weight = np.ones(len(y))
    if issparse(X):
        if X.shape[1] > MAX_SPARSE:
            frequency = np.asarray((X != 0).sum(axis=0)).ravel()
            keep = np.sort(np.argsort(-frequency, kind="stable")[:MAX_SPARSE])
            X = X[:, keep].log1p()
        X = X.astype(np.float32)
    elif "exposure" in X.columns:  # claims per year, weighted with the years
        weight = X["exposure"].to_numpy(dtype=float)
        X, y = X.drop(columns="exposure"), y / weight
    if task in ("binary", "multiclass"):
        y = np.unique(y, return_inverse=True)[1]
    return X, y, weight


def split(X, y, weight, task, seed, clip=None):
    """Draw fit, validation and test rows and code them; return a dict."""
    n = len(y)
    order = np.random.default_rng(seed).permutation(n)
    n_train = min(MAX_ROWS, n * 3 // 4)
    train, test = order[:n_train], order[n_train : n_train + MAX_ROWS]
    if issparse(X):
        X_train, X_test = X[train].toarray(), X[test].toarray()
    else:
        coder = make_column_transformer(
            (
                make_pipeline(SimpleImputer(strategy="median"), StandardScaler()),
                make_column_selector(dtype_include="number"),
            ),
            (
                OneHotEncoder(handle_unknown="ignore", sparse_output=False),
                make_column_selector(dtype_include="category"),
            ),
        )
        X_train = coder.fit_transform(X.iloc[train])
        X_test = coder.transform(X.iloc[test])
        if clip is not None:
            X_train, X_test = X_train.clip(-clip, clip), X_test.clip(-clip, clip)
    y_train, y_test = y[train], y[test]
    w_train, w_test = weight[train], weight[test]
    scale = 1.0
    if task == "regression":
        mean, sd = y_train.mean(), y_train.std()
        y_train, y_test = (y_train - mean) / sd, (y_test - mean) / sd
    elif task == "count":  # like starting the bias at log(mean)
        scale = np.average(y_train, weights=w_train)
        y_train = y_train / scale
    w_train = w_train / w_train.mean()

    stratify = y_train if task in ("binary", "multiclass") else None
    if stratify is not None and np.bincount(y_train)[np.unique(y_train)].min() < 2:
        stratify = None
    fit, val = train_test_split(
        np.arange(n_train), test_size=0.1, random_state=seed, stratify=stratify
    )
    kind = torch.int64 if task in ("binary", "multiclass") else torch.float32

    def part(A, b, w):
        return (
            torch.as_tensor(A, dtype=torch.float32),
            torch.as_tensor(b, dtype=kind),
            torch.as_tensor(w, dtype=torch.float32),
        )

    return {
        "fit": part(X_train[fit], y_train[fit], w_train[fit]),
        "val": part(X_train[val], y_train[val], w_train[val]),
        "test": torch.as_tensor(X_test, dtype=torch.float32),
        "y_test": y_test,
        "w_test": w_test,
        "scale": scale,
        "n_out": int(y.max()) + 1 if kind == torch.int64 else 1,
    }


# ---------------------------------------------------------------- model


def build(n_in, hidden, n_out, arm, seed):
    """A network for one arm; the linear weights depend on the seed alone."""
    rng = torch.Generator().manual_seed(seed)
    layers = []

    def linear(a, b, bias=True):
        layer = nn.Linear(a, b, bias=bias)
        nn.init.xavier_uniform_(layer.weight, generator=rng)
        if bias:
            nn.init.zeros_(layer.bias)
        return layer

    for width in hidden:
        layers.append(linear(n_in, width, bias=arm != "batch_norm"))
        if arm == "batch_norm":
            layers.append(nn.BatchNorm1d(width))
        elif arm == "layer_norm":
            layers.append(nn.LayerNorm(width))
        layers.append(nn.ReLU())
        if arm.startswith("dropout"):
            layers.append(nn.Dropout(float(arm.partition("_")[2])))
        n_in = width
    layers.append(linear(n_in, n_out))
    return nn.Sequential(*layers)


def batch_loss(out, y, weight, task):
    """Weighted mean training loss."""
    if task in ("binary", "multiclass"):
        return F.cross_entropy(out, y)
    eta = out[:, 0]
    if task == "regression":
        return 0.5 * F.mse_loss(eta, y)
    eta = eta.clamp(-ETA_LIMIT, ETA_LIMIT)
    return (weight * (eta.exp() - y * eta)).sum() / weight.sum()


def fit(parts, task, hidden, arm, lr, seed):
    """Train with early stopping; return the network, its loss and the epochs."""
    X, y, weight = parts["fit"]
    X_val, y_val, w_val = parts["val"]
    torch.manual_seed(seed)  # dropout masks
    net = build(X.shape[1], hidden, parts["n_out"], arm, seed)
    size = min(BATCH, len(X))
    matrices = [m.weight for m in net if isinstance(m, nn.Linear)]
    others = [p for p in net.parameters() if all(p is not m for m in matrices)]
    optimiser = torch.optim.Adam(
        [{"params": matrices, "weight_decay": ALPHA / size}, {"params": others}], lr=lr, fused=True
    )
    rng = np.random.default_rng(seed)
    best, best_state, reference, waited = math.inf, None, math.inf, 0
    epoch = 0
    while epoch < MAX_EPOCHS:
        epoch += 1
        net.train()
        order = torch.as_tensor(rng.permutation(len(X)))
        for rows in order.split(size):
            if len(rows) < 2:  # batch statistics need two rows
                continue
            optimiser.zero_grad()
            batch_loss(net(X[rows]), y[rows], weight[rows], task).backward()
            optimiser.step()
        net.eval()
        with torch.no_grad():
            loss = batch_loss(net(X_val), y_val, w_val, task).item()
        if loss < best:
            best, best_state = loss, copy.deepcopy(net.state_dict())
        waited = 0 if loss < reference - TOL else waited + 1
        reference = min(reference, loss)
        if waited >= PATIENCE or not math.isfinite(loss):
            break
    if best_state is not None:
        net.load_state_dict(best_state)
    return net, best, epoch


def evaluate(net, parts, task):
    """Test loss (log loss, MSE, Poisson deviance) and accuracy, R2 or D2."""
    with torch.no_grad():
        out = net(parts["test"]).double()
    y, weight = parts["y_test"], parts["w_test"]
    if task in ("binary", "multiclass"):
        log_p = F.log_softmax(out, dim=1).numpy()
        return (-log_p[np.arange(len(y)), y].mean(), (log_p.argmax(axis=1) == y).mean())
    eta = out[:, 0].numpy()
    if task == "regression":
        mse = np.mean((y - eta) ** 2)
        return mse, 1 - mse / np.var(y)

    def deviance(mu):
        log_ratio = np.log(np.where(y > 0, y, 1) / np.where(y > 0, mu, 1))
        return np.average(2 * (y * log_ratio - y + mu), weights=weight)

    mu = parts["scale"] * np.exp(np.clip(eta, -ETA_LIMIT, ETA_LIMIT))
    loss = deviance(mu)
    null = deviance(np.full(len(y), np.average(y, weights=weight)))
    return loss, 1 - loss / null


# ---------------------------------------------------------------- runs


def plan(seeds, seeds_fast):
    """(hidden, lr, arm, seed) of all fits of one data set."""
    for seed in range(max(seeds, seeds_fast)):
        if seed < seeds:
            for hidden in ((100,), (256, 256)):
                for arm in ("none", *NORMS):
                    yield hidden, 0.001, arm, seed
            yield (256, 256), 0.001, "dropout_0.2", seed
        if seed < seeds_fast:
            for arm in ("none", *NORMS):
                yield (256, 256), 0.01, arm, seed


def run(args):
    """Do all fits that are not yet in the results file."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    loader = import_loader(args.data)
    path = Path(args.results)
    done = set()
    if path.exists():
        old = pd.read_csv(path, dtype=str)
        done = set(zip(old.data, old.hidden, old.lr, old.arm, old.seed, strict=True))
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        if file.tell() == 0:
            writer.writeheader()
        for name in args.sets or loader.names():
            todo = [
                p
                for p in plan(args.seeds, args.seeds_fast)
                if (name, "-".join(map(str, p[0])), str(p[1]), p[2], str(p[3])) not in done
            ]
            if not todo:
                continue
            X, y, task = loader.load(name)
            X, y, weight = prepare(X, y, task)
            seed_now, start = None, time.perf_counter()
            parts = split(X, y, weight, task, 0, args.clip)
            fit(parts, task, (8,), "none", 0.01, 0)  # warm up, for the timing
            for hidden, lr, arm, seed in todo:
                if seed != seed_now:
                    parts = split(X, y, weight, task, seed, args.clip)
                    seed_now = seed
                wall, cpu = time.perf_counter(), time.process_time()
                net, val_loss, epochs = fit(parts, task, hidden, arm, lr, seed)
                wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
                loss, score = evaluate(net, parts, task)
                writer.writerow(
                    dict(
                        data=name,
                        task=task,
                        hidden="-".join(map(str, hidden)),
                        lr=lr,
                        arm=arm,
                        seed=seed,
                        loss=f"{loss:.6g}",
                        score=f"{score:.5f}",
                        val_loss=f"{val_loss:.6g}",
                        epochs=epochs,
                        seconds=f"{wall:.3f}",
                        cpu_seconds=f"{cpu:.3f}",
                        n_train=len(parts["fit"][0]) + len(parts["val"][0]),
                        n_features=parts["test"].shape[1],
                        n_test=len(parts["test"]),
                    )
                )
                file.flush()
            print(f"{name}: {len(todo)} fits, {time.perf_counter() - start:.0f} s", flush=True)


# ---------------------------------------------------------------- table


def markdown(rows):
    """A markdown table from a list of rows, the first being the header."""
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    lines.insert(1, "| --- |" + " ---: |" * (len(rows[0]) - 1))
    return "\n".join(lines) + "\n"


def against_none(block):
    """Per data set and arm: differences to 'none' of one network and rate."""
    out = []
    for name, group in block.groupby("data", sort=False):
        wide = {
            c: group.pivot(index="seed", columns="arm", values=c)
            for c in ("loss", "score", "epochs", "cpu_seconds")
        }
        base = wide["loss"]["none"]
        for arm in wide["loss"].columns.drop("none"):
            diff = wide["loss"][arm] - base
            cpu, epochs = wide["cpu_seconds"], wide["epochs"]
            out.append(
                dict(
                    data=name,
                    arm=arm,
                    seed_sd=diff.mean() / base.std(),
                    paired_sd=diff.mean() / diff.std(),
                    percent=100 * diff.mean() / base.mean(),
                    typical=100 * (diff / base).median(),
                    score=(wide["score"][arm] - wide["score"]["none"]).mean(),
                    wins=int((diff < 0).sum()),
                    n=len(diff),
                    time=cpu[arm].mean() / cpu["none"].mean(),
                    epochs=epochs[arm].mean() / epochs["none"].mean(),
                )
            )
    return pd.DataFrame(out)


def section(block, arms):
    """Tables of one network and learning rate."""
    names = list(dict.fromkeys(block.data))
    rows = [
        ["data set", *arms, *(f"Δ {a}, seed sd (paired sd; mean %; median %)" for a in arms[1:])]
    ]
    versus = against_none(block).set_index(["data", "arm"])
    ranks = []
    for name in names:
        group = block[block.data == name].groupby("arm")
        mean, sd = group.loss.mean(), group.loss.std()
        ranks.append(mean[arms].rank())
        cells = [f"{mean[a]:.4f} ± {sd[a]:.4f}" for a in arms]
        low = int(np.argmin([mean[a] for a in arms]))
        cells[low] = f"**{cells[low]}**"
        for a in arms[1:]:
            v = versus.loc[(name, a)]
            cells.append(
                f"{v.seed_sd:+.2f} ({v.paired_sd:+.2f}; {v.percent:+.1f}; {v.typical:+.1f})"
            )
        rows.append([name, *cells])
    text = markdown(rows) + "\n"

    score = block.groupby(["data", "arm"], sort=False).score.mean().unstack()
    rank = pd.DataFrame(ranks).mean()
    rows = [
        [
            "arm",
            "mean rank",
            "better / worse by > 1 seed sd",
            "better / worse by > 1 paired sd",
            "lower mean loss on sets",
            "fits won",
            "Δ loss, %, median over sets of the mean (median) over seeds",
            "mean Δ accuracy / R2 / D2",
            "CPU time ratio (mean of sets)",
            "epochs ratio",
            "CPU per epoch ratio",
        ]
    ]
    rows.append(["none", f"{rank['none']:.2f}", *["-"] * 6, "1.00", "1.00", "1.00"])
    for a in arms[1:]:
        v = versus.xs(a, level="arm")
        rows.append(
            [
                a,
                f"{rank[a]:.2f}",
                f"{(v.seed_sd < -1).sum()} / {(v.seed_sd > 1).sum()}",
                f"{(v.paired_sd < -1).sum()} / {(v.paired_sd > 1).sum()}",
                f"{(v.percent < 0).sum()} of {len(v)}",
                f"{v.wins.sum()} of {v.n.sum()}",
                f"{v.percent.median():+.1f} ({v.typical.median():+.1f})",
                f"{v.score.mean():+.4f}",
                f"{v.time.mean():.2f}",
                f"{v.epochs.mean():.2f}",
                f"{(v.time / v.epochs).mean():.2f}",
            ]
        )
    text += markdown(rows) + "\n"
    rows = [["accuracy / R2 / D2", *arms]]
    rows += [[n, *(f"{score.loc[n, a]:.4f}" for a in arms)] for n in names]
    return text + markdown(rows)


def tuned(frame):
    """The wide network with the rate taken by validation loss, per arm and seed."""
    wide = frame[(frame.hidden == "256-256") & frame.arm.isin(["none", *NORMS])]
    both = wide.groupby(["data", "arm", "seed"]).lr.transform("nunique") == 2
    wide = wide[both]
    best = wide.groupby(["data", "arm", "seed"], sort=False).val_loss.idxmin()
    return wide.loc[best]


def table(args):
    """Write the markdown report."""
    frame = pd.read_csv(args.results, dtype={"hidden": str})
    frame = frame.drop_duplicates(["data", "hidden", "lr", "arm", "seed"], keep="last")
    text = "# Normalisation in a tabular MLP\n\n"
    text += (
        "Test loss (log loss; MSE of the standardised target; Poisson deviance), "
        "mean ± sd over seeds. Δ is the mean paired difference to 'none', so "
        "negative is better: in units of the sd over seeds of 'none' (which holds "
        "the noise of the split), in brackets in units of the sd of the paired "
        "differences, in per cent of the mean loss of 'none', and the median over "
        "seeds of the per cent, which a seed with an odd test row does not move.\n\n"
    )
    for (hidden, lr), block in frame.groupby(["hidden", "lr"], sort=False):
        arms = [a for a in ("none", *NORMS, "dropout_0.2") if a in set(block.arm)]
        text += (
            f"## Hidden {hidden}, learning rate {lr}, "
            f"{block.seed.nunique()} seeds\n\n{section(block, arms)}\n"
        )
    chosen = tuned(frame)
    if len(chosen):
        text += (
            "## Hidden 256-256, learning rate 0.001 or 0.01 by validation loss, "
            f"per fit\n\n{section(chosen, ['none', *NORMS])}\n"
        )
    rows = [
        [
            "data set",
            "task",
            "training rows",
            "inputs",
            "test rows",
            "CPU s per fit, 100",
            "256-256",
            "epochs, 100",
            "256-256",
        ]
    ]
    slow = frame[(frame.lr == 0.001) & (frame.arm == "none")]
    for name, g in slow.groupby("data", sort=False):
        small, big = g[g.hidden == "100"], g[g.hidden == "256-256"]
        first = g.iloc[0]
        rows.append(
            [
                name,
                first.task,
                first.n_train,
                first.n_features,
                first.n_test,
                f"{small.cpu_seconds.mean():.2f}",
                f"{big.cpu_seconds.mean():.2f}",
                f"{small.epochs.mean():.0f}",
                f"{big.epochs.mean():.0f}",
            ]
        )
    text += f"## The sets, with 'none' at rate 0.001\n\n{markdown(rows)}"
    Path(args.output).write_text(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(required=True)
    p = commands.add_parser("run", help="fit the networks")
    p.add_argument("data", help="folder with load.py and the data files")
    p.add_argument("results", help="csv file, appended to")
    p.add_argument("--sets", nargs="*", help="data sets (default: all)")
    p.add_argument("--seeds", type=int, default=5)
    p.add_argument("--seeds-fast", type=int, default=3, help="seeds for the learning rate 0.01")
    p.add_argument(
        "--clip",
        type=float,
        help="clip the standardised inputs to [-CLIP, CLIP] (use another "
        "results file: it does not say how it was made)",
    )
    p.set_defaults(call=run)
    p = commands.add_parser("table", help="write the report")
    p.add_argument("results")
    p.add_argument("output", help="markdown file")
    p.set_defaults(call=table)
    args = parser.parse_args()
    args.call(args)


if __name__ == "__main__":
    main()
