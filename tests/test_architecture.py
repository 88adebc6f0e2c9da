"""The plan of the house, checked by reading the source: nothing here imports poselib."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "poselib"

# Imports point from a higher level to a lower one, or stay in their room.
LEVELS = {
    "wording": -4,
    "skeleton_rules": -3,
    "skeleton_files": -2,
    **dict.fromkeys(("skeleton", "typing"), -1),
    "skeletons": 0,
    "poses": 1,
    "structures": 2,
    **dict.fromkeys(("annotations", "outputs"), 3),
    "ops": 4,
    **dict.fromkeys(("data", "encoders", "models", "losses", "decoders", "metrics", "plots"), 5),
    "systems": 6,
    "engine": 7,
    **dict.fromkeys(("api", "papers"), 8),
    "analysis": 9,
    "experiments": 10,
    **dict.fromkeys(("widgets", "cli"), 11),
    "benchmarks": 12,
}
PAPER_ROOMS = ("systems", "papers", "experiments")
LONG_NAMES = ("dekr", "logocap", "rpstn")  # wherever they occur in a name
SHORT_NAMES = ("hae", "grm", "mfa", "jre")  # as a word of a name
# "pad" is also what one does with tensors: only the abbreviation itself and files count.
FILE_LINES, BODY_LINES = 300, 60

Checker = Callable[[str, str], Iterator[str]]


def room_of(module: str) -> str:
    """``poselib.data.readers.coco`` is in ``data``; ``poselib`` itself is in no room."""
    return module.split(".")[1] if "." in module else ""


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def nodes_of(source: str) -> tuple[ast.AST, ...]:
    """Return all nodes of a source's syntax tree; a file is parsed once for all checks."""
    return tuple(ast.walk(ast.parse(source)))


def imported_modules(source: str, module: str, is_package: bool = False) -> Iterator[str]:
    """Yield what of poselib a source imports, at any depth, under ``if TYPE_CHECKING`` too."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in nodes_of(source):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("poselib."))
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            if origin == "poselib":
                yield from (f"poselib.{alias.name}" for alias in node.names)
            elif origin.startswith("poselib."):
                yield origin


def wrong_imports(source: str, module: str, is_package: bool = False) -> Iterator[str]:
    room = room_of(module)
    for imported in imported_modules(source, module, is_package):
        target = room_of(imported)
        if target.startswith("__") or target == room:
            continue
        if target not in LEVELS:
            yield f"imports {imported}, which is in no room of the plan"
        elif not room and not for_types_alone(source, imported):
            yield f"the package itself imports {imported}"
        elif room and LEVELS[target] >= LEVELS[room]:
            yield f"{room} must not import {imported}"


def for_types_alone(source: str, imported: str) -> bool:
    """Whether a module is imported under ``if TYPE_CHECKING`` and nowhere else."""
    guarded = [
        node
        for branch in nodes_of(source)
        if isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING"
        for node in branch.body
    ]
    froms = [node for node in nodes_of(source) if isinstance(node, ast.ImportFrom)]
    imports = [node for node in froms if node.module == imported]
    return bool(imports) and all(node in guarded for node in imports)


def paper_name(name: str) -> str | None:
    """Return the paper that a name mentions: ``hae_loss``, ``HAELoss`` and ``buildDEKR`` do."""
    flat = name.replace("_", "").lower()
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)
    found = [paper for paper in LONG_NAMES if paper in flat]
    found += [paper for paper in SHORT_NAMES if paper in (word.lower() for word in words)]
    found += ["pad"] * (name == "PAD" or name.startswith("PAD_"))
    return found[0] if found else None


def identifiers(source: str) -> Iterator[tuple[int, str]]:
    for node in nodes_of(source):
        line = getattr(node, "lineno", 0)
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield line, name
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield line, name
            case ast.keyword(arg=str(name)):
                yield node.value.lineno, name
            case ast.alias(name=name, asname=other):
                yield line, name
                yield line, other or name


def named_papers(source: str, module: str) -> Iterator[str]:
    if room_of(module) in PAPER_ROOMS:
        return
    stem = module.split(".")[-1]
    if paper_name(stem) or "pad" in stem.split("_"):
        yield f"the file is named after a paper: {stem}"
    for line, name in identifiers(source):
        if paper_name(name):
            yield f"line {line}: {name!r} names a paper"


def too_long(source: str, module: str) -> Iterator[str]:
    if (lines := source.count("\n")) > FILE_LINES:
        yield f"{lines} lines; at most {FILE_LINES}"
    for node in nodes_of(source):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            # What a function does, apart from its signature and docstring.
            body = node.body[1:] if ast.get_docstring(node) else node.body
            length = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
            if length > BODY_LINES:
                yield f"the body of {node.name} has {length} lines; at most {BODY_LINES}"


def forbidden(source: str, module: str) -> Iterator[str]:
    for node in nodes_of(source):
        match node:
            case ast.Call(func=ast.Name(id="print")):
                yield f"line {node.lineno}: print"
            case ast.Call(func=ast.Attribute(attr="cuda")):
                yield f"line {node.lineno}: .cuda(); a device is an argument"
            case ast.Name(id="NotImplementedError"):
                yield f"line {node.lineno}: NotImplementedError"
            case ast.ImportFrom(names=names) if any(a.name == "*" for a in names):
                yield f"line {node.lineno}: import *"
    yield from environment_at_import(source)
    for number, line in enumerate(source.splitlines(), start=1):
        if re.search(r"#.*\b(TODO|FIXME|XXX)\b", line):
            yield f"line {number}: {line.strip()}"


def environment_at_import(source: str) -> Iterator[str]:
    functions = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    nodes = nodes_of(source)
    inside = {id(n) for f in nodes if isinstance(f, functions) for n in ast.walk(f)}
    for node in nodes:
        read = isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
        if read and id(node) not in inside:
            yield f"line {node.lineno}: reads the environment at import"


def private_imports(source: str, module: str) -> Iterator[str]:
    for node in nodes_of(source):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("poselib"):
            for alias in node.names:
                if alias.name.startswith("_") and not alias.name.startswith("__"):
                    yield f"line {node.lineno}: imports {alias.name}, private to {node.module}"


def no_room(path: Path) -> bool:
    """Whether a module of the package lies outside the rooms of the plan."""
    room = room_of(module_of(path))
    return bool(room) and room not in LEVELS


FILES = sorted(PACKAGE.rglob("*.py"))
CHECKERS: tuple[Checker, ...] = (named_papers, too_long, forbidden, private_imports)


@pytest.mark.parametrize("checker", CHECKERS, ids=lambda checker: checker.__name__)
def test_source(checker: Checker) -> None:
    found = [
        f"{path.relative_to(ROOT)}: {fault}"
        for path in FILES
        for fault in checker(path.read_text(encoding="utf-8"), module_of(path))
    ]
    assert not found, "\n".join(found)


def test_imports_point_down() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {fault}"
        for path in FILES
        for fault in wrong_imports(
            path.read_text(encoding="utf-8"), module_of(path), path.name == "__init__.py"
        )
    ]
    assert not found, "\n".join(found)


def test_every_module_is_in_a_room_of_the_plan() -> None:
    assert FILES
    assert not [str(path.relative_to(ROOT)) for path in FILES if no_room(path)]


def test_tests_mirror_the_library() -> None:
    """``tests/<room>/test_<stem>.py`` begins with a module of that room or is named after it."""
    strangers = []
    for path in sorted((ROOT / "tests").glob("*/**/test_*.py")):
        folder = path.parent.relative_to(ROOT / "tests")
        stem, room = path.stem.removeprefix("test_"), PACKAGE / folder
        modules = [room.name, *(module.stem for module in room.glob("[!_]*.py"))]
        if not any(stem == name or stem.startswith(f"{name}_") for name in modules):
            strangers.append(str(path.relative_to(ROOT)))
    assert not strangers, f"no module of that name: {strangers}"


# The checkers themselves, on sources that are wrong on purpose.


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("poselib.data.readers.coco", "from poselib.losses.heatmap import heatmap_loss"),
        ("poselib.data.readers.coco", "import poselib.engine.train"),
        ("poselib.data.readers.coco", "from poselib import decoders"),
        ("poselib.data.loaders", "from ..models import hrnet"),
        ("poselib.data.loaders", "from .. import engine"),
        ("poselib.data.readers.coco", "def f():\n    from poselib.metrics.ap import evaluate_ap"),
        ("poselib.ops.peaks", "from poselib.data.readers.coco import CocoKeypoints"),
        ("poselib.skeletons", "from poselib.structures import Warp"),
        ("poselib.structures", "from poselib.outputs import TagOutputs"),
        ("poselib.systems.hae", "from poselib.engine.train import train"),
        ("poselib.experiments.runs", "from poselib.cli import main"),
        ("poselib.data.readers.coco", "from poselib.helpers import anything"),
        ("poselib", "from poselib.skeletons import COCO"),
        ("poselib", "import poselib.skeletons"),
        ("poselib", "def __getattr__(name):\n    from poselib.skeletons import COCO"),
    ],
)
def test_an_import_that_does_not_point_down_is_found(module: str, source: str) -> None:
    assert list(wrong_imports(source, module))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("poselib.data.readers.coco", "from poselib.ops.normalization import normalize"),
        ("poselib.data.readers.coco", "from poselib.data.readers.coco_json import read"),
        ("poselib.data.readers.coco", "from .coco_json import read"),
        ("poselib.systems.hae", "from poselib.models import higher_hrnet"),
        ("poselib.engine.train", "from poselib import __version__\nimport numpy, poselib"),
        ("poselib.structures", "from poselib.skeletons import Skeleton"),
        ("poselib", "if TYPE_CHECKING:\n    from poselib.skeletons import COCO"),
    ],
)
def test_an_import_that_points_down_is_left_alone(module: str, source: str) -> None:
    assert not list(wrong_imports(source, module))


def test_a_package_resolves_its_relative_imports() -> None:
    source = "from .hae import build\nfrom ..engine import train"
    found = list(imported_modules(source, "poselib.systems", is_package=True))
    assert found == ["poselib.systems.hae", "poselib.engine"]


@pytest.mark.parametrize(
    "source",
    ["hae = 1", "def hae_loss(): ...", "class HAELoss: ...", "x.build_dekr()", "f(logocap=1)"],
)
def test_a_paper_as_identifier_is_found_outside_its_rooms(source: str) -> None:
    assert list(named_papers(source, "poselib.losses.associative"))
    assert not list(named_papers(source, "poselib.systems.hae"))


@pytest.mark.parametrize("source", ['"""HAE, Eq. (11)."""', "F.pad(x)", "padding = 1", "phaes = 1"])
def test_citations_and_padding_are_left_alone(source: str) -> None:
    assert not list(named_papers(source, "poselib.losses.associative"))


@pytest.mark.parametrize("stem", ["hae", "logo_cap", "pad", "pad_order", "dekr_targets"])
def test_a_file_named_after_a_paper_is_found(stem: str) -> None:
    assert list(named_papers("", f"poselib.decoders.{stem}"))


@pytest.mark.parametrize(
    "source",
    [
        "def f():\n    print(1)",
        "x.cuda()",
        "raise NotImplementedError",
        "import os\nHOME = os.environ['HOME']",
        "class A:\n    home = os.getenv('HOME')",
        "from numpy import *",
        "x = 1  # TODO more",
    ],
)
def test_what_is_forbidden_is_found(source: str) -> None:
    assert list(forbidden(source, "poselib.data.readers.coco"))


def test_what_is_allowed_is_left_alone() -> None:
    source = 'def f():\n    return os.environ["X"]\ntext = "print(1).cuda()"\nx.to("cuda")\n'
    assert not list(forbidden(source, "poselib.data.readers.coco"))


def test_long_files_and_functions_are_found() -> None:
    assert list(too_long("x = 1\n" * (FILE_LINES + 1), "poselib.cli"))
    body = '    """One.\n\n    More.\n    """\n' + "    x = 1\n" * BODY_LINES
    assert not list(too_long(f"def f():\n{body}", "poselib.cli"))
    assert list(too_long(f"def f():\n{body}    x = 1\n", "poselib.cli"))


def test_private_imports_are_found() -> None:
    assert list(
        private_imports("from poselib.data.readers.coco import _read", "poselib.engine.train")
    )
    assert not list(private_imports("from poselib import __version__", "poselib.cli"))


def test_a_module_outside_the_rooms_is_found() -> None:
    assert no_room(PACKAGE / "helpers.py") and no_room(PACKAGE / "utils" / "io.py")
    assert not no_room(PACKAGE / "data" / "coco.py") and not no_room(PACKAGE / "__init__.py")
