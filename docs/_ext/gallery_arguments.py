"""Command lines of the examples when the gallery runs them: small data, one process.

An example without a line here runs with its defaults. Pictures are taken from the open figures,
so files that an example writes go to a directory that is thrown away.
"""

import ast
import tempfile
from pathlib import Path

SCRATCH = tempfile.TemporaryDirectory()
ARGUMENTS = {
    "compare_solvers.py": ["--rows", "4000", "--jobs", "1", "--output", "{scratch}/solvers.png"],
    "mlp_vs_sklearn.py": ["--rows", "2000"],
    "overfitting.py": ["--seeds", "3", "--output", "{scratch}/overfitting.png"],
}


def reset_argv(gallery_conf, script_vars):
    """The arguments after the script's name; sphinx-gallery calls this before each example."""
    path = Path(script_vars["src_file"])
    # The examples are scripts: they find their data and their help text by these, which the
    # gallery leaves out.
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    script_vars["example_globals"].update(__file__=str(path), __doc__=docstring)
    return [word.format(scratch=SCRATCH.name) for word in ARGUMENTS.get(path.name, [])]


def setup(app):
    return {"parallel_read_safe": True, "parallel_write_safe": True}
