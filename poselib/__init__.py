"""Multi-person human pose estimation.

The names below are imported when they are first used, so that ``import poselib`` takes no time::

    import poselib

    model = poselib.load()
    poses = model("photo.jpg")
    model.plot("photo.jpg", poses)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from poselib.api import Predictor, load
    from poselib.data.catalog import open_dataset, open_files
    from poselib.data.video_files import open_video
    from poselib.engine.evaluate import evaluate
    from poselib.engine.speed import SpeedOptions
    from poselib.engine.train import train
    from poselib.engine.train_config import TrainConfig
    from poselib.metrics.annotator_sigmas import estimate_sigmas
    from poselib.poses import Poses
    from poselib.skeletons import SKELETONS, Skeleton, get_skeleton
    from poselib.systems import SYSTEMS, System, build

__version__ = "0.1.0"
__all__ = [
    "SKELETONS",
    "SYSTEMS",
    "Poses",
    "Predictor",
    "Skeleton",
    "SpeedOptions",
    "System",
    "TrainConfig",
    "__version__",
    "build",
    "estimate_sigmas",
    "evaluate",
    "get_skeleton",
    "load",
    "open_dataset",
    "open_files",
    "open_video",
    "train",
    "widgets",
]

_NAMES_OF = {
    "api": ("Predictor", "load"),
    "data.catalog": ("open_dataset", "open_files"),
    "data.video_files": ("open_video",),
    "engine.evaluate": ("evaluate",),
    "engine.speed": ("SpeedOptions",),
    "engine.train": ("train",),
    "engine.train_config": ("TrainConfig",),
    "metrics.annotator_sigmas": ("estimate_sigmas",),
    "poses": ("Poses",),
    "skeletons": ("SKELETONS", "Skeleton", "get_skeleton"),
    "systems": ("SYSTEMS", "System", "build"),
}
_MODULE_OF = {name: module for module, names in _NAMES_OF.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name == "widgets":
        return import_module("poselib.widgets")
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'poselib' has no attribute {name!r}")
    value = getattr(import_module(f"poselib.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
