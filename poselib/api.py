"""Load a model, show it images of any kind, get poses and figures.

Example:
    >>> import poselib
    >>> model = poselib.load()
    >>> model
    Predictor('hae_tiny_synthetic': system 'hae', 17 keypoints of 'coco', short side 128 px, on cpu)
    >>> image = poselib.open_dataset("synthetic", "val", count=1)[0].image
    >>> len(model(image).above(0.3)) > 0
    True
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from poselib.engine.inference import PredictOptions
from poselib.engine.predictor import Predictor as Predictor
from poselib.engine.predictor import open_predictor
from poselib.engine.speed import SpeedOptions
from poselib.engine.train import TrainResult
from poselib.systems import System


def load(
    source: str | Path | System | TrainResult | None = None,
    *,
    size: int | None = None,
    flip: bool = True,
    scales: Iterable[float] = (1.0,),
    batch_size: int = 1,
    multiple: int | None = None,
    device: str | torch.device = "auto",
    detector: str | Path | System | TrainResult | Predictor | None = None,
    boxes: Any = None,
    speed: SpeedOptions | None = None,
) -> Predictor:
    """Load a model that finds people in images.

    Args:
        source: the name of published weights such as ``"dekr_w32_coco"``, downloaded at their
            first use (``poselib weights list`` shows all); ``"hf:OWNER/NAME"`` of Hugging Face's
            hub; a checkpoint file (``.safetensors``, ``.onnx``, or the ``checkpoint.pt`` of a
            training), a folder that holds one, a ``System``, or what ``train`` returned. By default
            ``"hae_tiny_synthetic"``, which comes with poselib and knows synthetic images alone.
        size: px to which the short side of images is resized; by default that of the training.
        flip: average with the outputs of the mirrored image.
        scales: factors of ``size`` whose outputs are combined; 1 must be among them.
        batch_size: images of one input size predicted together.
        multiple: px to a multiple of which images are padded; by default that of the system. The
            larger, the fewer sizes there are, and the fuller batches of mixed sizes.
        device: ``"auto"`` is a GPU if there is one, else the CPU.
        detector: finds the people for a system that sees one person at a time: a model, or what
            ``source`` may be; by default ``"hae_tiny_synthetic"``.
        boxes: where they are, instead of a detector: the file of a detector's results in COCO's
            format, with the numbers of the images; (N, 4) left, top, right, bottom, px, of one
            image, or a list of these for several images; or an ``engine.person_boxes.BoxSource``.
        speed: what the network is computed with; the defaults change no digit.

    Returns:
        A ``Predictor``: called with images, it returns their ``Poses``, in px of the images.

    Raises:
        FileNotFoundError: the file or folder is absent.
        ValueError: the source is none of these, the name is unknown, the file is not a checkpoint,
            the folder does not hold one, or an option is out of range or not for the system.
    """
    shown = PredictOptions(size, multiple, flip, tuple(scales), batch_size)
    return open_predictor(source, shown, device, detector, boxes, speed)
