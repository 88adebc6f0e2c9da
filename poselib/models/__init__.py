"""Networks: backbones, heads and blocks; ``BACKBONES`` holds the named backbones."""

from dataclasses import replace

from poselib.models.hrnet import HRNetConfig, StageConfig


def _official(width: int) -> HRNetConfig:
    """The four-stage network whose finest branch has ``width`` channels."""
    widths = tuple(width * 2**i for i in range(4))
    return HRNetConfig(
        stem=(64, 64),
        stage1=StageConfig(1, (4,), (64,), "bottleneck"),
        stages=(
            StageConfig(1, (4,) * 2, widths[:2]),
            StageConfig(4, (4,) * 3, widths[:3]),
            StageConfig(3, (4,) * 4, widths),
        ),
    )


def _light(config: HRNetConfig) -> HRNetConfig:
    """The same network with residual blocks in the last branch of each stage alone.

    GRM/MFA, Eq. 1 ("only retains the convolution operation of the last branch in each stage"). It
    counts blocks "before fusion" and is silent on how often a stage repeats: as in the full one.
    """
    stages = (replace(s, blocks=(0,) * (len(s.blocks) - 1) + s.blocks[-1:]) for s in config.stages)
    return replace(config, stages=tuple(stages))


# trains on 128 px images within minutes on a CPU: one or two blocks where the official networks
# have four, narrow maps at high resolution, widths that fill vector registers
_TINY = HRNetConfig(
    stem=(16, 32),
    stage1=StageConfig(1, (1,), (32,)),
    stages=(
        StageConfig(1, (0, 1), (32, 32)),
        StageConfig(1, (0, 1, 1), (32, 32, 64)),
        StageConfig(1, (1, 1, 2, 2), (32, 32, 64, 128)),
    ),
)

BACKBONES: dict[str, HRNetConfig] = {
    "hrnet_w18": _official(18),
    "hrnet_w32": _official(32),
    "hrnet_w48": _official(48),
    "hrnet_tiny": _TINY,
    "hrnet_w32_light": _light(_official(32)),
    "hrnet_w48_light": _light(_official(48)),
    "hrnet_tiny_light": _light(_TINY),
}


def get_backbone(name: str) -> HRNetConfig:
    """Return the shape of a backbone; raises ValueError if there is none of this name."""
    if name not in BACKBONES:
        raise ValueError(f"unknown backbone {name!r}; known: {sorted(BACKBONES)}")
    return BACKBONES[name]
