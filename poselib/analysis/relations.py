"""Relations between the keypoints of people in clips: by action, by visibility, by temperature.

RPSTN/JRE, Figs. 6-8. A clip is shown to the network frame by frame, as a stream; images are clips
of one frame.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal, cast

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from poselib.data.clips import PersonClips, VideoFrames
from poselib.data.collation import collate
from poselib.data.crops import crop_person
from poselib.data.synthetic.clip_dataset import SyntheticClips
from poselib.data.synthetic.pose_sampling import FAMILIES
from poselib.engine.inference import device_of
from poselib.engine.person_stream import PersonStream
from poselib.models.joint_relation import JointRelation
from poselib.outputs import HeatmapOutputs, JointRelations, clip_by_clip
from poselib.plots.relations import RelationRow
from poselib.structures import Clip
from poselib.systems import System
from poselib.typing import BoolArray, FloatArray, IntArray

_HIDDEN, _VISIBLE = 1, 2
_SHOWN = 6  # actions


@dataclass(frozen=True)
class RelatedClip:
    """One person in consecutive frames, as a network is shown them and relates their keypoints.

    Attributes:
        clip: crops of T frames, px of the network input.
        outputs: for the T frames.
    """

    clip: Clip
    outputs: HeatmapOutputs

    @property
    def relations(self) -> JointRelations:
        """Those of the outputs."""
        assert self.outputs.relations is not None
        return self.outputs.relations

    @property
    def visibility(self) -> IntArray:
        """(T, K) visibility of the keypoints: 0 not labeled, 1 hidden, 2 visible."""
        return np.stack([frame.keypoints[0, :, 2] for frame in self.clip.frames]).astype(np.int64)


def clips_by_action(
    dataset: VideoFrames, actions: Sequence[str] = (), *, frames: int, count: int
) -> dict[str, list[Clip]]:
    """Return clips of single people by what they do.

    Of synthetic clips, an action is a family of poses, and clips of the dataset's configuration are
    made of each family alone. Of others it is the folder of the video (Sub-JHMDB), or else the
    video.

    Args:
        dataset: frames of videos.
        actions: those to take; by default, the first six.
        frames: of a clip.
        count: clips of an action at most, spread over its videos.

    Raises:
        ValueError: an action is not known, or all videos are shorter than a clip.
    """
    groups = {} if isinstance(dataset, SyntheticClips) else _by_folder(dataset, frames)
    known = tuple(groups) or FAMILIES
    if unknown := [name for name in actions if name not in known]:
        raise ValueError(f"unknown actions {unknown}; known: {', '.join(known)}")
    found = {}
    for action in actions or known[:_SHOWN]:
        if isinstance(dataset, SyntheticClips):
            config = replace(dataset.config, poses=(action,))
            own = SyntheticClips(config, count, dataset.seed, dataset.skeleton)
            people = PersonClips(own, frames)
            found[action] = _spread(people, range(len(people)), count)
        else:
            found[action] = _spread(*groups[action], count)
    return found


def _by_folder(dataset: VideoFrames, frames: int) -> dict[str, tuple[PersonClips, list[int]]]:
    """Return the clips of people, and which of them are of videos in each folder."""
    people = PersonClips(dataset, frames)
    groups: dict[str, tuple[PersonClips, list[int]]] = {}
    for index, (window, _) in enumerate(people.people):
        video = dataset.videos[people.clips.windows[window][0]]
        groups.setdefault(video.rpartition("/")[0] or video, (people, []))[1].append(index)
    return groups


def relate_clips(
    system: System, clips: Sequence[Clip], *, device: torch.device | str | None = None
) -> list[RelatedClip]:
    """Return how a network relates the keypoints of people, whose clips it is shown side by side.

    Args:
        system: of heatmaps of one person that are related to each other; its model is put into
            evaluation mode.
        clips: of one person each and of equal length, px of any frame.
        device: where the network runs; where its weights are if not given.

    Raises:
        ValueError: the system does not relate keypoints, there is no clip, or lengths differ.
    """
    if system.crop is None or not isinstance(
        getattr(system.model, "relation", None), JointRelation
    ):
        raise ValueError(f"system {system.name!r} was built without relations of keypoints")
    if len({len(clip) for clip in clips}) != 1:
        raise ValueError(f"expected clips of one length, not {[len(clip) for clip in clips]}")
    system.model.to(device_of(system) if device is None else device).eval()
    crops = [crop_person(clip, system.crop, system.crop_rule) for clip in clips]
    stream, people = PersonStream(system, flip=False), range(len(crops))
    steps = [stream.step([crop.frames[t] for crop in crops], people) for t in range(len(crops[0]))]
    outputs = clip_by_clip([HeatmapOutputs.join(parts) for parts in steps])
    rows = torch.arange(len(outputs.heatmaps), device=outputs.heatmaps.device)
    parts = [outputs[own] for own in rows.chunk(len(crops))]
    return [RelatedClip(crop, part) for crop, part in zip(crops, parts, strict=True)]


def mean_matrices(
    related: Mapping[str, Sequence[RelatedClip]], name: Literal["correlation", "weights"]
) -> dict[str, FloatArray]:
    """Return the mean correlation, or W_r, (K, K) over all frames of each action.

    Correlations of each frame are divided by the largest: those of a clip's first frame, whose
    pseudo heatmaps come from another layer, are of another scale than those of later frames.
    """
    means = {}
    for action, clips in related.items():
        values = np.concatenate([as_array(getattr(each.relations, name)) for each in clips])
        top = values.max(axis=(1, 2), keepdims=True) if name == "correlation" else 1.0
        means[action] = (values / np.maximum(top, 1e-12)).mean(axis=0)
    return means


def action_similarity(related: Mapping[str, Sequence[RelatedClip]]) -> dict[str, float]:
    """Return how similar the correlations of clips of one action are, and of different ones.

    Similarity is the correlation coefficient of the entries beside the diagonals of two clips'
    mean matrices: 1 if they have the same pattern, 0 if one says nothing of the other.

    Returns:
        ``same_action`` and ``other_action``, means over pairs of clips; NaN without a pair.
    """
    clips = [(action, each) for action, several in related.items() for each in several]
    patterns = []
    for _, each in clips:
        matrix = mean_matrices({"": [each]}, "correlation")[""]
        patterns.append(matrix[~np.eye(len(matrix), dtype=bool)])
    pairs: dict[str, list[float]] = {"same_action": [], "other_action": []}
    for a, b in combinations(range(len(clips)), 2):
        kind = "same_action" if clips[a][0] == clips[b][0] else "other_action"
        pairs[kind].append(float(np.corrcoef(patterns[a], patterns[b])[0, 1]))
    return {kind: float(np.mean(values)) if values else np.nan for kind, values in pairs.items()}


def attention_table(
    system: System, clips: Sequence[RelatedClip], temperatures: Sequence[float]
) -> pd.DataFrame:
    """Return how much keypoints attend to themselves by W_r, at several temperatures.

    The maps are those of the network as it is; the temperature is changed in the softmax alone. The
    ideal maps are the targets of training. Rows of W_r count where the keypoint is labeled.

    Returns:
        One row for ``maps`` (``"predicted"``, of video networks ``"first frames"`` and ``"later
        frames"`` apart, and ``"ideal"``) and ``temperature``, with the means of ``diagonal``, the
        weight of a keypoint for itself, over all, ``visible`` and ``hidden`` keypoints, and
        ``entropy``, ``entropy_hidden`` of rows of W_r, nats.

    Raises:
        ValueError: a temperature is not positive.
    """
    if not all(0 < each < np.inf for each in temperatures):
        raise ValueError(f"temperatures must be positive numbers, not {list(temperatures)}")
    visibility = np.concatenate([each.visibility for each in clips])
    frames = [frame for each in clips for frame in each.clip.frames]
    ideal = system.encode(collate(frames)).heatmaps[0].flatten(2)
    predicted = torch.cat([each.relations.correlation for each in clips])
    first = np.concatenate([np.arange(len(each.clip)) == 0 for each in clips])
    everything = np.ones(len(first), dtype=bool)
    kinds = {"predicted": (predicted, everything)}
    if system.clips:
        kinds = {"first frames": (predicted, first), "later frames": (predicted, ~first)}
    kinds["ideal"] = (ideal @ ideal.transpose(1, 2), everything)
    rows = []
    for maps, (correlation, which) in kinds.items():
        for temperature in temperatures:
            weights = weights_at(system, correlation, temperature)
            own, seen = as_array(weights.diagonal(dim1=1, dim2=2))[which], visibility[which]
            entropy = as_array(torch.special.entr(weights).sum(dim=2))[which]
            rows.append(
                {
                    "maps": maps,
                    "temperature": temperature,
                    "diagonal": _mean(own, seen > 0),
                    "visible": _mean(own, seen == _VISIBLE),
                    "hidden": _mean(own, seen == _HIDDEN),
                    "entropy": _mean(entropy, seen > 0),
                    "entropy_hidden": _mean(entropy, seen == _HIDDEN),
                }
            )
    return pd.DataFrame(rows)


def weights_at(system: System, correlation: Tensor, temperature: float) -> Tensor:
    """Return W_r (B, K, K) that a system's relation gives correlations at another temperature."""
    relation = copy.copy(cast(JointRelation, system.model.relation))  # shares its parameters
    relation.temperature = temperature
    with torch.no_grad():
        return relation.weights(correlation.to(device_of(system)))


def most_hidden(clips: Sequence[RelatedClip], count: int) -> list[tuple[int, int]]:
    """Return the frames with most hidden keypoints, as (clip, frame), of different clips."""
    hidden = [(each.visibility == _HIDDEN).sum(axis=1) for each in clips]
    best = [
        (int(counts.max()), number, int(counts.argmax())) for number, counts in enumerate(hidden)
    ]
    best.sort(key=lambda each: (-each[0], each[1]))
    return [(number, frame) for _, number, frame in best[:count]]


def relation_row(related: RelatedClip, frame: int, title: str = "") -> RelationRow:
    """Return a frame of a clip beside its matrices, as a row of ``show_relation_rows``."""
    sample, relations = related.clip.frames[frame], related.relations
    return RelationRow(
        sample.image,
        sample.keypoints,
        as_array(relations.correlation[frame]),
        as_array(relations.weights[frame]),
        title,
    )


def as_array(values: Tensor) -> FloatArray:
    """Return a tensor of any device as an array of float64."""
    return values.detach().double().cpu().numpy()


def _mean(values: FloatArray, where: BoolArray) -> float:
    return float(values[where].mean()) if where.any() else float("nan")


def _spread(people: PersonClips, indices: Sequence[int], count: int) -> list[Clip]:
    """Return at most ``count`` of some clips, evenly spread."""
    chosen = np.linspace(0, len(indices) - 1, min(count, len(indices))).round().astype(int)
    return [people[indices[place]] for place in chosen]
