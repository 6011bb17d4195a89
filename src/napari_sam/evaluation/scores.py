"""Score a model on ground truth: clicks, boxes and propagation, beside baselines that need no model."""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_sam.evaluation import baselines
from napari_sam.evaluation.user import Click, correction_click, interior_point, tight_box
from napari_sam.orientation import axis_order, turn
from napari_sam.prompts import Prompt
from napari_sam.views import predict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from napari_sam.cache import EmbeddingCache
    from napari_sam.low_res import MaskInput
    from napari_sam.plane_mask import PlaneMask
    from napari_sam.predictor import MaskPrediction
    from napari_sam.segmenter import Segmenter
    from napari_sam.stack import Plane

Mask = NDArray[np.bool_]  # (h, w)
Labels = NDArray[np.integer[Any]]

CLICKS = (1, 3, 5)
_OBJECTS_AT_ONCE = 16  # bounds the memory for the masks of large planes


@dataclass(frozen=True, slots=True)
class Target:
    """An object of the truth, on one plane (2D) or through many with the plane to start on (3D).

    Attributes
    ----------
    object_id : int
        Its label in the truth.
    plane : tuple of int
        Index of the plane.
    click : (int, int) or None
        Where the first click goes, (row, column). None: the most interior point.
    """

    object_id: int
    plane: Plane
    click: Click | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """How well one object came out in one way of prompting.

    Attributes
    ----------
    target : Target
        The object.
    way : str
        Such as ``"3 clicks"``, or the name of a baseline.
    iou : float
        Intersection over union with the truth, on the plane or (ways that begin with "3D") over all planes.
    predicted : float or None
        The IoU that the model expected; None for baselines and volumes.
    """

    target: Target
    way: str
    iou: float
    predicted: float | None = None


class Decode(Protocol):
    """`napari_sam.views.predict` with the model and the embedding of a plane filled in."""

    def __call__(  # noqa: D102
        self, prompts: Sequence[Prompt], *, mask_input: Sequence[MaskInput | None] | None = None
    ) -> Sequence[MaskPrediction]: ...


def iou(one: Mask, other: Mask) -> float:
    """Intersection over union; 1 if both are empty."""
    union = np.count_nonzero(one | other)
    return float(np.count_nonzero(one & other) / union) if union else 1.0


def score_stack(
    seg: Segmenter, truth: Labels, *, objects: int | None = 200, volumes: int | None = 20, seed: int = 0
) -> Iterator[Score]:
    """Score single planes, and for a (z, y, x) stack propagation too.

    Parameters
    ----------
    seg : Segmenter
        Of the stack; its labels are overwritten.
    truth : ndarray of int
        Labels of the image's spatial shape; 0 is background.
    objects, volumes : int or None
        How many objects to draw for `score_planes` and for `score_volume`. None: all.
    seed : int
        Of the draws.

    Returns
    -------
    iterator of Score

    Raises
    ------
    ValueError
        At once, if the labels have another shape or no object that is large enough, or none is asked for.
    """
    if truth.shape != seg.labels.shape:
        msg = f"labels must have the spatial shape {seg.labels.shape} of the image, got {truth.shape}"
        raise ValueError(msg)
    truth = turn(truth, axis_order(seg.orientation, truth.ndim))
    if objects == 0 and (volumes == 0 or truth.ndim != 3):
        msg = f"nothing to score: objects 0 and volumes {volumes} (of a (z, y, x) image only); ask for one or more"
        raise ValueError(msg)
    on_planes = plane_targets(truth, count=objects, seed=seed)
    through_planes = volume_targets(truth, count=volumes, seed=seed) if truth.ndim == 3 else []
    if not (on_planes or through_planes):
        msg = "labels hold no object of 20 pixels on a plane or of 5 planes; expected instance labels with background 0"
        raise ValueError(msg)
    return itertools.chain(score_planes(seg.cache, truth, on_planes), score_volume(seg, truth, through_planes))


def score_planes(cache: EmbeddingCache, truth: Labels, targets: Sequence[Target]) -> Iterator[Score]:
    """Score 1, 3 and 5 clicks, a box, a box with a click, and the baselines, each object on its plane alone.

    Parameters
    ----------
    cache : EmbeddingCache
        Of the stack and the model. The objects of a plane are decoded together.
    truth : ndarray of int
        Labels of the stack's spatial shape.
    targets : sequence of Target
        What to score.

    Yields
    ------
    Score
        In the order of the planes.
    """
    by_plane: dict[Plane, list[Target]] = defaultdict(list)
    for target in targets:
        by_plane[target.plane].append(target)
    for plane, here in sorted(by_plane.items()):
        decode = partial(predict, cache.sam, cache.embedding(plane))
        yield from score_plane(decode, cache.stack.read(plane), truth[plane], here)


def score_plane(decode: Decode, pixels: NDArray[Any], truth: Labels, targets: Sequence[Target]) -> Iterator[Score]:
    """Score objects of one plane, see `score_planes`; pixels are (h, w) or (h, w, c), truth (h, w)."""
    grey = baselines.to_grey(pixels)
    components = baselines.otsu_components(grey)
    for first in range(0, len(targets), _OBJECTS_AT_ONCE):
        objects = [_Object.on(truth, target) for target in targets[first : first + _OBJECTS_AT_ONCE]]
        yield from _score_clicks(decode, objects)
        yield from _score_boxes(decode, objects)
        for each in objects:
            yield each.score("Otsu under the click", components == components[each.click])
            yield each.score("Otsu in the box", baselines.otsu_in_box(grey, each.box))
            yield each.score("ellipse in the box", baselines.ellipse_in_box(grey.shape, each.box))


@dataclass(frozen=True, slots=True)
class _Object:
    """An object of the truth on one plane, and how a user would show it."""

    target: Target
    mask: Mask
    click: Click
    box: tuple[Click, Click]

    @classmethod
    def on(cls, plane: Labels, target: Target) -> _Object:
        """Find the object in the true labels of its plane, ``(h, w)``."""
        mask = plane == target.object_id
        return cls(target, mask, target.click or interior_point(mask), tight_box(mask))

    def prompt(self, clicks: Sequence[tuple[Click, int]] = (), *, box: bool = False) -> Prompt:
        """Show the object by clicks with their labels, 1 or 0, and by its box."""
        return Prompt(
            self.target.plane,
            points=[click for click, _ in clicks],
            point_labels=[label for _, label in clicks],
            box=self.box if box else None,
            object_id=self.target.object_id,
        )

    def score(self, way: str, mask: Mask, predicted: float | None = None) -> Score:
        """Compare a mask ``(h, w)`` with the truth."""
        return Score(self.target, way, iou(mask, self.mask), predicted)


def _score_clicks(decode: Decode, objects: Sequence[_Object]) -> Iterator[Score]:
    """Click, look, click into the largest error, with the logits of the time before as the mask prompt."""
    clicks = [[(each.click, 1)] for each in objects]
    logits: list[MaskInput | None] = [None] * len(objects)
    for count in range(1, CLICKS[-1] + 1):
        predictions = decode([each.prompt(c) for each, c in zip(objects, clicks, strict=True)], mask_input=logits)
        for each, prediction in zip(objects, predictions, strict=True):
            if count in CLICKS:
                way = "1 click" if count == 1 else f"{count} clicks"
                yield each.score(way, prediction.masks[0], float(prediction.iou_predictions[0]))
            if count == 1:  # what a user gets who picks among the three masks
                yield max((each.score("1 click, best mask", mask) for mask in prediction.masks), key=lambda s: s.iou)
        logits = [prediction.mask_input() for prediction in predictions]
        for made, each, prediction in zip(clicks, objects, predictions, strict=True):
            correction = correction_click(each.mask, prediction.masks[0])
            made.extend([correction] if correction else [])


def _score_boxes(decode: Decode, objects: Sequence[_Object]) -> Iterator[Score]:
    for way, prompts in (
        ("box", [each.prompt(box=True) for each in objects]),
        ("box + 1 click", [each.prompt([(each.click, 1)], box=True) for each in objects]),
    ):
        for each, prediction in zip(objects, decode(prompts), strict=True):
            yield each.score(way, prediction.masks[0], float(prediction.iou_predictions[0]))


def score_volume(seg: Segmenter, truth: Labels, targets: Sequence[Target]) -> Iterator[Score]:
    """Score propagation along the first axis from one plane, beside copying the mask of that plane.

    "3D, copied truth" and "3D, copied mask" put the true mask and the model's own mask of the start plane onto every
    plane that the object truly has: the extent is given to them, while propagation has to find it.

    Parameters
    ----------
    seg : Segmenter
        Of the stack; its labels are emptied before each object, so that objects do not compete.
    truth : ndarray of int, shape (z, y, x)
        Labels.
    targets : sequence of Target
        Objects with the planes to start on.

    Yields
    ------
    Score
        Of each object.
    """
    for target in targets:
        start = _Object.on(truth[target.plane], target)
        planes = [(int(z),) for z in np.flatnonzero((truth == target.object_id).any(axis=(1, 2)))]
        yield _volume_score("3D, copied truth", dict.fromkeys(planes, start.mask), truth, target)
        for way, box in (("3D, click + box", True), ("3D, click", False)):
            seg.labels[...] = 0
            walked = {found.plane: found for found in seg.propagate([start.prompt([(start.click, 1)], box=box)])}
            masks = {plane: found.mask for plane, found in walked.items()}
            yield _volume_score(way, masks, truth, target)
            if box:
                yield _volume_score("3D, copied mask", dict.fromkeys(planes, masks[target.plane]), truth, target)
                yield from _walk_scores(walked, truth, target)


def _walk_scores(walked: Mapping[Plane, PlaneMask], truth: Labels, target: Target) -> Iterator[Score]:
    """Score each plane on which a walk believed to have the object, to see drift and calibration."""
    for plane, found in walked.items():
        if found.crop:
            here = iou(found.mask, truth[plane] == target.object_id)
            yield Score(Target(target.object_id, plane), "3D, each plane", here, found.score)


def first_prompt(truth: Labels, target: Target, *, box: bool = True) -> Prompt:
    """Click into an object on its plane, with a tight box or alone; truth is (..., y, x)."""
    start = _Object.on(truth[target.plane], target)
    return start.prompt([(start.click, 1)], box=box)


def _volume_score(way: str, masks: Mapping[Plane, Mask], truth: Labels, target: Target) -> Score:
    """Score masks by plane against the whole object; planes without a mask are empty."""
    shared = claimed = 0
    for z, plane in enumerate(truth):
        true, mask = plane == target.object_id, masks.get((z,), False)
        shared += int(np.count_nonzero(true & mask))
        claimed += int(np.count_nonzero(true | mask))
    return Score(target, way, shared / claimed if claimed else 1.0)


def plane_targets(truth: Labels, *, count: int | None = None, min_area: int = 20, seed: int = 0) -> list[Target]:
    """Choose objects of a stack plane by plane.

    Parameters
    ----------
    truth : ndarray of int, shape (y, x) or (..., y, x)
        Labels; 0 is background.
    count : int or None
        How many, drawn without replacement. None: all.
    min_area : int
        In pixels. Smaller pieces are left out: mostly the last sliver of an object that ends.
    seed : int
        Of the draw.

    Returns
    -------
    list of Target
        In the order of the planes.
    """
    found = []
    for plane in np.ndindex(truth.shape[:-2]):
        ids, areas = np.unique(truth[plane], return_counts=True)
        found += [Target(int(i), plane) for i, area in zip(ids, areas, strict=True) if i and area >= min_area]
    return _draw(found, count, seed)


def volume_targets(truth: Labels, *, count: int | None = None, min_planes: int = 5, seed: int = 0) -> list[Target]:
    """Choose objects of a (z, y, x) volume, each with the middle one of its planes to start on.

    Parameters
    ----------
    truth : ndarray of int, shape (z, y, x)
        Labels; 0 is background.
    count, seed
        As in `plane_targets`.
    min_planes : int
        Objects on fewer planes are left out.
    """
    planes: dict[int, list[int]] = defaultdict(list)
    for z, plane in enumerate(truth):
        for object_id in np.unique(plane[plane != 0]):
            planes[int(object_id)].append(z)
    found = [Target(i, (zs[len(zs) // 2],)) for i, zs in sorted(planes.items()) if len(zs) >= min_planes]
    return _draw(found, count, seed)


def _draw(targets: list[Target], count: int | None, seed: int) -> list[Target]:
    if count is None or count >= len(targets):
        return targets
    chosen = np.random.default_rng(seed).choice(len(targets), size=count, replace=False)
    return [targets[i] for i in sorted(chosen)]
