"""Say in a sentence why a keypoint was grouped with its person and not with another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from poselib.analysis.association_walk import AssociationWalk
from poselib.metrics.association_errors import KeypointErrors, PredictionError
from poselib.plots.style import display_name
from poselib.skeletons import Skeleton

ASSOCIATION_ERRORS = (PredictionError.WRONG_PERSON, PredictionError.FRAGMENT)


@dataclass(frozen=True)
class Assignment:
    """How a keypoint came to its person, and how near another one was. Distances are of tags.

    Attributes:
        person, keypoint: a keypoint of a walk.
        step: from 0, in which it was grouped; the number of steps if refinement added it.
        started: whether it started the person.
        distance: to the person's reference embedding before the step; NaN if it started it.
        other: the person it is compared with, the one to whom it belongs where annotations tell,
            else the nearest other one; -1 if there is none.
        other_distance: to that person's reference embedding; NaN if it had not started.
        other_step: in which that person started; -1 without one.
        taken_step: in which that person got another keypoint of the type, at the latest in this
            one; -1 if it had none.
        taken_distance: of that keypoint to the person; NaN if there is none.
        compared: whether keypoints are compared with that person, see ``max_people``.
    """

    person: int
    keypoint: int
    step: int
    started: bool
    distance: float
    other: int
    other_distance: float
    other_step: int
    taken_step: int
    taken_distance: float
    compared: bool


def find_assignment(
    walk: AssociationWalk, person: int, keypoint: int, other: int | None = None
) -> Assignment:
    """Find how a keypoint came to its person.

    Args:
        other: a person of the walk to compare with, or -1; by default the nearest other one.

    Raises:
        ValueError: the person lacks the keypoint.
    """
    number = int(walk.step_of[person, keypoint])
    if number < 0:
        raise ValueError(f"person {person} has no keypoint {keypoint}")
    if number == len(walk.steps):
        rest = -1 if other is None else other
        nan = float("nan")
        return Assignment(person, keypoint, number, False, nan, rest, nan, -1, -1, nan, True)
    references = walk.steps[number].references
    apart = cdist(walk.tags[person, keypoint][None], references)[0] if len(references) else []
    apart = np.asarray(apart, dtype=np.float64)
    known = apart[: walk.options.grouping.max_people].copy()
    started = person >= len(references)
    if other is None:
        if not started:
            known[person] = np.inf
        other = int(known.argmin()) if np.isfinite(known).any() else -1
    taken_step, taken_distance = _taken(walk, other, keypoint, number)
    return Assignment(
        person=person,
        keypoint=keypoint,
        step=number,
        started=started,
        distance=float("nan") if started else float(apart[person]),
        other=other,
        other_distance=float(apart[other]) if 0 <= other < len(apart) else float("nan"),
        other_step=int(walk.step_of[other][walk.step_of[other] >= 0].min()) if other >= 0 else -1,
        taken_step=taken_step,
        taken_distance=taken_distance,
        compared=other < len(known),
    )


def _taken(walk: AssociationWalk, person: int, keypoint: int, until: int) -> tuple[int, float]:
    """Return when a person got a keypoint of a type, and its distance; -1 and NaN if not yet."""
    number = int(walk.step_of[person, keypoint]) if person >= 0 else -1
    if not 0 <= number <= until:
        return -1, float("nan")
    references = walk.steps[number].references
    if person >= len(references):
        return number, 0.0
    return number, float(np.linalg.norm(walk.tags[person, keypoint] - references[person]))


def explain_keypoint(
    walk: AssociationWalk,
    person: int,
    keypoint: int,
    skeleton: Skeleton,
    errors: KeypointErrors | None = None,
    numbers: Sequence[int] | None = None,
) -> str:
    """Say in one sentence how a keypoint came to its person, and if it belongs to another, why.

    Args:
        person, keypoint: a keypoint of the walk.
        errors: of the walk's poses, where people are annotated.
        numbers: by which people are called, from 0; they are written from 1. By default their
            own.

    Raises:
        ValueError: the person lacks the keypoint.
    """
    names = range(len(walk.poses)) if numbers is None else numbers
    called = {n: f"person {int(number) + 1}" for n, number in enumerate(names)}
    kind = None if errors is None else errors.kinds[person, keypoint]
    wrong = kind in ASSOCIATION_ERRORS
    other = _right_person(errors, person, keypoint) if wrong and errors is not None else None
    found = find_assignment(walk, person, keypoint, other)
    name = display_name(skeleton.keypoints[keypoint])
    happened = _happened(walk, found, name, called)
    if found.step == len(walk.steps):
        tail = _refined_tail(found, name, called) if wrong else ""
    elif wrong:
        tail = f"; {_belongs(walk, found, name, called)}"
    else:
        tail = _next_nearest(walk, found, name, called)
    return f"{happened}{tail}{_kind_note(kind, name)}."


def explain_distance(
    walk: AssociationWalk,
    step: int,
    keypoint: int,
    skeleton: Skeleton,
    numbers: Sequence[int] | None = None,
) -> str:
    """Say in one sentence which keypoint and person a distance of the walk is between.

    Args:
        step, keypoint: of ``AssociationWalk.distances``, from 0.
        numbers: as in ``explain_keypoint``.

    Raises:
        ValueError: the walk has no such distance.
    """
    pair = walk.nearest.get((step, keypoint))
    if pair is None:
        raise ValueError(f"step {step} has no distance of keypoint {keypoint}")
    names = range(len(walk.poses)) if numbers is None else numbers
    owner, reference = (f"person {int(names[n]) + 1}" for n in (pair.owner, pair.reference))
    name, taken = display_name(skeleton.keypoints[keypoint]), walk.step_of[pair.owner, keypoint]
    then = f", whom it joins in step {taken + 1}"
    if owner != reference:
        does = "starts" if pair.owner >= len(walk.steps[taken].references) else "joins"
        then = f", but it {does} {owner} in step {taken + 1}"
    said = f"nearest {name} is {pair.distance:.3f} from the mean of {reference}{then}."
    if walk.options.grouping.distance_reduction == "mean" and pair.waiting > 1:
        mean = f"{walk.distances[step, keypoint]:.3f} is the mean of {pair.waiting}"
        return f"The distance of {name} {mean}; the {said}"
    return f"The {said}"


def _right_person(errors: KeypointErrors, person: int, keypoint: int) -> int:
    """Return the detection of the annotated person that a keypoint lies on; -1 if it has none."""
    (found,) = np.nonzero(errors.partners == errors.owners[person, keypoint])
    return int(found[0]) if len(found) else -1


def _happened(walk: AssociationWalk, found: Assignment, name: str, called: dict[int, str]) -> str:
    person, limit = called[found.person], walk.options.grouping.tag_threshold
    if found.step == len(walk.steps):
        return (
            f"Refinement added this {name} to {person}, who had none: its heatmap value less the "
            "rounded distance of its tag is the highest of all cells"
        )
    step = f"In step {found.step + 1} this {name}"
    if not found.started:
        near = f"its tag is {found.distance:.2f} from that person's mean"
        return f"{step} joined {person}: {near}, below the threshold of {limit:g}"
    first = "no person within the threshold was assigned to it"
    if found.step == 0:
        first = "the first keypoints start people"
    return f"{step} started {person}, since {first}"


def _belongs(walk: AssociationWalk, found: Assignment, name: str, called: dict[int, str]) -> str:
    """Say why a keypoint did not join the person to whom it belongs."""
    if found.other < 0:
        return "it belongs to an annotated person whom no detection matches"
    owner = called[found.other]
    if np.isnan(found.other_distance):
        return f"it belongs to {owner}, who was not started before step {found.other_step + 1}"
    why = _why_not(walk, found, name)
    return f"{owner}, to whom it belongs, is {found.other_distance:.2f} away{why}"


def _why_not(walk: AssociationWalk, found: Assignment, name: str) -> str:
    """Say why a keypoint did not join the person it is compared with, who had started."""
    grouping, why = walk.options.grouping, ""
    if found.other_distance >= grouping.tag_threshold:
        why = f", beyond the threshold of {grouping.tag_threshold:g}"
    elif found.distance < found.other_distance:
        why = ", farther"
    if not found.compared:
        why += f", and is not among the first {grouping.max_people}, who alone are compared"
    if found.taken_step >= 0:
        same = found.taken_step == found.step
        when = "the same step" if same else f"step {found.taken_step + 1}"
        why += f", and got another {name} in {when}, at {found.taken_distance:.2f}"
        why += _preferred(walk, found) if same else ""
    if not why:
        why = f", but together all assignments of {name} cost least this way"
        if _rounds_alike(walk, found.distance, found.other_distance):
            both = f"both distances round to {found.distance:.0f}"
            why = f", but {both}, and tie rule {grouping.tie_rule!r} decides"
    return why


def _preferred(walk: AssociationWalk, found: Assignment) -> str:
    """Say why a person got a keypoint that is farther than this one; empty if it is nearer."""
    mine, other = walk.poses.scores[[found.person, found.other], found.keypoint]
    if found.taken_distance <= found.other_distance or mine >= other:
        return ""
    if not _rounds_alike(walk, found.taken_distance, found.other_distance):
        return ""
    return (
        f": both distances round to {found.taken_distance:.0f}, and its heatmap value is higher, "
        f"{other:.2f} to {mine:.2f}"
    )


def _rounds_alike(walk: AssociationWalk, first: float, second: float) -> bool:
    """Whether two distances cost the same, as they are rounded."""
    grouping = walk.options.grouping
    rounded = grouping.round_distance and grouping.progressive_unit == "type"
    return rounded and round(first) == round(second)


def _refined_tail(found: Assignment, name: str, called: dict[int, str]) -> str:
    if found.other < 0:
        return f"; it lies on the {name} of an annotated person whom no detection matches"
    return f"; it lies on the {name} of {called[found.other]}"


def _next_nearest(
    walk: AssociationWalk, found: Assignment, name: str, called: dict[int, str]
) -> str:
    if np.isnan(found.other_distance):
        return ""
    other, away = called[found.other], f"is {found.other_distance:.2f} away"
    if found.started:
        return f"; {other}, the nearest, {away}{_why_not(walk, found, name)}"
    if found.other_distance < found.distance:
        return f"; {other}, who is nearer, {away}{_why_not(walk, found, name)}"
    return f"; {other}, the next nearest, {away}"


def _kind_note(kind: int | None, name: str) -> str:
    if kind == PredictionError.CORRECT:
        return "; it is right"
    if kind in (PredictionError.FALSE_POSITIVE, PredictionError.IMPRECISE):
        return f"; it lies near no annotated {name}"
    if kind == PredictionError.WRONG_SIDE:
        return "; it lies on the same person's other side"
    return ""
