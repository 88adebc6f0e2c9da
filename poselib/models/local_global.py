"""The local-global network: center-offset regression, and message passing to attraction maps."""

from __future__ import annotations

from torch import Tensor, nn

from poselib.models.attentive_norm import AttentiveNorm2d
from poselib.models.hrnet import HRNetConfig, HRNetTrunk
from poselib.models.regression import SplitConv1x1
from poselib.models.residual import conv_norm, initialize
from poselib.ops.map_coordinates import Frame
from poselib.outputs import LocalGlobalOutputs, RegressionOutputs

_INIT_STD = 0.001  # of the last layers of the heads: outputs start near zero


class MessagePassing(nn.Sequential):
    """Predict attraction maps from the local context of a pose (LOGO-CAP, Sec. 3.1).

    Layers of 3x3 convolution, normalization and ReLU, each half as wide as the one before, exchange
    information between the contexts of all keypoints of a pose; a 1x1 convolution follows.

    Args:
        keypoints: K.
        embedding: D, channels of the context of each keypoint.
        layers: before the last convolution; 0 leaves it alone (LOGO-CAP, Table 6).
        width: channels of the first layer.
        attentive: attentive normalization in the second layer (LOGO-CAP, Table 5).

    Raises:
        ValueError: ``layers`` is negative, or the width cannot be halved so often.
    """

    def __init__(
        self, keypoints: int, embedding: int, layers: int = 3, width: int = 512, *, attentive: bool
    ) -> None:
        if layers < 0 or (layers and (width < 1 or width % 2 ** (layers - 1))):
            raise ValueError(
                f"message passing: {layers} layers of width {width}, which must be halved between "
                "them, cannot be built"
            )
        widths = [width // 2**number for number in range(layers)]
        inputs, parts = keypoints * embedding, list[nn.Module]()
        for number, outputs in enumerate(widths):
            parts.append(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False))
            mixing = attentive and number == 1
            parts.append(AttentiveNorm2d(outputs) if mixing else nn.BatchNorm2d(outputs))
            parts.append(nn.ReLU(inplace=True))
            inputs = outputs
        parts.append(nn.Conv2d(inputs, keypoints, 1))
        super().__init__(*parts)
        self.keypoints = keypoints
        for part in parts:
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
                if part.bias is not None:
                    nn.init.zeros_(part.bias)

    def forward(self, context: Tensor) -> Tensor:
        """Map (n, K * D, r, r) to (n, K, r, r); no poses make none.

        In training they pass the layers all the same, as other processes may have some.
        """
        if not context.shape[0] and not self.training:
            return context.new_zeros((0, self.keypoints, *context.shape[2:]))
        attraction: Tensor = super().forward(context)
        return attraction


class LocalGlobalHRNet(HRNetTrunk):
    """A high-resolution network that regresses poses and can refine them (LOGO-CAP, Fig. 3).

    The forward pass ends with maps. Poses are proposed from them afterwards, and ``joints_mlp``
    predicts attraction maps for these alone. The heads read the maps of all resolutions; parameters
    have the names of the official code.

    Args:
        config: the backbone's shape.
        keypoints: K.
        heatmap_width: channels of the heatmap head; 0 for those of the finest branch.
        offset_width: channels of the offset head.
        adaptation: whether poses can be refined; without it this is the paper's baseline.
        embedding: channels that are read around each keypoint.
        message_layers, message_width, attentive: see ``MessagePassing``.
        frame: as of ``models.regression.RegressionHRNet``.

    Raises:
        ValueError: a number is out of range.
    """

    def __init__(
        self,
        config: HRNetConfig,
        keypoints: int,
        *,
        heatmap_width: int = 0,
        offset_width: int = 256,
        adaptation: bool = True,
        embedding: int = 64,
        message_layers: int = 3,
        message_width: int = 512,
        attentive: bool = True,
        frame: Frame | None = None,
    ) -> None:
        super().__init__(config)
        self.keypoints, self.frame = keypoints, frame
        inputs, heatmap_width = sum(self.feature_widths), heatmap_width or config.widths[0]
        if min(heatmap_width, offset_width, embedding) < 1:
            raise ValueError("heads must have one channel or more")
        self.transition_cls = SplitConv1x1(*conv_norm(inputs, heatmap_width, kernel=1))
        self.transition_reg = SplitConv1x1(*conv_norm(inputs, offset_width, kernel=1))
        self.final_layer_cls = nn.Conv2d(heatmap_width, keypoints + 1, 1)
        self.final_layer_reg = nn.Conv2d(offset_width, 2 * keypoints, 1)
        heads = [self.transition_cls, self.transition_reg]
        if adaptation:
            self.transition_embedding = SplitConv1x1(*conv_norm(inputs, embedding, kernel=1))
            heads.append(self.transition_embedding)
            self.joints_mlp = MessagePassing(
                keypoints, embedding, message_layers, message_width, attentive=attentive
            )
        self.adaptation = adaptation
        for module in heads:
            initialize(module)
        for last in (self.final_layer_cls, self.final_layer_reg):
            nn.init.normal_(last.weight, std=_INIT_STD)
            nn.init.zeros_(last.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> RegressionOutputs:
        """Return heatmaps, centers, offsets and embedding at stride 4; see ``stage_features``."""
        maps = self.features(images)
        heatmaps = self.final_layer_cls(self.transition_cls(maps))
        offsets = self.final_layer_reg(self.transition_reg(maps)).unflatten(1, (-1, 2))
        common = (heatmaps[:, :-1], heatmaps[:, -1:], offsets, (images.shape[2], images.shape[3]))
        if not self.adaptation:
            return RegressionOutputs(*common)
        embedding = self.transition_embedding(maps)
        return LocalGlobalOutputs(*common, embedding=embedding, attraction_network=self.joints_mlp)
