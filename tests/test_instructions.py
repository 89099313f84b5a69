"""Counts from a callgrind file, and the verdict on them."""

import runpy
from pathlib import Path

import pytest

# By its path: the benchmarks are not installed, and the clone's root is not to be importable.
PATH = Path(__file__).resolve().parent.parent / "benchmarks" / "instructions.py"
instructions = runpy.run_path(str(PATH))
compare, count, table = (instructions[name] for name in ("compare", "count", "table"))

PROFILE = """\
# callgrind format
version: 1
creator: callgrind-3.19.0
positions: line
events: Ir
summary: 5000000

ob=/usr/lib/libpython3.11.so.1.0
fl=???
fn=_PyEval_EvalFrameDefault
0 1000000
cob=/clone/skopt_est/_core/engine_avx2.so
cfi=???
cfn=run_epoch
calls=1 0
0 2000000

ob=/clone/skopt_est/_core/engine_avx2.so
fl=???
fn=run_epoch
0 100
12 20
cob=/usr/lib/libm.so.6
cfi=???
cfn=expm1
calls=7 0
0 3000
0 4
cfn=step
calls=9 0
0 600000
cob=/usr/lib/libpython3.11.so.1.0
cfi=???
cfn=PyErr_CheckSignals
calls=2 0
0 700000

fn=step
0 50000
cob=/clone/scipy.libs/libscipy_openblas-6cdc.so
cfn=sgemm_
calls=3 0
0 800000

ob=/usr/lib/libm.so.6
fn=expm1
0 3000

ob=/clone/scipy.libs/libscipy_openblas-6cdc.so
fn=sgemm_
0 900000
cob=/usr/lib/libc.so.6
cfn=memset
calls=1 0
0 6000000
"""


def test_counts_compiled_modules_and_what_they_call_in_the_c_library():
    own = 100 + 20 + 4 + 50_000
    blas = 900_000
    c_library = 3000 + 6_000_000
    assert count(PROFILE.splitlines(keepends=True)) == own + blas + c_library


def test_the_interpreter_alone_counts_nothing():
    python = PROFILE[: PROFILE.index("ob=/clone/skopt_est")]
    assert count(python.splitlines()) == 0


@pytest.mark.parametrize(
    "base, head, grew",
    [
        (1000, 1000, False),
        (1000, 500, False),
        (1000, 1050, False),
        (1000, 1051, True),
        (None, 1000, False),  # a case that older commits can't run
        (1000, None, True),
        (None, None, True),
    ],
)
def test_verdict(base, head, grew):
    counts = [{} if value is None else {"case": value} for value in (base, head)]
    (row,) = compare(*counts, ["case"])
    assert row["grew"] is grew


def test_table_names_what_grew_and_what_does_not_run():
    rows = compare({"a": 1000, "b": 1000, "c": 1000}, {"a": 1100, "b": 900}, "abc")
    lines = table(rows).splitlines()[2:]
    assert lines == [
        "| a | 1,000 | 1,100 | 1.1000 | grew |",
        "| b | 1,000 | 900 | 0.9000 |  |",
        "| c | 1,000 | – | – | does not run |",
    ]
