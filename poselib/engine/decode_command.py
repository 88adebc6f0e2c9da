"""Options of the command that groups the keypoints of stored maps into people."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from poselib.ops.io import check_output

SUMMARY = "group the keypoints of stored maps into people"
DESCRIPTION = """Group the keypoints of stored maps into people.

MAPS is an npz file of NumPy with two arrays, from whatever network: heatmaps (K, H, W) and tags
(K, H, W, L), both floating-point and finite; tags (K, H, W) are taken for L = 1. OUT receives
keypoints (N, K, 2), scores (N, K) and person_scores (N,), float32: x and y in px of the maps, where
the center of the first pixel is at (0.5, 0.5), and (0, 0) with score 0 for what is missing.

One line of JSON says how many people were found and how many milliseconds each stage took, from
maps in memory to poses: the median of the repeats, before which one is not timed.
"""


def add_options(add: Callable[..., Any]) -> None:
    """Add the options with the ``add_argument`` of a parser."""
    add("maps", metavar="MAPS", help="npz file of heatmaps and tags")
    add("--out", required=True, metavar="OUT", help="npz file, receives the poses")
    orders = ("progressive", "associative")
    explained = "of the keypoint types: the easiest first (default), or as they are stored"
    add("--order", choices=orders, default=orders[0], help=explained)
    add("--threads", type=int, default=1, metavar="N", help="that may be used (default 1)")
    add("--repeats", type=int, default=5, metavar="N", help="that are timed (default 5)")


def run(arguments: argparse.Namespace) -> str:
    """Decode stored maps, write the poses; return the times as JSON."""
    from poselib.decoders.associative import AssociativeOptions
    from poselib.engine.decode_maps import decode_stages, read_maps, write_poses
    from poselib.engine.timing import limited_threads

    maps_file, out = Path(arguments.maps), Path(arguments.out)
    check_output(out)
    if out.suffix not in ("", ".npz") and (out.is_file() or not out.exists()):  # not of a pipe
        raise ValueError(f"--out {out}: must end in .npz")
    if out.resolve() == maps_file.resolve():
        raise ValueError(f"--out {out}: the poses would replace the maps")
    maps = read_maps(maps_file)
    associative = arguments.order == "associative"
    options = AssociativeOptions(range(maps.tags.shape[1]) if associative else "progressive")
    with limited_threads(arguments.threads):
        times = decode_stages(maps, options, arguments.repeats, warmup=1)
    write_poses(out, times.poses[0])
    facts = {
        "people": len(times.poses[0]),
        **{stage: round(ms, 3) for stage, ms in times.medians().items()},
        "unit": "ms",
        **{name: getattr(arguments, name) for name in ("order", "threads", "repeats")},
    }
    return json.dumps(facts)
