"""Speed of systems: networks and decoders, stages of refinement, and accuracy against time."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from poselib.benchmarks.adaptation_stages import time_adaptation
from poselib.benchmarks.random_systems import Network, random_system, synthetic_outputs
from poselib.benchmarks.run import setting_name
from poselib.data.catalog import KeypointDataset
from poselib.decoders.local_global import LocalGlobalOptions
from poselib.engine.checkpoints import Checkpoint
from poselib.engine.evaluate import evaluate
from poselib.engine.inference import PredictOptions
from poselib.engine.predict import predict
from poselib.engine.timing import Work, measure, measure_all
from poselib.experiments.loading import load_or_init
from poselib.outputs import LocalGlobalOutputs
from poselib.skeletons import Skeleton
from poselib.structures import Size
from poselib.systems import System


def time_systems(
    networks: Mapping[str, Network],
    skeleton: Skeleton,
    size: Size,
    people: int,
    threads: Sequence[int],
    *,
    device: str = "cpu",
    seed: int = 0,
    **turns: Any,
) -> pd.DataFrame:
    """Time one image: the network, and the decoding of maps with people.

    All networks and decoders take turns, so that whatever else runs slows all of them.

    Args:
        networks: by the name of their row.
        size: (H, W) of the image, px.
        people: in the decoded maps.
        threads: numbers of them, each for all networks.
        seed: of weights and maps.
        **turns: of ``engine.timing.measure_all``.

    Returns:
        One row per network and number of threads: ``row``, ``setting``, ``network_ms``,
        ``decoding_ms``, ``time_ms``, their sum, ``fps`` and ``cpu_ms``, CPU time.
    """
    works: dict[str, Work] = {}
    for row, network in networks.items():
        system = random_system(network, skeleton, seed, device)
        image = torch.zeros(1, 3, *size, device=device)
        works[row] = partial(_forward, system, image)
        outputs = synthetic_outputs(system, image, people, seed)
        works[f"decoding {row}"] = partial(system.decode, outputs)
    lines = []
    for count in threads:
        taken = measure_all(works, threads=count, device=device, **turns)
        for row in networks:
            passed, decoded = taken[row], taken[f"decoding {row}"]
            lines.append(
                {
                    "row": row,
                    "setting": setting_name(device, count),
                    "network_ms": passed.median,
                    "decoding_ms": decoded.median,
                    "time_ms": passed.median + decoded.median,
                    "fps": 1000 / (passed.median + decoded.median),
                    "cpu_ms": passed.cpu_median + decoded.cpu_median,
                }
            )
    return pd.DataFrame(lines)


def time_stages(
    networks: Mapping[str, Network],
    skeleton: Skeleton,
    size: Size,
    people: Sequence[int],
    threads: Sequence[int],
    *,
    device: str = "cpu",
    seed: int = 0,
    **turns: Any,
) -> pd.DataFrame:
    """Time the stages of refinement, by the number of people (LOGO-CAP, Table 4).

    Args:
        networks: by the name of their row; all refine poses.
        skeleton, size, threads, device, seed, turns: see ``time_systems``.
        people: numbers of them.

    Returns:
        One row per network, number of people and of threads: ``row``, ``setting``, ``people`` and
        what ``time_adaptation`` returns.

    Raises:
        ValueError: a network does not refine poses.
    """
    lines = []
    for row, network in networks.items():
        system = random_system(network, skeleton, seed, device)
        options, image = system.decode_options, torch.zeros(1, 3, *size, device=device)
        for count in people:
            outputs = synthetic_outputs(system, image, count, seed)
            if not isinstance(outputs, LocalGlobalOutputs) or not isinstance(
                options, LocalGlobalOptions
            ):
                raise ValueError(f"{row!r} does not refine poses")
            work = partial(_forward, system, image)
            for number in threads:
                shared = {"threads": number, "device": device, **turns}
                times = time_adaptation(outputs, options, work, **shared)
                line = {"row": row, "setting": setting_name(device, number), "people": count}
                lines.append(line | times)
    return pd.DataFrame(lines)


def growth(stages: pd.DataFrame) -> pd.DataFrame:
    """Return the ratio of times with most and fewest people, for each network and setting.

    Args:
        stages: of ``time_stages``.

    Returns:
        One row each: ``row``, ``setting``, ``fewest``, ``most``, ``decoding``, the ratio from maps
        to poses, ``image``, that with the network, and ``overhead``, the fraction of time that is
        not convolutions of message passing, with most people.
    """
    timed = stages.assign(image_ms=stages["network_ms"] + stages["decoding_ms"])
    groups = timed.sort_values("people", kind="stable").groupby(["row", "setting"], sort=False)
    few, many = groups.first(), groups.last()
    ratios = {name: many[f"{name}_ms"] / few[f"{name}_ms"] for name in ("decoding", "image")}
    people = {"fewest": few["people"], "most": many["people"]}
    return pd.DataFrame({**people, **ratios, "overhead": many["overhead"]}).reset_index()


def parse_named_checkpoints(
    text: str, preset: str, dataset: str, *, seed: int
) -> dict[str, Checkpoint]:
    """Load the checkpoints that a notebook parameter names.

    Args:
        text: ``name=file`` pairs separated by spaces; an underscore in a name is read as a space.
            If empty, none are loaded, except in ``"smoke"``, which makes an untrained system of
            each kind.
        preset, dataset: the notebook's.
        seed: of untrained weights.

    Raises:
        FileNotFoundError: a file is absent.
        ValueError: a part is not ``name=file``, or two have the same name.
    """
    if not text.strip() and preset == "smoke":
        kinds = {"LOGO-CAP": "logocap", "DEKR": "dekr", "AE": "hae"}
        return {
            name: load_or_init("", preset, dataset, name=kind, seed=seed)
            for name, kind in kinds.items()
        }
    found: dict[str, Checkpoint] = {}
    for pair in text.split():
        name, equals, file = pair.partition("=")
        if not (name and equals and file) or name.replace("_", " ") in found:
            raise ValueError(f"checkpoints must be name=file, each name once, not {pair!r}")
        found[name.replace("_", " ")] = load_or_init(file, preset, dataset, name="logocap")
    return found


def speed_accuracy(
    systems: Mapping[str, Checkpoint],
    dataset: KeypointDataset,
    options: PredictOptions,
    images: int,
    *,
    sizes: Sequence[int] = (),
    threads: int = 1,
    device: torch.device | str = "cpu",
    **turns: Any,
) -> pd.DataFrame:
    """Evaluate systems, and time them from an image to its poses, one image after another.

    Args:
        systems: by name; what stands before the last comma of it is the method.
        dataset: labeled images of their skeleton.
        options: how images are presented, one at a time and without the mirrored one.
        images: the time is the mean over this many.
        sizes: short sides, px, that images are tested at; by default the one that ``options`` say.
        threads, device, turns: see ``engine.timing.measure_all``.

    Returns:
        One row per system, and with ``sizes`` per size, named by them, as ``"DEKR, seed 0, 96
        px"``: ``method``, ``ms`` per image, and ``AP`` in percent.
    """
    lines = {}
    sides: list[int | None] = [*sizes] or [options.size]
    for (name, given), size in itertools.product(systems.items(), sides):
        look = replace(options, flip=False, scales=(1.0,), batch_size=1, size=size)
        found = evaluate(given.system, dataset, look, device=device, explain=False)
        some = [dataset[index] for index in range(min(images, len(dataset)))]
        work = partial(predict, given.system, some, look, device=device)
        taken = measure(work, threads=threads, device=device, **turns)
        ms = taken.median / len(some)
        method = name.rpartition(",")[0] or name
        row = f"{name}, {size} px" if sizes else name
        lines[row] = {"method": method, "ms": ms, "AP": 100 * found.ap.AP}
    return pd.DataFrame.from_dict(lines, orient="index").rename_axis("row")


@torch.no_grad()
def _forward(system: System, image: Tensor) -> object:
    return system.model(image)
