"""Evaluations of trained systems that are stored beside their runs, and used again while fresh.

``evaluations.json`` in a run's folder has the ``digest`` of what all of them follow from besides
the weights, the metrics of each of the ``decodings``, None for one that the system does not
support, and the time per image where it was ``timed``.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from poselib.analysis.compare import evaluate_variants
from poselib.data.loaders import SampleSource
from poselib.engine.checkpoints import load_checkpoint
from poselib.engine.evaluate import LabeledImages
from poselib.engine.inference import PredictOptions
from poselib.engine.predict import predict
from poselib.engine.timing import measure
from poselib.engine.variants import Variant
from poselib.experiments.ablation import trained_file
from poselib.experiments.fingerprint import code_digest
from poselib.experiments.kept_runs import KeptRun
from poselib.experiments.plain import plain
from poselib.experiments.provenance import machine_name
from poselib.experiments.run_record import EVALUATIONS, RunRecord
from poselib.ops.io import write_json
from poselib.papers.preset import Preset
from poselib.skeletons import Skeleton, stored_form
from poselib.systems import OptionValue, System

_DIGITS = 12
_ROOTS = (
    ("poselib.analysis.compare", "evaluate_variants"),
    ("poselib.engine.checkpoints", "load_checkpoint"),
    ("poselib.engine.variants", "Variant"),
    ("poselib.papers.preset", "Preset"),
)


def evaluation_digest(settings: Preset, params: Mapping[str, Any], skeleton: Skeleton) -> str:
    """Return a digest of what an evaluation follows from besides the weights and the decoding.

    It is the code that is executed, how images are presented, and the synthetic test images.

    Args:
        settings: the preset; how it trains does not count.
        params: parameters of the run: ``system``, ``dataset`` and ``preset``. The code does not
            count for the preset smoke, as for its runs.
        skeleton: of the test images.
    """
    system, dataset = str(params.get("system") or "hae"), str(params["dataset"])
    smoke = params.get("preset") == "smoke"
    code = "" if smoke else code_digest(_ROOTS, (system,), (dataset,))
    names = ("input_size", "multiple", "predict", "scenes", "test_scenes")
    counted = {each: getattr(settings, each) for each in names}
    content = [code, dataset, plain(counted, "preset"), stored_form(skeleton)]
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def evaluate_stored(
    run: RunRecord,
    digest: str,
    decodings: Mapping[str, Mapping[str, OptionValue]],
    images: Callable[[], LabeledImages],
    options: PredictOptions,
    device: torch.device | str,
    *,
    renew: bool = False,
) -> dict[str, dict[str, float]]:
    """Evaluate what a finished run trained with several decodings, and store it beside the run.

    What was stored before and is fresh is not measured again.

    Args:
        digest: see ``evaluation_digest``.
        decodings: decoding options, by name.
        images: returns the test set, which is rendered only where something is measured.
        options: how it is presented.
        renew: test a video network as it is trained: see ``Ablation``.

    Returns:
        The metrics of ``evaluate_variants`` with its errors, by the name of each decoding that the
        system supports.

    Raises:
        FileNotFoundError: something is to be measured, and the run has no trained system.
        ValueError: the system supports none of the decodings.
    """
    keys = {n: _key(changes, renew) for n, changes in decodings.items()}
    known = _stored(run, digest, "decodings")
    if lacking := {n: changes for n, changes in decodings.items() if keys[n] not in known}:
        system = _load(run)
        frames = system.frames if renew and system.clips else None
        variants = [Variant(name, changes, renew=frames) for name, changes in lacking.items()]
        found: dict[str, Any] = {}
        if any(variant.supports(system) for variant in variants):
            evaluated = evaluate_variants(
                system, images(), variants, options, errors=True, device=device
            )
            found = {str(n): row.to_dict() for n, row in evaluated.table.iterrows()}
        _store(run, digest, "decodings", {keys[name]: found.get(name) for name in lacking})
        known = _stored(run, digest, "decodings")
    measured = {name: known[key] for name, key in keys.items() if known[key] is not None}
    if not measured:
        raise ValueError(f"run {run.id}: its system supports none of {list(decodings)}")
    return {
        name: {k: math.nan if v is None else v for k, v in metrics.items()}
        for name, metrics in measured.items()
    }


def time_stored(
    run: RunRecord,
    digest: str,
    images: SampleSource,
    count: int,
    options: PredictOptions,
    device: torch.device,
    repeats: int,
) -> float:
    """Return the ms per image of what a run trained, and store it beside the run.

    A time that was measured on this machine, or of a run without weights, is not measured again.

    Args:
        digest: see ``evaluation_digest``.
        images: of which the first ``count`` are timed.
        repeats: over all of them; the median counts.

    Raises:
        FileNotFoundError: there is no such time, and the run has no trained system.
    """
    known = _stored(run, digest, "timed")
    about = {"images": count, "repeats": repeats, "machine": machine_name()}
    if isinstance(run, KeptRun):
        about["machine"] = known.get("machine", "")
    if any(known.get(key) != value for key, value in about.items()):
        samples, system = [images[index] for index in range(count)], _load(run)
        timing = measure(
            partial(predict, system, samples, options, device=device), repeats, device=device
        )
        total = timing.cpu_median if device.type == "cpu" else timing.median
        known = {**about, "ms": total / count}
        _store(run, digest, "timed", known)
    return float(known["ms"])


def _load(run: RunRecord) -> System:
    if isinstance(run, KeptRun):
        raise FileNotFoundError(
            f"run {run.id!r} is kept without its weights, and was not evaluated by the code, with "
            f"the decoding and on the images of now; it must be trained again, in {run.folder}"
        )
    return load_checkpoint(trained_file(run)).system


def _key(options: Mapping[str, Any], renew: bool) -> str:
    """Return the name under which the evaluation of a decoding is stored."""
    return json.dumps({**options, **({"renew": True} if renew else {})}, sort_keys=True)


def _stored(run: RunRecord, digest: str, part: str) -> dict[str, Any]:
    found = run.evaluations
    return dict(found.get(part, {})) if found.get("digest") == digest else {}


def _store(run: RunRecord, digest: str, part: str, values: Mapping[str, Any]) -> None:
    """Store values beside others of the same digest; those of another one are dropped."""
    found = run.evaluations
    content: dict[str, Any] = found if found.get("digest") == digest else {"digest": digest}
    merged = {**content.get(part, {}), **plain(values, part)}
    write_json(run.folder / EVALUATIONS, {**content, part: merged}, indent=1)
