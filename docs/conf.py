"""Build the documentation: ``make docs``, offline."""

from __future__ import annotations

import shutil
from pathlib import Path

from sphinx.application import Sphinx

import poselib

ROOT = Path(__file__).resolve().parents[1]

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
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True


def prepare(app: Sphinx) -> None:
    """Remove pages of modules that are gone, and bring the notebooks to where Sphinx looks."""
    shutil.rmtree(Path(app.srcdir) / "_api", ignore_errors=True)
    target = Path(app.srcdir) / "notebooks"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        shutil.copy(path, target)


def setup(app: Sphinx) -> None:
    """Register what happens before pages are read."""
    app.connect("builder-inited", prepare, priority=100)  # before autosummary writes its pages
