"""Files of weights that are for no network here, told by the names that they hold."""

from __future__ import annotations

import re
from collections.abc import Iterable

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
    (
        r"layer\d+\.(\d+\.conv\.\d|expand_conv|depthwise_conv)\.|features\.\d+\.conv\.\d",
        "a MobileNet (MobileNetV2, or S-ViPNAS on MobileNetV3)",
    ),
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
