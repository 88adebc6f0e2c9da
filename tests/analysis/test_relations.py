"""Relations of clips: as the network gives them, by action, visibility and temperature."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from poselib.analysis.relations import (
    RelatedClip,
    action_similarity,
    as_array,
    attention_table,
    clips_by_action,
    mean_matrices,
    most_hidden,
    relate_clips,
)
from poselib.data.clips import PersonClips
from poselib.data.collation import collate
from poselib.data.synthetic.clip_dataset import SyntheticClips
from poselib.data.synthetic.config import ClipConfig
from poselib.data.synthetic.pose_sampling import FAMILIES
from poselib.ops.normalization import normalize
from poselib.outputs import HeatmapOutputs, JointRelations
from poselib.skeletons import POSETRACK18
from poselib.structures import Clip, Sample
from poselib.systems import System, build

TINY = {"backbone": "hrnet_tiny_light", "height": 64, "width": 64, "sigma": 1.0}
FRAMES = SyntheticClips(ClipConfig(size=64, frames=6), 2, 3, POSETRACK18).cached()
K = len(POSETRACK18)


@pytest.fixture(scope="module")
def system() -> System:
    torch.manual_seed(0)
    return build("rpstn", POSETRACK18, initializer_backbone="hrnet_tiny_light", channels=8, **TINY)


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return [PersonClips(FRAMES, 3)[0], PersonClips(FRAMES, 3)[2]]


class Foldered:
    """The frames with videos in folders by action, as those of Sub-JHMDB."""

    skeleton, times = FRAMES.skeleton, FRAMES.times
    videos = ("golf/one",) * 6 + ("kick/two",) * 6
    track_ids, annotations = FRAMES.track_ids, FRAMES.annotations

    def __len__(self) -> int:
        return len(FRAMES)

    def __getitem__(self, index: int) -> Sample:
        return FRAMES[index]


def related(*matrices: np.ndarray, seen: int = 2) -> RelatedClip:
    """A clip whose frames have these correlations, with W_r half of them."""
    clip = PersonClips(FRAMES, len(matrices))[0]
    visible = clip.each(lambda frame, _: replace(frame, keypoints=_seen(frame.keypoints, seen)))
    values = torch.from_numpy(np.stack(matrices)).float()
    maps = torch.zeros(len(matrices), K, 4, 4)
    return RelatedClip(
        visible, HeatmapOutputs(maps, (16, 16), JointRelations(maps, values, values / 2))
    )


def _seen(keypoints: np.ndarray, seen: int) -> np.ndarray:
    return np.concatenate([keypoints[..., :2], np.full_like(keypoints[..., 2:], seen)], axis=2)


@pytest.mark.slow
def test_a_clip_is_related_as_the_network_relates_it_at_once(
    system: System, clips: list[Clip]
) -> None:
    found = relate_clips(system, clips)
    for each in found:
        images = normalize(collate(each.clip.frames).images)
        with torch.no_grad():
            outputs = system.run(images, frames=3)
        assert torch.allclose(each.outputs.heatmaps, outputs.heatmaps, atol=1e-5)
        assert torch.allclose(each.relations.weights, outputs.relations.weights, atol=1e-4)
        assert each.clip.size == (64, 64) and each.visibility.shape == (3, K)
    with pytest.raises(ValueError, match="clips of one length"):
        relate_clips(system, [clips[0], PersonClips(FRAMES, 2)[0]])
    plain = build("jre", POSETRACK18, relation="none", **TINY)
    with pytest.raises(ValueError, match="without relations"):
        relate_clips(plain, clips)


@pytest.mark.slow
def test_images_are_related_frame_by_frame(clips: list[Clip]) -> None:
    torch.manual_seed(0)
    system = build("jre", POSETRACK18, **TINY)
    found = relate_clips(system, clips)[1]
    assert set(attention_table(system, [found], [1.0])["maps"]) == {"predicted", "ideal"}
    with torch.no_grad():
        outputs = system.model(normalize(collate(found.clip.frames[1:2]).images))
    assert torch.allclose(found.relations.weights[1:2], outputs.relations.weights, atol=1e-5)


@pytest.mark.slow
def test_attention_at_temperatures(system: System, clips: list[Clip]) -> None:
    found = relate_clips(system, clips)
    table = attention_table(system, found, [1.0, 1e6, 1e-6]).set_index(["maps", "temperature"])
    labeled = np.concatenate([each.visibility for each in found]) > 0
    own = np.concatenate([as_array(each.relations.weights).diagonal(0, 1, 2) for each in found])
    for maps, which in (("first frames", [0, 3]), ("later frames", [1, 2, 4, 5])):
        mean = own[which][labeled[which]].mean()
        assert table.loc[(maps, 1.0), "diagonal"] == pytest.approx(mean, abs=1e-5)
    even = table.loc[("later frames", 1e6)]
    assert even["diagonal"] == pytest.approx(1 / K, abs=1e-3)
    assert even["entropy"] == pytest.approx(np.log(K), abs=1e-3)
    # An ideal map is most similar to itself, so that it attends to itself alone in the end.
    sharp = table.loc[("ideal", 1e-6)]
    assert sharp["diagonal"] > 0.9 and sharp["entropy"] < 0.2
    with pytest.raises(ValueError, match="temperatures must be positive"):
        attention_table(system, found, [0.0])


def test_means_and_similarity_by_hand() -> None:
    one = np.arange(K * K, dtype=float).reshape(K, K)
    groups = {"a": [related(one, 3 * one), related(one)], "b": [related(one.max() - one)]}
    np.testing.assert_allclose(mean_matrices(groups, "correlation")["a"], one / one.max())
    np.testing.assert_allclose(mean_matrices(groups, "weights")["b"], (one.max() - one) / 2)
    similar = action_similarity(groups)
    assert similar == pytest.approx({"same_action": 1.0, "other_action": -1.0})
    assert np.isnan(action_similarity({"b": groups["b"]})["same_action"])


def test_frames_with_most_hidden_keypoints_come_first() -> None:
    one = np.eye(K)
    shown, hidden = related(one, one), related(one, one, seen=1)
    frames = list(hidden.clip.frames)
    frames[0] = shown.clip.frames[0]
    mixed = replace(hidden, clip=replace(hidden.clip, frames=tuple(frames)))
    assert most_hidden([shown, mixed], 1) == [(1, 1)]
    assert most_hidden([shown, mixed], 5) == [(1, 1), (0, 0)]


def test_synthetic_clips_by_family_and_others_by_folder() -> None:
    made = clips_by_action(FRAMES, ["lying", "walking"], frames=3, count=2)
    assert [(name, [len(clip) for clip in clips]) for name, clips in made.items()] == [
        ("lying", [3, 3]), ("walking", [3, 3])
    ]  # fmt: skip
    assert len({clip.video for clip in made["lying"]}) == 2
    assert list(clips_by_action(FRAMES, frames=3, count=1)) == list(FAMILIES[:6])
    with pytest.raises(ValueError, match=r"unknown actions \['flying'\]; known: standing"):
        clips_by_action(FRAMES, ["flying"], frames=3, count=1)

    found = clips_by_action(Foldered(), frames=3, count=1)
    assert {name: [clip.video for clip in clips] for name, clips in found.items()} == {
        "golf": ["golf/one"], "kick": ["kick/two"]
    }  # fmt: skip
