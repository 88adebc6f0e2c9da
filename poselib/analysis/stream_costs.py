"""What a new frame of a video costs: a step of a stream, against a clip computed for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from poselib.engine.complexity import complexity
from poselib.engine.timing import Timing, Work, measure_all
from poselib.models.folding import fold
from poselib.systems import System
from poselib.wording import people_label

STREAM = "stream"
_WAYS = (STREAM, "clip")
_TIMES = ("ms", "lower_ms", "upper_ms", "cpu_ms")
_BAR = "a new frame"


def stream_costs(
    networks: Mapping[str, System],
    people: Sequence[int],
    *,
    frames: int = 5,
    repeats: int = 5,
    threads: int = 1,
    device: torch.device | str = "cpu",
) -> pd.DataFrame:
    """Measure a new frame of a stream, and a clip that ends with it, for several people at once.

    A network without a state has to see the frames before for every new one: the clip is what it
    costs then. Divided by its frames it is the time that papers print (RPSTN/JRE, Table V).

    Args:
        networks: systems with ``clips`` by name; what is timed is ``models.folding.fold`` of them.
        people: numbers of people who are in the network together.
        frames: T of the clip.
        repeats, threads: see ``engine.timing.measure_all``.

    Returns:
        One row for each ``network``, number of ``people`` and ``way``, ``"stream"``, ``"clip of
        T"`` and ``"clip of T, a frame of it"``: ``ms``, ``lower_ms`` and ``upper_ms``, median and
        quartiles, and ``cpu_ms``, of all people; and ``gmac``, 10^9 multiply-accumulates of one of
        them.

    Raises:
        ValueError: a system takes no clips, or ``frames`` is below 2.
    """
    if frames < 2:
        raise ValueError(f"frames of the clip must be 2 or more, not {frames}")
    works: dict[str, Work] = {}
    for name, system in networks.items():
        if not system.clips or system.crop is None:
            raise ValueError(f"{name}: a system of clips is wanted; {system.name!r} sees images")
        folded: Any = fold(system.model).to(device)
        for count in people:
            clip = torch.randn(count, frames, 3, *system.crop, device=device)
            works |= {f"{name} {count} {way}": work for way, work in _works(folded, clip)}
    with torch.no_grad():
        times = measure_all(works, repeats, threads, device)
    return pd.DataFrame(
        [
            {"network": name, "people": count, **row}
            for name, system in networks.items()
            for count in people
            for row in _rows(system, frames, *(times[f"{name} {count} {way}"] for way in _WAYS))
        ]
    )


def _works(model: Any, clip: Tensor) -> list[tuple[str, Work]]:
    """Return the work of a step after the first frame, and that of the whole clip."""
    with torch.no_grad():
        _, state = model.start(clip[:, 0])
    return list(
        zip(_WAYS, (partial(model.step, clip[:, 1], state), partial(model, clip)), strict=True)
    )


def _rows(system: System, frames: int, step: Timing, clip: Timing) -> list[dict[str, Any]]:
    assert system.crop is not None
    whole = complexity(system, system.crop, frames).macs
    name, taken = f"clip of {frames}", clip.as_dict()
    several = (
        (STREAM, step.as_dict(), whole - complexity(system, system.crop, frames - 1).macs),
        (name, taken, whole),
        (f"{name}, a frame of it", {k: v / frames for k, v in taken.items()}, whole / frames),
    )
    return [
        {"way": way, **{key: ms[key] for key in _TIMES}, "gmac": macs / 1e9}
        for way, ms, macs in several
    ]


def cost_panels(costs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the panels in which ``plots.bars.show_parts`` draws costs, a line a network.

    Args:
        costs: of ``stream_costs``.

    Returns:
        By the heading, of each network multiply-accumulates and for each number of people ms; one
        row a way, with the column ``"a new frame"``.
    """
    panels = {}
    for network, part in costs.groupby("network", sort=False):
        ways = part.drop_duplicates("way").set_index("way")["gmac"]
        panels[f"{network}: 10⁹ multiply-accumulates"] = ways.to_frame(_BAR)
        for people, rows in part.groupby("people", sort=False):
            times = rows.set_index("way")["ms"]
            panels[f"{network}: ms, {people_label(int(str(people)))}"] = times.to_frame(_BAR)
    return panels


def summarize_costs(costs: pd.DataFrame) -> str:
    """Say in one line what a new frame takes in a stream, and how much more as a clip.

    Args:
        costs: of ``stream_costs``.
    """
    lines = costs.to_dict("records")
    parts = [
        f"{stream['network']}, {people_label(stream['people'])}: {stream['ms']:.1f} ms, "
        f"{clip['way']} {clip['ms'] / stream['ms']:.1f} times as long and "
        f"{clip['gmac'] / stream['gmac']:.1f} times the multiply-accumulates"
        for stream, clip in pairwise(lines)
        if stream["way"] == STREAM
    ]
    return f"a new frame of a stream: {'; '.join(parts)}"
