"""Ways of finding objects in a volume, to be compared in one table: propagation, parts of it, rivals and baselines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.crops import Crop
from napari_sam.evaluation.baselines import interpolate
from napari_sam.evaluation.reprompting import CRITERIA, PROJECTIONS, THRESHOLDS, cut, reprompt
from napari_sam.evaluation.scores import Target
from napari_sam.evaluation.walks import ENDLESS, Found, Mask, Volume, by_position
from napari_sam.following import follow
from napari_sam.fuse import propagate_and_vote
from napari_sam.image import Frame
from napari_sam.step import PlaneState, StepPrompt

if TYPE_CHECKING:
    from napari_sam.prompts import Prompt

Way = Callable[[Volume, Sequence[Target]], Iterator[Found]]

MAIN = "click + box"  # the way that the goals are about

_PARTS = {
    "last mask only": StepPrompt(box=False, points=0, follow=False),
    "moved mask only": StepPrompt(box=False, points=0),
    "box only": StepPrompt(mask=False, points=0, follow=False),
    "points only": StepPrompt(mask=False, box=False, points=3, follow=False),
}


def walk_from_click_and_box(volume: Volume, targets: Sequence[Target]) -> Iterator[Found]:
    """Propagate each object alone from one click with a tight box."""
    for target in targets:
        yield _walked(volume, target, MAIN, [volume.first_prompt(target)])


def walk_from_click(volume: Volume, targets: Sequence[Target]) -> Iterator[Found]:
    """Propagate each object alone from one click."""
    for target in targets:
        yield _walked(volume, target, "click", [volume.first_prompt(target, box=False)])


def walk_from_truth(volume: Volume, targets: Sequence[Target]) -> Iterator[Found]:
    """Propagate each object alone from its true mask: what the first decode costs."""
    for target in targets:
        yield _walked(volume, target, "true mask", [volume.painted(target, target.plane[0])])


def walk_with_known_ends(volume: Volume, targets: Sequence[Target]) -> Iterator[Found]:
    """Propagate each object alone from a click with a tight box, as far as it truly goes: what the rules cost."""
    for target in targets:
        extent = volume.extent(target)
        prompts, stop = [volume.first_prompt(target)], extent[-1] + 1
        yield _walked(volume, target, "click + box, ends known", prompts, start=extent[0], stop=stop, rules=ENDLESS)


def walk_between_truths(volume: Volume, targets: Sequence[Target]) -> Iterator[Found]:
    """Propagate each object from its true mask on the first, the start and the last plane, to compare with lines."""
    for target in targets:
        where = _first_start_last(volume, target)
        prompts = [volume.painted(target, position) for position in where]
        yield _walked(volume, target, "3 true planes", prompts, start=where[0], stop=where[-1] + 1)


def walk_together(volume: Volume, targets: Sequence[Target]) -> Iterator[Found]:
    """Propagate all objects at once from a click with a tight box: they compete for pixels."""
    found = volume.walk([volume.first_prompt(target) for target in targets])
    for target in targets:
        yield target, "click + box, together", by_position(found, target.object_id)


def walk_with_neighbours(volume: Volume, targets: Sequence[Target]) -> Iterator[Found]:
    """Propagate each object from a click with a tight box, and what lies around it unseen."""
    for target in targets:
        yield _walked(volume, target, "click + box, neighbours", [volume.first_prompt(target)], neighbours=True)


def walk_along_three_axes(volume: Volume, targets: Sequence[Target]) -> Iterator[Found]:
    """Propagate all objects at once along z, y and x, and keep what two walks agree on; for cubic voxels only."""
    volume.seg.labels[...] = 0
    for _ in propagate_and_vote(volume.seg, [volume.first_prompt(target) for target in targets]):
        pass
    for target in targets:
        found = enumerate(volume.seg.labels == target.object_id)
        yield target, "click + box, together, three axes", {position: mask for position, mask in found if mask.any()}


def walk_with_parts(volume: Volume, targets: Sequence[Target]) -> Iterator[Found]:
    """Propagate with only one part of the step's prompt, otherwise like `walk_from_click_and_box`."""
    for name, step in _PARTS.items():
        for target in targets:
            yield _walked(volume, target, name, [volume.first_prompt(target)], step=step)


def reprompted(volume: Volume, targets: Sequence[Target]) -> Iterator[Found]:
    """Walk as the leading tool does, with every projection, criterion and threshold."""
    for target in targets:
        for projection in PROJECTIONS:
            steps = list(reprompt(volume.seg.cache, volume.first_prompt(target), projection))
            for criterion in CRITERIA:
                for threshold in THRESHOLDS:
                    way = f"re-prompted: {projection}, {criterion} {threshold:.1f}"
                    yield target, way, cut(steps, criterion, threshold)


def copied(volume: Volume, targets: Sequence[Target]) -> Iterator[Found]:
    """Copy the mask of the start plane, decoded or true, to all planes where the object really is.

    Moved from plane to plane as the image moves, it shows what following brings without a model.
    """
    for target in targets:
        extent = volume.extent(target)
        first = volume.seg.predict(volume.first_prompt(target)).masks[0]
        yield target, "copied mask (true extent)", dict.fromkeys(extent, first)
        yield target, "copied mask, moved (true extent)", _moved_along(volume, target, first)
        true = volume.mask(target, target.plane[0])
        yield target, "copied true mask (true extent)", dict.fromkeys(extent, true)


def copied_by_one_step(volume: Volume, targets: Sequence[Target]) -> Iterator[Found]:
    """Copy the truth of each plane to the next one, away from the start: what one step of a walk has to beat."""
    for target in targets:
        start, extent = target.plane[0], volume.extent(target)
        masks = {z: volume.mask(target, _nearer(z, start)) for z in extent}
        yield target, "copy: one step from the truth", masks
        moved = {z: _moved(volume, masks[z], _nearer(z, start), z) for z in extent if z != start}
        yield target, "copy, moved: one step from the truth", {start: masks[start]} | moved


def interpolated(volume: Volume, targets: Sequence[Target]) -> Iterator[Found]:
    """Interpolate between the true masks of the first, the start and the last plane."""
    for target in targets:
        masks = {position: volume.mask(target, position) for position in _first_start_last(volume, target)}
        yield target, "interpolation, 3 true planes", interpolate(masks)


def limits_of_the_model(volume: Volume, targets: Sequence[Target]) -> Iterator[Found]:
    """Decode each true plane alone: from a click and a box there, and from the true mask of the plane before.

    No walk with this model can be expected to do better than the second, which is one step from the truth everywhere.
    """
    for target in targets:
        extent = volume.extent(target)
        prompts = [volume.first_prompt(Target(target.object_id, (position,))) for position in extent]
        masks = {p.plane[0]: volume.seg.predict(p).masks[0] for p in prompts}
        yield target, "model: click + box on each plane", masks
        yield target, "model: one step from the truth", _one_step_from_truth(volume, target, extent)


WAYS: Mapping[str, Way] = MappingProxyType(
    {
        "click + box": walk_from_click_and_box,
        "click": walk_from_click,
        "true mask": walk_from_truth,
        "ends known": walk_with_known_ends,
        "together": walk_together,
        "neighbours": walk_with_neighbours,
        "parts": walk_with_parts,
        "rival": reprompted,
        "copied": copied,
        "copied by one step": copied_by_one_step,
        "interpolated": interpolated,
        "between truths": walk_between_truths,
        "model": limits_of_the_model,
    }
)


def _walked(volume: Volume, target: Target, way: str, prompts: Sequence[Prompt], **how: Any) -> Found:
    """Propagate one object alone, as `Volume.walk` is told to."""
    return target, way, by_position(volume.walk(prompts, **how), target.object_id)


def _moved_along(volume: Volume, target: Target, mask: Mask) -> dict[int, Mask]:
    """Move a mask of the start plane from plane to plane as the image moves, as far as the object goes."""
    extent, start = volume.extent(target), target.plane[0]
    masks = {start: mask}
    for position in (*range(start + 1, extent.stop), *range(start - 1, extent.start - 1, -1)):
        before = _nearer(position, start)
        masks[position] = _moved(volume, masks[before], before, position)
    return masks


def _moved(volume: Volume, mask: Mask, before: int, after: int) -> Mask:
    """Move a mask from one plane to another as the image moves."""
    if not mask.any():
        return mask
    height, width = mask.shape
    twice = (2 * height, 2 * width)
    frame = Frame(mask.shape, twice, twice)  # a low-res cell of two model pixels is a pixel of the plane
    painted = PlaneState.painted(1, (before,), Crop.of(mask), frame, low_res_stride=2)
    [state] = follow([painted], (after,), volume.seg.cache.pixels)
    moved: Mask = state.mask.full()
    return moved


def _first_start_last(volume: Volume, target: Target) -> list[int]:
    extent = volume.extent(target)
    return sorted({extent[0], target.plane[0], extent[-1]})


def _one_step_from_truth(volume: Volume, target: Target, extent: range) -> dict[int, Mask]:
    """Carry the true mask of each plane's neighbour on the side of the start to it."""
    start = target.plane[0]
    masks = {start: volume.mask(target, start)}
    for position in extent:
        if position != start:
            before = _nearer(position, start)
            low, high = sorted((before, position))
            found = volume.walk([volume.painted(target, before)], start=low, stop=high + 1)
            masks |= {p: mask for p, mask in by_position(found, target.object_id).items() if p == position}
    return masks


def _nearer(position: int, start: int) -> int:
    """Return the position that is a step nearer to the start, or the start itself."""
    return position - int(np.sign(position - start))
