"""Definitions and what they refer to, on a small package, and fingerprints of real notebooks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import poselib
from poselib.experiments.code_base import CodeBase
from poselib.experiments.fingerprint import (
    Fingerprint,
    module_fingerprint,
    notebook_fingerprint,
)
from poselib.experiments.module_source import Place, form_of, read_source
from poselib.experiments.named_files import files_of

PACKAGE = Path(poselib.__file__).parent
TRAIN = PACKAGE.parent / "notebooks" / "03_train.ipynb"
FILES = {
    "__init__": """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from toy.losses import pull
""",
    "losses": '''
"""Losses."""
import math
from toy import ops
from toy.ops import scale as factor
LIMIT = 3
def pull(x: int, unused=None) -> float:
    """Pull."""
    return factor(x) + LIMIT
def push(x):
    return ops.shift(x) * math.pi
class Loss:
    limit: int = LIMIT
    def __call__(self, x):
        from toy.ops import lazy
        return lazy(x)
''',
    "ops": """
def scale(x): return 2 * x
def shift(x): return x + 1
def lazy(x): return shift(x)
def alone(x): return alone(x - 1)
""",
    "systems": """
from toy import losses, systems
from toy.losses import push as pushed
def one(): return losses.pull
def two(): return pushed, systems.one
SYSTEMS = {"one": one, ("two", ""): two}
def build(name): return SYSTEMS[name]()
""",
}


def package(folder: Path, **changed: str) -> CodeBase:
    """Write the small package, some modules with another text."""
    root = folder / "toy"
    root.mkdir(exist_ok=True)
    for name, text in {**FILES, **changed}.items():
        (root / f"{name}.py").write_text(text, encoding="utf-8")
    return CodeBase(root)


def named(places: set[Place]) -> set[str]:
    return {f"{module}.{name}" for module, name in places if name}


def forms(base: CodeBase, root: Place) -> dict[Place, str]:
    return {place: base.form(place) for place in base.reached([root])}


def test_a_definition_reaches_what_it_refers_to(tmp_path: Path) -> None:
    base = package(tmp_path)
    assert named(base.reached([("toy.losses", "pull")])) == {
        "toy.losses.pull", "toy.losses.LIMIT", "toy.ops.scale",
    }  # fmt: skip
    assert named(base.reached([("toy.losses", "push")])) == {"toy.losses.push", "toy.ops.shift"}
    lazily = named(base.reached([("toy.losses", "Loss")]))
    assert lazily >= {"toy.ops.lazy", "toy.ops.shift"} and "toy.ops.scale" not in lazily
    assert named(base.reached([("toy.ops", "alone")])) == {"toy.ops.alone"}


def test_names_are_followed_through_packages_and_aliases(tmp_path: Path) -> None:
    base = package(tmp_path)
    source = read_source("notebook", "import toy\nfrom toy.systems import two as t\n")
    code = read_source("cell", "toy.pull(1), toy.ops.scale, t().x, toy.unknown, print").rest[0]
    used = base.uses(code, source)
    assert used == {
        ("toy.losses", "pull"),
        ("toy.ops", "scale"),
        ("toy.systems", "two"),
        ("toy", ""),
    }
    assert ("toy.systems", "one") in base.reached(used)


def test_a_mapping_counts_by_its_chosen_entries(tmp_path: Path) -> None:
    base, table = package(tmp_path), ("toy.systems", "SYSTEMS")
    everything = named(base.reached([("toy.systems", "build")]))
    assert {"toy.losses.push", "toy.losses.pull"} <= everything
    chosen = {table: frozenset({"one"})}
    one = named(base.reached([("toy.systems", "build")], chosen=chosen))
    assert "toy.losses.pull" in one and "toy.losses.push" not in one
    assert base.form(table, chosen) != base.form(table)
    assert "two" in base.form(table, {table: frozenset({"two"})})
    assert named(base.reached([("toy.systems", "two")], ["toy.losses"])) == {
        "toy.systems.two", "toy.systems.one",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""Pull."""', '"""Pull people together."""'),
        ('    """Pull."""\n', ""),
        ("return factor(x) + LIMIT", "return factor(x)  +  (LIMIT)  # why"),
        ("x: int, unused=None) -> float", "x, unused=None)"),
        ("limit: int = LIMIT", "limit: float = LIMIT"),
        ("def push(x):", "def push(x, y=5):"),  # pull does not reach it
    ],
)
def test_what_changes_nothing(tmp_path: Path, old: str, new: str) -> None:
    before = forms(package(tmp_path), ("toy.losses", "pull"))
    changed = FILES["losses"].replace(old, new)
    assert changed != FILES["losses"]
    assert forms(package(tmp_path, losses=changed), ("toy.losses", "pull")) == before


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("losses", "LIMIT = 3", "LIMIT = 4"),
        ("losses", "factor(x) + LIMIT", "factor(x) - LIMIT"),
        ("losses", "unused=None", "unused=0"),
        ("ops", "return 2 * x", "return 3 * x"),
        ("losses", "import math", "import math\nprint(math)"),  # done when it is imported
    ],
)
def test_what_changes_a_form(tmp_path: Path, module: str, old: str, new: str) -> None:
    before = forms(package(tmp_path), ("toy.losses", "pull"))
    changed = FILES[module].replace(old, new)
    assert changed != FILES[module]
    assert forms(package(tmp_path, **{module: changed}), ("toy.losses", "pull")) != before


def test_forms_are_the_same_in_all_versions_of_python() -> None:
    """Newer versions have further fields of functions and classes, and print empty ones or not."""
    function = read_source("m", "@a\ndef f(x, *, y=None): return x[1:], 'a', {**y}").definitions[
        "f"
    ]
    assert "\n".join(map(form_of, function)) == (
        "FunctionDef(name='f', args=arguments(args=[arg(arg='x')], kwonlyargs=[arg(arg='y')], "
        "kw_defaults=[Constant()]), body=[Return(value=Tuple(elts=[Subscript(value=Name(id='x', "
        "ctx=Load()), slice=Slice(lower=Constant(value=1)), ctx=Load()), Constant(value='a'), "
        "Dict(keys=[None], values=[Name(id='y', ctx=Load())])], ctx=Load()))], "
        "decorator_list=[Name(id='a', ctx=Load())])"
    )


def test_modules_that_are_absent_or_no_python(tmp_path: Path) -> None:
    base = package(tmp_path, broken="def (")
    with pytest.raises(FileNotFoundError, match=r"toy\.absent"):
        base.source("toy.absent")
    with pytest.raises(ValueError, match=r"toy\.broken is not Python"):
        base.source("toy.broken")


def test_sources_import_in_ways_that_are_followed() -> None:
    for file in PACKAGE.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"^\s*from \.|^\s*from \S+ import \*", text, re.MULTILINE), file


def test_files_that_are_read_count(tmp_path: Path) -> None:
    ablation = TRAIN.with_name("14_ablation.ipynb")
    files = files_of(ablation, {"study": "dekr_components"})
    assert [path.name for path in files] == ["dekr_components.json", "dekr.csv"]
    assert files_of(TRAIN, {"system": "dekr"}) == []
    sweep = tmp_path / "dekr_components.json"
    before = notebook_fingerprint(ablation, files=files)
    sweep.write_text(files[0].read_text(encoding="utf-8") + "\n", encoding="utf-8")
    after = notebook_fingerprint(ablation, files=[sweep, files[1]])
    assert after.changed(before.modules) == ["dekr_components.json"]
    assert "hae_tiny_synthetic.safetensors" in before.modules  # the bundled weights
    predicted = notebook_fingerprint(TRAIN.with_name("05_predict.ipynb"))
    assert "published.csv" in predicted.modules  # beside systems.published


def test_what_a_command_starts_in_other_processes_counts_with_it(tmp_path: Path) -> None:
    losses = FILES["losses"]
    for text in (losses, losses + 'STARTS = ("toy.systems",)\n'):
        folder = tmp_path / str(len(text))
        folder.mkdir()
        base = package(folder, losses=text)
        before = module_fingerprint("toy.losses", folder / "toy")
        assert ("systems" in before.modules) == ("STARTS" in base.source("toy.losses").definitions)
    # Even of those that do not count elsewhere, as they do not change what a run computes.
    executing = {"experiments.run_sweep", "experiments.run_worker", "experiments.clusters"}
    assert executing <= set(module_fingerprint("poselib.benchmarks.sweep_kills").modules)
    assert not executing & set(module_fingerprint("poselib.benchmarks.kills").modules)


def training(system: str, folder: Path = PACKAGE) -> Fingerprint:
    return notebook_fingerprint(
        TRAIN, systems=[system], datasets=["crowd"], drawing=False, package=folder
    )


def test_a_changed_loss_changes_its_dependants_alone(changed_package: Path) -> None:
    for name, expected in {
        "hae": [], "dekr": ["losses.offset"], "grm": ["losses.offset"], "rpstn": [],
    }.items():  # fmt: skip
        before, after = training(name), training(name, changed_package)
        assert after.changed(before.modules) == expected
        assert (after.digest != before.digest) == bool(expected)


def test_what_a_notebook_draws_counts_for_figures_alone() -> None:
    drawn = notebook_fingerprint(TRAIN, systems=["hae"], datasets=["crowd"])
    assert any(name.startswith("plots.") for name in drawn.modules)
    explored = notebook_fingerprint(TRAIN.with_name("12_hae_decoding.ipynb"))  # at its end
    assert not any(name.startswith("widgets") for name in explored.modules)
    trained = training("hae")
    assert not any(name.startswith(("plots", "papers.hae", "widgets")) for name in trained.modules)
    reached = {"losses.associative", "engine.trainer", "systems.hae", "data.augmentation"}
    assert {*reached, "notebook", "data.synthetic.rendering"} <= set(trained.modules)
    assert "data.readers.coco" not in trained.modules
    coco = notebook_fingerprint(TRAIN, systems=["hae"], datasets=["coco"], drawing=False)
    assert "data.readers.coco" in coco.modules
    with pytest.raises(FileNotFoundError, match="absent"):
        notebook_fingerprint("absent.ipynb")
