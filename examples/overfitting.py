"""What helps a network that is too large for its data?
====================================================

Remedies on a table of the US census.

A network of two hidden layers of 256 units learns from 1,000 people. The script trains it without
a remedy and with each one over several random splits, plots training and validation loss by epoch,
and prints the losses and the score on test rows that training has not seen.

Usage::

    python examples/overfitting.py [--rows N] [--seeds N] [--epochs N] [--output FILE]
"""

import argparse
import time
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from compare_solvers import load_adult, make_model
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import train_test_split

from skopt_est import MLPClassifier

# Without early stopping all epochs are run: patience never ends.
NETWORK = {
    "hidden_layer_sizes": (256, 256),
    "batch_size": 32,
    "alpha": 0.0,
    "learning_rate_init": 0.001,
    "n_iter_no_change": np.inf,
    "dtype": "float32",
}
EARLY = {"early_stopping": True, "n_iter_no_change": 5}
DROPOUT = {"dropout": 0.5, "input_dropout": 0.2}
# The strengths were chosen by the validation loss of other splits than those shown here.
REMEDIES = {
    "none": {},
    "early stopping": EARLY,
    "alpha=0.01": {"alpha": 0.01},
    "adamw, weight_decay=10": {"solver": "adamw", "weight_decay": 10.0},
    "dropout 0.5, inputs 0.2": DROPOUT,
    "dropout + early stopping": {**DROPOUT, **EARLY},
}
TRAINING, VALIDATION = "#0072b2", "#d55e00"  # told apart by colour-blind readers too


def split(X, y, n_rows, seed):
    """Encoded training, validation and test rows: n_rows, half as many, 10,000."""
    X_train, X_rest, y_train, y_rest = train_test_split(
        X, y, train_size=n_rows, stratify=y, random_state=seed
    )
    X_val, X_test, y_val, y_test = train_test_split(
        X_rest,
        y_rest,
        train_size=n_rows // 2,
        test_size=10_000,
        stratify=y_rest,
        random_state=seed,
    )
    columns = make_model()["columns"].fit(X_train)
    parts = (X_train, y_train), (X_val, y_val), (X_test, y_test)
    return [(columns.transform(features), labels) for features, labels in parts]


def train(remedy, seed, max_iter, training, validation, test):
    """Losses by epoch, the epoch whose weights are kept, and the table's figures of one fit."""
    model = MLPClassifier(**{**NETWORK, **REMEDIES[remedy]}, max_iter=max_iter, random_state=seed)
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # max_iter is meant to be reached
        model.fit(*training, X_val=validation[0], y_val=validation[1])
    seconds = time.perf_counter() - start
    losses = -np.array(model.validation_scores_)  # scoring="loss" is the loss, negated
    probability = model.predict_proba(test[0])
    figures = {
        "remedy": remedy,
        "best validation loss": losses.min(),
        "last validation loss": losses[-1],
        "test log loss": log_loss(test[1], probability, labels=model.classes_),
        "test ROC AUC": roc_auc_score(test[1], probability[:, 1]),
        "epochs": model.n_iter_,
        "seconds": seconds,
    }
    kept = model.best_iter_ if model.early_stopping else model.n_iter_
    return (model.loss_curve_, losses, kept), figures


def table_of(figures):
    """Means over the seeds; with their standard deviation where rounding leaves one."""
    groups = pd.DataFrame(figures).groupby("remedy", sort=False)
    means, deviations = groups.mean(), groups.std(ddof=1)
    table = pd.DataFrame(index=means.index)
    for name in means:
        digits = {"epochs": 0, "seconds": 2}.get(name, 3)
        table[name] = means[name].map(f"{{:.{digits}f}}".format)
        if digits == 3 and deviations[name].notna().all():
            table[name] += deviations[name].map(" ± {:.3f}".format)
    return table.reset_index()


def markdown(table):
    lines = [list(table), ["---", *["---:"] * (table.shape[1] - 1)], *table.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def plot(curves, table, max_iter, output):
    """A panel for each remedy: the losses of every seed, and where the weights come from."""
    plt.switch_backend("agg")  # draws to files, needs no display
    figure, grid = plt.subplots(
        2, 3, figsize=(9, 5.6), sharex=True, sharey=True, layout="constrained"
    )
    top = 2.2 * np.mean([validation.min() for _, validation, _ in curves["none"]])
    dot = {"color": VALIDATION, "marker": "o", "markersize": 5, "markeredgecolor": "black"}
    for axes, (remedy, runs) in zip(grid.flat, curves.items(), strict=True):
        for training, validation, kept in runs:
            epochs = np.arange(1, len(training) + 1)
            axes.plot(epochs, training, "--", color=TRAINING, linewidth=1.2, alpha=0.7)
            axes.plot(epochs, validation, color=VALIDATION, linewidth=1.2, alpha=0.7)
            if validation[kept - 1] < top:
                axes.plot(kept, validation[kept - 1], **dot, clip_on=False, zorder=3)
        last = np.mean([validation[-1] for _, validation, _ in runs])
        if last > top:
            text = f"validation loss\nends at {last:.2f}"
            axes.text(0.98, 0.62, text, transform=axes.transAxes, ha="right", color=VALIDATION)
        loss = table.set_index("remedy").loc[remedy, "test log loss"]
        axes.set_title(f"{remedy}\n", fontsize=11, fontweight="bold")
        axes.text(0.5, 1.03, f"test log loss {loss}", transform=axes.transAxes, ha="center")
        axes.set(ylim=(0, top), xlim=(0, max_iter))
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    handles = [
        plt.Line2D([], [], color=TRAINING, linestyle="--", label="training objective"),
        plt.Line2D([], [], color=VALIDATION, label="validation log loss"),
        plt.Line2D([], [], **dot, linestyle="", label="epoch whose weights are kept"),
    ]
    figure.supxlabel("epoch", fontsize=11)
    figure.supylabel("loss", fontsize=11)
    figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False)
    figure.savefig(output, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1000, help="training rows")
    parser.add_argument("--seeds", type=int, default=5, help="splits and initial weights")
    parser.add_argument("--epochs", type=int, default=40, help="most epochs of a fit")
    parser.add_argument("--output", default="overfitting.png", help="file of the plot")
    options = parser.parse_args()

    X, y = load_adult()
    curves, figures = {remedy: [] for remedy in REMEDIES}, []
    for seed in range(options.seeds):
        parts = split(X, y, options.rows, seed)
        for remedy in REMEDIES:
            losses, row = train(remedy, seed, options.epochs, *parts)
            curves[remedy].append(losses)
            figures.append(row)
    table = table_of(figures)
    print(f"{options.rows} training rows; means and standard deviations over the seeds:\n")
    print(markdown(table))
    plot(curves, table, options.epochs, options.output)
    print(f"\nLoss curves: {options.output}")


if __name__ == "__main__":
    main()
