"""The state of a training: one step of it, what it writes, and how it is taken up again."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from poselib.engine.average import MovingAverage
from poselib.engine.checkpoints import read_training
from poselib.engine.compiled import CompiledNetwork
from poselib.engine.distributed import Together, seconds_of_first, values_of_all
from poselib.engine.finite import FiniteCheck
from poselib.engine.gradient import BatchGradient
from poselib.engine.interrupts import defer_interrupts
from poselib.engine.optimizer import make_optimizer
from poselib.engine.precision import GradientScaler, autocast, resolve_precision
from poselib.engine.schedule import learning_rate_factor
from poselib.engine.train_config import TrainConfig
from poselib.engine.training_files import (
    check_same_training,
    drop_later_lines,
    identity,
    remove_abandoned,
    writing,
)
from poselib.ops.io import append_line, atomic_write, sync
from poselib.ops.normalization import normalize
from poselib.ops.processes import process_count, process_rank
from poselib.skeletons import checked_name
from poselib.structures import Batch
from poselib.systems import System

log = logging.getLogger(__name__)

# Measures the system, whose model is in evaluation mode, and returns its figures.
Validate = Callable[[System], dict[str, float]]
# Receives each line of the metrics as it is written.
Report = Callable[[dict[str, Any]], None]
CHECKPOINT, METRICS = "checkpoint.pt", "metrics.jsonl"
_HALF_SIZE_COST = 1 / 3  # time of a step at half size, a quarter of the pixels, as measured


class TrainingState:
    """All that a training changes and a checkpoint holds.

    Attributes:
        precision: that the network computes in; not ``"auto"``.
        network: the model, or the same compiled; only steps use it.
        step: optimizer steps done.
        seconds: time spent, that of earlier sittings included and validation left out.
        measured: whether the weights of this step have been validated.
        saved: whether the checkpoint holds this very state.
        kept: the step of the checkpoint, None if there is none.
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
        self._report, self.together, self._first = report, Together(), process_rank() == 0
        self.form = torch.channels_last if recipe.channels_last else torch.contiguous_format
        self.model = system.model.to(device).to(memory_format=self.form)
        self.optimizer = make_optimizer(
            recipe.optimizer, self.model, recipe.learning_rate, recipe.weight_decay
        )
        self.precision = resolve_precision(recipe.precision, device)
        self.scaler = GradientScaler(self.precision, device)
        self.network = self._compiled() if recipe.compile else self.model
        self.average = MovingAverage(self.model, recipe.average) if recipe.average else None
        self._gradient = BatchGradient(self.model, self._losses)
        self.step, self.seconds, self.measured, self.saved = 0, 0.0, False, False
        self.kept: int | None = None
        self._finite = FiniteCheck(self.model, delayed=device.type == "cuda")
        self._terms: dict[str, Tensor] = {}
        self._mark = time.perf_counter()

    def _compiled(self) -> nn.Module:
        if process_count() > 1:
            log.warning("several processes train without torch.compile")
            return self.model
        return CompiledNetwork(self.model, dynamic=False)

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

    def due(self, every: int) -> bool:
        """Whether something that happens every so many steps, or never for 0, happens now."""
        return every > 0 and self.step > 0 and self.step % every == 0

    def start_clock(self) -> None:
        """Begin to count time; what came before does not belong to the training."""
        self._mark = time.perf_counter()

    def _tick(self) -> None:
        now = time.perf_counter()
        self.seconds, self._mark = seconds_of_first(self.seconds + now - self._mark), now

    def advance(self, *batches: Batch) -> None:
        """Take one optimizer step by its micro-batches, as a whole even if interrupted."""
        with defer_interrupts():
            self._set_learning_rate()
            self.optimizer.zero_grad(set_to_none=True)
            self._backward([batch.to(self.device) for batch in batches])
            taken = self.scaler.step(self.optimizer, self.model.parameters(), self.recipe.clip)
            ids = values_of_all([image for batch in batches for image in batch.image_ids])
            with self.together.agreed():
                # A loss that is not finite is no failure where float16 left its step out.
                self._finite.note(self.step + 1, ids, self._terms if taken else {})
            if taken and self.average is not None:
                self.average.update(self.model, self.step)
            self.step, self.measured, self.saved = self.step + 1, False, False
            # From one step's end to the next: waiting for data is training time too.
            self._tick()
            if self.due(self.recipe.log_every):
                with self.together.agreed():
                    self._record()

    def _backward(self, batches: Sequence[Batch]) -> None:
        """Compute the loss and its gradient."""
        try:
            self._terms = self._gradient.backward(batches, self.scaler.scale)
        except Exception as error:
            # The backward pass is compiled by itself, at the first step.
            if not (isinstance(self.network, CompiledNetwork) and self.network.give_up(error)):
                raise
            self.optimizer.zero_grad(set_to_none=True)
            self._backward(batches)

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
        with autocast(self.precision, self.device):
            outputs = replace(self.system, model=self.network).run(images, batch.frames)
        return self.system.losses(outputs, targets)

    def loss(self) -> dict[str, float]:
        """Return the last step's loss and its terms; float16 may have left it out, not finite."""
        values = {name: float(term) for name, term in self._terms.items()}
        return {"loss": sum(values.values()), **values}

    def _record(self) -> None:
        self._finite.flush()
        rate = self.optimizer.param_groups[0]["lr"]
        head = {"step": self.step, "seconds": round(self.seconds, 3), "lr": rate}
        finite = {name: value for name, value in self.loss().items() if math.isfinite(value)}
        self._append({**head, **finite})

    def _append(self, line: dict[str, Any]) -> None:
        if not self._first:
            return
        with writing(self.folder / METRICS):
            append_line(self.folder / METRICS, line)
        if self._report is not None:
            self._report(line)

    def measure(self, validate: Validate) -> None:
        """Validate the predictor and append its figures to the metrics; its time is not counted.

        A validation that draws random numbers does not change the training.
        """
        self._tick()
        devices = [self.device] if self.device.type == "cuda" else []
        with self.together.agreed():
            self._finite.flush()
            figures = {"step": self.step, "seconds": round(self.seconds, 3)}
            if self._first:
                with torch.random.fork_rng(devices):
                    found = validate(self.predictor)
                figures |= {name: float(value) for name, value in found.items()}
            with defer_interrupts():
                self._append(figures)
                self.measured, self.saved = True, False
        self.start_clock()

    def save(self) -> None:
        """Write the checkpoint, if this is the first process.

        Raises:
            OSError: it cannot be written; the old checkpoint stays.
            ValueError: the loss or a weight is not finite; the old checkpoint stays.
        """
        self._finite.flush()
        if self._first:
            self._write()
        self.saved, self.kept = True, self.step

    def _write(self) -> None:
        state = {
            "system": identity(self.system),
            "input": {"input_size": self.system.input_size, "multiple": self.system.multiple},
            "recipe": asdict(self.recipe),
            "step": self.step,
            "seconds": self.seconds,
            "measured": self.measured,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.average.module.state_dict() if self.average else None,
            "updates": int(self.average.n_averaged) if self.average else 0,
            "random": torch.get_rng_state(),
            "random_cuda": _cuda_random(self.device),
        }
        path = self.folder / CHECKPOINT
        with writing(path), atomic_write(path, durable=True) as new:
            sync(self.folder / METRICS)  # the lines up to here, before what relies on them
            with new.open("wb") as file:  # PyTorch's own files do not say why writing failed
                torch.save(state, file)

    def last_good(self) -> str:
        """Say in words which step can be gone on from."""
        path = self.folder / CHECKPOINT
        if self.kept is None:
            return "no checkpoint was written before"
        if not path.is_file():
            return f"the checkpoint of step {self.kept} is gone with its folder"
        return f"the last good checkpoint, {path}, is of step {self.kept}"

    def resume(self) -> None:
        """Take up the folder's checkpoint, if there is one, and drop metrics that came after it.

        Raises:
            ValueError: the checkpoint cannot be read or is of another system or recipe.
        """
        path = self.folder / CHECKPOINT
        if self._first:
            remove_abandoned(self.folder, CHECKPOINT)
        if not path.exists():
            if self._first:
                self.folder.mkdir(parents=True, exist_ok=True)
                (self.folder / METRICS).unlink(missing_ok=True)
            torch.manual_seed(self.recipe.seed)
            return
        state = read_training(path)
        check_same_training(state, self.system, self.recipe, path)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state.get("scaler", {}))
        if self.average is not None:
            self.average.module.load_state_dict(state["average"])
            self.average.n_averaged.fill_(state.get("updates", state["step"]))
        self.step, self.seconds = state["step"], state["seconds"]
        self.measured, self.saved, self.kept = state["measured"], True, self.step
        torch.set_rng_state(state["random"])
        if self.device.type == "cuda" and state.get("random_cuda") is not None:
            torch.cuda.set_rng_state(state["random_cuda"], self.device)
        if self._first:
            drop_later_lines(self.folder / METRICS, self.step, self.measured)
        log.info("resumed %s at step %d", path, self.step)


def _cuda_random(device: torch.device) -> Tensor | None:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else None
