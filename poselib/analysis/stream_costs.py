"""What a new frame of a video costs: a step of a stream, against a clip computed for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch

from poselib.engine.complexity import complexity
from poselib.engine.timing import Work, measure_all
from poselib.systems import System

STREAM = "stream"


def stream_costs(
    system: System,
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
        system: with ``clips``; it is moved to the device and put into evaluation mode.
        people: numbers of people who are in the network together.
        frames: T of the clip.
        repeats, threads: see ``engine.timing.measure_all``.

    Returns:
        One row for each number and ``way``, ``"stream"``, ``"clip of T"`` and ``"clip of T, a
        frame of it"``: ``people``; ``ms``, ``lower_ms`` and ``upper_ms``, medians and quartiles,
        ``cpu_ms``, of all people; and ``gmac``, 10^9 multiply-accumulates of one of them.

    Raises:
        ValueError: the system takes no clips, or ``frames`` is below 2.
    """
    if not system.clips or system.crop is None:
        raise ValueError(f"a system of clips is wanted; {system.name!r} sees images")
    if frames < 2:
        raise ValueError(f"frames of the clip must be 2 or more, not {frames}")
    model: Any = system.model.to(device).eval()
    clip_macs = complexity(system, system.crop, frames).macs
    step_macs = clip_macs - complexity(system, system.crop, frames - 1).macs
    names = (STREAM, f"clip of {frames}")
    works: dict[str, Work] = {}
    for count in people:
        clip = torch.randn(count, frames, 3, *system.crop, device=device)
        with torch.no_grad():
            _, state = model.start(clip[:, 0])
        work = (lambda c=clip, s=state: model.step(c[:, 1], s), lambda c=clip: model(c))
        works |= {f"{count} {name}": each for name, each in zip(names, work, strict=True)}
    with torch.no_grad():
        times = measure_all(works, repeats, threads, device)
    rows = []
    for count in people:
        taken = [times[f"{count} {name}"].as_dict() for name in names]
        one = {key: value / frames for key, value in taken[1].items()}
        for name, ms, macs in (
            (names[0], taken[0], step_macs),
            (names[1], taken[1], clip_macs),
            (f"{names[1]}, a frame of it", one, clip_macs / frames),
        ):
            chosen = {key: ms[key] for key in ("ms", "lower_ms", "upper_ms", "cpu_ms")}
            rows.append({"people": count, "way": name, **chosen, "gmac": macs / 1e9})
    return pd.DataFrame(rows)
