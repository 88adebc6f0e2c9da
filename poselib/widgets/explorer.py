"""What all explorers share: controls, pictures, a line that says how it stands, and their code.

A change of a control draws the pictures anew. What needs a network is computed beside, in a thread;
what is overtaken by a later change is dropped.
"""

from __future__ import annotations

import html
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar

import ipywidgets as ipw
from matplotlib.figure import Figure

from poselib.experiments.runs import save_figure
from poselib.widgets.canvas import CopyButton
from poselib.widgets.latest import Kept, LatestJob
from poselib.widgets.page import close_all, controls_column
from poselib.widgets.page import is_batch as is_batch
from poselib.widgets.settings import as_code, set_control
from poselib.widgets.settings import settings_of as settings_of

_LOG = logging.getLogger("poselib.widgets")


class Explorer(ABC):
    """Controls beside pictures, for a notebook; the last expression of a cell shows it.

    A subclass names its public function, declares which of its controls need ``compute``, and
    defines ``compute``, ``draw`` and ``figure``. Controls have the names of its settings, a frozen
    dataclass with the defaults.

    Args:
        settings: the values to begin with.
        controls: by the name of a setting, widgets with a ``value``.
        pictures: what ``draw`` fills.
        sections: headings of the column of controls, each with the names of its controls; by
            default one without a heading.
        folded: headings whose sections are closed at first, and opened by a click.
        given: arguments before the settings, as code, such as ``'"dekr.safetensors"'``.
        resolve: completes settings whose default means another value.

    Attributes:
        error: what went wrong in the last drawing; None if nothing did.
        seconds: that the last drawing took, without ``compute``.

    Raises:
        ValueError: a setting is not a value of its control.
    """

    function: ClassVar[str]
    slow: ClassVar[tuple[str, ...]] = ()
    status_first: ClassVar[bool] = False  # above the pictures: what it says is what is looked for

    def __init__(
        self,
        settings: Any,
        controls: Mapping[str, Any],
        pictures: Sequence[ipw.Widget],
        *,
        sections: Mapping[str, Sequence[str]] | None = None,
        folded: Sequence[str] = (),
        given: Sequence[str] = (),
        resolve: Callable[[dict[str, Any]], dict[str, Any]] = dict,
    ) -> None:
        self.controls, self.given = dict(controls), list(given)
        self.error: Exception | None = None
        self.seconds = 0.0
        self._defaults = resolve(asdict(type(settings)()))
        self._computed = Kept(4)  # going back and forth between settings costs nothing
        self._held, self._drawing, self._displayed = 0, threading.RLock(), False
        self._job = LatestJob()
        for name, value in resolve(asdict(settings)).items():
            set_control(self.controls[name], name, value)
        for control in self.controls.values():
            control.observe(self._changed, "value")
        self.status = ipw.HTML()
        self.box = self._frame(sections or {"": list(self.controls)}, folded, pictures)
        self.refresh()

    def compute(self, values: Mapping[str, Any]) -> Any:
        """Return what the pictures are drawn from; called when a slow control changes."""
        return None

    def known(self, values: Mapping[str, Any]) -> Any:
        """Return what ``compute`` would if that takes no time, of what is kept; else None."""
        return None

    def preview(self, values: Mapping[str, Any]) -> None:  # noqa: B027
        """Fill what can be shown before ``compute`` ends."""

    def prepare(self, values: Mapping[str, Any]) -> None:  # noqa: B027
        """Compute, on a page while nothing else is asked for, what may be next."""

    @property
    def overtaken(self) -> bool:
        """Whether ``compute`` or ``prepare`` works in vain: controls have changed since."""
        return self._job.overtaken

    def state(self) -> Hashable:
        """Return what else ``compute`` depends on, such as an uploaded file."""
        return None

    def fit(self, values: Mapping[str, Any], computed: Any) -> None:  # noqa: B027
        """Fit what controls offer to what is drawn next, such as the keypoints of a model.

        It may set controls that ``compute`` does not need; nothing is drawn meanwhile.
        """

    @abstractmethod
    def draw(self, values: Mapping[str, Any], computed: Any) -> str:
        """Fill the pictures, and return a sentence on what is seen; must be quick."""

    @abstractmethod
    def figure(self) -> Figure:
        """Return what is seen as a figure, for papers, documentation and batch runs."""

    @property
    def values(self) -> dict[str, Any]:
        """The settings, by name."""
        return {name: self.controls[name].value for name in self._defaults}

    @property
    def code(self) -> str:
        """The line of Python that gives the explorer again as it is set."""
        arguments = [*self.given, *as_code(self.values, self._defaults, self.controls)]
        return f"poselib.widgets.{self.function}({', '.join(arguments)})"

    def set(self, **values: Any) -> None:
        """Set several controls, and draw once.

        Raises:
            ValueError: there is no such setting, or the value is not one of its control.
        """
        with self.hold():
            for name, value in values.items():
                if name not in self._defaults:
                    known = ", ".join(self._defaults)
                    raise ValueError(f"{self.function} has no setting {name!r}; known: {known}")
                set_control(self.controls[name], name, value)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Draw once at the end, however many controls change within."""
        try:
            with self._quiet():
                yield
        finally:  # what was set before a fault is drawn
            if not self._held:
                self.refresh()

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1

    def refresh(self) -> None:
        """Draw what the controls say, once what has to be computed is there."""
        with self._drawing:
            values, key = self.values, self._key()
            self._copy.text = self.code
            if key not in self._computed and (found := self.known(values)) is not None:
                self._computed.put(key, found)
            if key in self._computed:
                self._job.drop()
                self._show(values, key)
            else:
                self.preview(values)
                self.say("computing ...")
                self._job.start(lambda: self.compute(values), lambda found: self._keep(key, found))

    def wait(self, seconds: float = 600.0) -> None:
        """Wait until everything is drawn, for scripts; raises TimeoutError if it takes longer."""
        self._job.wait(seconds)

    def computed(self) -> Any:
        """Wait for what ``compute`` finds for the settings of now, and return it.

        Raises:
            Exception: what ``compute`` or ``draw`` raised.
        """
        with self._drawing:
            there = self._key() in self._computed
        if not there:
            self.wait()
        if self.error is not None:
            raise self.error
        return self._computed[self._key()]

    def save(self, path: str | Path) -> Path:
        """Write the figure as PNG, and beside it the settings as JSON.

        Raises:
            ValueError: the path does not end in ``.png``.
        """
        params = {"notebook": f"widgets.{self.function}", "code": self.code, **self.values}
        return save_figure(self.figure(), path, params)

    def say(self, text: str, *, wrong: bool = False) -> None:
        """Write a sentence into the line below the pictures."""
        color = "var(--jp-error-color1, #c62828)" if wrong else "inherit"
        style = f"color:{color};line-height:1.4;min-height:2.8em"  # what is below stays in place
        self.status.value = f'<div role="status" style="{style}">{html.escape(text)}</div>'

    def close(self) -> None:
        """Drop what is kept and take the explorer off the page."""
        self._job.drop()
        self._computed.clear()
        close_all(list(vars(self).values()))

    def _key(self) -> Hashable:
        values = self.values
        return (*(values[name] for name in self.slow), self.state())

    def _changed(self, _: Any) -> None:
        if not self._held:
            self.refresh()

    def _keep(self, key: Hashable, found: Any) -> None:
        # Called in the job's thread: the controls may have changed what is cheap since.
        with self._drawing:
            if not isinstance(found, Exception):
                self._computed.put(key, found)
            if key != self._key():
                return
            if isinstance(found, Exception):
                self._fail(found)
                return
            self._show(self.values, key)
        if self._displayed:
            self.prepare(self.values)

    def _show(self, values: Mapping[str, Any], key: Hashable) -> None:
        self._computed.move_to_end(key)
        begin = perf_counter()
        try:
            with self._quiet():
                self.fit(values, self._computed[key])
            self.say(self.draw(self.values, self._computed[key]))
            self.error = None
        except Exception as error:
            self._fail(error)
        self._copy.text = self.code  # after the drawing, which shows and hides controls
        self.seconds = perf_counter() - begin
        if key != self._key():  # a control changed in the other thread while it was quiet here
            self.refresh()

    def _fail(self, error: Exception) -> None:
        self.error = error
        self._complain(error)

    def _complain(self, error: Exception) -> None:
        _LOG.debug("%s", self.code, exc_info=error)
        expected = isinstance(error, ValueError | OSError | ImportError)
        sentence = str(error) or type(error).__name__
        self.say(sentence if expected else f"{type(error).__name__}: {sentence}", wrong=True)

    def _frame(
        self,
        sections: Mapping[str, Sequence[str]],
        folded: Sequence[str],
        pictures: Sequence[ipw.Widget],
    ) -> ipw.Widget:
        column = controls_column(self.controls, sections, folded)
        parts = [self.status, *pictures] if self.status_first else [*pictures, self.status]
        shown = ipw.VBox(parts, layout=ipw.Layout(flex="1 1 auto"))
        top = ipw.HBox([column, shown], layout=ipw.Layout(width="100%"))
        return ipw.VBox([top, self._footer()])

    def _footer(self) -> ipw.Widget:
        self._copy = CopyButton(tooltip="Copy the line of Python that gives this again")
        path = ipw.Text(f"figures/{self.function}.png", layout=ipw.Layout(width="18em"))
        path.tooltip = "where the figure is written"
        button = ipw.Button(description="Save figure", icon="save")

        def saved(_: Any) -> None:
            try:
                self.say(f"written: {self.save(path.value)}")
            except Exception as error:
                self._complain(error)

        button.on_click(saved)
        return ipw.HBox([self._copy, path, button])

    def _ipython_display_(self) -> None:
        from IPython.display import display

        self._displayed = not is_batch()
        display(self.box if self._displayed else self.figure())
