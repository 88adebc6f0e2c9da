"""Joints under masks: who found them, by system, run and frame."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from poselib.analysis.occlusion import (
    find_all,
    find_joints,
    find_masked,
    hidden_joints,
    masked_table,
    rate_panels,
    since_table,
    summarize_masked,
    summarize_visibility,
    visibility_table,
)
from poselib.data.occlusion import MaskedVideos, MaskRule
from poselib.engine.inference import PredictOptions
from poselib.metrics.person_pck import part_rates, person_pck, reference_lengths
from poselib.outputs import HeatmapOutputs
from poselib.skeletons import POSETRACK18
from poselib.structures import Poses
from poselib.systems import System, build
from tests.analysis.factories import CLIP_FRAMES as FRAMES
from tests.analysis.factories import constant_results

K = len(POSETRACK18)
OPTIONS = PredictOptions(flip=False)


class Nothing(nn.Module):
    """Gives empty heatmaps."""

    def forward(self, images: Tensor) -> HeatmapOutputs:
        return HeatmapOutputs(torch.zeros(len(images), K, 1, 1), (64, 64))


def decode_in_the_middle(outputs: HeatmapOutputs, missing: int) -> list[Poses]:
    points = np.full((1, K, 2), 32, np.float32)
    scores = np.ones((1, K), np.float32)
    scores[0, missing] = 0
    return [Poses(points, scores, np.ones(1, np.float32)) for _ in outputs.heatmaps]


def middle_system(missing: int = 0) -> System:
    """Finds every joint but one in the middle of the crop."""
    system = build("jre", POSETRACK18, backbone="hrnet_tiny_light", height=64, width=64)
    return replace(system, model=Nothing(), decode=partial(decode_in_the_middle, missing=missing))


def test_joints_are_right_where_pck_counts_them() -> None:
    results = find_joints(middle_system(), FRAMES, OPTIONS, reference="torso", threshold=0.6)
    truth = np.concatenate([FRAMES[i].keypoints for i in range(len(FRAMES))])
    boxes = np.concatenate([FRAMES[i].boxes for i in range(len(FRAMES))])  # type: ignore[misc]
    middle = np.repeat(((boxes[:, :2] + boxes[:, 2:]) / 2)[:, None], K, axis=1)
    found = np.concatenate([middle, np.ones((len(middle), K, 1))], axis=2)
    found[:, 0, 2] = 0
    lengths = reference_lengths(truth, boxes, POSETRACK18, "torso")
    assert np.isfinite(lengths).all()
    rates = person_pck(found, truth, lengths, [0.6])[0]
    mine = np.concatenate(results.right)
    np.testing.assert_allclose(np.nanmean(mine, axis=0), rates)
    assert 0.1 < part_rates(rates, POSETRACK18)["total"] < 0.9 and rates[0] == 0
    hidden, seen = hidden_joints(FRAMES), truth[..., 2]
    (row,) = visibility_table({"a": [results]}, hidden).itertuples()
    assert row.hidden == pytest.approx(mine[seen == 1].mean())
    assert row.visible == pytest.approx(mine[seen == 2].mean())
    assert np.isnan(results.rate([np.zeros_like(mask) for mask in hidden]))


def test_masked_runs_are_whole_in_some_video() -> None:
    frames = max(Counter(FRAMES.videos).values())
    methods = {"a": ([middle_system()], OPTIONS)}
    rule = MaskRule(clear=frames - 2, joints=1)
    with pytest.warns(UserWarning, match=rf"runs of 3 masked frames.*{frames - 2} clear.*than 2"):
        found = find_masked(methods, FRAMES, [3, 2], rule)
    assert list(found) == [2]
    assert max(found[2].videos.since) == 2
    for lengths in ([3, 4], []):
        with (
            pytest.raises(ValueError, match="no video has runs of any of the lengths"),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            find_masked(methods, FRAMES, lengths, rule)


def test_methods_are_compared_with_as_many_seeds_each() -> None:
    one, two = ([middle_system()] * count for count in (1, 2))
    with pytest.raises(ValueError, match=r"as many seeds each, not .*'a': 1.*'b': 2"):
        find_all({"a": (one, OPTIONS), "b": (two, OPTIONS)}, FRAMES)
    found = find_all({"a": (two, OPTIONS), "b": (two, OPTIONS)}, FRAMES, threshold=0.6)
    assert {name: len(each) for name, each in found.items()} == {"a": 2, "b": 2}


def test_rates_under_masks_and_by_frame() -> None:
    rule = MaskRule(frames=2, clear=2, joints=3)
    methods = {"a": ([middle_system(), middle_system(3)], OPTIONS)}
    found = find_masked(methods, FRAMES, [1, 2], rule, 5, threshold=0.6)
    assert list(found) == [1, 2] and found[1].videos.rule.frames == 1
    two = found[2]
    first = two.results["a"][0]
    masks = MaskedVideos(FRAMES, rule, 5)
    for index, mask in enumerate(two.masked):
        assert (mask == masks.masked(index, FRAMES[index])).all()
    clear = {"a": [constant_results(1.0)] * 2}
    table = masked_table(found, clear)
    assert table["seed"].tolist() == [0, 1, 0, 1]
    table = table[table["seed"] == 0].set_index("frames")
    assert (table["clear"] == 1).all()
    assert table.loc[2, "joints"] == sum(int(mask.sum()) for mask in two.masked)
    right = np.concatenate([r[m] for r, m in zip(first.right, two.masked, strict=True)])
    assert table.loc[2, "masked"] == pytest.approx(np.nanmean(right))
    shown = [r[~m] for r, m, since in zip(first.right, two.masked, masks.since,
                                          strict=True) if since]  # fmt: skip
    assert table.loc[2, "others"] == pytest.approx(np.nanmean(np.concatenate(shown)))
    last = np.concatenate([
        r[m] for r, m, since in zip(first.right, two.masked, masks.since, strict=True)
        if since == 2
    ])  # fmt: skip
    assert since_table(two).query("seed == 0")["masked"].tolist()[1] == pytest.approx(
        np.nanmean(last)
    )
    panels = rate_panels(masked_table(found, clear), two)
    assert [list(panel.index) for panel in panels.values()] == [[1, 2]] * 3
    mean = masked_table(found, clear).groupby("frames")["masked"].mean()
    np.testing.assert_allclose(panels["masked joints"]["a"], mean)
    found_two, clear_two = 100 * mean[2], 100
    words = f"joints masked for 2 frames: a finds {found_two:.0f} % ({clear_two} % without masks)"
    assert summarize_masked(masked_table(found, clear)) == words
    seen = visibility_table(clear, two.masked)
    assert summarize_visibility(seen) == "a finds 100 % of hidden and 100 % of visible joints"
