"""Results explorer: runs as a table, their curves while they train, two compared, worst images."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from poselib.analysis.image_errors import KINDS, worst_images
from poselib.experiments.published_beside import published_of_model
from poselib.experiments.runs import load_run
from poselib.widgets.explorer import Explorer, settings_of
from poselib.widgets.results_controls import SECTIONS, result_controls
from poselib.widgets.run_figures import run_figure
from poselib.widgets.run_images import RunImages, oks_label
from poselib.widgets.run_lists import ROWS, show_runs, show_worst
from poselib.widgets.run_panels import ComparisonView, PublishedView, TrainingView
from poselib.widgets.run_reader import Found, RunReader
from poselib.widgets.table import Table
from poselib.wording import counted, people_label


@dataclass(frozen=True)
class ResultsSettings:
    """What the results explorer shows; see ``results``."""

    view: str = "training"
    filter: str = ""
    columns: str = "AP AR"
    sort: str = "started"
    descending: bool = True
    page: int = 1
    run: str = ""
    against: str = ""
    errors: str = "oks"
    number: int = 1
    min_score: float = 0.1
    data_dir: str = ""


def results(runs_dir: str | Path = "runs", **settings: Any) -> ResultsExplorer:
    """Explore the runs of a folder: a table, training curves, comparisons and the worst images.

    Args:
        runs_dir: the folder of the runs, those of notebooks and of ``poselib train`` and
            ``poselib evaluate``; a run that cannot be read is reported above the table.
        **settings: ``view``, what is shown of the chosen run, ``"training"`` (its curves, which
            grow while it trains, parameters and results), ``"comparison"`` (with a second run:
            parameters that differ, results, and which images each wins), ``"images"`` (those with
            the most errors of a kind) or ``"published"`` (tables of its paper);
            ``filter``, words, and terms such as ``system=hae``, ``AP>=0.5`` or ``lr!=0.001``;
            ``columns``, names of parameters and metrics, separated by spaces; ``sort``, the name of
            a column, ``descending`` and ``page``;
            ``run``, the id of a run, the newest if empty, and ``against``, that of a second one;
            ``errors``, ``"oks"`` for the lowest, or one of ``analysis.image_errors.KINDS``;
            ``number`` of the image in the list, from 1; ``min_score``, person score from which
            detections count; ``data_dir``, folder of a dataset that runs know only by its name.

    Raises:
        ValueError: ``runs_dir`` is no path, or a setting is unknown or not a value of its control.

    Example::

        poselib.widgets.results("runs", filter="system=hae state=finished", sort="AP")
    """
    if not isinstance(runs_dir, str | Path) or not str(runs_dir):
        raise ValueError(f"results takes the folder of the runs, such as 'runs', not {runs_dir!r}")
    return ResultsExplorer(runs_dir, settings_of(ResultsSettings, "results", settings))


class ResultsExplorer(Explorer):
    """See ``results``."""

    function = "results"
    slow = ("view", "run", "against", "min_score", "data_dir")
    every = 2.0  # seconds between two looks at a training that runs

    def __init__(self, runs_dir: str | Path, settings: ResultsSettings) -> None:
        self.runs_dir = Path(runs_dir)
        self.table, self.worst = Table(pairs=True), Table()
        self.training, self.comparison = TrainingView(), ComparisonView()
        self.published, self.images = PublishedView(), RunImages(self.say)
        self._scans, self._reader = 0, RunReader(self.runs_dir)
        self._drawn: tuple[Found | None, Hashable] = (None, None)
        self._said, self._asked = "", list[Any]()
        self._stop = threading.Event()
        self._stop.set()
        given = [] if str(runs_dir) == "runs" else [repr(str(runs_dir))]
        controls = result_controls(self.reload)
        views = (self.training, self.comparison, self.published, self.images)
        pictures = [self.table, self.worst, *(view.box for view in views)]
        for box in pictures[1:]:
            box.layout.display = "none"
        super().__init__(
            settings, controls, pictures, sections=SECTIONS, folded=["Table"], given=given
        )
        self.table.observe(self._pick, "picked")
        self.table.observe(self._sort, "asked")
        self.table.observe(lambda change: self.set(page=change["new"][0]), "turned")
        self.worst.observe(self._pick_worst, ["picked", "asked", "turned"])
        self.comparison.gains.observe(self._pick_bar, "clicked")

    def state(self) -> Hashable:
        """Return how often the folder was asked for its runs."""
        return self._scans

    def reload(self, *_: Any) -> None:
        """Read the folder of the runs anew."""
        self._scans += 1
        self._reader.table = None
        self.refresh()

    def refresh(self) -> None:
        """Draw, and read anew what was written since, or could not be read and is chosen again."""
        with self._drawing:
            asked = [self.values[name] for name in self.slow]
            if self._reader.changed(self.values):
                self._scans, self._reader.table = self._scans + 1, None
            elif asked != self._asked:
                self._forget_faults()
            self._asked = asked
        super().refresh()

    def _forget_faults(self) -> None:
        for key in [key for key, found in self._computed.items() if found.fault]:
            del self._computed[key]

    def compute(self, values: Mapping[str, Any]) -> Found:
        """Read the runs, and of those that are chosen what the view needs."""
        return self._reader.read(values)

    def preview(self, values: Mapping[str, Any]) -> None:
        """Draw the table, which depends on no run."""
        if (table := self._reader.table) is not None:
            try:
                show_runs(self.table, table, values, self.runs_dir)
            except ValueError as error:
                self.say(str(error), wrong=True)

    def fit(self, values: Mapping[str, Any], computed: Found) -> None:
        """Offer the runs and columns that there are."""
        rows = computed.table.rows
        for name in ("run", "against"):
            self.controls[name].options = tuple(rows.index[::-1])
        self.controls["add"].options = ("", *computed.table.names)
        listed = computed.pairs if values["view"] == "comparison" else None
        if values["view"] == "images" and computed.results:
            listed = worst_images(computed.results[0].errors, values["errors"])
        if listed is not None and len(listed):
            self.controls["number"].value = min(max(values["number"], 1), len(listed))

    def draw(self, values: Mapping[str, Any], computed: Found) -> str:
        """Fill the table, and the view where it changes."""
        missing = show_runs(self.table, computed.table, values, self.runs_dir, computed.runs)
        lines = sum(len(curve.lines) for curve in computed.curves)
        drawn = (values["view"], values["errors"], values["number"], lines)
        if self._drawn[0] is not computed or self._drawn[1] != drawn:
            self._said = self._draw_view(values, computed)
            self._drawn = (computed, drawn)
        return ". ".join([self._said, *missing])

    def _draw_view(self, values: Mapping[str, Any], computed: Found) -> str:
        view = values["view"]
        self._follow(computed, view)
        boxes = {"training": self.training.box, "comparison": self.comparison.box}
        for name, box in (boxes | {"published": self.published.box}).items():
            box.layout.display = None if view == name else "none"
        self.worst.layout.display = "none"
        if view not in ("images", "comparison"):
            self.images.hide()
        said: str = getattr(self, f"_draw_{view}")(values, computed)
        return said if computed.fault in said else f"{said}; {computed.fault}"

    def figure(self) -> Figure:
        """Return the view as a figure."""
        return run_figure(self.values, self.computed())

    def close(self) -> None:
        """Stop following trainings, and close the explorer that was opened."""
        self._stop.set()
        self.images.close()
        super().close()

    def _draw_training(self, values: Mapping[str, Any], found: Found) -> str:
        return self.training.draw(found)

    def _draw_published(self, values: Mapping[str, Any], found: Found) -> str:
        stated = found.runs[0].params.get("model") or found.runs[0].params.get("checkpoint") or ""
        return self.published.draw(found, published_of_model(str(stated)))

    def _draw_comparison(self, values: Mapping[str, Any], found: Found) -> str:
        said = self.comparison.draw(found)
        if found.pairs is None:
            self.images.hide()
            return said
        number = values["number"]
        row = found.pairs.iloc[number - 1]
        places = (int(found.pairs.index[number - 1]), int(row["there"]))
        oks = (row["first"], row["second"])
        shown = [
            (f"{name}: OKS {float(value):.2f}", run, each, place)
            for name, value, run, each, place in zip(
                found.names, oks, found.runs, found.results, places, strict=True
            )
        ]
        self.images.show(shown, values["errors"])
        return f"{said}. Image {number} of {len(found.pairs)} by gain: {row['gain']:+.3f}"

    def _draw_images(self, values: Mapping[str, Any], found: Found) -> str:
        if not found.results:
            self.images.hide()
            return found.fault
        kind, only = values["errors"], found.results[0]
        ranked = worst_images(only.errors, kind)
        self.worst.layout.display = None
        about = "lowest OKS first" if kind == "oks" else KINDS[kind]
        if not len(ranked):
            self.images.hide()
            self.worst.show(rows=[], pages=1, caption=f"{only.about}: no image has {about}")
            return f"no image of {only.about} has {about}"
        number = values["number"]
        show_worst(self.worst, ranked, number, f"{len(ranked)} images, {about}: {only.about}", kind)
        row = ranked.iloc[number - 1]
        heading = f"{found.runs[0].id}: {oks_label(float(row['oks']))}"
        place = int(ranked.index[number - 1])
        self.images.show([(heading, found.runs[0], only, place)], kind)
        count = "" if kind == "oks" else f"{about}: {row[kind]:.0f}; "
        counts = (
            f"{people_label(int(row['people']))}, {counted(int(row['detections']), 'detection')}"
        )
        return f"image {only.errors['id'].loc[place]!s}: {count}{counts}"

    def _follow(self, found: Found, view: str) -> None:
        """Look for new lines of trainings that run, as long as they are shown."""
        self._stop.set()
        # By the table: a run that ended since it was read is seen to end, and read anew.
        states = [found.table.rows.at[run.id, "state"] for run in found.runs]
        going = [n for n, state in enumerate(states) if state != "finished"]
        if view == "training" and going:
            self._stop = threading.Event()
            watch = (found, going, self._stop)
            threading.Thread(target=self._watch, args=watch, daemon=True).start()

    def _watch(self, found: Found, going: list[int], stop: threading.Event) -> None:
        while not stop.wait(self.every):
            try:
                if any(load_run(found.runs[n].folder).finished for n in going):
                    self.reload()
                    return
                grown = [found.curves[n].read() for n in going]
                if any(grown) and not stop.is_set():
                    self.refresh()  # which starts another watch
                    return
            except (OSError, ValueError) as error:
                self.say(str(error), wrong=True)

    def _changed(self, change: Any) -> None:
        if not self._held and change.owner is self.controls["filter"]:
            self.set(page=1)  # of what is found now
            return
        super()._changed(change)

    def _pick(self, change: dict[str, Any]) -> None:
        run, second, _ = change["new"]
        self._forget_faults()  # also of a run that is chosen already
        if not second:
            self.set(run=run, number=1)
        elif run == self.values["against"]:
            self.set(against="")
        else:
            self.set(against=run, view="comparison", number=1)

    def _sort(self, change: dict[str, Any]) -> None:
        name, same = change["new"][0], change["new"][0] == self.values["sort"]
        self.set(sort=name, descending=not self.values["descending"] if same else True, page=1)

    def _pick_worst(self, change: dict[str, Any]) -> None:
        value = change["new"][0]
        if change["name"] == "picked":
            self.set(number=int(value))
        elif change["name"] == "turned":
            self.set(number=(value - 1) * ROWS + 1)
        elif (kind := value.replace(" ", "_").lower()) in ("oks", *KINDS):
            self.set(errors=kind, number=1)

    def _pick_bar(self, _: Any) -> None:
        self.set(number=max(1, round(self.comparison.gains.at_click()[0])))
