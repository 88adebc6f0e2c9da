"""What is measured, the most telling first, and about how long each of it takes on a large GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from poselib.benchmarks.hardware.bench import CROPPED, Bench, Row
from poselib.benchmarks.hardware.inference import time_decoding, time_prediction, time_stream
from poselib.benchmarks.hardware.setups import (
    ALONE,
    COMPILED,
    EAGER,
    FOLDED,
    GRAPH,
    HALF,
    LAST,
    STRICT,
    TRAINED,
    Setup,
)
from poselib.benchmarks.hardware.stages import measure_accuracy, time_refinement
from poselib.benchmarks.hardware.training import time_input, time_training

KINDS = ("inference", "decoding", "training", "adaptation", "stream", "accuracy", "input")
MAIN = "hae"  # the system of the first target
# Seconds on an H200, guessed: a task begins only if this much is left.
_SECONDS = {"inference": 5, "decoding": 2, "training": 9, "adaptation": 12, "stream": 4}
_SECONDS |= {"accuracy": 9, "input": 25}
_COMPILING = {"inference": 90, "stream": 40, "training": 150, "accuracy": 40}


@dataclass(frozen=True)
class Task:
    """Something that is measured.

    Attributes:
        name: of it alone.
        kind: one of ``KINDS``.
        seconds: about how long it takes; 0 if unknown.
        run: yields its rows.
        compiled: whether it compiles networks.
    """

    name: str
    kind: str
    seconds: float
    run: Callable[[], Iterator[Row]]
    compiled: bool = False


@dataclass(frozen=True)
class Choice:
    """What of the plan is measured.

    Attributes:
        systems, kinds: names of them.
        batches: images, or clips, in a batch of prediction.
        training_batch: those of a step of training.
        people: numbers of them in decoded images; 1 person is added for refinement.
        compiled: whether networks are compiled too.
        scenes: images of which AP is measured.
        workers: numbers of processes that prepare images of a training.
    """

    systems: Sequence[str]
    kinds: Sequence[str] = KINDS
    batches: Sequence[int] = (1, 32)
    training_batch: int = 32
    people: Sequence[int] = (10, 30)
    compiled: bool = True
    scenes: int = 200
    workers: Sequence[int] = (0,)


def make_plan(bench: Bench, choice: Choice) -> list[Task]:
    """Return all tasks of a choice, in the order in which they are measured.

    First come the large batch of the main system and what its targets are compared with, then its
    training, refinement, streams and accuracy, then prediction by the other systems, then their
    training, and at last what is compiled of these.
    """
    plan = _Plan(bench, choice)
    others = [name for name in choice.systems if name != MAIN]
    whole = [name for name in choice.systems if name not in CROPPED]
    largest, smallest = max(choice.batches), min(choice.batches)
    if MAIN in choice.systems:
        plan.predict(MAIN, largest, EAGER, HALF, LAST, FOLDED, GRAPH)
    for name in whole:
        plan.decode(name, largest, choice.people[0])
    if MAIN in choice.systems:
        plan.predict(MAIN, largest, COMPILED)
        plan.predict(MAIN, smallest, EAGER, GRAPH)
        plan.train(MAIN, EAGER, LAST)
    plan.refine()
    plan.follow(EAGER, FOLDED, GRAPH)
    plan.measure(EAGER, HALF, FOLDED)
    if MAIN in choice.systems:
        plan.train(MAIN, TRAINED)
    plan.feed(LAST)
    for name in others:
        plan.predict(name, largest, EAGER, FOLDED)
        plan.predict(name, smallest, EAGER, GRAPH)
    for name in others:
        plan.train(name, EAGER, LAST)
    for people in choice.people:
        for name in whole:
            for batch in choice.batches:
                plan.decode(name, batch, people)
    plan.measure(COMPILED)
    for name in others:
        plan.predict(name, largest, COMPILED)
        plan.train(name, TRAINED)
    if MAIN in choice.systems:
        plan.predict(MAIN, largest, STRICT, *ALONE)
    for name in choice.systems:
        for batch in choice.batches:
            plan.predict(name, batch, EAGER, HALF, LAST, FOLDED, GRAPH)
    plan.follow(COMPILED)
    return plan.tasks


class _Plan:
    """Collects tasks, each once."""

    def __init__(self, bench: Bench, choice: Choice) -> None:
        self.bench, self.choice = bench, choice
        self._tasks: dict[str, Task] = {}

    @property
    def tasks(self) -> list[Task]:
        return list(self._tasks.values())

    def predict(self, system: str, batch: int, *setups: Setup) -> None:
        for setup in setups:
            run = partial(time_prediction, self.bench, system, batch, setup)
            self._add("inference", f"{system}, batch {batch}, {setup.name}", run, setup)

    def decode(self, system: str, batch: int, people: int) -> None:
        run = partial(time_decoding, self.bench, system, batch, people)
        self._add("decoding", f"{system}, batch {batch}, {people} people", run)

    def train(self, system: str, *setups: Setup) -> None:
        batch = self.choice.training_batch
        for setup in setups:
            run = partial(time_training, self.bench, system, batch, setup)
            self._add("training", f"{system}, batch {batch}, {setup.name}", run, setup)

    def feed(self, setup: Setup) -> None:
        if MAIN not in self.choice.systems:
            return
        batch, workers = self.choice.training_batch, self.choice.workers
        run = partial(time_input, self.bench, MAIN, batch, setup, workers)
        self._add("input", f"{MAIN}, batch {batch}, {setup.name}", run)

    def refine(self) -> None:
        if "logocap" in self.choice.systems:
            people = sorted({1, *self.choice.people})
            self._add("adaptation", "logocap", partial(time_refinement, self.bench, people))

    def follow(self, *setups: Setup) -> None:
        if "rpstn" not in self.choice.systems:
            return
        for setup in setups:
            for batch in self.choice.batches:
                run = partial(time_stream, self.bench, batch, setup)
                self._add("stream", f"rpstn, {batch} streams, {setup.name}", run, setup)

    def measure(self, *setups: Setup) -> None:
        for setup in setups:
            run = partial(measure_accuracy, self.bench, setup, self.choice.scenes)
            self._add("accuracy", f"the bundled model, {setup.name}", run, setup)

    def _add(
        self, kind: str, name: str, run: Callable[[], Iterator[Row]], setup: Setup = EAGER
    ) -> None:
        on_gpu = self.bench.device.type == "cuda"
        left_out = setup.speed.compile and not self.choice.compiled
        if kind not in self.choice.kinds or left_out or (setup.speed.cuda_graph and not on_gpu):
            return
        name, seconds = f"{kind}: {name}", _SECONDS[kind] + self.bench.seconds
        if setup.speed.compile:
            seconds += _COMPILING[kind]
        task = Task(name, kind, seconds if on_gpu else 0.0, run, setup.speed.compile)
        self._tasks.setdefault(name, task)
