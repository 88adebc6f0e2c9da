"""What of a training's state no whole training shows."""

from __future__ import annotations

from torch import nn

from poselib.engine.trainer import _parameter_groups
from poselib.models.attentive_norm import AttentiveNorm2d


def test_normalizations_and_biases_do_not_decay() -> None:
    """Those of attentive normalization have two dimensions; its convolution does decay."""
    norm, conv = AttentiveNorm2d(4, 3), nn.Conv2d(2, 4, 1)
    model = nn.Sequential(conv, norm, nn.BatchNorm2d(4))
    decayed, kept = _parameter_groups(model, 0.1)
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.1, 0.0)
    mixing = norm.attn_weights.attention[0].weight
    assert {id(p) for p in decayed["params"]} == {id(conv.weight), id(mixing)}
    assert len(decayed["params"]) + len(kept["params"]) == len(list(model.parameters()))
