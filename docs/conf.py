"""Build the documentation: ``make docs``, offline."""

from __future__ import annotations

import shutil
from pathlib import Path

import poselib
from poselib.experiments.freshness import check_figures, freshness_table

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent

project = "poselib"
author = "poselib contributors"
copyright = author
version = release = poselib.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build", "_templates"]
templates_path = ["_templates"]

html_theme = "furo"
html_title = "poselib"
html_show_sourcelink = False

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # notebooks are run by the tests; pages show them as they are stored

autosummary_generate = True
autodoc_default_options = {
    "members": True,
    "show-inheritance": True,
    "ignore-module-all": True,  # names are described where they are defined
    "exclude-members": "set",  # which matplotlib writes for every artist
}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_custom_sections = [
    (section, "params_style")
    for section in ("The network", "Heatmaps", "Pushing and pulling", "Decoding")
]


def copy_notebooks() -> None:
    """Bring the notebooks below this folder, where Sphinx looks for pages."""
    target = HERE / "notebooks"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        shutil.copy(path, target)


def write_freshness() -> None:
    """Write how figures and tables stand, for the page that shows it."""
    standing = freshness_table(check_figures(ROOT / "figures", ROOT / "notebooks"))
    standing.to_csv(HERE / "_freshness.csv", index=False)


# Before Sphinx looks for pages: those of modules that are gone would be warnings.
shutil.rmtree(HERE / "_api", ignore_errors=True)
copy_notebooks()
write_freshness()

# Several classes have an attribute of the same name, such as ``videos``, to which an entry of a
# list of attributes could refer.
suppress_warnings = ["ref.python"]
