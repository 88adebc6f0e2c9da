"""JupyterLab in a headless Chromium: one server, one kernel and one notebook for many explorers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from jupyter_client.blocking.client import BlockingKernelClient

from tests.experiments.factories import cell, write_notebook

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {  # of JupyterLab; cells out of sight are kept on the page
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
FOLDERS = ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR", "LAB_WORKSPACES_DIR", "LAB_SETTINGS_DIR")
PATIENCE = 90_000  # ms, for what starts on a busy machine
ANSWER = 20_000  # ms, for what is on the page to answer
OUTLINED = "getComputedStyle(document.activeElement).outlineStyle !== 'none'"
CONTRASTS = (ROOT / "tests" / "widgets" / "contrasts.js").read_text(encoding="utf-8")


def find_chromium() -> str | None:
    """Return the path of an installed Chromium."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


class Lab:
    """A page of JupyterLab that shows a notebook.

    Attributes:
        page: of playwright.
        folder: of the notebook.
        complaints: errors that the page wrote to its console.
        hosts: that anything was asked from.
        log: what server and kernel write.
    """

    def __init__(self, browser: Any, url: str, notebook: Path, log: Path) -> None:
        self.folder, self.log = notebook.parent, log
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        context = browser.new_context(viewport={"width": 1500, "height": 1100})
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.page.on("console", self._listen)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self._note(request.url))
        self.page.on("websocket", lambda websocket: self._note(websocket.url))
        self.page.goto(f"{url}/lab/workspaces/tried/tree/{notebook.name}?reset")
        self.page.wait_for_selector(".jp-Notebook .jp-CodeCell")
        self.page.wait_for_function(
            "window.jupyterapp?.shell.currentWidget?.sessionContext?.isReady"
        )

    def run(self, index: int) -> Explored:
        """Run a cell and return the explorer that it shows, once it is drawn."""
        self.page.evaluate(
            """async (index) => {
                const { commands, shell } = window.jupyterapp;
                shell.currentWidget.content.activeCellIndex = index;
                await commands.execute("notebook:run-cell");
            }""",
            index,
        )
        return Explored(self, self.page.locator(".jp-Notebook .jp-Cell").nth(index))

    def run_unseen(self, code: str) -> set[str]:
        """Run code in the same kernel as programs that execute files do; return what it shows.

        Returns:
            The MIME types.
        """
        (connection,) = (self.folder.parent / "runtime_dir").glob("kernel-*.json")
        found: set[str] = set()

        def listen(message: dict[str, Any]) -> None:
            found.update(message["content"].get("data", {}))

        def ask() -> None:
            client = BlockingKernelClient(connection_file=str(connection))
            client.load_connection_file()
            client.start_channels()
            client.execute_interactive(code, output_hook=listen, timeout=PATIENCE / 1000)
            client.stop_channels()

        thread = threading.Thread(target=ask)  # playwright's loop runs in this one
        thread.start()
        thread.join()
        return found

    def set_theme(self, name: str) -> None:
        """Change JupyterLab's theme: ``"Light"`` or ``"Dark"``."""
        theme = f"JupyterLab {name}"
        call = "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })"
        self.page.evaluate(call, theme)
        self.page.wait_for_function(
            "theme => document.body.dataset.jpThemeName === theme", arg=theme
        )
        self.page.wait_for_function("!document.getElementById('jupyterlab-splash')")

    def _listen(self, message: Any) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def _note(self, url: str) -> None:
        if not url.startswith(("data:", "blob:")):
            self.hosts.add(url.split("/")[2].rpartition(":")[0] or url)


class Explored:
    """An explorer on the page: what it shows, and its controls by the text beside them."""

    def __init__(self, lab: Lab, cell: Any) -> None:
        self.lab, self.page, self.cell = lab, lab.page, cell
        self.cell.locator("div[role=status]").wait_for()
        self.settle(PATIENCE)

    @property
    def status(self) -> str:
        """The line below the pictures."""
        return str(self.cell.locator("div[role=status]").inner_text())

    @property
    def shown(self) -> list[int]:
        """How many pictures each canvas has shown, hidden ones included."""
        counts = "all => all.map(each => Number(each.dataset.shown ?? 0))"
        return list(self.cell.locator("canvas").evaluate_all(counts))

    @property
    def canvases(self) -> Any:
        """The pictures that can be seen."""
        return self.cell.locator(".poselib-canvas canvas:visible")

    def settle(self, patience: int = ANSWER) -> None:
        """Wait until nothing is computed and something is shown."""
        self._until(
            "cell => { const said = cell.querySelector('[role=status]')?.textContent;"
            "return said && said !== 'computing ...' && cell.querySelector('canvas[data-shown]') }",
            patience=patience,
        )

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Wait, after what is done within, until another picture can be seen."""
        before = self.shown
        yield
        self._until(
            "(cell, before) => [...cell.querySelectorAll('canvas')]"
            ".some((each, n) => each.checkVisibility()"
            " && Number(each.dataset.shown ?? 0) > (before[n] ?? 0))",
            before,
        )
        self.settle()

    def says(self, part: str) -> None:
        """Wait until the line below the pictures has this text."""
        found = "(cell, part) => cell.querySelector('[role=status]').textContent.includes(part)"
        self._until(found, part)

    def control(self, name: str) -> Any:
        """Return the control with this text beside it, as a row of the page."""
        label = self.page.locator("label, span", has_text=name).filter(visible=True)
        rows = self.cell.locator(".jupyter-widgets.widget-inline-hbox:visible")
        return rows.filter(has=label.get_by_text(name, exact=True)).first

    def slide(self, name: str, key: str = "ArrowRight") -> None:
        """Press a key on the (first) handle of a slider."""
        self.control(name).locator(".noUi-handle").first.press(key)

    def choose(self, name: str, option: str) -> None:
        """Choose an option of a dropdown."""
        self.control(name).locator("select").select_option(option)

    def select(self, name: str, *options: str) -> None:
        """Choose some options of a list."""
        self.control(name).locator("select").select_option(label=list(options))

    def count(self, name: str, value: int) -> None:
        """Write a number into a field and press Enter."""
        field = self.control(name).locator("input[type=number]")
        field.fill(str(value))
        field.press("Enter")

    def tick(self, name: str) -> None:
        """Click a checkbox."""
        self.control(name).locator("input[type=checkbox]").click()

    def write(self, name: str, text: str) -> None:
        """Write into a field and press Enter."""
        field = self.control(name).locator("input[type=text]")
        field.fill(text)
        field.press("Enter")

    def point(self, canvas: int, x: float, y: float) -> tuple[float, float]:
        """Return where fractions of a picture's width and height lie on the page, in sight."""
        found = self.canvases.nth(canvas)
        found.scroll_into_view_if_needed()
        box = found.bounding_box()
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    def click(self, canvas: int, x: float, y: float) -> None:
        """Click into a picture, at fractions of its width and height."""
        self.page.mouse.click(*self.point(canvas, x, y))

    def drag(self, canvas: int, start: Sequence[float], end: Sequence[float]) -> None:
        """Drag over a picture, between fractions of its width and height."""
        self.page.mouse.move(*self.point(canvas, *start))
        self.page.mouse.down()
        self.page.mouse.move(*self.point(canvas, *end), steps=4)
        self.page.mouse.up()

    def tab_to_canvas(self) -> int:
        """Press Tab from the first control on until a picture has the focus; return how often."""
        self.cell.locator("select:visible, input:visible, .noUi-handle:visible").first.focus()
        for presses in range(1, 60):
            self.page.keyboard.press("Tab")
            if self.page.evaluate("document.activeElement.matches('.poselib-canvas canvas')"):
                assert self.page.evaluate(OUTLINED), "what has the focus is not outlined"
                return presses
        raise AssertionError("no picture can be reached with Tab")

    def unfold(self) -> None:
        """Open all sections that are closed, by keys."""
        closed = self.cell.locator("button:visible:has(.fa-caret-right)")
        while closed.count():
            before = closed.count()
            closed.first.press("Enter")
            self._until(
                "(cell, before) => cell.querySelectorAll('button:has(.fa-caret-right)').length"
                " < before",
                before,
            )

    def press(self, name: str) -> None:
        """Click a button."""
        self.cell.get_by_role("button", name=name).click()

    def radio(self, name: str) -> None:
        """Choose one of several radio buttons."""
        self.cell.get_by_label(name, exact=True).check()

    def pick(self, row: int, key: str = "Enter") -> None:
        """Choose a row of a table by a key."""
        self.cell.locator("tbody tr[tabindex]:visible").nth(row).press(key)

    def play(self) -> None:
        """Begin to play."""
        self.cell.locator(".widget-play button:visible").first.click()

    def upload(self, path: Path) -> None:
        """Choose a file of the disk for the one control that takes one."""
        with self.page.expect_file_chooser() as chooser:
            self.cell.locator("button.widget-upload:visible").click()
        chooser.value.set_files(path)

    def contrasts(self) -> list[tuple[float, float, str]]:
        """Return contrast, size in px and text of all that is written in the explorer."""
        return [tuple(each) for each in self.cell.locator(".jp-OutputArea").evaluate(CONTRASTS)]

    def cut_labels(self) -> list[str]:
        """Return the texts beside controls that do not fit where they stand."""
        cut = "all => all.filter(e => e.scrollWidth > e.clientWidth).map(e => e.textContent)"
        return list(self.cell.locator(".widget-label:visible").evaluate_all(cut))

    def tracebacks(self) -> int:
        """Return how many errors stand below the cell."""
        kinds = ("error", "stderr")
        outputs = ", ".join(f"[data-mime-type='application/vnd.jupyter.{kind}']" for kind in kinds)
        return int(self.cell.locator(outputs).count())

    def _until(self, predicate: str, value: Any = None, patience: int = ANSWER) -> None:
        script = f"([cell, value]) => ({predicate})(cell, value)"
        self.page.wait_for_function(
            script, arg=[self.cell.element_handle(), value], timeout=patience
        )


@contextmanager
def open_lab(folder: Path, cells: Sequence[str], environment: Mapping[str, str]) -> Iterator[Lab]:
    """Write a notebook into ``folder / "files"`` and show it; all that is started ends with it."""
    from playwright.sync_api import sync_playwright

    (folder / "files").mkdir(exist_ok=True)
    notebook = write_notebook(folder / "files" / "tried.ipynb", *map(cell, cells))
    for name, values in SETTINGS.items():
        path = folder / "lab_settings_dir" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    log = folder / "log.txt"
    with _server(folder, environment, log) as url, sync_playwright() as playwright:
        # Chromium's own walls between processes need rights that root in a container lacks.
        arguments = ["--no-sandbox"] if hasattr(os, "getuid") and os.getuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=arguments)
        try:
            yield Lab(browser, url, notebook, log)
        finally:
            browser.close()


@contextmanager
def _server(folder: Path, environment: Mapping[str, str], log: Path) -> Iterator[str]:
    own = {
        f"JUPYTER{'LAB' if name.startswith('LAB') else ''}_{name.removeprefix('LAB_')}": str(
            folder / name.lower()
        )
        for name in FOLDERS
    }
    own |= {"IPYTHONDIR": str(folder / "ipython"), "PYTHONPATH": str(ROOT), "HOME": str(folder)}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--expose-app-in-browser"]
    command += ["--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0", "--allow-root"]
    command += ["--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=True"]
    command += [f"--notebook-dir={folder / 'files'}"]
    with log.open("w") as stream:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **own, **environment},
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(PATIENCE // 100):
            if process.poll() is not None:
                raise RuntimeError(f"JupyterLab does not start\n{log.read_text()}")
            try:
                urlopen(f"{url}/api", timeout=5).close()
                break
            except (URLError, OSError):
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()  # it ends its kernels
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
