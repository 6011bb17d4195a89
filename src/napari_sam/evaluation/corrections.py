"""A user who corrects planes of a walk, one after the other, and lets it walk again each time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.confidence import weakest
from napari_sam.evaluation.walks import Found, Volume, by_position

if TYPE_CHECKING:
    from napari_sam.evaluation.scores import Target
    from napari_sam.propagation import PlaneMask

Choose = Callable[[Sequence["PlaneMask"], int], Sequence["PlaneMask"]]

COUNTS = (1, 2, 4)  # corrected planes after which the object is scored


def correct(volume: Volume, target: Target, choose: Choose, *, counts: Sequence[int] = COUNTS) -> Iterator[Found]:
    """Correct the planes that are chosen, walking again after each round, and report after each of the counts.

    The user paints the true mask where the object is. Where it is not, the walk has gone too far, and the user
    limits its range to the planes before.

    Parameters
    ----------
    volume, target
        The object, first shown by a click and a box.
    choose : callable
        Given the planes that the walk decided by itself, and how many are wanted: which to correct.
    counts : sequence of int
        Ascending.

    Yields
    ------
    Found
        The way is the number of corrected planes.
    """
    prompts, start, stop = [volume.first_prompt(target)], 0, len(volume.truth)
    found = volume.walk(prompts)
    corrected: set[int] = set()
    for count in counts:
        anchored = {prompt.plane[0] for prompt in prompts}
        open_to_doubt = [each for each in found if each.plane[0] not in anchored]
        for each in choose(open_to_doubt, count - len(corrected)):
            position = each.plane[0]
            corrected.add(position)
            if volume.mask(target, position).any():
                prompts.append(volume.painted(target, position))
            elif position > target.plane[0]:
                stop = min(stop, position)
            else:
                start = max(start, position + 1)
        prompts = [prompt for prompt in prompts if start <= prompt.plane[0] < stop]
        found = volume.walk(prompts, start=start, stop=stop)
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
            for _, count, masks in correct(volume, target, _at_random(rng)):
                yield target, f"random, {count} corrected", masks


def _at_random(rng: np.random.Generator) -> Choose:
    def choose(found: Sequence[PlaneMask], count: int) -> list[PlaneMask]:
        drawn = rng.choice(len(found), min(count, len(found)), replace=False)
        return [found[i] for i in drawn]

    return choose
