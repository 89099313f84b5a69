"""One epoch of logistic regression: dense rows, ten classes, sparse rows.

The time of an epoch is a fit of twice so many epochs less one of so many, over their number, for
every side: what a fit does once falls out, what it does once an epoch stays in. The objective after
the longer fit stands beside the times (at ten classes the log loss); the sides' learning rates
differ, so it only has to be of one size.
"""

import warnings

from sklearn.exceptions import ConvergenceWarning

from benchmarks import epochs_dense, epochs_softmax, epochs_sparse, report, timing

KINDS = (epochs_dense, epochs_softmax, epochs_sparse)
CASES = {case: kind for kind in KINDS for case in kind.CASES}
README = ("case", "solver", "against", "unit", "ours", "theirs", "x", "± %", "reach")
README += ("objective, ours", "objective, theirs")


def add_arguments(parser) -> None:
    timing.add_cases(parser, CASES)
    timing.add_repeats(parser)
    parser.add_argument(
        "--textbook", action="store_true", help="ours with precondition=False: no standardising"
    )


def run(args) -> list[report.Row]:
    rows: list[report.Row] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for case in args.cases:
            for row in CASES[case].measure(case, args.repeats, args.textbook):
                rows.append(row)
                report.show_last(rows)
    return rows
