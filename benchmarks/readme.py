"""Put the tables of JSON files into the README, between marks.

    python -m benchmarks readme [FILE ...]

A mark names a JSON file of this folder, without its ending:

    <!-- speed:begin mlp -->
    (all that stands here is written anew)
    <!-- speed:end mlp -->

so `python -m benchmarks mlp --json benchmarks/mlp.json` and then this command bring its table up
to date. The file's name is free: `mlp_other_machine.json` has a mark of its own. The module of the
command that wrote the file tells which columns are shown: `README`, their names, or `readme`, a
function of the rows. Below the table stand the processor, the versions and the commit. A mark
without a file is an error, and so is a file that was measured with uncommitted changes, but for
`--dirty`.
"""

import importlib
import json
import re
import sys
from pathlib import Path

from benchmarks import report

FOLDER = Path(__file__).resolve().parent
MARKED = re.compile(r"(<!-- speed:begin (\S+) -->\n).*?(<!-- speed:end \2 -->)", re.DOTALL)


def add_arguments(parser) -> None:
    parser.add_argument(
        "files", nargs="*", type=Path, default=[report.ROOT / "README.md"], help="texts with marks"
    )
    parser.add_argument("--check", action="store_true", help="change nothing; fail if one would")
    parser.add_argument(
        "--dirty", action="store_true", help="also figures of a tree with uncommitted changes"
    )


def table(document: dict) -> str:
    """The rows of a document, and a line about where they were measured."""
    module = importlib.import_module(f"benchmarks.{document['command']}")
    rows = document["rows"]
    if hasattr(module, "readme"):
        rows = module.readme(rows)
    elif hasattr(module, "README"):
        # a column may be newer than the figures
        rows = [{head: row[head] for head in module.README if head in row} for row in rows]
    return f"{report.markdown(rows)}\n\n{source(document)}\n"


def source(document: dict) -> str:
    environment = document["environment"]
    names = {"scikit-learn": "scikit-learn", "torch": "PyTorch", "vowpalwabbit": "Vowpal Wabbit"}
    names["sklearn-contrib-lightning"] = "lightning"
    versions = [f"{name} {environment[key]}" for key, name in names.items() if key in environment]
    commit = environment["commit"] or "unknown"
    return (
        f"`python -m benchmarks {document['command']}` on {environment['processor']} "
        f"({environment['simd']}); {', '.join(versions)}; commit {commit[:9]}."
    )


def filled(text: str, dirty: bool) -> str:
    def fill(match: re.Match) -> str:
        path = FOLDER / f"{match[2]}.json"
        if not path.exists():
            sys.exit(f"{path} does not exist")
        document = json.loads(path.read_text())
        if document["environment"].get("uncommitted changes") and not dirty:
            sys.exit(f"{path} was measured with uncommitted changes")
        return match[1] + table(document) + match[3]

    opened = re.findall(r"<!-- speed:begin (\S+) -->", text)
    if sorted(opened) != sorted(match[2] for match in MARKED.finditer(text)):
        sys.exit("a mark is not closed by one of the same name")
    return MARKED.sub(fill, text)


def run(args) -> list[report.Row]:
    stale = []
    for path in args.files:
        text = path.read_text()
        new = filled(text, args.dirty)
        if new != text:
            stale.append(path)
            if not args.check:
                path.write_text(new)
    if args.check and stale:
        sys.exit("not up to date: " + ", ".join(str(path) for path in stale))
    return [{"file": path.name, "changed": path in stale} for path in args.files]
