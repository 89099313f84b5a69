"""Which part of the engine a sample of the benchmark `profile` is of."""

import runpy
from pathlib import Path

import pytest

# By its path: the benchmarks are not installed, and the clone's root is not to be importable.
PATH = Path(__file__).resolve().parent.parent / "benchmarks" / "profile_samples.py"
samples = runpy.run_path(str(PATH))
places, written_in = samples["places"], samples["written_in"]
CORE = ("skopt_est", "_core")

TILES = '''\
cdef extern from *:
    """
    #define TILES(T, F) \\\\
    TILE_INLINE T tile_sum##F(const T *a) { return tile_most##F(a); }
    """

cdef inline void multiply(
    real* a, Py_ssize_t n
) noexcept nogil:
    cdef Py_ssize_t half = max(n, 2)
    a[half] = 0
'''


@pytest.fixture
def tree(tmp_path):
    core = tmp_path.joinpath(*CORE)
    core.mkdir(parents=True)
    (core / "tiles.pxd").write_text(TILES)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "file", "line", "expected"),
    [
        ("__pyx_multiply", "/build/tiles.pxd", 11, ("tiles.pxd", "multiply")),
        ("tile_sumf", "/build/engine.c", 7, ("tiles.pxd", "tile_sumf")),
        ("tile_sum", "/build/engine.c", 7, ("tiles.pxd", "tile_sum")),
        ("tile_mostf", "/build/engine.c", 7, None),  # named there, but not written
        ("??", "??", 0, None),
    ],
)
def test_a_line_is_of_the_function_it_stands_in(tree, name, file, line, expected):
    assert written_in(tree.joinpath(*CORE), name, Path(file), line) == expected


def test_samples_are_counted_by_part(tree, monkeypatch):
    at = {
        0x10: [("_mm_add", Path("/gcc/immintrin.h"), 5), ("tile_sumf", Path("/build/engine.c"), 7)],
        0x20: [("__Pyx_error", Path("/build/engine.c"), 9)],
    }
    monkeypatch.setitem(places.__globals__, "frames", lambda _, found: [at[i] for i in found])
    found = [
        ["1010", "tile_rowsf", "/build/engine.so"],
        ["1020", "[unknown]", "/build/engine.so"],
        ["1010", "tile_rowsf", "/build/engine.so"],
        ["7f00", "memcpy", "/lib/libc.so.6"],
        ["8f00", "pause", "/lib/other.so.1"],
    ]
    assert places(tree, {"maps": {"/build/engine.so": 0x1000}}, found) == {
        ("products", "tiles.pxd", "tile_sumf"): 2,
        ("around the loops", "engine.c", "__Pyx_error"): 1,
        ("C library", "", "memcpy"): 1,
        ("other", "", "pause"): 1,
    }
