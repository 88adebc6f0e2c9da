"""The Python of the README and of the documentation runs as it stands there."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from textwrap import dedent

import matplotlib.pyplot as plt
import pytest
from PIL import Image

from poselib.cli import _parser
from poselib.data.synthetic.config import SceneConfig
from poselib.data.synthetic.export import write_scenes
from poselib.skeletons import COCO
from poselib.systems import SYSTEMS, known_options
from tests.data.factories.videos import opencv_video

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *(ROOT / "docs").glob("papers/*.md"),
]
BLOCK = re.compile(r"^ *```python\n(.*?)^ *```", re.M | re.S)
SHELL = re.compile(r"^ *```sh\n(.*?)^ *```", re.M | re.S)
WITH_CODE = [page for page in PAGES[1:] if BLOCK.search(page.read_text(encoding="utf-8"))]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what the examples name: a photo, a COCO-format dataset and videos."""
    folder = tmp_path_factory.mktemp("files")
    write_scenes(folder, SceneConfig(size=128, people=(1, 3)), 2, 0, COCO)
    Image.open(folder / "images" / "000000.png").save(folder / "photo.jpg")
    shutil.copytree(folder / "images", folder / "walk")
    (folder / "poses").mkdir()
    shutil.copy(folder / "annotations.json", folder / "poses" / "coco.json")
    opencv_video(folder / "clip.mp4", 2)
    return folder


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=page.stem, marks=[pytest.mark.slow] * (page.stem == "export"))
        for page in WITH_CODE
    ],
)
def test_examples_run(
    page: Path, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in BLOCK.findall(page.read_text(encoding="utf-8")):
        exec(compile(dedent(block), str(page), "exec"), names)
    plt.close("all")


def test_the_readme_shows_the_front_door(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(files)
    (block,) = BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert "poselib.load()" in block and "model.plot(" in block
    exec(compile(block, "README.md", "exec"), {})
    assert "people, 17 keypoints, scores 0." in capsys.readouterr().out


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_are_known(page: Path) -> None:
    """Every ``poselib`` command of a page has options that exist; none is run."""
    text = page.read_text(encoding="utf-8")
    lines = "\n".join(SHELL.findall(text)).replace("\\\n", " ").splitlines()
    for line in (line.strip() for line in lines):
        if line.startswith("poselib "):
            try:
                _parser().parse_args(shlex.split(line, comments=True)[1:])
            except SystemExit:
                pytest.fail(f"{page.name}: {line}")


def test_links_lead_somewhere() -> None:
    link = re.compile(r"\]\((?!https?:|#)([^)#]+)")
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in [*PAGES, ROOT / "CONTRIBUTING.md"]
        for target in link.findall(page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize("name", [name for name in SYSTEMS if name != "jre"])
def test_options_named_on_a_papers_page_exist(name: str) -> None:
    known = set(known_options(name)) | set(known_options(name, "associative"))
    known |= set(known_options("jre")) if name == "rpstn" else set()  # of the same paper
    page = (ROOT / "docs" / "papers" / f"{name}.md").read_text(encoding="utf-8")
    of_notebooks = {"placement", "pretrained", "study"}
    named = set(re.findall(r"`(\w+)=[^`]+`", page)) - of_notebooks
    assert named and named <= known
