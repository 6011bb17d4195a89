"""Prompts and an image embedding become masks: pure, stateless and batched over prompts."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_sam.prompts import Prompt, move_logits, to_model_frame

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_sam.embeddings import ImageEmbedding
    from napari_sam.image import Frame
    from napari_sam.model.sam import Sam

# Bytes of the image tokens while prompts are decoded together. On a CPU fresh memory costs more than small calls:
# on ViT-B's grid sixteen prompts at once took 1.6 times as long as one by one. A GPU is only filled by large calls.
_TOKEN_BYTES_CPU = 8 * 2**20
_TOKEN_BYTES = 256 * 2**20

_SMOOTH = 4096  # pixels; logits of more would take gigabytes

LowRes = NDArray[np.float32]  # (H/low_res_stride, W/low_res_stride) logits of one mask


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

    masks: NDArray[np.bool_]
    iou_predictions: NDArray[np.float32]
    low_res_logits: NDArray[np.float32]
    frame: Frame

    def mask_input(self, index: int = 0) -> MaskInput:
        """Return what a refining call is told of one of the masks; works on tiled planes, too."""
        return MaskInput(self.low_res_logits[index], self.frame)


@dataclass(frozen=True, slots=True, eq=False)
class MaskInput:
    """What an earlier call knows about an object.

    Attributes
    ----------
    low_res_logits : ndarray of float32
        ``(H/low_res_stride, W/low_res_stride)``.
    frame : Frame
        Their geometry.
    """

    low_res_logits: LowRes
    frame: Frame


def predict(
    sam: Sam,
    embedding: ImageEmbedding,
    prompts: Sequence[Prompt],
    *,
    multimask_output: bool | None = None,
    mask_input: Sequence[LowRes | MaskInput | None] | None = None,
) -> tuple[MaskPrediction, ...]:
    """Decode prompts that share one plane.

    The result of a prompt does not depend on its neighbours in the call: prompts are decoded together only where
    they are of one kind, so that a missing box is really missing and nothing is padded.

    Parameters
    ----------
    sam : Sam
        The model that made the embedding.
    embedding : ImageEmbedding
        Of the plane that the prompts are on; their ``plane`` is not looked at.
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
    logits = _checked_mask_input(mask_input, len(prompts), embedding.frame, sam.config.grid.low_res_stride)
    results: dict[int, MaskPrediction] = {}
    for chunk, multimask in _chunks_of_one_kind(prompts, logits, multimask_output, _at_once(sam, embedding.frame)):
        with torch.inference_mode():
            decoded = _decode(
                sam, embedding, [prompts[i] for i in chunk], [logits[i] for i in chunk], multimask_output=multimask
            )
            for index, masks, ious in zip(chunk, *decoded, strict=True):
                results[index] = _best_first(sam, masks, ious, embedding.frame)
    return tuple(results[index] for index in range(len(prompts)))


def predict_low_res(
    sam: Sam,
    embedding: ImageEmbedding,
    prompts: Sequence[Prompt],
    *,
    multimask_output: bool | None = None,
    mask_input: Sequence[LowRes | MaskInput | None] | None = None,
) -> list[tuple[LowRes, float]]:
    """Decode prompts that share one plane and keep the best mask of each, without upscaling it.

    Parameters
    ----------
    sam, embedding, prompts, multimask_output, mask_input
        As in `predict`.

    Returns
    -------
    list of (ndarray of float32, float)
        The low-res logits ``(H/low_res_stride, W/low_res_stride)`` and the predicted IoU of each prompt.
    """
    logits = _checked_mask_input(mask_input, len(prompts), embedding.frame, sam.config.grid.low_res_stride)
    results: dict[int, tuple[LowRes, float]] = {}
    for chunk, multimask in _chunks_of_one_kind(prompts, logits, multimask_output, _at_once(sam, embedding.frame)):
        with torch.inference_mode():
            masks, ious = _decode(
                sam, embedding, [prompts[i] for i in chunk], [logits[i] for i in chunk], multimask_output=multimask
            )
            best, where = ious.max(dim=1)
            masks = masks[torch.arange(len(chunk)), where]  # (P, ., .)
        for index, mask, iou in zip(chunk, masks.cpu().numpy(), best.tolist(), strict=True):
            results[index] = mask, iou
    return [results[index] for index in range(len(prompts))]


def _decode(
    sam: Sam,
    embedding: ImageEmbedding,
    prompts: Sequence[Prompt],
    mask_input: Sequence[LowRes | None],
    *,
    multimask_output: bool,
) -> tuple[Tensor, Tensor]:
    """Decode prompts of one kind in one batch: ``(P, M, ., .)`` low-res logits and ``(P, M)`` predicted IoUs."""
    inputs = to_model_frame(
        prompts,
        embedding.frame,
        low_res_stride=sam.config.grid.low_res_stride,
        device=sam.device,
        dtype=sam.dtype,
        mask_input=mask_input,
    )
    low_res_logits, ious = sam.decode(
        embedding.image_embedding[None].to(sam.device, sam.dtype),
        point_coords=inputs.point_coords,
        point_labels=inputs.point_labels,
        boxes=inputs.boxes,
        mask_input=inputs.mask_input,
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
        return _to_plane(sam, logits, frame) > 0
    seen = _to_plane(sam, logits, replace(frame, original_size=frame.input_size)) > 0
    return F.interpolate(seen[None].byte(), frame.original_size, mode="nearest-exact")[0].bool()


def _to_plane(sam: Sam, logits: Tensor, frame: Frame) -> Tensor:
    """Upscale ``(M, ., .)`` low-res logits to ``(M, h, w)`` on the CPU."""
    return sam.postprocess(logits[None], input_size=frame.input_size, original_size=frame.original_size)[0].cpu()


def _chunks_of_one_kind(
    prompts: Sequence[Prompt], mask_input: Sequence[LowRes | None], multimask_output: bool | None, at_once: int
) -> Iterator[tuple[list[int], bool]]:
    """Group the prompts' indices by what the decoder can take in one batch, at most `at_once` at a time."""
    kinds: dict[tuple[int, bool, bool], list[int]] = defaultdict(list)
    for index, (prompt, logits) in enumerate(zip(prompts, mask_input, strict=True)):
        has_mask = prompt.mask is not None or logits is not None
        kinds[len(prompt.points), prompt.box is not None, has_mask].append(index)
    for kind, indices in kinds.items():
        lone_point = kind == (1, False, False)
        multimask = lone_point if multimask_output is None else multimask_output
        for start in range(0, len(indices), at_once):
            yield indices[start : start + at_once], multimask


def _at_once(sam: Sam, frame: Frame) -> int:
    """Count the prompts whose image tokens ``(P, H*W, dim)`` fit the memory, at least one."""
    height, width = (side // sam.config.grid.stride for side in frame.padded_size)
    one = sam.config.decoder.dim * height * width * sam.dtype.itemsize
    allowed = _TOKEN_BYTES_CPU if sam.device.type == "cpu" else _TOKEN_BYTES
    return max(1, allowed // one)


def _checked_mask_input(
    mask_input: Sequence[LowRes | MaskInput | None] | None, prompts: int, frame: Frame, low_res_stride: int
) -> list[LowRes | None]:
    if mask_input is None:
        return [None] * prompts
    if len(mask_input) != prompts:
        msg = f"mask_input must have one entry per prompt, got {len(mask_input)} for {prompts} prompts; None means none"
        raise ValueError(msg)
    logits = [_in_frame(each, frame, low_res_stride) for each in mask_input]
    height, width = (side // low_res_stride for side in frame.padded_size)
    for given in logits:
        if given is not None and given.shape != (height, width):
            msg = (
                f"mask_input must be low-res logits of the same plane, shape {(height, width)}, got {given.shape}; "
                "take one row of MaskPrediction.low_res_logits"
            )
            raise ValueError(msg)
    return logits


def _in_frame(mask_input: LowRes | MaskInput | None, frame: Frame, low_res_stride: int) -> LowRes | None:
    if not isinstance(mask_input, MaskInput):
        return mask_input
    return move_logits(mask_input.low_res_logits, mask_input.frame, frame, low_res_stride=low_res_stride)
