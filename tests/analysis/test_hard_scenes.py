from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from poselib.analysis.association_errors import association_errors, people_counts
from poselib.analysis.hard_scenes import ComparedWays, compare_variants
from poselib.analysis.select_images import ranked_images
from poselib.data.synthetic.config import SceneConfig
from poselib.data.synthetic.dataset import SyntheticScenes
from poselib.engine.checkpoints import load_checkpoint
from poselib.engine.evaluate import evaluate
from poselib.engine.variants import with_options
from poselib.papers.presets import get_preset

WAYS = {"fixed": {"progressive": False, "order": "bottom_up"}, "ours": {"progressive": True}}


def test_ways_are_compared_as_one_by_one() -> None:
    system = load_checkpoint().system
    scenes = SyntheticScenes(SceneConfig(size=128, people=(4, 5)), 4, 5, system.skeleton).cached()
    look = replace(get_preset("smoke").predict, flip=False)
    compared = compare_variants(system, scenes, look, WAYS)
    assert list(compared.table["decoding"]) == list(compared.groups) == list(WAYS)
    for row, (way, switches) in zip(compared.table.to_dict("records"), WAYS.items(), strict=True):
        whole = evaluate(with_options(system, **switches), scenes, look)
        bare = evaluate(with_options(system, **switches, refine=False), scenes, look).poses
        assert row["AP"] == whole.ap.AP and row["AR"] == whole.ap.AR
        counts = people_counts(scenes, bare, system.skeleton)
        assert {name: row[name] for name in counts} == counts
        errors = association_errors(scenes, bare, system.skeleton)
        assert row["association error"] == errors.loc["all", "association_error"]
        ranked = ranked_images(scenes, bare, system.skeleton).set_index("index")["similarity"]
        assert compared.similarity[way].to_dict() == ranked.to_dict()
        assert row["mean OKS"] == pytest.approx(ranked.mean())
    assert len(compared.similarity) == 4 and list(compared.similarity.index) == [0, 1, 2, 3]


def test_the_gain_is_the_second_less_the_first_and_ties_keep_their_order() -> None:
    similarity = pd.DataFrame({"a": [0.5, 0.5, 0.5, 0.9], "b": [0.6, 0.5, 0.5, 0.1]})
    gain = ComparedWays(pd.DataFrame(), {}, similarity).gain
    assert list(gain.index) == [3, 1, 2, 0]
    assert gain.tolist() == pytest.approx([-0.8, 0, 0, 0.1])


def test_two_ways_are_wanted() -> None:
    system = load_checkpoint().system
    scenes = SyntheticScenes(SceneConfig(), 1, 5, system.skeleton)
    with pytest.raises(ValueError, match="two ways can be compared, not 1"):
        compare_variants(system, scenes, get_preset("smoke").predict, {"ours": {}})
