"""The control of an explorer that chooses a model: by its name, a file, or the one given."""

from __future__ import annotations

import os.path
import threading
from pathlib import Path
from typing import Any

import ipywidgets as ipw

from poselib.api import Predictor, load
from poselib.data.image_folder import SUFFIXES
from poselib.data.video_files import is_video_file
from poselib.decoders.associative import AssociativeOptions
from poselib.decoders.center_options import CenterOptions
from poselib.engine.checkpoints import BUNDLED, MODELS
from poselib.engine.train import TrainResult
from poselib.engine.weights.open import weights_folder
from poselib.systems import System
from poselib.systems.published import PUBLISHED
from poselib.widgets.latest import Kept

_TAKES = {
    "association": "a system that groups keypoints by tags, such as HAE's",
    "regression": "a system that regresses poses from people's centers, such as DEKR's",
    "relations": "a system that sees one person at a time, such as RPSTN's",
}


class ModelSource:
    """A control that chooses a model, and the model that it chooses.

    Args:
        model: what ``poselib.load`` takes, or a ``Predictor``; None for the bundled one.
        function: name of the explorer, which must fit the model.
        advice: of an explorer that no bundled model fits: what to give, said instead of one.

    Attributes:
        control: a name, or the path of a file; empty is the model given.
        name: what the control has at first: the model, if it was given by name.
        given: whether it was given as an object, which code can only name.

    Raises:
        ValueError: it is no model, or of a kind that another explorer shows.
        FileNotFoundError: its file is absent.
    """

    def __init__(self, model: Any, function: str, advice: str = "") -> None:
        check_model(model, function)
        self._function, self._lock, self._advice = function, threading.Lock(), advice
        self._loaded = Kept(2)  # so that two can be compared
        self.given = model is not None and not isinstance(model, str | Path)
        self.name = "" if self.given or model is None else str(model)
        self._first = model if isinstance(model, Predictor) else None
        if self.given and self._first is None:
            self._first = load(model, flip=False)
        names = [*([] if advice else MODELS), *available_weights()]
        none = "a checkpoint or a published name" if advice else BUNDLED.stem
        self.control = ipw.Combobox(
            value=self.name,
            options=tuple(names),
            description="model",
            placeholder="the model given" if self.given else none,
            continuous_update=False,
            tooltip="a name, or the path of a checkpoint; empty for the first model",
        )
        if model is not None or not advice:
            self.predictor(self.name)

    def predictor(self, name: str) -> Predictor:
        """Return a model by its name, loaded if it is not kept; "" is the one given.

        Raises:
            ValueError: the name is unknown or lacking, or the model is for another explorer.
            FileNotFoundError: there is no such file.
        """
        with self._lock:
            if not name and self._first is not None:
                found = self._first
            elif name in self._loaded:
                found = self._loaded[name]
                self._loaded.move_to_end(name)
            elif not name and self._advice:
                raise ValueError(self._advice)
            else:
                if name != self.name:
                    _check_here(name)  # what is chosen on a page is not fetched
                found = load(os.path.expanduser(name) if name else None, flip=False)
        check_fits(found.system, self._function)
        if name or self._first is None:
            self._loaded.put(name, found)
        return found


def available_weights() -> list[str]:
    """Return the names of published weights whose files are here, so that none is downloaded."""
    folder = weights_folder()
    return [name for name, row in PUBLISHED.items() if (folder / row.file).is_file()]


def _check_here(name: str) -> None:
    """Raise FileNotFoundError if published weights would have to be downloaded."""
    if name in PUBLISHED and not (path := weights_folder() / PUBLISHED[name].file).is_file():
        bring = f"poselib weights download {name}"
        raise FileNotFoundError(f"{name}: {path} is not there; {bring} brings it")


def fitting_explorer(system: System) -> tuple[str, str]:
    """Return the name of the explorer that fits a system, and what such systems do."""
    if isinstance(system.decode_options, AssociativeOptions):
        return "association", "groups keypoints by tags"
    if isinstance(system.decode_options, CenterOptions):
        return "regression", "regresses poses from people's centers"
    return "relations", "sees one person at a time"


def check_model(model: Any, function: str) -> None:
    """Raise ValueError if the first argument of an explorer is no model, such as an image."""
    wanted = f"{function} takes a model first: a name, a checkpoint file, a System or a Predictor"
    if isinstance(model, str | Path):
        if is_video_file(model) or Path(model).suffix.lower() in SUFFIXES:
            raise ValueError(f"{wanted}; {model} is an image or a video, which comes second")
    elif model is not None and not isinstance(model, System | Predictor | TrainResult):
        raise ValueError(f"{wanted}, not {type(model).__name__}")


def check_fits(system: System, function: str) -> None:
    """Raise ValueError that names the fitting explorer if a system is not for this one."""
    fitting, does = fitting_explorer(system)
    if fitting != function:
        raise ValueError(
            f"{function} takes {_TAKES[function]}; system {system.name!r} {does}: "
            f"poselib.widgets.{fitting} shows it"
        )
