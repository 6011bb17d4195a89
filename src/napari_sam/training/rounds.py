"""One conversation about some objects: prompt, correct, carry from view to view, correct again."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from skimage import measure
from torch import Tensor

from napari_sam.motion import flow, pull_logits
from napari_sam.training.losses import promptable_loss, true_ious
from napari_sam.training.simulator import Kind, Prompts, Simulator, displaced, draw_kind, uncertain_logits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from napari_sam.model.sam import Sam

# Shares of the kinds of first prompts, and of prompts that propagation makes from the previous plane.
_FIRST: Mapping[Kind, float] = MappingProxyType(
    {
        "point": 0.45,
        "box": 0.25,
        "box+point": 0.06,
        "scribble": 0.04,
        "mask": 0.08,
        "mask+box": 0.05,
        "mask+box+point": 0.07,
    }
)
_CARRIED: Mapping[Kind, float] = MappingProxyType(
    {"mask": 0.7, "mask+point": 0.1, "mask+box": 0.1, "mask+box+point": 0.1}
)
_CORRECTIONS = (0, 1, 2, 4)
_CORRECTION_SHARES = (0.3, 0.3, 0.25, 0.15)
_OWN_MASK = 0.6  # how often the model's own masks are carried on, instead of the truth as a model might say it
_MIXED = 0.5  # how often the mean of what came and what was answered goes on
_LOST = 0.4  # IoU below which a model's own mask shows something else than the object
_VISIBLE = 40  # model pixels that an object needs in order to be prompted
_IN_PLANE = ndimage.generate_binary_structure(3, 1) & (np.arange(3) == 1)[:, None, None]  # never between objects
MEAN_ROUNDS = 2.5  # about what an object gets: 1 + 1.4 corrections


@dataclass(frozen=True, slots=True)
class View:
    """One image as the conversation sees it.

    Attributes
    ----------
    image_embedding : Tensor
        ``(1, C, H, W)``.
    labels : Tensor
        ``(h, w)`` integers in the padded model frame, 0 is background; ids correspond between views.
    brightness : Tensor or None
        ``(h, w)`` of about 0..1 in the same frame; tells how the objects move from view to view.
    """

    image_embedding: Tensor
    labels: Tensor
    brightness: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Round:
    """What one answer of the model was worth.

    Attributes
    ----------
    loss : Tensor
        Scalar; its graph reaches back to the prompts and the embedding of this round, not to earlier rounds.
    iou : float
        Mean true IoU of the masks.
    logits : Tensor
        ``(P, h, w)``, detached: the chosen mask of each object.
    true_ious : Tensor
        ``(P, 4)`` of every mask that the decoder offered.
    """

    loss: Tensor
    iou: float
    logits: Tensor
    true_ious: Tensor


def converse(sam: Sam, views: Sequence[View], *, objects: int, rng: np.random.Generator) -> Iterator[Round]:
    """Prompt for objects of the first view and correct the answers; then carry the masks from view to view.

    Parameters
    ----------
    sam : Sam
        Decodes, with gradients.
    views : sequence of View
        One, or several that show the same objects; one that has ended is rightly answered with nothing, and is carried
        no further.
    objects : int
        The most that are prompted for, together.
    rng : np.random.Generator
        Source of chance.

    Yields
    ------
    Round
        None if the first view shows no object.
    """
    first, *following = views
    simulator = Simulator(sam.config.grid.low_res_stride, rng)
    pieces = connected_pieces(first.labels)
    chosen = _draw_objects(pieces, objects, rng)
    if not len(chosen):
        return
    truth = object_masks(pieces, chosen, simulator.stride)
    ids = _labels_of(pieces, chosen, first.labels)
    kind = draw_kind(_FIRST, rng)
    prompts = _first_prompts(simulator, kind, truth)
    count = 1 + int(rng.choice(_CORRECTIONS, p=_CORRECTION_SHARES))
    count = min(count, 2) if following else count
    logits = torch.empty(0)
    for each in _answers(sam, simulator, prompts, first, truth, count, ambiguous=kind == "point"):
        logits = each.logits
        yield each
    for before, view in pairwise(views):
        alive = truth.flatten(1).any(1)
        ids, truth, logits = ids[alive], truth[alive], logits[alive]
        if not len(ids):
            return
        carried = _moved(_carried(logits, truth, rng), before, view)
        truth = _reached(object_masks(view.labels, ids, simulator.stride), carried[:, 0] > 0)
        count = 1 + int(rng.random() < 0.25)
        for each in _answers(sam, simulator, _carried_prompts(simulator, carried), view, truth, count, ambiguous=False):
            logits = each.logits
            yield each
        if rng.random() < _MIXED:
            logits = (logits + carried[:, 0]) / 2  # as walks do


def _moved(logits: Tensor, before: View, after: View) -> Tensor:
    """Move logits ``(P, 1, h, w)`` along with the image, if the views show it."""
    images = [view.brightness for view in (after, before) if view.brightness is not None]
    if len(images) < 2:
        return logits
    stride = images[0].shape[-1] // logits.shape[-1]
    one, other = (F.avg_pool2d(image[None, None], stride) for image in images)
    return pull_logits(logits, flow(one, other).expand(len(logits), -1, -1, -1))


def _carried(logits: Tensor, truth: Tensor, rng: np.random.Generator) -> Tensor:
    """Choose what is carried on, ``(P, 1, h, w)``: the own masks that still show the objects, else the truth."""
    own, known = logits[:, None], uncertain_logits(truth, rng)
    if rng.random() >= _OWN_MASK:
        return known
    held = true_ious(own, truth)[:, 0] >= _LOST
    return torch.where(held[:, None, None, None], own, known)


def object_masks(labels: Tensor, ids: Tensor, stride: int) -> Tensor:
    """Masks ``(P, h/stride, w/stride)`` bool of objects on the low-res grid: cells that they cover by half."""
    masks = (labels == ids[:, None, None]).float()
    return F.avg_pool2d(masks[:, None], stride)[:, 0] >= 0.5


def connected_pieces(labels: Tensor) -> Tensor:
    """Give numbers to the connected pieces of the objects in ``labels (h, w)``.

    A neurite often crosses a plane several times; what a click or a box shows is one of these pieces.
    """
    return torch.from_numpy(measure.label(labels.cpu().numpy(), connectivity=1)).to(labels.device)


def _labels_of(pieces: Tensor, chosen: Tensor, labels: Tensor) -> Tensor:
    """Return the label that each of the chosen pieces belongs to."""
    return torch.stack([labels[pieces == piece][0] for piece in chosen])


def _reached(masks: Tensor, carried: Tensor) -> Tensor:
    """Keep of masks ``(P, h, w)`` the connected pieces that touch what was carried: for a walk, the rest has ended."""
    pieces, count = ndimage.label(masks.cpu().numpy(), structure=_IN_PLANE)
    kept = np.zeros(count + 1, bool)
    kept[pieces[(masks & carried).cpu().numpy()]] = True
    return torch.from_numpy(kept[pieces]).to(masks.device)


def _draw_objects(labels: Tensor, count: int, rng: np.random.Generator) -> Tensor:
    areas = torch.bincount(labels.flatten())
    areas[0] = 0
    ids = torch.nonzero(areas >= _VISIBLE).flatten()
    return ids[torch.from_numpy(rng.permutation(len(ids))[:count]).to(ids.device)]


def _first_prompts(simulator: Simulator, kind: Kind, truth: Tensor) -> Prompts:
    if "mask" not in kind:
        return simulator.first(kind, truth)
    previous = uncertain_logits(displaced(truth, simulator.rng), simulator.rng)
    shown = previous[:, 0] > 0
    return simulator.first(kind, shown if _all_visible(shown) else truth, previous)


def _carried_prompts(simulator: Simulator, carried: Tensor) -> Prompts:
    """Prompts that a walk makes from the previous plane's logits ``(P, 1, h, w)`` alone."""
    shown = carried[:, 0] > 0
    kind = draw_kind(_CARRIED, simulator.rng) if _all_visible(shown) else "mask"
    return simulator.first(kind, shown, carried)


def _answers(
    sam: Sam, simulator: Simulator, prompts: Prompts, view: View, truth: Tensor, count: int, *, ambiguous: bool
) -> Iterator[Round]:
    """Decode ``count`` times, with a correction before each time but the first."""
    answer = _answer(sam, prompts, view, truth, ambiguous=ambiguous)
    yield answer
    for _ in range(count - 1):
        prompts = simulator.correct(prompts, answer.logits, truth)
        answer = _answer(sam, prompts, view, truth, ambiguous=False)
        yield answer


def _answer(sam: Sam, prompts: Prompts, view: View, truth: Tensor, *, ambiguous: bool) -> Round:
    logits, ious = sam.decode_every_mask(
        view.image_embedding,
        point_coords=prompts.point_coords,
        point_labels=prompts.point_labels,
        boxes=prompts.boxes,
        mask_input=prompts.mask_input,
    )
    loss = promptable_loss(logits, ious, truth, ambiguous=ambiguous)
    best = 1 + ious[:, 1:].argmax(1) if ambiguous else torch.zeros(len(ious), dtype=torch.long, device=ious.device)
    chosen = logits.detach().float()[torch.arange(len(logits), device=best.device), best]
    offered = true_ious(logits.detach(), truth)
    mean_iou = float(offered.gather(1, best[:, None]).mean())
    return Round(loss, mean_iou, chosen, offered)


def _all_visible(masks: Tensor) -> bool:
    return bool(masks.flatten(1).any(1).all())
