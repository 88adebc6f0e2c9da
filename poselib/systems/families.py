"""Which network weights are of, told by their names and shapes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from poselib.models import BACKBONES
from poselib.ops.weights_io import Weights
from poselib.skeletons import SKELETONS
from poselib.systems.system import OptionValue

_CROP = ("frame", "subpixel", "height", "width")  # what weights of heatmaps of one person hide
_LAYERS = {*(f"{kind}{n}" for n in (1, 2, 3) for kind in ("conv", "bn")), "downsample"}
_BLOCKS: dict[tuple[str, tuple[int, ...]], int] = {
    ("basic", (2, 2, 2, 2)): 18,
    ("basic", (3, 4, 6, 3)): 34,
    ("bottleneck", (3, 4, 6, 3)): 50,
    ("bottleneck", (3, 4, 23, 3)): 101,
    ("bottleneck", (3, 8, 36, 3)): 152,
}


# What names of a family contain, and what it is; the first that is found counts.
_OTHERS = (
    (r"(^|\.)(cls_x|cls_y|mlp_head_x)\.|^head\.(mlp|gau|cls_)", "RTMPose or SimCC"),
    (
        r"blocks\.\d+\.attn\.|(^|\.)(cls_token|pos_embed)$|\.attention\.attention\.",
        "a vision transformer (ViTPose, or a classifier)",
    ),
    (r"branches\.\d+\.\d+\.attn\.", "HRFormer"),
    (r"(iia|gfd)_module\.", "CID, contextual instance decoupling"),
    (r"(^|\.)(head_module|dcc|head_kpt|multi_level_\w+)\.", "RTMO or YOLOX-Pose"),
    (r"keypoint_(head|predictor)\.(blocks|conv_fcn|kps_score|0\.)", "Keypoint R-CNN"),
    (r"(roi_heads?|rpn|rpn_head|bbox_head|mask_head|box_predictor)\.", "a detector of boxes"),
    (r"^(module\.)?(model\.)+\d+\.(conv|bn|cv\d|m)\.", "YOLO"),
    (r"(class_embed|query_embed|bbox_embed)\b", "a transformer that detects (DETR, ED-Pose, PETR)"),
    (r"Mconv\d_stage\d|model\d_\d\.|conv\d_\d_CPM|initial_stage\.", "OpenPose"),
    (r"(head_nets|base_net)\.", "OpenPifPaf"),
    (r"stage\d\.\d\.layers\.\d+\.(cross_resolution|spatial|depthwise)", "Lite-HRNet"),
    (r"multi_stage_(mspn|rsn)|(^|\.)cpm_stages\.", "a network of stages (MSPN, RSN or CPM)"),
    (r"hourglass_modules\.\d+\.(up1|low1)\.\d", "hourglasses for one person"),
    (r"layer\d+\.\d+\.conv\.\d\.|features\.\d+\.conv\.\d", "a MobileNetV2"),
    (
        r"^(module\.)?(pose_net|fea_ext)\.",
        "RPSTN, which sees clips: build it, and use models.pretrained.load_official",
    ),
    (
        r"(^|\.)(fc_coord|fc_sigma|flow)\.|^head\.fc\.",
        "a regression of coordinates (RLE, DeepPose)",
    ),
    (r"(^|\.)(encoder\.layer|text_model|lm_head|unet|vae)\.", "a model of texts or images"),
)


def other_family(names: Iterable[str]) -> str:
    """Say whose weights these are, if a network's that is known and not here; else ``""``."""
    listed = list(names)
    for pattern, family in _OTHERS:
        if any(re.search(pattern, name) for name in listed):
            return family
    return ""


@dataclass(frozen=True)
class Network:
    """What the names and shapes of weights tell.

    Attributes:
        system: of ``poselib.systems.build``; empty of a backbone.
        family: in plain words.
        keypoints: their number; 0 of a backbone.
        options: of the system, those that the weights tell.
        hidden: options that they do not tell.
    """

    system: str
    family: str
    keypoints: int
    options: dict[str, OptionValue]
    hidden: tuple[str, ...] = ()


def network_of(weights: Weights, path: Path, keypoints: int | None = None) -> Network:
    """Tell the network that weights are of.

    Args:
        weights: by names without prefixes.
        path: their file, for messages.
        keypoints: their number, if known, by which heatmaps alone are told from those with tags.

    Raises:
        ValueError: no network here has them.
    """
    names, size = list(weights), {k: len(v) if v.ndim else 0 for k, v in weights.items()}
    if "stage4.0.branches.0.0.conv1.weight" in weights:
        return _high_resolution(path, weights, size, keypoints)
    if size.get("layer21.linear_conv.bn.bias") == 160:
        maps = size.get("final_layer.bias", 0)
        return _of_maps(path, maps, {"backbone": "vipnas_mobilenetv3"}, keypoints)
    if "layer4.0.conv1.weight" in weights:
        return _residual(path, weights, size, keypoints)
    if "hourglass_modules.0.0.up1.conv.weight" in weights:
        stacks = sum(name.endswith(".0.up1.conv.weight") for name in names)
        norms: dict[str, OptionValue] = {"stack_norm": True, "stack_norm_all": True}
        options = {"host": "hourglass", "stacks": stacks, **norms}
        count = size.get("out_convs.0.conv.bias", 0) // 2
        return Network("hae", "associative embedding on stacked hourglasses", count, options)
    if "features.0.0.up1.conv.weight" in weights or "pre.0.conv.weight" in weights:
        raise ValueError(
            f"{path}: the authors' hourglasses of associative embedding, which expect images in "
            "[0, 1] and have maps that no system here uses; mmpose's load"
        )
    raise ValueError(
        f"{path}: weights of an unknown network: {', '.join(names[:4])}, ...; known are DEKR, "
        "HRNet, HigherHRNet, SimpleBaseline, S-ViPNAS, and stacked hourglasses with tags"
    )


def _high_resolution(
    path: Path, weights: Weights, size: dict[str, int], keypoints: int | None
) -> Network:
    width, branch = size["stage4.0.branches.0.0.conv1.weight"], "stage4.0.branches.0."
    backbone = f"hrnet_w{width}"
    if backbone not in BACKBONES or f"{branch}3.conv1.weight" not in weights:
        raise ValueError(f"{path}: an HRNet of another shape, {width} channels wide")
    options: dict[str, OptionValue] = {"backbone": backbone}
    branches = {name.split(".")[1] for name in weights if name.startswith("offset_feature_layers.")}
    if branches:
        count, found = len(branches), {**options, "frame": "index"}
        return Network("dekr", f"DEKR on {backbone}", count, found)
    ends = ("offset_conv_layers.3.bias", "displacement_conv_layers.3.bias")
    grouped = [name for name in weights if name.endswith(ends)]
    if grouped:
        ranked = any("rescore_net." in name for name in weights)
        found = {**options, "frame": "index", "scoring": ranked}
        return Network("dekr", f"DEKR on {backbone}", size[grouped[0]] // 2, found)
    if "final_layer_cls.bias" in weights:
        count = size["final_layer_cls.bias"] - 1
        return Network("logocap", f"LOGO-CAP on {backbone}", count, {**options, "frame": "index"})
    if "final_layers.1.bias" in weights and any(k.startswith("deconv_layers.0.0") for k in weights):
        count = size["final_layers.1.bias"]
        if size.get("final_layers.0.bias") != 2 * count:
            raise ValueError(f"{path}: HigherHRNet with other tags than one for each keypoint")
        found = {**options, "host": "higher"}
        return Network("hae", f"HigherHRNet on {backbone}", count, found, ("frame",))
    maps = size.get("final_layer.bias", size.get("final_layers.0.bias", 0))
    if not maps:
        return Network("", f"the backbone {backbone} alone", 0, options)
    return _of_maps(path, maps, options, keypoints)


def _residual(path: Path, weights: Weights, size: dict[str, int], keypoints: int | None) -> Network:
    maps = size.get("final_layer.bias", 0)
    if "layer1.0.attention.conv_mask.weight" in size:
        return _of_maps(path, maps, {"backbone": "vipnas_resnet50"}, keypoints)
    kind = "bottleneck" if "layer1.0.conv3.weight" in size else "basic"
    counts = (
        len({k.split(".")[1] for k in size if k.startswith(f"layer{n}.")}) for n in range(1, 5)
    )
    depth = _BLOCKS.get((kind, tuple(counts)))
    layers = {k.split(".")[2] for k in size if k.startswith(("layer1.0.", "layer4.0."))}
    width = weights["layer1.0.conv2.weight"].shape[:2] if "layer1.0.conv2.weight" in size else ()
    if depth is None or not layers <= _LAYERS or width != (64, 64) or "conv1.weight" not in size:
        raise ValueError(
            f"{path}: a residual network of another shape than ResNet's (ResNeXt, SE-ResNet, ...)"
        )
    backbone = f"resnet{depth}"
    if not maps:
        return Network("", f"the backbone {backbone} alone", 0, {"backbone": backbone})
    if "deconv_layers.0.weight" not in size:
        raise ValueError(f"{path}: {backbone} with a head that is not SimpleBaseline's")
    return _of_maps(path, maps, {"backbone": backbone}, keypoints)


def _of_maps(
    path: Path,
    maps: int,
    options: dict[str, OptionValue],
    keypoints: int | None,
) -> Network:
    """Tell heatmaps or offsets of one person, or tags of several, by how many maps there are."""
    name, sizes = str(options["backbone"]), {len(each) for each in SKELETONS.values()}
    known = {keypoints} if keypoints else sizes
    thirds = maps // 3 if maps % 3 == 0 else 0
    if thirds and (thirds == keypoints or (maps not in sizes and thirds in known)):
        found = {**options, "relation": "none", "offsets": True}
        return Network("jre", f"discs and offsets of one person on {name}", thirds, found, _CROP)
    tagged = maps % 2 == 0 and maps // 2 in known and maps not in known and "hrnet" in name
    if tagged:
        found = {**options, "host": "plain"}
        return Network("hae", f"associative embedding on {name}", maps // 2, found, ("frame",))
    plain = {**options, "relation": "none"}
    return Network("jre", f"heatmaps of one person on {name}", maps, plain, _CROP)
