"""Prompts and an image embedding become masks: pure, stateless and batched over prompts."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_sam.crops import Crop
from napari_sam.embeddings import ImageEmbedding
from napari_sam.low_res import LowRes, MaskInput, move_logits
from napari_sam.parts import comes_to_edge, in_view, part_near
from napari_sam.prompts import Prompt, to_model_frame

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_sam.crops import Window
    from napari_sam.image import Frame
    from napari_sam.model.sam import Sam

# Bytes of the image tokens while prompts are decoded together. On a CPU fresh memory costs more than small calls:
# on ViT-B's grid sixteen prompts at once took 1.6 times as long as one by one, and nano is fastest with two to five in
# a call, each of which then takes half to three quarters of the time. A GPU is only filled by large calls.
_TOKEN_BYTES_CPU = 4 * 2**20
_TOKEN_BYTES = 256 * 2**20

_SMOOTH = 4096  # pixels; logits of more would take gigabytes


@dataclass(frozen=True, slots=True, eq=False)
class MaskPrediction:
    """The M masks of one prompt, best first.

    Attributes
    ----------
    masks : ndarray of bool
        ``(M, h, w)`` at the plane's original size.
    iou_predictions : ndarray of float32
        ``(M,)``, descending: the IoU that the model expects each mask to have with the object.
    low_res_logits : ndarray of float32
        ``(M, H/low_res_stride, W/low_res_stride)`` in the padded model frame; above 0 is object. One of them is
        the ``mask_input`` of a refining call.
    frame : Frame
        Geometry of the logits: the whole plane, or the window of a tiled plane that the object was seen in.
    """

    masks: NDArray[np.bool_] = field(repr=False)
    iou_predictions: NDArray[np.float32]
    low_res_logits: NDArray[np.float32] = field(repr=False)
    frame: Frame

    def mask_input(self, index: int = 0) -> MaskInput:
        """Return what a refining call is told of one of the masks; works on tiled planes, too."""
        return MaskInput(self.low_res_logits[index], self.frame)


def predict(
    sam: Sam,
    embedding: ImageEmbedding | Sequence[ImageEmbedding],
    prompts: Sequence[Prompt],
    *,
    multimask_output: bool | None = None,
    mask_input: Sequence[LowRes | MaskInput | None] | None = None,
) -> tuple[MaskPrediction, ...]:
    """Decode prompts that share one plane, or each in a view of its own.

    The result of a prompt does not depend on its neighbours in the call: prompts are decoded together only where
    they are of one kind and their views of one size, so that a missing box is really missing and nothing is padded.

    Parameters
    ----------
    sam : Sam
        The model that made the embedding.
    embedding : ImageEmbedding, or sequence of ImageEmbedding
        Of the plane that the prompts are on, or of the view of each; their ``plane`` is not looked at.
    prompts : sequence of Prompt
        In any mixture of kinds.
    multimask_output : bool or None
        Three masks or one for each prompt. None: three for a lone point, which is ambiguous, else one.
    mask_input : sequence of (ndarray, MaskInput or None), optional
        Low-res logits of an earlier prediction, one per prompt; they take the place of the prompt's mask. Those with
        another frame of the plane are moved to that of the embedding.

    Returns
    -------
    tuple of MaskPrediction
        One per prompt, in the order of the prompts.

    Raises
    ------
    ValueError
        If ``mask_input`` does not fit the prompts or the plane.
    """
    asked = _asked(sam, embedding, prompts, mask_input)
    results: dict[int, MaskPrediction] = {}
    for chunk, multimask in _chunks_of_one_kind(sam, asked, multimask_output):
        with torch.inference_mode():
            decoded = _decode(sam, [asked[i] for i in chunk], multimask_output=multimask)
            for index, masks, ious in zip(chunk, *decoded, strict=True):
                results[index] = _best_first(sam, masks, ious, asked[index].embedding.frame)
    return tuple(results[index] for index in range(len(prompts)))


def predict_low_res(
    sam: Sam,
    embedding: ImageEmbedding | Sequence[ImageEmbedding],
    prompts: Sequence[Prompt],
    *,
    multimask_output: bool | None = None,
    mask_input: Sequence[LowRes | MaskInput | None] | None = None,
    nearby: bool = False,
) -> list[tuple[LowRes, float]]:
    """Decode prompts that share one plane, or each in a view of its own; keep the best masks without upscaling them.

    Parameters
    ----------
    sam, embedding, prompts, multimask_output, mask_input
        As in `predict`.
    nearby : bool
        Look for objects of which logits are given only near to where these are above 0: a mask is made in a part of
        the view, and in all of it only if it comes to the edge of that part.

    Returns
    -------
    list of (ndarray of float32, float)
        The low-res logits ``(H/low_res_stride, W/low_res_stride)`` and the predicted IoU of each prompt.
    """
    asked = _asked(sam, embedding, prompts, mask_input)
    cell = sam.config.grid.stride // sam.config.grid.low_res_stride
    near = [each.near(cell) for each in asked] if nearby else asked
    found = _best(sam, near, multimask_output)
    anew = [i for i, (seen, _) in enumerate(found) if near[i].part is not None and comes_to_edge(seen, cell)]
    for index, whole in zip(anew, _best(sam, [asked[i] for i in anew], multimask_output), strict=True):
        found[index] = whole
    return [(seen.full(), predicted) for seen, predicted in found]


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """A prompt and what it is decoded with: the logits that are given, and the part of the view where to look."""

    embedding: ImageEmbedding
    prompt: Prompt
    logits: LowRes | None
    part: Window | None = None

    @property
    def is_ambiguous(self) -> bool:
        """Whether it is a lone point."""
        prompt = self.prompt
        return len(prompt.points) == 1 and prompt.box is None and prompt.mask is None and self.logits is None

    @property
    def kind(self) -> Hashable:
        """What prompts of one batch have in common."""
        prompt = self.prompt
        given = len(prompt.points), prompt.box is not None, prompt.mask is not None or self.logits is not None
        return given, self.embedding.frame.padded_size, self.part is None

    def in_view(self, logits: LowRes) -> Crop:
        """Take what was decoded for what the view shows; beside the part is surely background."""
        if self.part is None or self.logits is None:
            return Crop(logits.shape, 0, 0, logits)
        _, height, width = self.embedding.image_embedding.shape
        cell = self.logits.shape[0] // height
        rows, columns = (cell * (cells.stop - cells.start) for cells in self.part)
        return in_view(logits[:rows, :columns], self.part, (height, width))

    def near(self, cell: int) -> _Asked:
        """Look only near to where the object was."""
        return self if self.logits is None else replace(self, part=part_near(self.logits, cell))


def _asked(
    sam: Sam,
    embedding: ImageEmbedding | Sequence[ImageEmbedding],
    prompts: Sequence[Prompt],
    mask_input: Sequence[LowRes | MaskInput | None] | None,
) -> list[_Asked]:
    views = [embedding] * len(prompts) if isinstance(embedding, ImageEmbedding) else embedding
    frames = [view.frame for view in views]
    logits = _checked_mask_input(mask_input, frames, sam.config.grid.low_res_stride)
    return [_Asked(*each) for each in zip(views, prompts, logits, strict=True)]


def _best(sam: Sam, asked: Sequence[_Asked], multimask_output: bool | None) -> list[tuple[Crop, float]]:
    """Decode, and keep the best mask of each: its low-res logits in the view, and its predicted IoU."""
    results: dict[int, tuple[Crop, float]] = {}
    for chunk, multimask in _chunks_of_one_kind(sam, asked, multimask_output):
        with torch.inference_mode():
            masks, ious = _decode(sam, [asked[i] for i in chunk], multimask_output=multimask)
            best, where = ious.max(dim=1)
            masks = masks[torch.arange(len(chunk)), where]  # (P, ., .)
        for index, mask, iou in zip(chunk, masks.cpu().numpy(), best.tolist(), strict=True):
            results[index] = asked[index].in_view(mask), iou
    return [results[index] for index in range(len(asked))]


def _decode(sam: Sam, asked: Sequence[_Asked], *, multimask_output: bool) -> tuple[Tensor, Tensor]:
    """Decode prompts of one kind in one batch: ``(P, M, ., .)`` low-res logits and ``(P, M)`` predicted IoUs."""
    inputs = to_model_frame(
        [each.prompt for each in asked],
        [each.embedding.frame for each in asked],
        low_res_stride=sam.config.grid.low_res_stride,
        device=sam.device,
        dtype=sam.dtype,
        mask_input=[each.logits for each in asked],
    )
    views = [each.embedding.image_embedding.permute(1, 2, 0) for each in asked]  # as they lie in memory
    shared = all(each.embedding is asked[0].embedding for each in asked)
    images = views[0][None] if shared else torch.stack(views)  # (1 or P, H, W, C)
    low_res_logits, ious = sam.decode(
        images.permute(0, 3, 1, 2).to(sam.device, sam.dtype),
        point_coords=inputs.point_coords,
        point_labels=inputs.point_labels,
        boxes=inputs.boxes,
        mask_input=inputs.mask_input,
        parts=[each.part for each in asked if each.part is not None] or None,
        multimask_output=multimask_output,
    )
    return low_res_logits.float(), ious.float()


def _best_first(sam: Sam, low_res_logits: Tensor, ious: Tensor, frame: Frame) -> MaskPrediction:
    """Order the masks of one prompt, and upscale them one by one: fresh memory would take most of the time."""
    order = torch.argsort(ious, descending=True, stable=True).tolist()
    masks = torch.cat([_mask(sam, low_res_logits[i : i + 1], frame) for i in order])  # (M, h, w)
    return MaskPrediction(masks.numpy(), ious.cpu().numpy()[order], low_res_logits.cpu().numpy()[order], frame)


def _mask(sam: Sam, logits: Tensor, frame: Frame) -> Tensor:
    """Upscale ``(M, ., .)`` low-res logits to masks ``(M, h, w)`` on the CPU; very large ones in blocks of pixels."""
    if max(frame.original_size) <= _SMOOTH:
        return _to_plane(sam, logits, frame)
    seen = _to_plane(sam, logits, replace(frame, original_size=frame.input_size))
    return F.interpolate(seen[None].byte(), frame.original_size, mode="nearest-exact")[0].bool()


def _to_plane(sam: Sam, logits: Tensor, frame: Frame) -> Tensor:
    """Upscale ``(M, ., .)`` low-res logits to masks ``(M, h, w)`` on the CPU."""
    return sam.to_masks(logits[None], input_size=frame.input_size, original_size=frame.original_size)[0].cpu()


def _chunks_of_one_kind(
    sam: Sam, asked: Sequence[_Asked], multimask_output: bool | None
) -> Iterator[tuple[list[int], bool]]:
    """Group the prompts' indices by what the decoder can take in one batch."""
    kinds: dict[Hashable, list[int]] = defaultdict(list)
    for index, each in enumerate(asked):
        kinds[each.kind].append(index)
    for indices in kinds.values():
        first = asked[indices[0]]
        at_once = _at_once(sam, first.embedding.frame)
        multimask = first.is_ambiguous if multimask_output is None else multimask_output
        for start in range(0, len(indices), at_once):
            yield indices[start : start + at_once], multimask


def _at_once(sam: Sam, frame: Frame) -> int:
    """Count the prompts whose image tokens ``(P, H*W, dim)`` fit the memory, at least one."""
    height, width = (side // sam.config.grid.stride for side in frame.padded_size)
    one = sam.config.decoder.dim * height * width * sam.mask_decoder.dtype.itemsize
    allowed = _TOKEN_BYTES_CPU if sam.device.type == "cpu" else _TOKEN_BYTES
    return max(1, allowed // one)


def _checked_mask_input(
    mask_input: Sequence[LowRes | MaskInput | None] | None, frames: Sequence[Frame], low_res_stride: int
) -> list[LowRes | None]:
    if mask_input is None:
        return [None] * len(frames)
    if len(mask_input) != len(frames):
        msg = f"mask_input must have one entry per prompt, got {len(mask_input)} for {len(frames)}; None means none"
        raise ValueError(msg)
    logits = [_in_frame(each, frame, low_res_stride) for each, frame in zip(mask_input, frames, strict=True)]
    for given, frame in zip(logits, frames, strict=True):
        expected = tuple(side // low_res_stride for side in frame.padded_size)
        if given is not None and given.shape != expected:
            msg = (
                f"mask_input must be low-res logits of the same plane, shape {expected}, got {given.shape}; "
                "take one row of MaskPrediction.low_res_logits"
            )
            raise ValueError(msg)
    return logits


def _in_frame(mask_input: LowRes | MaskInput | None, frame: Frame, low_res_stride: int) -> LowRes | None:
    if not isinstance(mask_input, MaskInput):
        return mask_input
    return move_logits(mask_input.low_res_logits, mask_input.frame, frame, low_res_stride=low_res_stride)
