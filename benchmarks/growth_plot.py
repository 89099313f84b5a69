"""The picture and the table of docs/growth.md, from the rows of `benchmarks.growth`."""

from pathlib import Path

import numpy as np

from benchmarks import report

DOCS = Path(__file__).resolve().parent.parent / "docs"
PICTURE, PAGE = DOCS / "images" / "growth.png", DOCS / "growth.md"
MARKS = "<!-- growth-table:begin -->", "<!-- growth-table:end -->"
TIME, MEMORY = "epoch s", "memory MB"
# Told apart by colour-blind readers, and by their marks without colour.
STYLES = {"adam": ("#0072b2", "o-"), "sgd": ("#d55e00", "s--"), "gd": ("#009e73", "^:")}
TITLES = {
    "rows": "rows (28 columns)",
    "columns": "columns (CSR, 10 entries a row)",
    "entries": "entries a row (CSR, 10⁵ columns)",
    "classes": "classes (softmax, 28 columns)",
    "layers": "hidden layers of 64 units",
    "units": "units of each of two hidden layers",
}


def series(rows, sweep, solver, figure):
    """Values and figures of one line."""
    picked = [row for row in rows if (row["sweep"], row["solver"]) == (sweep, solver)]
    return np.array([[row["value"], row[figure]] for row in picked], float).reshape(-1, 2).T


def slope(values, figures) -> float:
    """Of the line through the logarithms at the three largest values: the power of growth."""
    known = figures[-3:] > 0
    if known.sum() < 2:
        return float("nan")
    x, y = (np.log(numbers[-3:][known]) for numbers in (values, figures))
    return float(np.polyfit(x, y, 1)[0])


def solvers_of(rows, sweep):
    return [name for name in STYLES if len(series(rows, sweep, name, TIME)[0])]


def draw(rows, path: Path = PICTURE) -> None:
    """Time above memory for each sweep, three sweeps side by side."""
    import matplotlib.pyplot as plt

    sweeps = [sweep for sweep in TITLES if solvers_of(rows, sweep)]
    height = 2 * -(-len(sweeps) // 3)
    figure, axes = plt.subplots(
        height,
        3,
        figsize=(10, 2.7 * height),
        layout="constrained",
        squeeze=False,
        sharey="row",
    )
    for place in axes.flat:
        place.set_visible(False)
    for i, sweep in enumerate(sweeps):
        for row, (name, label) in enumerate(
            [(TIME, "seconds an epoch"), (MEMORY, "MB beside X and y")]
        ):
            place = axes[2 * (i // 3) + row, i % 3]
            place.set_visible(True)
            for solver in solvers_of(rows, sweep):
                values, figures = series(rows, sweep, solver, name)
                color, style = STYLES[solver]
                text = f"{solver}, slope {slope(values, figures):.2f}"
                place.plot(values, figures, style, color=color, markersize=4, label=text)
            place.set(xscale="log", yscale="log", xlabel=TITLES[sweep])
            if i % 3 == 0:
                place.set_ylabel(label)
            if sweep in ("layers", "units"):  # less than two decades
                place.set_xticks(values, [f"{value:.0f}" for value in values])
                place.minorticks_off()
            place.grid(alpha=0.3)
            place.legend(fontsize=8, loc="upper left")
    for place in axes[:, 0]:
        place.set_ylim(top=10 * place.get_ylim()[1])  # room for the legends; shared by the row
    figure.savefig(path, dpi=150)
    plt.close(figure)


def table(rows) -> str:
    """The largest value of each sweep, and the slopes."""
    lines = []
    for sweep in TITLES:
        for solver in solvers_of(rows, sweep):
            values, seconds = series(rows, sweep, solver, TIME)
            memory = series(rows, sweep, solver, MEMORY)[1]
            lines.append(
                {
                    "against": TITLES[sweep],
                    "solver": solver,
                    "from": f"{values[0]:,.0f}",
                    "to": f"{values[-1]:,.0f}",
                    "time's slope": f"{slope(values, seconds):.2f}",
                    "memory's slope": f"{slope(values, memory):.2f}",
                    "s an epoch at the end": float(seconds[-1]),
                    "MB beside X at the end": float(memory[-1]),
                }
            )
    return report.markdown(lines)


def write_table(rows) -> None:
    before, rest = PAGE.read_text().split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    PAGE.write_text(f"{before}{MARKS[0]}\n{table(rows)}\n{MARKS[1]}{after}")
