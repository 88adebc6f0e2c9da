"""LOGO-CAP's official network with the weights of the golden arrays."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from poselib.models import BACKBONES
from poselib.models.local_global import LocalGlobalHRNet, MessagePassing
from poselib.models.pretrained import load_official
from tests.models.official import official_weights, weights_rule


def official_network(golden: Path, folder: Path) -> LocalGlobalHRNet:
    """Return the network in evaluation; its file of weights is written to the folder."""
    torch.save(official_weights(golden, "logocap_w32"), folder / "official.pth")
    model = LocalGlobalHRNet(BACKBONES["hrnet_w32"], 17).eval()
    load_official(model, folder / "official.pth")
    return model


def message_passing_of_functions(golden: Path) -> MessagePassing:
    """Return the message passing of ``logocap_funcs``: the same rule with twice the variance."""
    rule, prefix = weights_rule(golden), "joints_mlp."
    keys = json.loads((golden / "logocap_w32.keys.json").read_text())
    rule.GAIN = 1.0
    filled = rule.fill([key for key in keys if key[0].startswith(prefix)])
    passing = MessagePassing(17, 64, attentive=True).eval()
    weights = {name.removeprefix(prefix): torch.from_numpy(w) for name, w in filled.items()}
    passing.load_state_dict(weights, strict=False)
    return passing
