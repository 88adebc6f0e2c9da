"""Images a second of a training's input: of the loader alone, of the step alone, and of both.

``python -m poselib.benchmarks.input_pipeline --help`` names the choices.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch

from poselib.data.augmentation import Augment
from poselib.data.collation import collate
from poselib.data.loaders import SampleLoader, SampleSource, make_loader
from poselib.data.readers.coco import CocoKeypoints
from poselib.data.synthetic.config import SceneConfig
from poselib.data.synthetic.export import DOCUMENT, write_scenes
from poselib.engine.device import get_device
from poselib.engine.timing import machine, measure_all
from poselib.engine.train_config import TrainConfig
from poselib.engine.trainer import TrainingState
from poselib.ops.console import say
from poselib.skeletons import COCO
from poselib.structures import Batch, Sample
from poselib.systems import System, build

_SIDE = (
    576  # px: a JPEG of a scene has as many pixels and bytes as one of COCO, and decodes as long
)


class Photographs:
    """Files of a few images in COCO's format, read again and again.

    Args:
        folder: receives them.
        files: their number.
        count: images, as a dataset has them.
        side: px.
    """

    def __init__(self, folder: Path, files: int = 16, count: int = 4096, side: int = _SIDE) -> None:
        scenes = SceneConfig(size=side, people=(1, 6))
        write_scenes(folder, scenes, files, 0, COCO, image_format="jpg")
        self._images = CocoKeypoints(folder / DOCUMENT, folder / "images", skeleton=COCO)
        self._count = count
        self.skeleton = COCO

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Sample:
        return self._images[index % len(self._images)]


def time_parts(dataset: SampleSource, augment: Augment, batch: int = 8) -> pd.DataFrame:
    """Time what a loader does, by one thread.

    Args:
        batch: images of one.

    Returns:
        Rows of ``part`` (read, augment, collate) with its ``cpu_ms`` an image.
    """
    rng = np.random.default_rng(0)
    samples = [dataset[index] for index in range(batch)]
    changed = [augment(sample, rng) for sample in samples]
    times = measure_all(
        {
            "read": lambda: [dataset[index] for index in range(batch)],
            "augment": lambda: [augment(sample, rng) for sample in samples],
            "collate": partial(collate, changed, channels_last=True),
        }
    )
    rows = [{"part": name, "cpu_ms": each.cpu_median / batch} for name, each in times.items()]
    return pd.DataFrame(rows)


def time_pipeline(
    system: System,
    dataset: SampleSource,
    augment: Augment,
    recipe: TrainConfig,
    workers: Sequence[int],
    *,
    device: torch.device | str = "cpu",
    batches: int = 8,
    turns: int = 3,
) -> pd.DataFrame:
    """Time loader, step and both together, in turns, by the clock.

    Args:
        system: is trained.
        recipe: gives the batch, the precision and what else a step does.
        workers: numbers of processes that prepare images.
        batches: that are timed in a turn.
        turns: of which the median counts.

    Returns:
        A row for each number of ``workers`` with the images a second of ``loader``, ``step`` and
        ``both``, and ``of_slower``, what of the slower one's both reach.
    """
    device, size = torch.device(device), recipe.batch_size
    found: dict[tuple[str, int], list[float]] = {}
    with TemporaryDirectory() as folder:
        state = TrainingState(system, recipe, Path(folder), device)
        feeds = {n: _endless(_loader(dataset, augment, size, n, device)) for n in workers}
        fixed = next(feeds[workers[0]])

        def load(n: int) -> None:
            next(feeds[n])

        def step(_: int) -> None:
            state.advance(fixed)

        def both(n: int) -> None:
            state.advance(next(feeds[n]))

        step(0)
        for _ in range(turns):
            for n in workers:
                for work in (load, step, both):
                    work(n)
                    ahead = 0 if work is step else 2 * n  # what workers have prepared is not timed
                    rate = size / _seconds(partial(work, n), ahead, batches, device)
                    found.setdefault((work.__name__, n), []).append(rate)
    rates = {key: float(np.median(values)) for key, values in found.items()}
    rows = [{"workers": n} | {w: rates[w, n] for w in ("load", "step", "both")} for n in workers]
    table = pd.DataFrame(rows).rename(columns={"load": "loader"})
    return table.assign(of_slower=table["both"] / table[["loader", "step"]].min(axis=1))


def _loader(
    dataset: SampleSource, augment: Augment, size: int, workers: int, device: torch.device
) -> SampleLoader:
    pinned = device.type == "cuda"
    return make_loader(
        dataset,
        size,
        augment=augment,
        shuffle=True,
        workers=workers,
        drop_last=True,
        pin_memory=pinned,
    )


def _endless(loader: SampleLoader) -> Iterator[Batch]:
    epoch = 0
    while True:
        yield from loader.epoch(epoch)
        epoch += 1


def _seconds(work: Callable[[], None], ahead: int, calls: int, device: torch.device) -> float:
    """Return the seconds of a call, after some that are not timed."""
    for _ in range(ahead):
        work()
    wait = torch.cuda.synchronize if device.type == "cuda" else (lambda: None)
    wait()
    begin = time.perf_counter()
    for _ in range(calls):
        work()
    wait()
    return (time.perf_counter() - begin) / calls


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables and, if asked for, write that of the rates."""
    parser = argparse.ArgumentParser(prog="python -m poselib.benchmarks.input_pipeline")
    add = parser.add_argument
    add("--system", default="hae", metavar="NAME", help="default: hae")
    add("--backbone", default="hrnet_tiny", metavar="NAME", help="default: hrnet_tiny")
    add("--size", type=int, default=512, metavar="PX", help="of the crops; default: 512")
    add("--batch", type=int, default=8, metavar="N", help="images a step; default: 8")
    add("--workers", type=int, nargs="+", default=[0, 1, 2], metavar="N", help="default: 0 1 2")
    add("--precision", default="auto", help="of the network; default: as in a training")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: a GPU if any")
    add("--batches", type=int, default=8, metavar="N", help="timed in a turn; default: 8")
    add("--turns", type=int, default=3, metavar="N", help="default: 3")
    add("--out", type=Path, metavar="FILE", help="CSV file of the rates")
    given = parser.parse_args(arguments)
    device = get_device(given.device)
    system = build(given.system, COCO, backbone=given.backbone)
    recipe = TrainConfig(batch_size=given.batch, log_every=0, precision=given.precision)
    augment = Augment(COCO, given.size)
    with TemporaryDirectory() as folder:
        dataset = Photographs(Path(folder) / "photographs")
        say(str(machine(device)))
        say(time_parts(dataset, augment).round(2).to_string(index=False))
        table = time_pipeline(
            system,
            dataset,
            augment,
            recipe,
            given.workers,
            device=device,
            batches=given.batches,
            turns=given.turns,
        )
    say(table.round(2).to_string(index=False))
    if given.out is not None:
        table.round(2).to_csv(given.out, index=False)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
