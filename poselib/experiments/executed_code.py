"""What is recorded of the code that a run or figure follows from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from poselib.experiments.fingerprint import (
    fingerprint_of_now,
    module_fingerprint,
    module_of,
    weights_digest,
)
from poselib.experiments.named_files import file_digest, files_of
from poselib.experiments.resolved_parameters import settings_digest, starts_bundled, systems_built


def executed_code(
    params: Mapping[str, Any],
    others: Iterable[Mapping[str, Any]] = (),
    *,
    drawing: bool = True,
    folder: Path = Path(),
) -> dict[str, Any]:
    """Return the fingerprint of the notebook or command that runs, as JSON holds it.

    It is empty without either, for a notebook whose cells are not plain Python, so that no result
    is lost, and for the preset smoke, whose numbers mean nothing.

    Args:
        params: its parameters, with the name of the notebook as ``notebook``, or with the
            ``command``, ``python -m MODULE`` and options.
        others: the parameters of the runs that it reads, see ``systems_built``.
        drawing: see ``notebook_fingerprint``.
        folder: of the notebook; Jupyter runs it there.

    Returns:
        ``digest`` and ``modules`` of the fingerprint, the ``systems`` and ``datasets`` that it is
        of, ``settings``, a digest of what the preset resolves to, and of what trains ``weights``,
        see ``weights_digest``.
    """
    if command := params.get("command"):
        found = module_fingerprint(module_of(str(command)))
        return {"digest": found.digest, "modules": dict(found.modules)}
    file = folder / f"{params.get('notebook')}.ipynb"
    if params.get("preset") == "smoke" or not file.is_file():
        return {}
    systems = sorted(systems_built(params, others, drawing=drawing, folder=folder))
    datasets = [str(params["dataset"])] if params.get("dataset") else []
    bundled = drawing or starts_bundled(params)
    try:
        files = tuple(files_of(file, params)) if drawing else ()
        where = file.resolve(), file_digest(file), tuple(systems), tuple(datasets)
        found = fingerprint_of_now(*where, files, drawing, bundled)
        weights = "" if drawing else weights_digest(*where, bundled)
    except (ValueError, OSError):
        return {}
    about = {"systems": systems, "datasets": datasets, "settings": settings_digest(params)}
    trained = {"weights": weights} if weights else {}
    return {"digest": found.digest, **about, **trained, "modules": dict(found.modules)}
