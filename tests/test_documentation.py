"""What the pages hold is tested: each that has an example is among pytest's paths."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_every_page_with_an_example_is_among_the_paths():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    paths = {path for path in project["tool"]["pytest"]["ini_options"]["testpaths"] if "." in path}
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    assert len(pages) > 10
    with_examples = {
        page.relative_to(ROOT).as_posix() for page in pages if "\n>>> " in page.read_text()
    }
    assert with_examples == paths
