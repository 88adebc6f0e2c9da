"""Training of any system, with resume."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from poselib.data.batch_parts import BatchParts
from poselib.data.clips import PersonClips, PersonImages
from poselib.data.crops import crop_person
from poselib.data.loaders import (
    AugmentFunction,
    ClipSource,
    Prepare,
    SampleLoader,
    SampleSource,
    make_loader,
)
from poselib.engine.device import keep_freed_memory
from poselib.engine.distributed import Together, joined, lost_process_named
from poselib.engine.finite import NotFiniteError
from poselib.engine.train_config import TrainConfig
from poselib.engine.trainer import CHECKPOINT, METRICS, Report, TrainingState, Validate
from poselib.ops.io import read_lines
from poselib.ops.processes import process_count, process_rank
from poselib.structures import Batch
from poselib.systems import System

__all__ = ["CHECKPOINT", "METRICS", "Report", "TrainResult", "Validate", "train"]

_SLOW = 1.5  # times as long as expected


@dataclass(frozen=True)
class TrainResult:
    """What a training leaves behind.

    Attributes:
        system: the system with the weights to predict with: the averages if the recipe keeps any.
        steps: optimizer steps done.
        seconds: time spent in training, earlier sittings counted in, validation not.
        history: the lines of ``metrics.jsonl``.
        precision: that the network was trained in; not ``"auto"``.
    """

    system: System
    steps: int
    seconds: float
    history: list[dict[str, Any]]
    precision: str


def train(
    system: System,
    dataset: SampleSource | ClipSource,
    recipe: TrainConfig,
    folder: Path,
    *,
    augment: AugmentFunction | None = None,
    prepare: Prepare | None = None,
    validate: Validate | None = None,
    device: torch.device | str = "cpu",
    progress: bool = True,
    report: Report | None = None,
) -> TrainResult:
    """Train a system and keep checkpoint and metrics in a folder; continue if it holds some.

    Of a folder that holds the finished training of this recipe, nothing is trained: its result is
    returned, whatever the dataset is now. Give another folder, or remove it, to train anew.

    An interrupted training is taken up at its last checkpoint by calling this again with the same
    arguments: the same samples follow in the same order. ``KeyboardInterrupt`` ends the step that
    is under way and writes a checkpoint before it is passed on. A checkpoint whose weights are not
    finite is never written.

    Started by ``torchrun``, processes share each batch, and so the training; see
    ``engine.distributed``. All call this with the same arguments, and the first one writes.

    Args:
        system: what to train; its model is changed. Its initial weights were drawn when it was
            built: call ``engine.seed.seed_everything`` before that.
        dataset: training samples; a system of one person is trained on each of their people, or on
            ``PersonImages`` and ``PersonClips`` as they are.
        recipe: settings.
        folder: receives ``checkpoint.pt`` and ``metrics.jsonl``.
        augment: random change of each sample.
        prepare: fixed change of each sample before that. By default a system of one person is
            shown the crop around each, if there is no ``augment`` that crops.
        validate: measures the system now and then; its figures go into the metrics.
        device: where to train.
        progress: show a bar.
        report: receives each line of ``metrics.jsonl`` as it is written.

    Raises:
        OSError: an image cannot be read or the folder not be written; the message names the
            file, and the last good checkpoint with its step.
        ValueError: the dataset is empty or annotates other keypoints, the folder's checkpoint is of
            another recipe or system, a batch cannot be divided among the processes, or the loss or
            a weight is no longer finite; then the message names the step, the images of its batch
            and the last good checkpoint.
    """
    keep_freed_memory()
    with joined(device):
        with Together().agreed():
            loader = _loader(system, dataset, recipe, augment, prepare, torch.device(device).type)
        state = TrainingState(system, recipe, Path(folder), torch.device(device), report)
        with state.together.agreed():
            state.resume()
        with state.together.signals_held():
            _run(state, loader, validate, progress and not process_rank())
        history = read_lines(state.folder / METRICS, "step")
        return TrainResult(state.predictor, state.step, state.seconds, history, state.precision)


def _loader(
    system: System,
    dataset: SampleSource | ClipSource,
    recipe: TrainConfig,
    augment: AugmentFunction | None,
    prepare: Prepare | None,
    device: str,
) -> SampleLoader:
    """Return the loader of what a system is trained on."""
    system.check_dataset(dataset)
    items = training_items(system, dataset)
    crops = getattr(augment, "crop", None) is not None
    if system.crop is not None and prepare is None and not crops:
        prepare = partial(crop_person, size=system.crop, rule=system.crop_rule)
    return make_loader(
        items,
        max(1, min(recipe.batch_size, len(items))),
        augment=augment,
        prepare=prepare,
        shuffle=True,
        seed=recipe.seed,
        workers=recipe.workers,
        drop_last=True,
        pin_memory=device == "cuda",
        parts=BatchParts(process_count(), process_rank(), recipe.accumulate),
    )


def _run(
    state: TrainingState, loader: SampleLoader, validate: Validate | None, progress: bool
) -> None:
    """Train, validate and save to the end."""
    with _last_good_named(state), lost_process_named():
        try:
            _steps(state, loader, validate, progress)
            if validate is not None and not state.measured:
                state.measure(validate)
        except KeyboardInterrupt:
            with suppress(NotFiniteError):  # the old checkpoint stays
                state.save()
            raise
        with state.together.agreed():
            if not state.saved:
                state.save()


@contextmanager
def _last_good_named(state: TrainingState) -> Iterator[None]:
    """Add to an error at which step it came and which one can be gone on from."""
    try:
        yield
    except (OSError, ValueError) as error:
        at = "" if isinstance(error, NotFiniteError) else f"; training stopped at step {state.step}"
        after = f"{error}{at}; {state.last_good()}"
        if isinstance(error, ValueError):
            raise ValueError(after) from error
        raise OSError(
            f"{after}; when this is mended, the same training goes on from there"
        ) from error


def training_items(system: System, dataset: SampleSource | ClipSource) -> SampleSource | ClipSource:
    """Return what a system is trained on: a dataset's images, or images or clips of each person.

    A clip begins at every frame of a video that has enough frames behind it.

    Raises:
        ValueError: no video has as many frames as the clips, or the people are not annotated.
    """
    source: Any = dataset
    if system.crop is None or isinstance(dataset, PersonClips | PersonImages):
        return dataset
    if system.clips and hasattr(source, "videos"):
        return PersonClips(source, system.frames, step=1)
    return PersonImages(source)


def _steps(
    state: TrainingState, loader: SampleLoader, validate: Validate | None, progress: bool
) -> None:
    """Train to the end; records come before validation and checkpoints last.

    So a checkpoint's metrics are complete, and a training killed within a step repeats it all.
    """
    recipe, batches = state.recipe, _batches(loader, state.step)
    progress = progress and sys.stderr is not None
    begun, slow = (state.progress, state.seconds), False
    with _bar(state, progress) as bar:
        _measure_if_due(state, validate)
        state.start_clock()
        while state.progress < 1:
            with state.together.agreed():
                parts = list(islice(batches, recipe.accumulate))
            state.advance(*parts)
            bar.update(100 * min(1.0, state.progress) - bar.n)
            if state.due(recipe.log_every):
                of = "" if recipe.seconds else f" of {recipe.steps}"  # time may end it first
                text = f"step {state.step}{of}, loss {state.loss()['loss']:.4f}"
                bar.set_postfix_str(text, refresh=False)
                slow = slow or (progress and _report_slow(state, *begun))
            _measure_if_due(state, validate)
            if state.due(recipe.checkpoint_every):
                with state.together.agreed():
                    state.save()
    if progress:  # in a notebook, the end of the bar's line must come before what is printed
        sys.stderr.flush()


def _bar(state: TrainingState, progress: bool) -> tqdm[Any]:
    """Return a bar in percent, as a training may end by its steps or by its time."""
    return tqdm(
        total=100,
        initial=100 * min(1.0, state.progress),
        disable=not progress,
        desc=f"train {state.system.name}",
        mininterval=1.0,  # seconds; each line stays in a notebook
        bar_format="{desc}: {percentage:3.0f}%|{bar:30}| {elapsed} done, {remaining} left{postfix}",
    )


def _report_slow(state: TrainingState, progress: float, seconds: float) -> bool:
    """Write a sentence if the training, since ``progress`` and ``seconds``, is far too slow."""
    expected = state.recipe.expected_seconds
    needed = (state.seconds - seconds) / (state.progress - progress)  # for a whole training
    if expected is None or needed < _SLOW * expected:
        return False
    minutes = needed * (1 - state.progress) / 60
    tqdm.write(
        f"\nThis machine is slow or busy: training will take about {minutes:.0f} min more. All of "
        f"it takes {expected / 60:.0f} min on two quiet cores and {needed / 60:.0f} min here. It "
        "can be interrupted: it continues at its last checkpoint.",
        file=sys.stderr,
    )
    return True


def _measure_if_due(state: TrainingState, validate: Validate | None) -> None:
    due = state.due(state.recipe.validate_every) and state.progress < 1
    if validate is not None and due and not state.measured:
        state.measure(validate)


def _batches(loader: SampleLoader, step: int) -> Iterator[Batch]:
    """Yield batches, or their parts, for ever: first those that follow ``step`` batches."""
    epoch, skip = divmod(step, len(loader))
    while True:
        yield from loader.epoch(epoch, skip)
        epoch, skip = epoch + 1, 0
