"""The state of a training: one step of it, what it writes, and how it is taken up again."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from poselib.engine.checkpoints import read_training
from poselib.engine.interrupts import defer_interrupts
from poselib.engine.optimizer import make_optimizer
from poselib.engine.precision import resolve_precision
from poselib.engine.schedule import learning_rate_factor
from poselib.engine.train_config import TrainConfig
from poselib.ops.io import TEMPORARY, append_line, atomic_write, read_lines
from poselib.ops.normalization import normalize
from poselib.skeletons import checked_name, stored_form
from poselib.structures import Batch
from poselib.systems import System

log = logging.getLogger(__name__)

# Measures the system, whose model is in evaluation mode, and returns its figures.
Validate = Callable[[System], dict[str, float]]
# Receives each line of the metrics as it is written.
Report = Callable[[dict[str, Any]], None]
CHECKPOINT, METRICS = "checkpoint.pt", "metrics.jsonl"
_Tensors = tuple[Tensor, ...] | list[Tensor]
_HALF_SIZE_COST = 1 / 3  # time of a step at half size, a quarter of the pixels, as measured


class TrainingState:
    """All that a training changes and a checkpoint holds.

    Attributes:
        precision: that the network computes in, ``"float32"`` or ``"bfloat16"``.
        step: optimizer steps done.
        seconds: time spent, that of earlier sittings included and validation left out.
        measured: whether the weights of this step have been validated.
        saved: whether the checkpoint holds this very state.
    """

    def __init__(
        self,
        system: System,
        recipe: TrainConfig,
        folder: Path,
        device: torch.device,
        report: Report | None = None,
    ) -> None:
        checked_name(system.skeleton, "training")  # or its checkpoint could not be read
        self.system, self.recipe, self.folder, self.device = system, recipe, folder, device
        self._report = report
        self.form = torch.channels_last if recipe.channels_last else torch.contiguous_format
        self.model = system.model.to(device).to(memory_format=self.form)
        self.optimizer = make_optimizer(
            recipe.optimizer, self.model, recipe.learning_rate, recipe.weight_decay
        )
        self.precision = resolve_precision(recipe.precision, device)
        self.average = self._moving_average() if recipe.average else None
        self.step, self.seconds, self.measured, self.saved = 0, 0.0, False, False
        self._terms: dict[str, Tensor] = {}
        self._mark = time.perf_counter()

    @property
    def progress(self) -> float:
        """Share of the training that is done."""
        recipe = self.recipe
        by_time = self.seconds / recipe.seconds if recipe.seconds else 0.0
        saved = 1 - _HALF_SIZE_COST  # of each step at half size
        halved = recipe.half_size * recipe.steps
        work = self.step - saved * min(self.step, halved)
        return max(work / (recipe.steps - saved * halved), by_time)

    @property
    def predictor(self) -> System:
        """The system with the weights to predict with."""
        model = self.average.module if self.average else self.model
        return replace(self.system, model=model.eval())

    def _moving_average(self) -> AveragedModel:
        """Keep an exponential moving average of parameters and buffers.

        Its decay is ``(1 + t) / (10 + t)`` at step t, so that the random start is soon forgotten,
        and at most that of the configuration.
        """

        def update(averages: _Tensors, current: _Tensors, _: Tensor | int) -> None:
            if not averages[0].is_floating_point():  # counters of batch normalization
                torch._foreach_copy_(averages, current)
                return
            decay = min(self.recipe.average, (2 + self.step) / (11 + self.step))
            torch._foreach_lerp_(averages, current, 1 - decay)

        average = AveragedModel(self.model, multi_avg_fn=update, use_buffers=True)
        return average.eval().requires_grad_(False)

    def due(self, every: int) -> bool:
        """Whether something that happens every so many steps, or never for 0, happens now."""
        return every > 0 and self.step > 0 and self.step % every == 0

    def start_clock(self) -> None:
        """Begin to count time; what came before does not belong to the training."""
        self._mark = time.perf_counter()

    def _tick(self) -> None:
        now = time.perf_counter()
        self.seconds, self._mark = self.seconds + now - self._mark, now

    def advance(self, batch: Batch) -> None:
        """Take one optimizer step, as a whole even if interrupted."""
        with defer_interrupts():
            self._set_learning_rate()
            self._terms = self._losses(batch.to(self.device))
            self.optimizer.zero_grad(set_to_none=True)
            torch.stack(list(self._terms.values())).sum().backward()
            if self.recipe.clip is not None:
                nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
            self.optimizer.step()
            if self.average is not None:
                self.average.update_parameters(self.model)
            self.step, self.measured, self.saved = self.step + 1, False, False
            # From one step's end to the next: waiting for data is training time too.
            self._tick()
            if self.due(self.recipe.log_every):
                self._record()

    def _set_learning_rate(self) -> None:
        recipe = self.recipe
        factor = learning_rate_factor(
            recipe.schedule, self.progress, recipe.warmup, recipe.milestones, recipe.decay
        )
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.learning_rate * factor

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        self.model.train()
        if self.step < self.recipe.half_size * self.recipe.steps:
            batch = batch.halved()
        targets = self.system.encode(batch)
        images = normalize(batch.images).contiguous(memory_format=self.form)
        with torch.autocast(self.device.type, torch.bfloat16, self.precision == "bfloat16"):
            outputs = self.system.run(images, batch.frames)
        return self.system.losses(outputs, targets)

    def loss(self) -> dict[str, float]:
        """Return the last step's loss and its terms.

        Raises:
            ValueError: one is not finite; the message names it.
        """
        values = {name: float(term.detach()) for name, term in self._terms.items()}
        wrong = {name: value for name, value in values.items() if not math.isfinite(value)}
        if wrong:
            raise ValueError(
                f"step {self.step}: the loss is not finite ({wrong}); lower learning_rate or set "
                f"clip; {self.folder / CHECKPOINT} keeps the last good state, if there was one"
            )
        return {"loss": sum(values.values()), **values}

    def _record(self) -> None:
        rate = self.optimizer.param_groups[0]["lr"]
        head = {"step": self.step, "seconds": round(self.seconds, 3), "lr": rate}
        self._append({**head, **self.loss()})

    def _append(self, line: dict[str, Any]) -> None:
        append_line(self.folder / METRICS, line)
        if self._report is not None:
            self._report(line)

    def measure(self, validate: Validate) -> None:
        """Validate the predictor and append its figures to the metrics; its time is not counted."""
        self._tick()
        figures = {name: float(value) for name, value in validate(self.predictor).items()}
        head = {"step": self.step, "seconds": round(self.seconds, 3)}
        with defer_interrupts():
            self._append({**head, **figures})
            self.measured, self.saved = True, False
        self.start_clock()

    def save(self) -> None:
        """Write the checkpoint.

        Raises:
            ValueError: the loss or a weight is not finite; the old checkpoint stays.
        """
        self.loss()
        _check_weights(self.model, self.step)
        state = {
            "system": _identity(self.system),
            "input": {"input_size": self.system.input_size, "multiple": self.system.multiple},
            "recipe": asdict(self.recipe),
            "step": self.step,
            "seconds": self.seconds,
            "measured": self.measured,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.module.state_dict() if self.average else None,
            "random": torch.get_rng_state(),
        }
        with atomic_write(self.folder / CHECKPOINT) as temporary:
            torch.save(state, temporary)
        self.saved = True

    def resume(self) -> None:
        """Take up the folder's checkpoint, if there is one, and drop metrics that came after it.

        Raises:
            ValueError: the checkpoint cannot be read or is of another system or recipe.
        """
        path = self.folder / CHECKPOINT
        for start in (TEMPORARY, f".{CHECKPOINT}."):  # the latter are of older versions
            for abandoned in self.folder.glob(f"{start}*{path.suffix}"):  # by a killed process
                abandoned.unlink(missing_ok=True)
        if not path.exists():
            (self.folder / METRICS).unlink(missing_ok=True)
            torch.manual_seed(self.recipe.seed)
            return
        state = read_training(path)
        self._check(state, path)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average is not None:
            self.average.module.load_state_dict(state["average"])
            self.average.n_averaged.fill_(state["step"])
        self.step, self.seconds = state["step"], state["seconds"]
        self.measured, self.saved = state["measured"], True
        torch.set_rng_state(state["random"])
        _drop_lines_after(self.step, self.folder / METRICS)
        log.info("resumed %s at step %d", path, self.step)

    def _check(self, state: dict[str, Any], path: Path) -> None:
        for name, mine, usual in (
            ("system", _identity(self.system), {}),
            ("recipe", asdict(self.recipe), asdict(TrainConfig())),
        ):
            theirs = {**usual, **state[name]}  # older ones lack what came later
            if isinstance(theirs.get("skeleton"), str):  # older ones have the name alone
                mine = {**mine, "skeleton": self.system.skeleton.name}
            if different := _first_difference(theirs, mine):
                key, found, wanted = different
                raise ValueError(
                    f"{path}: its {name} has {key}={found!r}, this one {wanted!r}; "
                    f"use another folder or the same settings to resume"
                )


def _first_difference(
    theirs: Mapping[str, Any], mine: Mapping[str, Any]
) -> tuple[str, Any, Any] | None:
    """Return the first key of ours whose value differs, and both values."""
    for key in sorted(mine):
        found, wanted = theirs.get(key), mine[key]
        if isinstance(found, Mapping) and isinstance(wanted, Mapping):
            if inside := _first_difference(found, wanted):
                return f"{key}: {inside[0]}", *inside[1:]
        elif found != wanted:
            return key, found, wanted
    return None


def _drop_lines_after(step: int, path: Path) -> None:
    lines = read_lines(path, "step")
    kept = [line for line in lines if line["step"] <= step]
    if len(kept) == len(lines):
        return
    with atomic_write(path) as temporary:
        for line in kept:
            append_line(temporary, line)


def _check_weights(model: nn.Module, step: int) -> None:
    for name, value in model.state_dict().items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise ValueError(
                f"step {step}: {name} is no longer finite; lower learning_rate or set clip"
            )


def _identity(system: System) -> dict[str, Any]:
    return {"name": system.name, "skeleton": stored_form(system.skeleton), **system.options}
