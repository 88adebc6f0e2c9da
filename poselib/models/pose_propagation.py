"""The video network that propagates the semantics of a pose from frame to frame.

RPSTN/JRE, Eqs. 1-4 and Fig. 2: an initializer estimates the first frame's heatmaps; from the
features and heatmaps of each frame a propagator makes kernels, one a channel, with which the next
frame's features are convolved; keypoint relations refine all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from poselib.models.folding import fold_norm
from poselib.models.heatmap import HeatmapNetwork, build_features, heatmap_layer
from poselib.models.joint_relation import RelationKind, build_relation
from poselib.models.pretrained import Parts
from poselib.models.propagator import PropagationState, Propagator, check_kernel_size, in_parts
from poselib.models.residual import conv_norm, initialize
from poselib.ops.dynamic_convolution import correlate_each
from poselib.ops.normalization import MEAN, STD
from poselib.outputs import HeatmapOutputs, clip_by_clip
from poselib.structures import Size

Initializer = Literal["network", "concat", "none"]
INITIALIZERS: tuple[Initializer, ...] = get_args(Initializer)
STRIDE = 4  # px a cell, of all features
_OUTPUT_SCALE = 0.05


@dataclass(frozen=True)
class PropagationConfig:
    """Options of the network; the defaults are those of RPSTN (ResNet-18).

    Attributes:
        backbone: of the features F, see ``models.heatmap.build_features``.
        initializer: what gives the first frame's pseudo heatmaps: ``"network"``, P alone;
            ``"concat"``, two 1x1 convolutions of its heatmaps and the features; ``"none"``, the
            same of the features alone (Table II).
        initializer_backbone: of P; in the official configuration ResNet-101.
        relation, relation_convs, temperature: see ``models.joint_relation.build_relation``
            (Tables I, III and IV).
        propagator_layers: 4, 3 or 5, see ``models.propagator.Propagator``; 0, Conv_d reads F(I)
            alone (Table I).
        width: C, channels of the features and of the propagator.
        official: as in the official code: one batch normalization of K channels behind every
            heatmap, also before the relations, and one of C channels behind features and fused
            maps; the first frame's features are not projected; images are BGR of 0 to 255; and
            ``JointRelation.official``. For official weights.
        normalize_pseudo: a batch normalization of K channels, of its own, between Conv_d and the
            relations of all frames but a clip's first; of ``official``'s differences this alone.
            Without it, the maps that are related may be of any size, and W_r one-hot.

    Raises:
        ValueError: ``initializer`` is unknown, ``width`` not positive, or ``normalize_pseudo`` is
            given with ``official``, which shares one normalization.
    """

    backbone: str = "resnet18"
    initializer: Initializer = "network"
    initializer_backbone: str = "resnet101"
    relation: RelationKind = "joint"
    relation_convs: int = 0
    temperature: float = 1.0
    propagator_layers: int = 4
    width: int = 256
    official: bool = False
    normalize_pseudo: bool = False

    def __post_init__(self) -> None:
        if self.initializer not in INITIALIZERS:
            raise ValueError(f"initializer must be one of {INITIALIZERS}, not {self.initializer!r}")
        if self.width < 1:
            raise ValueError(f"width must be 1 or more, not {self.width}")
        if self.normalize_pseudo and self.official:
            raise ValueError("normalize_pseudo has no use with official, which normalizes all maps")


class PropagationNetwork(nn.Module):
    """Heatmaps of one person in each frame of a clip.

    Args:
        keypoints: K.
        config: options.
        limbs: pairs of keypoint indices, for ``relation="graph"``.

    Raises:
        ValueError: a name is unknown or an option out of range.
    """

    def __init__(
        self,
        keypoints: int,
        config: PropagationConfig | None = None,
        limbs: Sequence[tuple[int, int]] = (),
    ) -> None:
        super().__init__()
        self.config = config = config or PropagationConfig()
        self.keypoints, width = keypoints, config.width
        self.extractor = build_features(config.backbone, keypoints)
        self.multiple = self.extractor.multiple
        self.initializer, self.first = self._beginning()
        self.projection = nn.Conv2d(self.extractor.width, width, 1)
        self.projection_norm: nn.Module = nn.BatchNorm2d(width)
        initialize(self.projection)
        layers = config.propagator_layers
        self.propagator = Propagator(width, keypoints, layers) if layers else None
        self.head = heatmap_layer(width, keypoints)  # Conv_d
        self.relation = build_relation(
            config.relation,
            keypoints,
            temperature=config.temperature,
            convolutions=config.relation_convs,
            limbs=limbs,
            official=config.official,
        )
        self.output_norm = _map_norm(keypoints)
        # without parameters, and so without keys, unless it is asked for
        self.pseudo_norm = _map_norm(keypoints) if config.normalize_pseudo else nn.Identity()

    def _beginning(self) -> tuple[HeatmapNetwork | None, nn.Module | None]:
        """Return P and what combines its heatmaps with the features, as far as there are any."""
        config, keypoints = self.config, self.keypoints
        network = None
        if config.initializer != "none":
            network = HeatmapNetwork(config.initializer_backbone, keypoints)
            self.multiple = max(self.multiple, network.multiple)
        if config.initializer == "network":
            return network, None
        inputs = config.width + (keypoints if network else 0)
        entry = conv_norm(inputs, config.width, kernel=1)
        initialize(entry)
        return network, nn.Sequential(entry, heatmap_layer(config.width, keypoints))

    def forward(self, images: Tensor) -> HeatmapOutputs:
        """Return the heatmaps of clips, B·T of them, clip by clip.

        What does not depend on heatmaps is computed for all frames at once.

        Args:
            images: (B, T, 3, H, W), normalized; photographs are clips of T = 1.

        Raises:
            ValueError: the shape is another, H or W not a multiple of ``multiple``, or the
                propagated kernels would have an even side.
        """
        if images.ndim != 5 or not images.shape[1]:
            raise ValueError(f"clips must be (B, T, 3, H, W), not {tuple(images.shape)}")
        clips, frames = images.shape[:2]
        features = self._features(images, first=True)
        outputs = [self._start(images[:, 0], features[:, 0])]
        if frames > 1:
            prepared = self._prepare(features[:, :-1].flatten(0, 1))
            prepared = prepared.unflatten(0, (clips, frames - 1))
        for frame in range(1, frames):
            state = PropagationState(outputs[-1].heatmaps, prepared[:, frame - 1])
            outputs.append(self._step(features[:, frame], state, outputs[0].image_size))
        return clip_by_clip(outputs)

    def start(self, images: Tensor) -> tuple[HeatmapOutputs, PropagationState]:
        """Return the outputs for the first frame (B, 3, H, W) of B streams, and their state."""
        features = self._features(images[:, None], first=True)[:, 0]
        outputs = self._start(images, features)
        return outputs, PropagationState(outputs.heatmaps, self._prepare(features))

    def step(
        self, images: Tensor, state: PropagationState
    ) -> tuple[HeatmapOutputs, PropagationState]:
        """Return the outputs for the next frame (B, 3, H, W) of B streams, and their new state."""
        features = self._features(images[:, None], first=False)[:, 0]
        outputs = self._step(features, state, (images.shape[2], images.shape[3]))
        return outputs, PropagationState(outputs.heatmaps, self._prepare(features))

    @property
    def kernel_cell(self) -> int:
        """Px a cell of the maps that kernels are made of, which limits sizes; 0 without kernels."""
        return STRIDE if self.propagator is not None else 0

    def saved_macs(self, images: Tensor) -> int:
        """Return the multiply-accumulates saved where a frame's features are prepared."""
        if self.propagator is None or self.config.official:
            return 0
        clips, frames, _, height, width = images.shape
        return self.propagator.macs_saved(frames - 1, clips, (height // STRIDE, width // STRIDE))

    def _features(self, images: Tensor, *, first: bool) -> Tensor:
        """Return the features F (B, T, C, h, w) of frames; ``first`` if a clip begins with them."""
        size: Size = (images.shape[-2], images.shape[-1])
        # a graph may be of any size, and whoever runs it checks that of the images
        if self.kernel_cell and not torch.compiler.is_exporting():
            check_kernel_size(size, (size[0] // STRIDE, size[1] // STRIDE), self.multiple)
        clips, frames = images.shape[:2]
        features = self.extractor(self._input(images.flatten(0, 1))).unflatten(0, (clips, frames))
        as_it_is = int(first and self.config.official)
        if as_it_is == frames:
            return features
        later = self.projection(features[:, as_it_is:].flatten(0, 1))
        later = self.projection_norm(later).unflatten(0, (clips, frames - as_it_is))
        return torch.cat([features[:, :1], later], dim=1) if as_it_is else later

    def _input(self, images: Tensor) -> Tensor:
        """Return images (N, 3, H, W) as the layers expect them."""
        if not self.config.official:
            return images
        mean, deviation = (images.new_tensor(v)[:, None, None] for v in (MEAN, STD))
        return 255 * (images * deviation + mean).flip(1)

    def _start(self, images: Tensor, features: Tensor) -> HeatmapOutputs:
        """Return the outputs for a first frame (Eq. 1)."""
        pseudo = features[:, :0]  # no channels
        if self.initializer is not None:
            pseudo = self.initializer(self._input(images)).heatmaps
        if self.first is not None:
            pseudo = self.first(torch.cat([pseudo, features], dim=1))
        heatmaps, relations = self.relation(pseudo)
        if self.config.official:
            heatmaps = self.output_norm(heatmaps)
        return HeatmapOutputs(heatmaps, (images.shape[2], images.shape[3]), relations)

    def _step(self, features: Tensor, state: PropagationState, image_size: Size) -> HeatmapOutputs:
        """Return the outputs for a frame of features (B, C, h, w) after another (Eqs. 3, 4)."""
        inputs = features, state.heatmaps, state.features
        # normalizations in training see all people at once
        pseudo = self._pseudo(*inputs) if self.training else in_parts(self._pseudo, *inputs)
        norm = self.output_norm if self.config.official else self.pseudo_norm
        related, relations = self.relation(norm(pseudo))
        return HeatmapOutputs(self.output_norm(related), image_size, relations)

    def _pseudo(self, features: Tensor, heatmaps: Tensor, prepared: Tensor) -> Tensor:
        """Return the pseudo heatmaps (B, K, h, w) of features after a frame of some state."""
        if self.propagator is not None:
            if self.config.official:
                kernels = self.propagator.in_order(prepared, heatmaps, self.projection_norm)
            else:
                kernels = self.propagator(prepared, heatmaps)
            features = correlate_each(features, kernels)
        pseudo: Tensor = self.head(features)
        return pseudo

    def _prepare(self, features: Tensor) -> Tensor:
        """Return what the next frame needs of the features (N, C, h, w) of one."""
        if self.propagator is None or self.config.official:
            return features
        return self.propagator.prepare(features)

    def fold(self) -> None:
        """Compose what is linear, in place, unless normalizations are shared (``official``)."""
        if not self.config.official:
            self.projection = fold_norm(self.projection, self.projection_norm)
            self.projection_norm = nn.Identity()
            if self.config.normalize_pseudo:
                self.head = fold_norm(self.head, self.pseudo_norm)
                self.pseudo_norm = nn.Identity()
            if self.propagator is not None:
                self.propagator.compose()

    def official_parts(self) -> Mapping[str, Parts]:
        """Return the names of parameters in official checkpoints."""
        return {name: Parts((_official_name(name),)) for name in self.state_dict()}


def _map_norm(keypoints: int) -> nn.BatchNorm2d:
    """Return a normalization of K maps that start near the deviation of a Gaussian's, below 1."""
    norm = nn.BatchNorm2d(keypoints)
    nn.init.constant_(norm.weight, _OUTPUT_SCALE)
    return norm


def _official_name(name: str) -> str:
    """Return what the official code calls a parameter."""
    part, rest = name.split(".", 1)
    if part == "initializer":
        return f"pose_net.{rest.removeprefix('features.')}"
    if part == "extractor":
        layer, rest = rest.split(".", 1)
        return f"fea_ext.{_EXTRACTOR.index(layer)}.{rest}"
    if part == "propagator" and not rest.startswith("fusion"):
        kind, layer, rest = rest.split(".", 2)
        return f"dkd_param_adapter.{4 * int(layer) + (kind == 'norms')}.{rest}"
    return f"{_NAMES[part]}.{rest.removeprefix('fusion.')}"


# The children of the official extractor, which is a list, and the names of other parts.
_EXTRACTOR = (
    *("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"),
    "deconv_layers",
)
_NAMES = {
    "projection": "pose_conv1x1_V",
    "projection_norm": "bn",
    "propagator": "conv1x1_reduce_dim",
    "head": "pose_conv1x1_U",
    "relation": "non_local_conv2d",
    "output_norm": "bn_u",
    "pseudo_norm": "bn_u",  # the official one serves both
}
