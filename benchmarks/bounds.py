"""What the machine allows each linear case of `epochs`, and the share of it that ours reaches.

The bound is the time of the least that an epoch has to do, whoever implements it, by loops in C
(bounds.c) that are compiled for this processor when the command runs: the system's C compiler (or
$CC) is needed. It is the longest of the parts that can't be left out:

memory: to read X once: as one stream (gd), or a number of each line that the rows lie in, the rows
    in the order in which training visits them
latency: the steps of one row each, on rows in the first cache: each waits for the one before
gathers: sparse rows: a product, a sigmoid and an update of nothing but weights and the solver's own
    numbers, the rows in training's order, or `cells` where they are faster; adam's features stand
    still where a row lacks them

`together` is reading and arithmetic in one loop: sgd's steps on the rows as they lie, in training's
order, asked for 4, 12 or 40 rows ahead, and with or without rows of the next window; X'(X w) for
gd, in blocks of 8 to 128 KB that go forward and then back. It is not a bound, but the fastest of
these. `whole` is the same for gd with most that the gradient of a model has: rows less their means,
slopes and value of the log loss. `cells` is the same as `gathers` with what an exact penalty and
the data's units need besides, the penalty included (bounds_exact.c, where there is AVX2); with adam
what our tables have, without penalty. `whole` is all of that epoch in C: it draws the order of the
rows, has an intercept, computes losses and penalty, and weights end as an array. Both are
the quickest loops that we know, not a bound. `in cache` is what ours takes for rows that lie in L2:
the difference between the epochs of 128 and of 256 KB of rows, over their number. The rest of
`ours` is waiting for memory, unless the sum of `in cache` and `memory` is more: then they overlap.

The other loops know no penalty, standardising, intercept, weights or value of the loss, so 100 %
can't be had. `most` is SGDClassifier's time over the bound, which no implementation exceeds: where
`reach` is close to it or above it, this machine can't give what was asked for; `most, cells` and
`most, whole` are its time over `cells` and `whole`. The loops' results are compared with NumPy's
before anything is timed. All times here, unlike those of `epochs`, are of the fastest run, as only
those have the processor for themselves; those of ours of the fastest single epoch, SGDClassifier's
of the fastest long fit less the fastest short one.
"""

import sys
import time
import warnings
from functools import partial

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from benchmarks import epochs_dense, epochs_sparse, problems, report, timing
from benchmarks.bounds_loops import RULES, Loops
from skopt_est._order import visiting_order

CASES = epochs_dense.CASES | epochs_sparse.CASES
STEPS = 20_000
IN_CACHE = 1 << 17  # bytes
SECONDS = 0.3  # of each loop, before the others are measured and after
FITS_SECONDS = 6  # of SGDClassifier's fits, also then
README = (
    *("case", "solver", "bound by", "bound ns", "memory ns", "together ns", "whole ns"),
    *("cells ns", "in cache ns", "ours ns", "share %"),
    *("SGDClassifier ns", "reach", "most", "most, cells", "most, whole"),
)


def add_arguments(parser) -> None:
    timing.add_cases(parser, CASES)
    timing.add_repeats(parser)


def parts(case: str) -> dict:
    """The loops that make the bound: {solver: {part: [(call, rows or entries), ...]}}, where the
    fastest counts. What several solvers have in common is one list, which is timed once."""
    n, d, *kind = CASES[case]
    rows, word = np.arange(n, dtype=np.int32), np.zeros(1, np.uint64)
    order, coming = next(iter(visiting_order(rows, d, word, n, 1, ask=True)))
    if case in epochs_sparse.CASES:
        X, y = problems.csr(n, d, kind[0], zipf=kind[1])
        y = y.astype(X.dtype)
        # gathers of whole vectors, or number by number: what is faster depends on the processor
        scalar = ("-fno-tree-vectorize", "-DSUMS=4")
        variants = [Loops(X.dtype, d, *flags) for flags in ((), scalar)]
        ahead = Loops(X.dtype, d, "-DCELLS_AHEAD=2")
        for loops in (*variants, ahead):
            loops.check()
        limits = {}
        for rule in epochs_sparse.SOLVERS:
            found = {"gathers": [loops.sparse(rule, X, y, order)[0] for loops in variants]}
            if rule in RULES and variants[0].has_exact:
                exact = variants[0].exact(rule, X, y, order, units(X), epochs_dense.ALPHA)
                found["cells"], found["whole"] = ([call] for call, _ in exact)
            else:
                found["cells"] = [loops.cells(rule, X, y, order)[0] for loops in (*variants, ahead)]
            limits[f"{rule} b1"] = {
                part: [(call, X.nnz) for call in calls] for part, calls in found.items()
            }
        return limits
    X, y = problems.dense(n, d, kind[0])
    y = y.astype(X.dtype)
    loops = Loops(kind[0], d)
    loops.check()
    w, still, gradient = loops.aligned(d), loops.aligned(d), loops.aligned(d)
    still[:] = 1 / d
    mixed = [(call, n) for call in loops.reading(X, order)]
    limits: dict = {
        f"{rule} b1": {"memory": mixed, "latency": [(loops.steps(rule, STEPS)[0], STEPS)]}
        for rule in ("sgd", "adagrad")
    }
    sgd, gd = loops.sgd_rows(X, y, order, coming, w), loops.there_and_back(X, w, gradient)
    whole = loops.there_and_back(X, still, gradient, y, X.mean(axis=0))
    limits["sgd b1"]["together"] = [(call, n) for call in sgd]
    in_batches, _ = next(iter(visiting_order(rows, d, np.zeros(1, np.uint64), n, 256)))
    limits["adam b256"] = {"memory": [(call, n) for call in loops.reading(X, in_batches)]}
    limits["gd"] = {
        "memory": [(call, n) for call in loops.reading(X)],
        "together": [(call, n) for call in gd],
        "whole": [(call, n) for call in whole],
    }
    return limits


def units(X) -> np.ndarray:
    """What training multiplies the columns of CSR rows by."""
    size = np.sqrt(np.asarray(X.power(2).mean(axis=0, dtype=np.float64)).ravel())
    return 1 / np.where(size > 0, size, 1)


def of_an_epoch(X, y, fits: int, epochs: int, **params) -> float:
    """Seconds of the fastest single epoch of some fits, as their history tells them."""
    history = []
    for _ in range(fits):
        model = epochs_dense.logistic_regression(X, y, epochs, **params)
        history += model.history_
    return min(epoch["seconds"] for epoch in history)


def single_epochs(case: str) -> dict[str, tuple[float, float | None]]:
    """ns of a row of each solver, and where no row comes from memory; of an entry of sparse rows,
    which lie in no cache."""
    if case in epochs_sparse.CASES:
        n, d, per_row, zipf = epochs_sparse.CASES[case]
        X, y = problems.csr(n, d, per_row, zipf=zipf)
        each = {
            name: {"solver": name, "batch_size": 1, "learning_rate_init": rate or "auto"}
            for name, rate in epochs_sparse.SOLVERS.items()
        }
        return {
            f"{name} b1": (1e9 / X.nnz * of_an_epoch(X, y, 5, 40, **params), None)
            for name, params in each.items()
        }
    n, d, dtype, _ = epochs_dense.CASES[case]
    few = IN_CACHE // (d * np.dtype(dtype).itemsize)
    tables = [problems.dense(rows, d, dtype) for rows in (n, few, 2 * few)]
    found = {}
    for name, params in epochs_dense.OURS.items():
        lengths = (max(4, 20_000_000 // (n * d)), 200, 200)
        least = [
            of_an_epoch(*table, 5, epochs, **params)
            for table, epochs in zip(tables, lengths, strict=True)
        ]
        found[name] = 1e9 / n * least[0], 1e9 / few * (least[2] - least[1])
    return found


class SGDClassifierFits:
    """How long fits of SGDClassifier take at their fastest."""

    def __init__(self, case: str) -> None:
        if case in epochs_sparse.CASES:
            n, d, per_row, zipf = epochs_sparse.CASES[case]
            X, y = problems.csr(n, d, per_row, zipf=zipf)
            self.count, eta0 = X.nnz, 0.5
        else:
            n, d, dtype, _ = epochs_dense.CASES[case]
            X, y = problems.dense(n, d, dtype)
            self.count, eta0 = n, 0.2 / d
        self.fit = partial(epochs_dense.sgd_classifier, X, y, eta0=eta0)
        self.best = dict.fromkeys((2, 10), np.inf)

    def run(self) -> None:
        end = time.perf_counter() + FITS_SECONDS
        while time.perf_counter() < end:
            for epochs in self.best:
                seconds, _ = timing.timed(partial(self.fit, epochs=epochs))
                self.best[epochs] = min(self.best[epochs], seconds)

    def epoch(self) -> float:
        """ns of a row or an entry: the fastest fit less the fastest shorter one. (The smallest
        difference of two is that of the slowest short one.)"""
        return 1e9 / self.count * (self.best[10] - self.best[2]) / 8


def fastest(calls) -> float:
    """ns of a row or an entry, of the fastest of several loops."""
    best = np.inf
    for call, count in calls:
        end = time.perf_counter() + SECONDS / len(calls)
        while time.perf_counter() < end:
            best = min(best, 1e9 * timing.timed(call)[0] / count)
    return best


def times(limits: dict) -> dict[int, float]:
    """The time of each list of loops, by its identity."""
    lists = {id(calls): calls for of_solver in limits.values() for calls in of_solver.values()}
    return {identity: fastest(calls) for identity, calls in lists.items()}


def run(args) -> list[report.Row]:
    rows: list[report.Row] = []
    for case in args.cases:
        limits = parts(case)
        kind = epochs_sparse if case in epochs_sparse.CASES else epochs_dense
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            theirs = SGDClassifierFits(case)
            before = times(limits)
            theirs.run()
            measured = list(kind.measure(case, args.repeats, textbook=False))
            single = single_epochs(case)
            theirs.run()
            after = times(limits)
        for row in measured:
            solver = row["solver"]
            if solver in limits and row["against"] == "SGDClassifier":
                best = {
                    part: min(before[id(calls)], after[id(calls)])
                    for part, calls in limits[solver].items()
                }
                if "whole" in best and "gathers" in best:  # `cells` do more, but may be faster
                    best["gathers"] = min(best["gathers"], best["cells"])
                rows.append(line(row, best, theirs.epoch(), *single[solver]))
                report.show_last(rows)
    for row in rows:
        if row["share %"] > 100:
            print(f"{row['case']}, {row['solver']}: faster than its bound", file=sys.stderr)
    return rows


def line(
    measured: report.Row, parts: dict[str, float], theirs: float, ours: float, cached: float | None
) -> report.Row:
    """A measured line of `epochs` beside the longest part."""
    cells, together, whole = (parts.pop(name, None) for name in ("cells", "together", "whole"))
    part = max(parts, key=parts.__getitem__)
    bound = parts[part]
    return {
        "case": measured["case"],
        "solver": measured["solver"],
        "bound by": part,
        "bound ns": bound,
        "memory ns": parts.get("memory"),
        "together ns": together,
        "whole ns": whole,
        "cells ns": cells,
        "in cache ns": cached,
        "ours ns": ours,
        "share %": 100 * bound / ours,
        "SGDClassifier ns": theirs,
        "reach": measured["reach"],
        "most": theirs / bound,
        "most, cells": theirs / cells if cells else None,
        "most, whole": theirs / whole if whole else None,
    }
