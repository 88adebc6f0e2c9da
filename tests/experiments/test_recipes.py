"""Recipes of figures: what is declared, and that it agrees with the notebooks and papers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from poselib.experiments.recipes import Recipe, Trained, read_recipes, select_figures
from poselib.experiments.sweep import read_sweep
from poselib.ops.io import read_json
from poselib.papers.outcomes import listed_papers, paper_items
from tests.experiments.factories import cell, write_notebook

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def recipes() -> list[Recipe]:
    return read_recipes(ROOT / "notebooks")


def test_every_kept_figure_has_a_recipe(recipes: list[Recipe]) -> None:
    files = [path.name for path in (ROOT / "figures").iterdir() if path.suffix in (".png", ".csv")]
    known = {name for recipe in recipes for name in recipe.names(files)}
    assert not set(files) - known


def test_no_figure_is_dirty_whose_code_was_recorded() -> None:
    # Older ones wait to be made again: make check names them.
    for path in (ROOT / "figures").rglob("*.json"):
        content = read_json(path)
        assert not (content.get("code") and content["git_changed"]), path.name


def test_what_the_papers_list_is_made_by_the_notebook_that_they_name(
    recipes: list[Recipe],
) -> None:
    makers = {Path(name).stem: recipe for recipe in recipes for name in recipe.figures}
    for paper in listed_papers():
        for item in paper_items(paper).to_dict("records"):
            if item["artifact"]:
                recipe = makers[item["artifact"]]
                named = dict(part.split("=") for part in item["parameters"].split())
                assert recipe.notebook == item["notebook"]
                assert named.items() <= {**recipe.parameters}.items()


def test_trained_systems_are_rows_of_studies(recipes: list[Recipe]) -> None:
    trained = [each for recipe in recipes for each in recipe.trained]
    rows: dict[str, set[str]] = {each.study: set() for each in trained}
    for each in trained:
        rows[each.study].add(each.row)
    assert len(rows) > 4
    for study, named in rows.items():
        assert named <= read_sweep(ROOT / "notebooks" / "sweeps" / f"{study}.json").rows.keys()


def folder(tmp_path: Path, *entries: Any) -> Path:
    write_notebook(tmp_path / "03_toy.ipynb", cell("preset = 'small'\nfile = ''", "parameters"))
    (tmp_path / "figures.json").write_text(json.dumps({"recipes": list(entries)}))
    return tmp_path


def test_recipes_come_after_those_that_they_read(tmp_path: Path) -> None:
    last = {"notebook": "03_toy", "figures": ["all.csv"], "reads": ["*.csv"]}
    first = {"command": "python -m poselib.benchmarks.kills", "figures": ["one.csv", "one_*.png"]}
    found = read_recipes(folder(tmp_path, last, first))
    assert [recipe.figures[0] for recipe in found] == ["one.csv", "all.csv"]
    assert found[0].names(["one_a.png", "all.csv"]) == ["one.csv", "one_a.png"]
    assert found[1].names_read(["one.csv", "all.csv", "x.png"]) == ["one.csv"]
    assert [each.maker for each in found] == [first["command"], "03_toy"]


def test_trained_systems_are_named_in_parameters() -> None:
    text = "a={x_y:A+B, 5 frames:1} {x_y:w/o C} {x:A: 2:0 10}"
    assert Recipe(("a.png",), parameters={"files": text, "n": 3}).trained == [
        Trained("x_y", "A+B, 5 frames", "1", "{x_y:A+B, 5 frames:1}"),
        Trained("x_y", "w/o C", "", "{x_y:w/o C}"),
        Trained("x", "A: 2", "0 10", "{x:A: 2:0 10}"),
    ]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (3, "expected an object, not 3"),
        ({"notebook": "03_toy", "figure": []}, "unknown field 'figure'"),
        ({"notebook": "03_toy", "figures": "a.png"}, "figures must be a list, not 'a.png'"),
        ({"figures": ["a.png"]}, "either a notebook or a command"),
        ({"notebook": "03_toy"}, "names of its figures"),
        ({"notebook": "04_gone", "parameters": {"a": 1}, "figures": ["a"]}, "does not exist"),
        ({"notebook": "03_toy", "parameters": {"fil": ""}, "figures": ["a"]}, "mean 'file'"),
        ({"notebook": "03_toy", "figures": ["b.png"]}, "b.png is made by two recipes"),
        ({"notebook": "03_toy", "figures": ["c"], "reads": ["b*"]}, "read each other: "),
        ({"notebook": "03_toy", "figures": [3]}, "figures must hold names of files, not [3]"),
        ({"notebook": "03_toy", "figures": ["a"], "reads": [""]}, "reads must hold names of files"),
        ({"command": "x", "parameters": {"file": ""}, "figures": ["a"]}, "and no parameters"),
        ({"notebook": "03_toy", "figures": ["a"], "needs": "GPU"}, "needs must be 'cuda'"),
    ],
)
def test_faults_are_named(tmp_path: Path, entry: Any, message: str) -> None:
    other = {"notebook": "03_toy", "figures": ["b.png"], "reads": ["c"]}
    with pytest.raises(ValueError, match=r"figures\.json") as error:
        read_recipes(folder(tmp_path, other, entry))
    assert message in str(error.value)


def test_names_mean_figures_with_or_without_their_suffix() -> None:
    known = ["a.csv", "a.png", "ab_speed.png"]
    assert select_figures(["a"], known) == {"a.csv", "a.png"}
    assert select_figures(["figures/a.png", "ab_speed"], known) == {"a.png", "ab_speed.png"}
    with pytest.raises(ValueError, match=r"no figure or table 'ab_sped'; close to it: ab_speed"):
        select_figures(["a", "ab_sped"], known)
