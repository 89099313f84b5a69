"""Configuration of the documentation: `sphinx-build -W --keep-going docs docs/_build/html`.

Nothing is fetched while building, and the pages load nothing from elsewhere.
"""

import sys
from pathlib import Path

from docutils.nodes import Text, literal_block

import skopt_est

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

project = "skopt_est"
author = "skopt_est developers"
copyright = author
version = release = skopt_est.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_gallery.gen_gallery",
    "gallery_arguments",
    "mathml",
]
exclude_patterns = ["_build", "auto_examples/**/*.ipynb", "auto_examples/**/*.py"]
templates_path = ["_templates"]
default_role = "literal"  # single backquotes in docstrings name parameters
suppress_warnings = ["config.cache"]  # the gallery's settings hold functions

# Pages are Markdown, so that they read well in the repository too.
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
toc_object_entries_show_parents = "hide"
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings tell
numpydoc_show_class_members = False  # the class template lists them
numpydoc_xref_param_type = False

html_theme = "pydata_sphinx_theme"
html_title = f"skopt_est {release}"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_sidebars = {page: [] for page in ("index", "getting_started", "api")}
html_math_renderer = "mathml"
html_copy_source = html_show_sourcelink = False
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "navbar_persistent": ["search-button"],
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_prev_next": False,
    "pygments_light_style": "tango",
}

sphinx_gallery_conf = {
    "examples_dirs": str(HERE.parent / "examples"),
    "gallery_dirs": "auto_examples",
    # The others start processes that import the script, which only works from a command line.
    "filename_pattern": r"/(compare_solvers|mlp_vs_sklearn|overfitting)\.py$",
    "reset_argv": "gallery_arguments.reset_argv",
    # of the scripts that draw nothing
    "default_thumb_file": str(HERE / "images" / "growth.png"),
    "doc_module": ("skopt_est",),
    "backreferences_dir": "api/backreferences",
    "inspect_global_variables": False,
    "download_all_examples": False,
    "notebook_extensions": set(),  # the examples are command lines
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
}

# Texts that live elsewhere and have a page here
PAGES = {
    "../CONTRIBUTING.md": "contributing.md",
    "../SECURITY.md": "security.md",
    "../benchmarks/NOTES.md": "notes.md",
    "../benchmarks/normalisation.md": "normalisation.md",
}


def setup(app):
    app.connect("config-inited", headers_of_galleries, priority=20)
    app.connect("source-read", link_to_pages)
    app.connect("doctree-read", trim_code)
    app.connect("autodoc-process-signature", without_signature)
    app.connect("missing-reference", plain_reference)


def headers_of_galleries(app, config):
    """Only .rst files head a gallery; README.md of examples/data is about the tables."""
    config.sphinx_gallery_conf["source_suffix"] = {".rst": "restructuredtext"}


def link_to_pages(app, docname, source):
    for path, page in PAGES.items():
        source[0] = source[0].replace(f"]({path})", f"]({page})")


def trim_code(app, doctree):
    """Examples end in an empty line, so that their test doesn't take the fence for output."""
    for block in doctree.findall(literal_block):
        text = block.astext().rstrip("\n")
        block.rawsource, block.children = text, []
        block += Text(text)


def without_signature(app, what, name, obj, options, signature, returned):
    """Solvers and schedules are chosen by name; nobody calls them."""
    if name.startswith(("skopt_est.solvers.", "skopt_est.schedules.")):
        return "", ""
    return None


def plain_reference(app, env, node, content):
    """Docstrings inherited from scikit-learn refer to labels of its own documentation."""
    inherited = node["refdoc"].startswith("api/") and node["reftype"] == "ref"
    return content if inherited else None
