"""How a training is run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from poselib.engine.optimizer import OptimizerName
from poselib.engine.precision import Precision
from poselib.engine.schedule import Decay, Schedule

_NAMES = {
    "optimizer": get_args(OptimizerName),
    "schedule": get_args(Schedule),
    "precision": get_args(Precision),
}
_INTERVALS = ("log_every", "checkpoint_every", "validate_every")


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a training.

    Attributes:
        steps: number of optimizer steps.
        seconds: if given, the training ends after this much time even if steps are left, and the
            schedule follows whichever of steps and time is further: the learning rate has
            always come down at the end, on fast and slow machines alike. Waiting for data
            counts, validation does not.
        half_size: fraction of the steps, at the start, whose images are halved in size
            (progressive resizing). Such a step takes a third of the time and counts as a third
            of the progress.
        expected_seconds: how long the training takes on two quiet cores; one that will take much
            longer says so. None if unknown.
        batch_size: images a step.
        accumulate: micro-batches that a step is computed in, one after the other, where a whole
            batch needs too much memory. The loss and its gradient are those of the whole batch,
            but for batch normalization, whose statistics are those of a micro-batch.
        optimizer: ``"adam"``, ``"adamw"``, or ``"muon"``, which needs fewer steps from scratch; see
            ``engine.optimizer``.
        learning_rate: its peak.
        weight_decay: of the optimizer.
        schedule, warmup, milestones, decay: see ``learning_rate_factor``.
        precision: ``"bfloat16"`` and ``"float16"`` run the network under autocast; losses stay in
            float32, and what they ask of it, as LOGO-CAP's message passing, too. In float16 the
            loss is scaled, and a step whose gradients overflow is left out. ``"auto"`` is bfloat16
            where the hardware is faster in it, and float32 elsewhere; see ``engine.precision``.
        compile: run the network through ``torch.compile``, once for each size of images; where it
            fails, training goes on without, after a warning. See ``engine.compiled``.
        channels_last: memory format of images and weights; faster on CPUs and recent GPUs.
        average: decay of the running mean of the weights that is kept for prediction; 0 for none.
        clip: largest norm of the gradient; None for no limit.
        seed: of order, augmentation and whatever chance the network uses. Initial weights are
            drawn when the system is built; see ``engine.seed.seed_everything``.
        workers: processes that prepare samples.
        log_every, checkpoint_every, validate_every: in steps; 0 for never, except that a
            checkpoint and a validation always end a training.

    Raises:
        ValueError: a number is out of range or a name unknown.
    """

    steps: int = 2000
    seconds: float | None = None
    half_size: float = 0.0
    expected_seconds: float | None = None
    batch_size: int = 32
    accumulate: int = 1
    optimizer: OptimizerName = "adamw"
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    schedule: Schedule = "cosine"
    warmup: float = 0.05
    milestones: tuple[float, ...] = ()
    decay: Decay = 0.1
    precision: Precision = "float32"
    compile: bool = False
    channels_last: bool = True
    average: float = 0.998
    clip: float | None = None
    seed: int = 0
    workers: int = 0
    log_every: int = 20
    checkpoint_every: int = 500
    validate_every: int = 0

    def __post_init__(self) -> None:
        for name in (
            "steps",
            "batch_size",
            "accumulate",
            "learning_rate",
            "seconds",
            "expected_seconds",
            "clip",
        ):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"TrainConfig: {name} must be positive, not {value}")
        for name in ("weight_decay", "seed", "workers", *_INTERVALS):
            if not getattr(self, name) >= 0:
                raise ValueError(
                    f"TrainConfig: {name} must be 0 or more, not {getattr(self, name)}"
                )
        for name in ("average", "warmup", "half_size"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(
                    f"TrainConfig: {name} must be in [0, 1), not {getattr(self, name)}"
                )
        for name, known in _NAMES.items():
            if getattr(self, name) not in known:
                raise ValueError(
                    f"TrainConfig: {name} must be one of {known}, not {getattr(self, name)!r}"
                )
        self._check_falls()

    def _check_falls(self) -> None:
        factors = self.decay if isinstance(self.decay, tuple) else (self.decay,)
        if not all(factor > 0 for factor in factors):
            raise ValueError(f"TrainConfig: decay must be positive, not {self.decay}")
        if isinstance(self.decay, tuple) and len(self.decay) != len(self.milestones):
            raise ValueError(
                f"TrainConfig: decay must be one factor or one for each of the milestones "
                f"{self.milestones}, not {self.decay}"
            )
        if not all(0 <= milestone <= 1 for milestone in self.milestones):
            raise ValueError(
                f"TrainConfig: milestones must be fractions of the training, not {self.milestones}"
            )
