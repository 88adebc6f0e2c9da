"""Speed of the explorers: each control is moved, and what it takes until the pictures are there.

Example::

    python -m poselib.benchmarks.explorers --explorers association --threads 1
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ipywidgets as ipw
import numpy as np
import pandas as pd

from poselib import widgets
from poselib.api import load
from poselib.benchmarks.run import setting_name
from poselib.data.readers.coco import CocoKeypoints, write_results
from poselib.data.synthetic.dataset import SceneConfig, SyntheticScenes
from poselib.data.synthetic.export import write_scenes
from poselib.engine.timing import limited_threads, machine
from poselib.experiments.loading import load_or_init
from poselib.experiments.runs import start_run
from poselib.ops.console import say
from poselib.skeletons import COCO
from poselib.widgets.explorer import Explorer

_CHOICES = (ipw.Dropdown, ipw.RadioButtons, ipw.Select, ipw.SelectionSlider, ipw.ToggleButtons)
_MOST = 5  # values of a control that are gone through
_PAUSE = 0.02  # seconds between changes that overtake each other
_SCENE = "scene"  # the setting that draws an image that is new
_COMPARE, _SECOND = "compare", "second_"  # opens a comparison; what its controls begin with
_IMAGES = 24  # of a dataset


def alternatives(control: Any) -> list[Any]:
    """Return values that a control can take, the present one first; one alone if it has no others.

    A slider is moved over its whole range; files and texts are left as they are.
    """
    now, found = control.value, []
    if isinstance(control, ipw.Checkbox | ipw.ToggleButton):
        found = [not now]
    elif isinstance(control, ipw.IntSlider | ipw.FloatSlider | ipw.BoundedIntText):
        steps = round((control.max - control.min) / control.step)
        chosen = np.unique(np.linspace(0, steps, min(steps + 1, _MOST)).round())
        found = [type(now)(control.min + step * control.step) for step in chosen.tolist()]
    elif isinstance(control, _CHOICES):
        values = [each[1] if isinstance(each, tuple) else each for each in control.options]
        found = values[:_MOST]
    return [now, *(value for value in found if value != now)]


def time_controls(
    explorer: Explorer,
    repeats: int = 8,
    threads: Sequence[int] = (1,),
    names: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Time each control of an explorer that can be seen, and has other values, or some by name.

    A change is timed from the moment it is made to the encoded picture. A control that needs
    ``compute`` is moved on a synthetic scene that was never shown, so that nothing is kept; one of
    a second decoding while it is compared with the first.

    Returns:
        One row per control and number of threads: ``explorer``, ``control``, ``computes``,
        ``setting``, and wall and CPU times, the median and the 95% quantile: ``ms``, ``ms_95``,
        ``cpu_ms``, ``cpu_ms_95``; ``error``, the first one's sentence or empty.
    """
    rows, scenes, before = [], itertools.count(1), explorer.values
    for count in threads:
        with limited_threads(count):
            for name in names or before:
                values = alternatives(explorer.controls[name])
                if len(values) < 2 or explorer.controls[name].layout.display == "none":
                    continue
                compared = name.startswith(_SECOND) and _COMPARE in before
                explorer.set(**({_COMPARE: True} if compared else {}))
                explorer.wait()
                slow = name in explorer.slow
                fresh = scenes if slow and _SCENE in before else None
                row = {"explorer": explorer.function, "control": name, "computes": slow}
                row |= {"setting": setting_name("cpu", count)}
                rows.append(row | _time_changes(explorer, name, values, repeats, fresh))
                moved = (
                    {name} | ({_SCENE} if fresh else set()) | ({_COMPARE} if compared else set())
                )
                explorer.set(**{each: before[each] for each in moved})
                explorer.wait()
    return pd.DataFrame(rows)


def _time_changes(
    explorer: Explorer, name: str, values: Sequence[Any], repeats: int, fresh: Any
) -> dict[str, Any]:
    times, error = [], ""
    turns = itertools.cycle([*values[1:], values[0]])
    for turn in range(repeats + 1):
        value = next(turns)
        if fresh is not None and name != _SCENE:
            explorer.set(**{_SCENE: next(fresh)})
            explorer.wait()
        elif fresh is not None:
            value = next(fresh)
        begin = time.perf_counter(), time.process_time()
        explorer.set(**{name: value})
        explorer.wait()
        if turn:  # the first loads and allocates
            times.append([time.perf_counter() - begin[0], time.process_time() - begin[1]])
        error = error or str(explorer.error or "")
    middle, most = np.quantile(1e3 * np.array(times), [0.5, 0.95], axis=0)
    return {"ms": middle[0], "ms_95": most[0], "cpu_ms": middle[1], "cpu_ms_95": most[1]} | {
        "error": error
    }


def slowest_controls(table: pd.DataFrame) -> pd.DataFrame:
    """Return, of controls that compute and of those that only draw, how many and the slowest.

    Args:
        table: of ``time_controls``; what only ends in an error is left out.
    """
    groups = table[table["error"] == ""].groupby(["explorer", "computes", "setting"], sort=False)
    rows = table.loc[groups["cpu_ms"].idxmax()].drop(columns="error")
    middle = groups[["ms", "cpu_ms"]].median().add_prefix("median_").reset_index()
    counted = groups.size().rename("controls").reset_index()
    return rows.merge(middle).merge(counted).rename(columns={"control": "slowest"})


def memory_growth(explorer: Explorer, changes: int = 1000) -> dict[str, float]:
    """Move the controls in turn many times, and return the memory of the process, MB (Linux).

    Returns:
        ``first_mb``, after a tenth of the changes, by when everything has been allocated once, and
        ``last_mb``, at the end.
    """
    before = explorer.values
    shown = [name for name in before if explorer.controls[name].layout.display != "none"]
    choices = {name: alternatives(explorer.controls[name]) for name in shown}
    turns = [(name, value) for name, values in choices.items() for value in values[1:]]
    found = {}
    for number, (name, value) in zip(range(1, changes + 1), itertools.cycle(turns), strict=False):
        explorer.set(**{name: value})
        explorer.wait()
        explorer.set(**{name: before[name]})
        if number in (changes // 10, changes):
            explorer.wait()
            found["first_mb" if number < changes else "last_mb"] = _resident()
    return found


def time_overtaken(explorer: Explorer, changes: int = 10, first_scene: int = 500) -> dict[str, Any]:
    """Choose scene after scene, faster than they are computed.

    Returns:
        ``alone_ms``, a scene's time by itself, and ``last_ms``, from the last of several changes
        to its picture.
    """
    scenes = itertools.count(first_scene)
    explorer.set(**{_SCENE: next(scenes)})
    explorer.wait()
    begin = time.perf_counter()
    explorer.set(**{_SCENE: next(scenes)})
    explorer.wait()
    alone = time.perf_counter() - begin
    for _ in range(changes):
        begin = time.perf_counter()
        explorer.set(**{_SCENE: next(scenes)})
        time.sleep(_PAUSE)
    explorer.wait()
    return {"alone_ms": 1e3 * alone, "last_ms": 1e3 * (time.perf_counter() - begin)}


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def open_association(size: int, folder: Path) -> Explorer:
    """Open the bundled model on synthetic scenes."""
    return widgets.association(size=size)


def open_regression(size: int, folder: Path) -> Explorer:
    """Open an untrained small network that regresses poses and adapts them, on scenes."""
    system = load_or_init("", "smoke", "crowd", name="logocap").system
    scenes = SyntheticScenes(SceneConfig(size), _IMAGES, 0, COCO)
    return widgets.regression(load(system, size=size), scenes)


def open_relations(size: int, folder: Path) -> Explorer:
    """Open an untrained small network of crops of the size, on a synthetic clip."""
    crop = f"height={size} width={size}"
    system = load_or_init("", "smoke", "clips", name="rpstn", options=crop).system
    return widgets.relations(system)


def open_dataset(size: int, folder: Path) -> Explorer:
    """Open a dataset in COCO's format."""
    write_scenes(folder / "scenes", SceneConfig(size), _IMAGES, 0, COCO)
    return widgets.dataset(folder / "scenes")


def open_results(size: int, folder: Path) -> Explorer:
    """Open two runs that evaluated the bundled model on a dataset, with and without flip."""
    write_scenes(folder / "scenes", SceneConfig(size), _IMAGES, 0, COCO)
    images = folder / "scenes" / "images"
    dataset = CocoKeypoints(folder / "scenes" / "annotations.json", images, COCO)
    for name, flip in (("plain", False), ("flipped", True)):
        asked = {"data": str(dataset.table.source), "split": "val", "limit": None}
        run = start_run(
            folder / "runs", "evaluation", {**asked, "model": "hae_tiny_synthetic"}, name
        )
        paths = sorted(images.iterdir())
        poses = zip(load(flip=flip)(paths), dataset.image_ids, strict=True)
        found = [row for each, image in poses for row in each.to_coco(image, dataset.category_id)]
        write_results(found, run.folder / "results.json")
        run.finish({"AP": 0.0, "AR": 0.0})
    return widgets.results(folder / "runs", run="plain", against="flipped", view="comparison")


EXPLORERS: dict[str, Callable[[int, Path], Explorer]] = {
    "association": open_association,
    "regression": open_regression,
    "relations": open_relations,
    "dataset": open_dataset,
    "results": open_results,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Write tables of the times, the memory and the latency of explorers."""
    parser = argparse.ArgumentParser(prog="python -m poselib.benchmarks.explorers")
    parser.add_argument("--explorers", nargs="+", choices=EXPLORERS, default=list(EXPLORERS))
    parser.add_argument("--size", type=int, default=512, help="of images and networks, px")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=8, help="changes of each control")
    parser.add_argument("--changes", type=int, default=1000, help="for memory; 0 for none")
    chosen = parser.parse_args(arguments)
    about = machine()
    say(f"{about['cpu']}, {about['cores']} cores, load {about['load_average']}")
    for name in chosen.explorers:
        with TemporaryDirectory() as folder:
            explorer = EXPLORERS[name](chosen.size, Path(folder))
            explorer.wait()
            table = time_controls(explorer, chosen.repeats, chosen.threads).round(1)
            say(table.to_string(index=False))
            say(slowest_controls(table).to_string(index=False))
            if _SCENE in explorer.values and explorer.controls[_SCENE].layout.display != "none":
                say(f"{name}: {time_overtaken(explorer)}")
            if chosen.changes:
                say(f"{name}: {memory_growth(explorer, chosen.changes)}")
            explorer.close()


if __name__ == "__main__":
    main()
