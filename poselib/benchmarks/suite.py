"""All benchmarks: each piece of work beside a plain implementation of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from poselib.benchmarks import workloads
from poselib.benchmarks.adaptation_inputs import adapt_inputs
from poselib.benchmarks.evaluation_inputs import evaluation_workload
from poselib.benchmarks.references.plain_adaptation import adapt_plainly
from poselib.benchmarks.references.plain_ap import evaluate_plainly
from poselib.benchmarks.references.plain_branches import regress_plainly
from poselib.benchmarks.references.plain_decoder import decode_plainly
from poselib.benchmarks.references.plain_losses import associative_step_plainly
from poselib.benchmarks.references.plain_targets import PlainTargets
from poselib.benchmarks.run import Benchmark
from poselib.data.readers.coco import read_annotations, read_results
from poselib.data.synthetic.dataset import SceneConfig, SyntheticScenes
from poselib.decoders.associative import decode_associative
from poselib.decoders.local_global import LocalGlobalOptions, propose_poses, refine_poses
from poselib.encoders.heatmap import heatmap_targets
from poselib.encoders.regression import regression_targets
from poselib.engine.checkpoints import load_checkpoint
from poselib.engine.export.tensors import to_tensors
from poselib.engine.export.write import export_system
from poselib.metrics.ap import APResult, evaluate_ap
from poselib.metrics.comparison import compare
from poselib.models.regression import RegressionHRNet
from poselib.ops.keypoint_expansion import KeypointExpansion, expansion_rates
from poselib.outputs import TagOutputs
from poselib.skeletons import COCO
from poselib.structures import Size
from poselib.systems import System, build
from poselib.wording import people_label

STRIDE = 4  # of tagmaps and targets
# How many maps have to be searched for missing keypoints differs much from scene to scene.
SCENES = 5


def decoding(people: Sequence[int], size: Size, seed: int, device: str) -> list[Benchmark]:
    """From full-resolution maps, 17 keypoints and two tags, to refined poses, progressively."""
    found = []
    for count in people:
        maps = workloads.decode_inputs(count, size, seed=seed, device=device)
        plain = maps.heatmaps[0][0], maps.tags[0].permute(0, 2, 3, 1).contiguous()
        fast, slow = partial(decode_associative, maps), partial(decode_plainly, *plain)
        found.append(Benchmark(f"decode {count} people", device, fast, slow, _same_poses))
    four = workloads.decode_inputs(people[0], size, images=4, seed=seed, device=device)
    name = f"decode 4 images of {people[0]} people"
    found.append(Benchmark(name, device, partial(decode_associative, four)))
    return found


def several_scenes(
    people: Iterable[int], size: Size, seed: int, device: str
) -> tuple[list[Benchmark], list[Benchmark]]:
    """Decode scenes one after the other, as many for each number of people, and read their maps.

    Returns:
        Decodings, and for each number of people the sums of all values of the same maps, beside the
        same decodings: their ratio is how many times as long a decoding takes as to read its maps
        once. The maps of all scenes do not fit a processor's cache.
    """

    def decode(scenes: Sequence[TagOutputs]) -> None:
        for scene in scenes:
            decode_associative(scene)

    decodings, readings = [], []
    for count in people:
        seeds = range(seed, seed + SCENES)
        scenes = [workloads.decode_inputs(count, size, seed=s, device=device) for s in seeds]
        whose, work = f"{SCENES} scenes of {people_label(count)}", partial(decode, scenes)
        decodings.append(Benchmark(f"decode {whose}", device, work))
        read = partial(_sums, scenes)
        readings.append(Benchmark(f"read the maps of {whose}", device, read, work, _all_read))
    return decodings, readings


def _sums(scenes: Sequence[TagOutputs]) -> list[Tensor]:
    """Read every value of maps: no decoding can be faster."""
    return [torch.stack([maps.heatmaps[0].sum(), maps.tags.sum()]) for maps in scenes]


def _all_read(sums: list[Tensor], _: None) -> bool:
    return bool(torch.stack(sums).isfinite().all())


def loss(batch: int, size: Size, seed: int, device: str) -> Benchmark:
    """Forward and backward of the hierarchical associative loss, ten people in each image."""
    tags, people = workloads.loss_inputs(batch, 10, size, stride=STRIDE, seed=seed, device=device)
    groups = torch.as_tensor(COCO.group_indices("anatomy"), device=device)
    encode = PlainTargets((size[0] // STRIDE, size[1] // STRIDE), STRIDE, sigma=2)
    joints = np.stack([encode.joints(each) for each in people.cpu().numpy()])
    slow = partial(associative_step_plainly, tags, torch.from_numpy(joints), groups.tolist())
    fast = partial(workloads.associative_step, tags, people, size, groups)
    same = partial(torch.allclose, atol=1e-7)
    return Benchmark(f"hierarchical loss, batch of {batch}", device, fast, slow, same)


def targets(size: Size, seed: int) -> Benchmark:
    """Heatmaps of an image with ten people; with masks here, with tag locations in the baseline."""
    batch = workloads.target_inputs(1, 10, size, seed=seed)
    encode = PlainTargets((size[0] // STRIDE, size[1] // STRIDE), STRIDE, sigma=2)
    fast = partial(heatmap_targets, batch, strides=(STRIDE,), subpixel=False)
    slow = partial(encode, batch.keypoints[0].numpy())
    return Benchmark("targets of an image", "cpu", fast, slow, _same_heatmaps)


def average_precision(images: int, seed: int) -> Benchmark:
    """COCO's ten numbers, from tables here and from loaded JSON by pycocotools."""
    truth, results = evaluation_workload(COCO, images, seed)
    annotations = read_annotations(truth, COCO)
    detections = read_results(results, annotations)

    def fast() -> APResult:
        return evaluate_ap(compare(annotations, detections, COCO))

    slow = partial(evaluate_plainly, truth, results, COCO.sigmas)
    return Benchmark(f"average precision, {images} images", "cpu", fast, slow, _same_numbers)


def adaptation(people: Sequence[int], size: Size, seed: int) -> list[Benchmark]:
    """From poses at centers to refined ones, message passing at its full width included."""
    options, found = LocalGlobalOptions(KeypointExpansion(expansion_rates(COCO.sigmas))), []
    for count in people:
        outputs = adapt_inputs(count, size, seed=seed)
        given = outputs, propose_poses(outputs, options), options
        fast, slow = partial(refine_poses, *given), partial(adapt_plainly, *given)
        found.append(Benchmark(f"refine {people_label(count)}", "cpu", fast, slow, _same_locations))
    return found


def regression_network(backbone: str, size: Size, seed: int) -> Benchmark:
    """Forward pass of DEKR's network for one image, with taps that have moved."""
    torch.manual_seed(seed)
    network = build("dekr", COCO, backbone=backbone).model.requires_grad_(False)
    assert isinstance(network, RegressionHRNet)
    for name, module in network.named_modules():
        if name.endswith("affine"):
            module.weight.normal_(std=0.05)
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    image = torch.randn(1, 3, *size)
    network(image)  # normalizes by these statistics from now on: values stay near 1
    network.eval()
    fast, slow = partial(network, image), partial(regress_plainly, network, image)
    return Benchmark(
        f"network dekr, {backbone}, {size[0]}x{size[1]} px", "cpu", fast, slow, _same_maps
    )


def without_reference(backbone: str, size: Size, seed: int) -> list[Benchmark]:
    """Work without a baseline: forward passes, regression targets and rendered scenes.

    The plain reference of regression targets is written to be read, cell by cell, and not like the
    published code.
    """
    network = build("hae", COCO, backbone=backbone).model.eval().requires_grad_(False)
    scenes = SyntheticScenes(SceneConfig(size=128, people=(1, 4)), 50, seed, COCO)
    labeled = workloads.target_inputs(1, 10, (512, 512), seed=seed)
    name = f"network {backbone}, {size[0]}x{size[1]} px"
    return [
        Benchmark(name, "cpu", partial(network, torch.zeros(1, 3, *size))),
        Benchmark("regression targets of an image", "cpu", partial(regression_targets, labeled)),
        Benchmark("render 50 scenes of 128 px", "cpu", lambda: [scenes[i] for i in range(50)]),
    ]


def exported(system: System, size: Size, seed: int) -> Benchmark:
    """Forward pass of a network by onnxruntime, beside that of PyTorch."""
    torch.manual_seed(seed)
    network, image = system.model.eval().requires_grad_(False), torch.randn(1, 3, *size)
    folder = TemporaryDirectory()
    export_system(system, folder.name)
    other = load_checkpoint(Path(folder.name)).system.model

    def run() -> Any:
        """The files are there as long as this is: another number of threads opens them again."""
        return folder and other(image)

    parameters = sum(each.numel() for each in network.parameters())
    name = f"onnxruntime, network {system.name} of {parameters / 1e6:.1f} million weights"
    name += f", {size[0]}x{size[1]} px"
    return Benchmark(name, "cpu", run, partial(network, image), _same_outputs)


def _same_outputs(fast: Any, slow: Any) -> bool:
    pairs = zip(to_tensors(fast).values(), to_tensors(slow).values(), strict=True)
    return all(bool((a - b).abs().max() <= 1e-4 * b.abs().max()) for a, b in pairs)


def _same_poses(fast: Any, slow: Any) -> bool:
    return np.array_equal(fast[0].keypoints, slow.keypoints) and np.array_equal(
        fast[0].scores, slow.scores
    )


def _same_locations(fast: Any, slow: Any) -> bool:
    """Compare scores; where two locations score the same but for rounding, few may differ."""
    points, scores = slow
    elsewhere = (fast.people.points - points).abs().amax(dim=-1)[scores > 0] > 1e-3
    same = torch.allclose(fast.scores, scores.clamp(min=0), rtol=1e-4, atol=1e-5)
    return same and bool(elsewhere.float().mean() < 0.01)


def _same_maps(fast: Any, slow: Any) -> bool:
    got = torch.cat([fast.heatmaps, fast.centers], dim=1), fast.offsets.flatten(1, 2)
    return all(
        bool((a - b).abs().max() <= 1e-4 * b.abs().max()) for a, b in zip(got, slow, strict=True)
    )


def _same_heatmaps(fast: Any, slow: Any) -> bool:
    return np.allclose(fast.heatmaps[0][0].numpy(), slow[0], atol=1e-6)


def _same_numbers(fast: Any, slow: Any) -> bool:
    return list(fast.as_dict().values()) == slow
