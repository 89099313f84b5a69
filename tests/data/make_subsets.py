"""Make the tables of this folder from the full ones: python make_subsets.py FOLDER

FOLDER holds NAME.csv.gz for each table: a header line, the target in the last column. Small
tables are copied; of the others 6000 rows are kept, drawn with a fixed seed, in their old order.
Lines are taken as they stand, so no value is ever parsed or rounded.
"""

import gzip
import shutil
import sys
from pathlib import Path

import numpy as np

WHOLE = ["german_credit", "letter", "bike_sharing"]
SUBSETS = ["diamonds", "nycflights13"]
ROWS = 6000
SEED = 0

HERE = Path(__file__).resolve().parent


def write_subset(source: Path, target: Path) -> None:
    with gzip.open(source, "rt", encoding="utf-8", newline="") as file:
        header, *lines = file.readlines()
    kept = np.random.default_rng(SEED).choice(len(lines), ROWS, replace=False)
    text = header + "".join(lines[i] for i in np.sort(kept))
    # Without a time stamp the same rows are the same bytes.
    target.write_bytes(gzip.compress(text.encode("utf-8"), mtime=0))


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    for name in WHOLE:
        shutil.copyfile(folder / f"{name}.csv.gz", HERE / f"{name}.csv.gz")
    for name in SUBSETS:
        write_subset(folder / f"{name}.csv.gz", HERE / f"{name}.csv.gz")


if __name__ == "__main__":
    main()
