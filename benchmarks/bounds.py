"""What the machine allows each linear case of `epochs`, and the share of it that ours reaches.

The bound is the time of the least that an epoch has to do, whoever implements it, by loops in C
(bounds.c) that are compiled for this processor when the command runs: the system's C compiler (or
$CC) is needed. It is the longest of the parts that can't be left out:

memory: to read X once, as it lies (gd) or in the order in which training visits the rows
latency: the steps of one row each, on rows in the first cache: each waits for the one before
gathers: sparse rows: a product, a sigmoid and an update, the rows in training's order
cells: the same with four numbers a feature, which exact penalties and units of columns need

`in cache` is what ours takes for rows that lie in cache: the difference between the epochs of 1 and
of 2 MB of rows, over their number. What it lacks of `ours` is waiting for memory; and where reach
times it is longer than SGDClassifier's time, arithmetic alone is what stands in the way.

The loops know no penalty, standardising, intercept, weights or value of the loss, so 100 % can't be
had. `most` is SGDClassifier's time over the bound, which no implementation exceeds: where `reach`
is close to it or above it, this machine can't give what was asked for. The loops' results are
compared with NumPy's before anything is timed, and each counts with its fastest run; ours and
SGDClassifier are measured as by `epochs`.
"""

import time
import warnings
from functools import partial

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from benchmarks import epochs_dense, epochs_sparse, problems, report, timing
from benchmarks.bounds_loops import Loops
from skopt_est._order import visiting_order

CASES = epochs_dense.CASES | epochs_sparse.CASES
STEPS = 20_000
IN_CACHE = 1 << 20  # bytes
SECONDS = 0.3  # of each loop, before the others are measured and after
README = (
    *("case", "solver", "bound by", "bound ns", "in cache ns", "ours ns", "share %"),
    *("SGDClassifier ns", "reach", "most"),
)


def add_arguments(parser) -> None:
    timing.add_cases(parser, CASES)
    timing.add_repeats(parser)


def parts(case: str) -> dict:
    """The loops that make the bound: {solver: {part: [(call, rows or entries), ...]}}, where one of
    several counts."""
    n, d, *kind = CASES[case]
    rows, word = np.arange(n, dtype=np.int32), np.zeros(1, np.uint64)
    order = np.concatenate([part.copy() for part in visiting_order(rows, d, word, n)])
    if case in epochs_sparse.CASES:
        X, y = problems.csr(n, d, kind[0], zipf=kind[1])
        y = y.astype(X.dtype)
        # gathers of whole vectors, or number by number: what is faster depends on the processor
        scalar = ("-fno-tree-vectorize", "-DSUMS=4")
        variants = [Loops(X.dtype, kind[0], *flags) for flags in ((), scalar)]
        for loops in variants:
            loops.check()
        ahead = Loops(X.dtype, kind[0], "-DCELLS_AHEAD=2")
        ahead.check()
        return {
            f"{rule} b1": {
                "gathers": [(loops.sparse(rule, X, y, order)[0], X.nnz) for loops in variants],
                "cells": [
                    (loops.cells(rule, X, y, order)[0], X.nnz) for loops in (*variants, ahead)
                ],
            }
            for rule in ("sgd", "adagrad")
        }
    X, _ = problems.dense(n, d, kind[0])
    loops = Loops(kind[0], d)
    loops.check()
    mixed = [(lambda: loops("read_rows", X, order, n), n)]
    limits: dict = {
        f"{rule} b1": {"memory": mixed, "latency": [(loops.steps(rule, STEPS)[0], STEPS)]}
        for rule in ("sgd", "adagrad")
    }
    limits["adam b256"] = {"memory": mixed}
    limits["gd"] = {"memory": [(lambda: loops("read_rows", X, None, n), n)]}
    return limits


def in_cache(case: str, repeats: int) -> dict[str, float]:
    """ns of a row of each solver where no row comes from memory."""
    _, d, dtype, _ = epochs_dense.CASES[case]
    n = IN_CACHE // (d * np.dtype(dtype).itemsize)
    sides = {}
    for rows in (n, 2 * n):
        X, y = problems.dense(rows, d, dtype)
        for name, params in epochs_dense.OURS.items():
            fit = partial(epochs_dense.logistic_regression, X, y, **params)
            sides[name, rows] = partial(timing.epoch, fit, 20)
    figures = timing.alternate(sides, repeats)
    return {
        name: 1e9 / n * (figures[name, 2 * n].median - figures[name, n].median)
        for name in epochs_dense.OURS
    }


def fastest(calls) -> float:
    """ns of a row or an entry."""
    best = np.inf
    for call, count in calls:
        end = time.perf_counter() + SECONDS
        while time.perf_counter() < end:
            best = min(best, 1e9 * timing.timed(call)[0] / count)
    return best


def run(args) -> list[report.Row]:
    rows: list[report.Row] = []
    for case in args.cases:
        limits = parts(case)
        kind = epochs_sparse if case in epochs_sparse.CASES else epochs_dense
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            before = times(limits)
            measured = list(kind.measure(case, args.repeats, textbook=False))
            cached = in_cache(case, args.repeats) if case in epochs_dense.CASES else {}
            after = times(limits)
        for row in measured:
            solver = row["solver"]
            if solver in limits and row["against"] == "SGDClassifier":
                best = {part: min(ns, after[solver][part]) for part, ns in before[solver].items()}
                rows.append(line(row, best, cached.get(solver)))
                report.show_last(rows)
    return rows


def times(limits: dict) -> dict[str, dict[str, float]]:
    return {
        solver: {part: fastest(calls) for part, calls in of_solver.items()}
        for solver, of_solver in limits.items()
    }


def line(measured: report.Row, parts: dict[str, float], cached: float | None) -> report.Row:
    """A measured line of `epochs` beside the longest part."""
    part = max(parts, key=parts.__getitem__)
    bound, ours, theirs = parts[part], measured["ours"], measured["theirs"]
    return {
        "case": measured["case"],
        "solver": measured["solver"],
        "bound by": part,
        "bound ns": bound,
        "in cache ns": cached,
        "ours ns": ours,
        "share %": 100 * bound / ours,
        "SGDClassifier ns": theirs,
        "reach": measured["reach"],
        "most": theirs / bound,
    }
