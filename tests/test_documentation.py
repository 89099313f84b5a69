"""What the pages hold is tested: each that has an example is among pytest's paths."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_page_with_an_example_is_among_the_paths():
    paths = {
        path for path in project()["tool"]["pytest"]["ini_options"]["testpaths"] if "." in path
    }
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    assert len(pages) > 10
    with_examples = {
        page.relative_to(ROOT).as_posix() for page in pages if "\n>>> " in page.read_text()
    }
    assert with_examples == paths


def test_wheels_are_tested_beside_all_files_that_tests_read():
    texts = "".join(path.read_text() for path in (ROOT / "tests").glob("*.py"))
    named = {name for name in re.findall(r'/ "([\w.]+)"', texts) if (ROOT / name).exists()}
    assert {"SECURITY.md", "docs", "pyproject.toml"} <= named
    assert named <= {*project()["tool"]["cibuildwheel"]["test-sources"]}
