"""The papers that are reproduced here, by short name."""

from __future__ import annotations

from collections.abc import Mapping

from poselib.papers.dekr import DEKR
from poselib.papers.grm import GRM
from poselib.papers.hae import HAE
from poselib.papers.logocap import LOGOCAP
from poselib.papers.paper import Paper
from poselib.papers.rpstn import JRE, RPSTN

PAPERS: Mapping[str, Paper] = {
    "hae": HAE,
    "dekr": DEKR,
    "grm": GRM,
    "logocap": LOGOCAP,
    "rpstn": RPSTN,
    "jre": JRE,
}


def get_paper(name: str) -> Paper:
    """Return a paper by its short name, which is also that of its system.

    Raises:
        ValueError: the paper is unknown; the message lists the known ones.
    """
    if name not in PAPERS:
        raise ValueError(f"unknown paper {name!r}; known: {', '.join(PAPERS)}")
    return PAPERS[name]
