"""A user who corrects planes of a walk, one after the other, and lets it walk again each time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.confidence import is_anchor, weakest
from napari_sam.evaluation.walks import Found, Volume, by_position
from napari_sam.plane_mask import latest

if TYPE_CHECKING:
    from napari_sam.evaluation.scores import Target
    from napari_sam.plane_mask import PlaneMask

Choose = Callable[[Sequence["PlaneMask"], int], Sequence["PlaneMask"]]

COUNTS = (1, 2, 4)  # corrected planes after which the object is scored


def correct(volume: Volume, target: Target, choose: Choose, *, counts: Sequence[int] = COUNTS) -> Iterator[Found]:
    """Correct the planes that are chosen, walking again after each round, and report after each of the counts.

    The user paints the true mask of the plane; an empty one says that the object is not there.

    Parameters
    ----------
    volume, target
        The object, first shown by a click and a box.
    choose : callable
        Given what the walk found, and how many planes are wanted: which of those not yet shown to correct.
    counts : sequence of int
        Ascending.

    Yields
    ------
    Found
        The way is the number of corrected planes.
    """
    prompts = [volume.first_prompt(target)]
    found = volume.walk(prompts)
    for count in counts:
        chosen = choose(found, count + 1 - len(prompts))
        prompts += [volume.painted(target, each.plane[0]) for each in chosen]
        found = volume.walk(prompts)
        yield target, str(count), by_position(found, target.object_id)


def correct_the_weakest(volume: Volume, targets: Sequence[Target]) -> Iterator[Found]:
    """Correct the planes that `weakest` names first."""
    for target in targets:
        for _, count, masks in correct(volume, target, weakest):
            yield target, f"weakest, {count} corrected", masks


def correct_at_random(volume: Volume, targets: Sequence[Target], *, draws: int = 2) -> Iterator[Found]:
    """Correct planes drawn at random among those that the walk decided, several times over."""
    for target in targets:
        for draw in range(draws):
            rng = np.random.default_rng((target.object_id, draw))
            for _, count, masks in correct(volume, target, partial(_draw, rng)):
                yield target, f"random, {count} corrected", masks


def _draw(rng: np.random.Generator, found: Sequence[PlaneMask], count: int) -> list[PlaneMask]:
    """Draw planes that the walk decided itself."""
    decided = [each for each in latest(found) if not is_anchor(each)]
    drawn = rng.choice(len(decided), min(count, len(decided)), replace=False)
    return [decided[i] for i in drawn]
