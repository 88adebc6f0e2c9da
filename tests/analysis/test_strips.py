"""Strips of frames with masked joints: which they are, their rank and their panels."""

from __future__ import annotations

import numpy as np

from poselib.analysis.strips import (
    best_and_worst,
    masked_runs,
    rank_strips,
    strip_figures,
    strip_panels,
)
from poselib.data.boxes import keypoint_boxes
from poselib.data.occlusion import MaskedVideos, MaskRule
from poselib.skeletons import POSETRACK18
from tests.analysis.factories import CLIP_FRAMES as FRAMES
from tests.analysis.factories import constant_results


def test_runs_begin_with_the_clear_frame_before_them() -> None:
    videos = MaskedVideos(FRAMES, MaskRule(frames=2, clear=1))
    assert masked_runs(videos) == [range(3), range(3, 6), range(6, 9), range(9, 12)]
    cut = MaskedVideos(FRAMES, MaskRule(frames=2, clear=2))
    assert masked_runs(cut) == [range(1, 4), range(7, 10)]
    always = MaskedVideos(FRAMES, MaskRule(frames=4, clear=0))
    assert masked_runs(always) == [range(6), range(6, 12)]


def test_strips_are_ranked_by_what_one_system_found_and_the_other_did_not() -> None:
    strips = [range(3), range(3, 6), range(6, 9)]
    joints = [np.zeros(FRAMES[i].keypoints.shape[:2], bool) for i in range(len(FRAMES))]
    for index, count in ((1, 2), (4, 5), (7, 1)):
        joints[index][0, :count] = True
    mine, other = constant_results(1.0), constant_results(0.0)
    mine.right[4][0, :4] = 0
    mine.right[7][0, 0] = np.nan
    ranked = rank_strips(strips, FRAMES, joints, mine, other)
    assert ranked.to_numpy().tolist() == [[0, 0, 2, 2, 2], [1, 0, 5, 1, 1]]
    assert best_and_worst(ranked, 1) == [("recovered", 0, 0), ("failed", 1, 0)]
    assert best_and_worst(ranked, 5) == [("recovered", 0, 0), ("recovered", 1, 0)]
    assert best_and_worst(ranked.assign(gain=0), 5) == [("failed", 1, 0)]
    two = {"a": mine, "b": other}
    drawn = strip_figures(strips, FRAMES, FRAMES, joints, two, POSETRACK18, word="hidden", count=1)
    assert list(drawn) == ["recovered", "failed"]
    for figure, titles in zip(drawn.values(), (["a: 2 of 2"], ["a: 1 of 5"]), strict=True):
        assert len(figure.axes) == 9 and figure.axes[4].get_title() in titles
    names = [text.get_text() for text in drawn["failed"].legends[0].get_texts()]
    assert "hidden, wrong" in names and "hidden, right" in names


def test_a_strip_shows_truth_and_systems_with_rings() -> None:
    videos = MaskedVideos(FRAMES, MaskRule(frames=2, clear=1))
    masked = [videos.masked(index, FRAMES[index]) for index in range(len(FRAMES))]
    results = {"good": constant_results(1.0), "bad": constant_results(0.0)}
    results["good"].poses[2].scores[:] = 0.01  # drawn all the same
    panels = strip_panels(range(3), 0, FRAMES, videos, masked, results, columns=2)
    assert [panel.title for panel in panels[:4]] == [
        "truth, frame 0", "truth, frame 2", "good", f"good: {masked[2].sum()} of {masked[2].sum()}"
    ]  # fmt: skip
    assert [panel.poses is None for panel in panels] == [True, True] + [False] * 4
    assert (panels[3].poses.scores == 1).all()  # type: ignore[union-attr]
    assert (panels[1].image == FRAMES[2].image).all()
    assert (panels[3].image == videos[2].image).all()
    marked = FRAMES[2].keypoints[masked[2], :2]
    assert (panels[3].hits == marked).all() and not len(panels[3].rings)
    assert (panels[5].rings == marked).all() and (panels[5].targets == marked).all()
    box = keypoint_boxes(FRAMES[0].keypoints)[0]
    left, top, right, bottom = panels[0].window  # type: ignore[misc]
    assert left <= box[0] and top <= box[1] and right >= box[2] and bottom >= box[3]
