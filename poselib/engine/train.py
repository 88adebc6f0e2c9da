"""Training of any system, with resume."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from poselib.data.loaders import AugmentFunction, Prepare, SampleLoader, SampleSource, make_loader
from poselib.engine.averaging import AveragedModel
from poselib.engine.recipe import Recipe
from poselib.engine.schedule import learning_rate_factor
from poselib.ops.files import append_line, read_lines, replacing
from poselib.ops.images import normalise
from poselib.structures import Batch
from poselib.systems import System

log = logging.getLogger(__name__)

# Measures the system, whose model is in evaluation mode, and returns its figures.
Validate = Callable[[System], dict[str, float]]
CHECKPOINT, METRICS = "checkpoint.pt", "metrics.jsonl"


@dataclass(frozen=True)
class Trained:
    """What a training leaves behind.

    Attributes:
        system: the system with the weights to predict with: the averages if the recipe keeps any.
        steps: optimiser steps done.
        seconds: time spent in training, earlier sittings counted in, validation not.
        history: the lines of ``metrics.jsonl``.
    """

    system: System
    steps: int
    seconds: float
    history: list[dict[str, Any]]


def train(
    system: System,
    dataset: SampleSource,
    recipe: Recipe,
    folder: Path,
    *,
    augment: AugmentFunction | None = None,
    prepare: Prepare | None = None,
    validate: Validate | None = None,
    device: torch.device | str = "cpu",
    progress: bool = True,
) -> Trained:
    """Train a system and keep checkpoint and metrics in a folder; continue if it holds some.

    An interrupted training is taken up at its last checkpoint by calling this again with the same
    arguments: the same samples follow in the same order. ``KeyboardInterrupt`` writes a
    checkpoint before it is passed on.

    Args:
        system: what to train; its model is changed.
        dataset: training samples.
        recipe: settings.
        folder: receives ``checkpoint.pt`` and ``metrics.jsonl``.
        augment: random change of each sample.
        prepare: fixed change of each sample before that.
        validate: measures the system now and then; its figures go into the metrics.
        device: where to train.
        progress: show a bar.

    Raises:
        ValueError: the folder's checkpoint is of another recipe or system, or the loss is no
            longer finite.
    """
    loader = make_loader(
        dataset,
        min(recipe.batch_size, len(dataset)),
        augment=augment,
        prepare=prepare,
        shuffle=True,
        seed=recipe.seed,
        workers=recipe.workers,
        drop_last=True,
        pin_memory=torch.device(device).type == "cuda",
    )
    run = _Run(system, recipe, Path(folder), torch.device(device))
    run.resume()
    bar = tqdm(total=recipe.steps, initial=run.step, disable=not progress, desc=system.name)
    try:
        for batch in _batches(loader, run.step):
            if run.progress >= 1:
                break
            terms = run.advance(batch)
            bar.update()
            if recipe.log_every and run.step % recipe.log_every == 0:
                bar.set_postfix(loss=f"{run.record(terms)['loss']:.4f}")
            if recipe.checkpoint_every and run.step % recipe.checkpoint_every == 0:
                run.save()
            due = recipe.validate_every and run.step % recipe.validate_every == 0
            if validate is not None and due and run.progress < 1:
                run.measure(validate)
    except KeyboardInterrupt:
        run.save()
        raise
    finally:
        bar.close()
    if validate is not None and not run.measured:
        run.measure(validate)
    run.save()
    return Trained(run.predictor, run.step, run.seconds, read_lines(run.folder / METRICS))


def _batches(loader: SampleLoader, step: int) -> Iterator[Batch]:
    """Yield batches for ever, starting with the one that follows ``step`` batches."""
    epoch, skip = divmod(step, len(loader))
    while True:
        yield from loader.epoch(epoch, skip)
        epoch, skip = epoch + 1, 0


class _Run:
    """The state of a training: all that a checkpoint has to hold."""

    def __init__(self, system: System, recipe: Recipe, folder: Path, device: torch.device) -> None:
        self.system, self.recipe, self.folder, self.device = system, recipe, folder, device
        form = torch.channels_last if recipe.channels_last else torch.contiguous_format
        self.form = form
        self.model = system.model.to(device).to(memory_format=form)
        kind = torch.optim.Adam if recipe.optimiser == "adam" else torch.optim.AdamW
        self.optimiser = kind(
            _parameter_groups(self.model, recipe.weight_decay), lr=recipe.learning_rate
        )
        self.average = AveragedModel(self.model, recipe.average) if recipe.average else None
        self.step, self.seconds, self.measured = 0, 0.0, False

    @property
    def progress(self) -> float:
        """Share of the training that is done."""
        by_time = self.seconds / self.recipe.seconds if self.recipe.seconds else 0.0
        return max(self.step / self.recipe.steps, by_time)

    @property
    def predictor(self) -> System:
        """The system with the weights to predict with."""
        model = self.average.model if self.average else self.model
        return replace(self.system, model=model.eval())

    def advance(self, batch: Batch) -> dict[str, Tensor]:
        """Take one optimiser step and return the loss terms."""
        start = time.perf_counter()
        recipe = self.recipe
        factor = learning_rate_factor(
            recipe.schedule, self.progress, recipe.warmup, recipe.milestones, recipe.decay
        )
        for group in self.optimiser.param_groups:
            group["lr"] = recipe.learning_rate * factor
        self.model.train()
        batch = batch.to(self.device)
        targets = self.system.encode(batch)
        images = normalise(batch.images).contiguous(memory_format=self.form)
        lower = recipe.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=lower):
            outputs = self.model(images)
        terms = self.system.losses(outputs, targets)
        loss = torch.stack(list(terms.values())).sum()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if recipe.clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), recipe.clip)
        self.optimiser.step()
        if self.average is not None:
            self.average.update(self.model)
        self.step, self.measured = self.step + 1, False
        self.seconds += time.perf_counter() - start
        return {name: term.detach() for name, term in terms.items()}

    def record(self, terms: dict[str, Tensor]) -> dict[str, float]:
        """Append the loss terms to the metrics.

        Raises:
            ValueError: the loss is not finite; the message names the terms.
        """
        values = {name: float(term) for name, term in terms.items()}
        loss = sum(values.values())
        if not torch.isfinite(torch.tensor(loss)):
            raise ValueError(
                f"step {self.step}: the loss is not finite ({values}); lower the learning rate or "
                f"set clip"
            )
        rate = self.optimiser.param_groups[0]["lr"]
        line = {"step": self.step, "seconds": round(self.seconds, 3), "lr": rate, "loss": loss}
        append_line(self.folder / METRICS, {**line, **values})
        return line

    def measure(self, validate: Validate) -> None:
        """Validate the predictor and append its figures to the metrics."""
        figures = validate(self.predictor)
        head = {"step": self.step, "seconds": round(self.seconds, 3)}
        append_line(self.folder / METRICS, {**head, **figures})
        self.measured = True

    def save(self) -> None:
        state = {
            "system": _identity(self.system),
            "recipe": asdict(self.recipe),
            "step": self.step,
            "seconds": self.seconds,
            "measured": self.measured,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "average": self.average.model.state_dict() if self.average else None,
            "updates": self.average.updates if self.average else 0,
            "random": torch.get_rng_state(),
        }
        with replacing(self.folder / CHECKPOINT) as temporary:
            torch.save(state, temporary)

    def resume(self) -> None:
        """Take up the folder's checkpoint, if there is one, and drop metrics that came after it.

        Raises:
            ValueError: the checkpoint is of another system or recipe.
        """
        path = self.folder / CHECKPOINT
        if not path.exists():
            (self.folder / METRICS).unlink(missing_ok=True)
            return
        state = torch.load(path, map_location=self.device, weights_only=True)
        self._check(state, path)
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.average is not None:
            self.average.model.load_state_dict(state["average"])
            self.average.updates = state["updates"]
        self.step, self.seconds = state["step"], state["seconds"]
        self.measured = state["measured"]
        torch.set_rng_state(state["random"].cpu())
        kept = [line for line in read_lines(self.folder / METRICS) if line["step"] <= self.step]
        with replacing(self.folder / METRICS) as temporary:
            temporary.touch()
            for line in kept:
                append_line(temporary, line)
        log.info("resumed %s at step %d", path, self.step)

    def _check(self, state: dict[str, Any], path: Path) -> None:
        for name, mine in (("system", _identity(self.system)), ("recipe", asdict(self.recipe))):
            theirs = state[name]
            different = sorted(key for key in mine if theirs.get(key) != mine[key])
            if different:
                key = different[0]
                raise ValueError(
                    f"{path}: its {name} has {key}={theirs.get(key)!r}, this one {mine[key]!r}; "
                    f"use another folder or the same settings to resume"
                )


def _identity(system: System) -> dict[str, Any]:
    return {"name": system.name, "skeleton": system.skeleton.name, **system.switches}


def _parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Leave biases and normalisations, which have one dimension, without weight decay."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
