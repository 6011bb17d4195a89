"""Planes through the image encoder."""

import hashlib
import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xxhash
from numpy.typing import NDArray
from torch import Tensor

from napari_sam.contrast import Contrast
from napari_sam.image import Frame, to_model_input
from napari_sam.model.sam import Sam
from napari_sam.stack import Pixels, Plane, Stack

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class ImageEmbedding:
    """What the mask decoder needs to know of a plane.

    Attributes
    ----------
    image_embedding : Tensor
        ``(C, H, W)`` on the device and in the dtype of the model.
    frame : Frame
        Geometry of the plane that was encoded.
    """

    image_embedding: Tensor
    frame: Frame


def encode_planes(
    sam: Sam, stack: Stack, planes: Iterable[Plane], *, contrast: Contrast, batch_size: int = 1
) -> Iterator[tuple[Plane, ImageEmbedding]]:
    """Encode planes one batch after the other, reading each batch when it is its turn.

    Parameters
    ----------
    sam : Sam
        The model.
    stack : Stack
        Where the planes are read from.
    planes : iterable of tuple of int
        Which ones.
    contrast : Contrast
        Pixel values that become black and white.
    batch_size : int
        Planes that go through the encoder at once.

    Yields
    ------
    tuple of (plane, ImageEmbedding)
        In the order of `planes`.
    """
    remaining = iter(planes)
    while batch := list(itertools.islice(remaining, batch_size)):
        pixels = [stack.read(plane) for plane in batch]
        yield from zip(batch, encode(sam, pixels, contrast=contrast), strict=True)


def encode(
    sam: Sam, pixels: Sequence[Pixels], *, contrast: Contrast, frames: Sequence[Frame] | None = None
) -> tuple[ImageEmbedding, ...]:
    """Encode planes at once, given as ``(h, w)`` or ``(h, w, c)`` pixels.

    All have one size; or `frames`, one for each, have one ``input_size``.
    """
    if frames is None:
        height, width = pixels[0].shape[:2]
        frames = [Frame.for_plane((height, width), sam.config.grid)] * len(pixels)
    inputs = [to_model_input(plane, contrast, frame) for plane, frame in zip(pixels, frames, strict=True)]
    images = torch.from_numpy(np.stack(inputs))
    with torch.inference_mode():
        embeddings = _encode_within_memory(sam, images)  # (B, C, H, W)
    return tuple(ImageEmbedding(embedding, frame) for embedding, frame in zip(embeddings, frames, strict=True))


def to_device(images: Tensor, device: torch.device) -> Tensor:
    """Bring images to a device; to a CUDA one from pinned memory, so that it can go on computing in the meantime."""
    if device.type == "cuda" and images.device.type == "cpu":
        return images.pin_memory().to(device, non_blocking=True)
    return images.to(device)


def _encode_within_memory(sam: Sam, images: Tensor) -> Tensor:
    """Encode ``(B, 3, H, W)`` at once, or half by half where the GPU's memory does not hold that."""
    try:
        return sam.encode(to_device(images, sam.device))
    except torch.cuda.OutOfMemoryError:
        if len(images) == 1:
            raise
        logger.warning("GPU memory does not hold %d planes at once; they are encoded in two halves", len(images))
    torch.cuda.empty_cache()  # here, where the failed attempt holds nothing any more
    return torch.cat([_encode_within_memory(sam, half) for half in images.chunk(2)])  # (B, C, H, W)


def encoder_sha256(sam: Sam) -> str:
    """Hash the weights that an embedding depends on: those of the image encoder, as they are now.

    Measured on the tensors and not on a file, so that a fine-tuned model is another one, a model whose mask decoder
    alone was fine-tuned keeps its embeddings, and a copy of the file under another name is the same.

    The answer is kept in `sam` beside an xxh3 of the same bytes, which is looked at each time and is eight times faster
    (nano: 1.4 instead of 12 ms). Tensors do not tell reliably whether they were changed: ``tensor._version`` does not
    count ``module.to(dtype)``.
    """
    weights = [
        (f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode(), _bytes(tensor))
        for name, tensor in sorted(sam.image_encoder.state_dict().items())
    ]
    quick = _hash(xxhash.xxh3_128(), weights)
    if sam.encoder_hashes is None or sam.encoder_hashes[0] != quick:
        sam.encoder_hashes = quick, _hash(hashlib.sha256(), weights)
    return sam.encoder_hashes[1]


def _bytes(tensor: Tensor) -> NDArray[np.uint8]:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()


def _hash(digest: Any, weights: Sequence[tuple[bytes, NDArray[np.uint8]]]) -> str:
    for description, content in weights:
        digest.update(description)
        digest.update(content)
    return str(digest.hexdigest())
