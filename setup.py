"""The compiled extensions; everything else is in pyproject.toml."""

import os
import platform
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

CORE = Path("skopt_est/_core")

# What the extensions are built for (see CONTRIBUTING.md): use, if the variable is not set, or
# a search for errors. "checked": every access to a memoryview is checked by Cython; "sanitized":
# every access to memory by AddressSanitizer, all arithmetic by UndefinedBehaviorSanitizer.
# "coverage": each line of Cython is reported to coverage.py, which is many times slower.
# "profiled": the instructions of use, with the line of Cython that each is of, and only those
# for the processor that SKOPT_EST_SIMD names.
BUILDS = ("", "checked", "sanitized", "coverage", "profiled")
BUILD = os.environ.get("SKOPT_EST_BUILD", "")
if BUILD not in BUILDS:
    raise SystemExit(f"SKOPT_EST_BUILD={BUILD!r}: choose from {BUILDS}")
CHECKED, COVERAGE, PROFILED = (name == BUILD for name in ("checked", "coverage", "profiled"))

# Reductions vectorise only if sums may be reordered, and sqrt only if it need not set errno.
# Infinities and NaN keep their meaning (never -ffinite-math-only), and nothing here changes
# the floating-point mode of the process, as -ffast-math or -Ofast would when linking.
# Loops are not peeled for alignment: bits must not depend on where an array happens to lie.
# Loops over many arrays are vectorised too, though each call then compares their addresses.
# Debug information would make up four fifths of the installed size, and the names of static
# functions a twentieth of the rest.
MATH = [
    "-O3",
    "-g1" if PROFILED else "-g0",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-signed-zeros",
    "-fassociative-math",
]
if sys.platform == "linux":
    MATH += [
        "--param=vect-max-peeling-for-alignment=0",
        "--param=vect-max-version-for-alias-checks=50",
    ]
LINK = ["-Wl,--strip-all"] if sys.platform == "linux" and not BUILD else []
if BUILD == "sanitized":
    # float-cast-overflow: a float too large for the integer it becomes
    LINK = ["-fsanitize=address,undefined,float-cast-overflow", "-fno-sanitize-recover=all"]
    MATH += [*LINK, "-g1", "-O1", "-fno-omit-frame-pointer"]
SIMD = {"baseline": []}
if not COVERAGE and platform.machine().lower() in ("x86_64", "amd64", "i686"):
    SIMD["avx2"] = ["-mavx2", "-mfma"]
    # Loops that the compiler vectorises take half a vector: their stores are loaded by the next
    # step of one row as what was stored, and sums across are shorter. Code in vectors of our own
    # takes whole ones.
    SIMD["avx512"] = [
        *("-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mavx2", "-mfma"),
        "-mprefer-vector-width=256",
    ]
if PROFILED:
    SIMD = {name: SIMD[name] for name in [os.environ["SKOPT_EST_SIMD"]]}
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": CHECKED,
    "wraparound": CHECKED,
    "initializedcheck": CHECKED,
    "cdivision": True,
    "freethreading_compatible": True,
    "linetrace": COVERAGE,
}
MACROS = [("CYTHON_TRACE_NOGIL", "1")] if COVERAGE else []
# Cython's own part of a module, memoryviews above all, once and not in each: it was a seventh of
# the installed size. (Cython 3.1 forgets the arguments: larger there, and not sanitized.)
SHARED = "skopt_est._core.shared"
Path("build/cython").mkdir(parents=True, exist_ok=True)

extensions = cythonize(
    [
        Extension(
            SHARED,
            ["build/cython/shared.c"],
            extra_compile_args=MATH if BUILD == "sanitized" else ["-g0"],
            extra_link_args=LINK,
        ),
        Extension(
            "skopt_est._core.cpu",
            [str(CORE / "cpu.pyx")],
            extra_compile_args=["-g0"],
            define_macros=MACROS,
            extra_link_args=LINK,
        ),
    ],
    compiler_directives=DIRECTIVES,
    shared_utility_qualified_name=SHARED,
)
for name, flags in SIMD.items():
    extensions += cythonize(
        [
            Extension(
                f"skopt_est._core.{module}_{name}",
                [str(CORE / f"{module}.pyx")],
                depends=[str(path) for path in sorted(CORE.glob("*.px[di]"))],
                extra_compile_args=MATH + flags,
                define_macros=MACROS,
                extra_link_args=LINK,
            )
            for module in ("engine", "moments")
        ],
        compiler_directives=DIRECTIVES,
        # One source, several modules: each needs a C file of its own.
        # coverage.py looks for it beside the source; then there is one module only.
        build_dir=None if COVERAGE else f"build/cython/{name}",
        emit_linenums=PROFILED,
        shared_utility_qualified_name=SHARED,
    )

# side by side: each of the engines takes a minute or more
setup(ext_modules=extensions, options={"build_ext": {"parallel": True}})
