"""Explorers for JupyterLab: what a network sees, in one line of a notebook each.

Example::

    import poselib

    poselib.widgets.association(poselib.load(), "photo.jpg")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from poselib.widgets.association_explorer import association
    from poselib.widgets.dataset_explorer import dataset
    from poselib.widgets.regression_explorer import regression
    from poselib.widgets.relations_explorer import relations
    from poselib.widgets.results_explorer import results

__all__ = ["association", "dataset", "regression", "relations", "results"]

_MODULE_OF = {
    "association": "association_explorer",
    "dataset": "dataset_explorer",
    "regression": "regression_explorer",
    "relations": "relations_explorer",
    "results": "results_explorer",
}


def __getattr__(name: str) -> Any:
    """Import an explorer when it is first asked for."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'poselib.widgets' has no attribute {name!r}")
    value = getattr(import_module(f"poselib.widgets.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
