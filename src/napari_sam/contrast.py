"""Contrast: the two pixel values that become black and white, the same ones for the whole stack."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_sam.stack import WHOLE, Pixels, Plane, Stack

# One pixel in a thousand may be hot or dead; nuclei that fill less than that of a stack are rare.
_PERCENTILES = (0.1, 99.9)
_PLANES = 32  # an object that runs through 3 % of a stack is met
_MOST_PLANES = 128  # so many are looked at while others are blank
_PIXELS = 320_000
_WINDOW = 512  # of planes larger than 4 x 4 windows only such windows are read
_DIM = 128.0

Limits = Sequence[float] | Sequence[Sequence[float]]


@dataclass(frozen=True, slots=True)
class Contrast:
    """What becomes black and what becomes white.

    Attributes
    ----------
    kind : {"percentile", "limits"}
        Whether measured on the stack or given.
    low, high : tuple of float
        Pixel values that go to 0 and 255: one for all channels, or one per channel.

    Raises
    ------
    ValueError
        If a pair is not finite or not in order.
    """

    kind: Literal["percentile", "limits"]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        pairs = list(zip(self.low, self.high, strict=True))
        if not pairs or not all(np.isfinite(pair).all() and pair[0] < pair[1] for pair in pairs):
            msg = f"contrast needs finite limits with low < high, got {pairs}"
            raise ValueError(msg)

    def apply(self, pixels: Pixels) -> NDArray[np.float32]:
        """Map ``(h, w)`` or ``(h, w, c)`` pixels to 0..255, clipped; NaN becomes 0."""
        exact = pixels.astype(np.result_type(pixels.dtype, np.float32))  # float64 where float32 would round
        low, high = (np.asarray(limit, exact.dtype) for limit in (self.low, self.high))
        if pixels.ndim == 2:
            low, high = low[0], high[0]
        exact = np.nan_to_num((exact - low) * (255 / (high - low)), copy=False, nan=0.0, posinf=255.0)
        return np.asarray(exact.clip(0, 255), np.float32)


def estimate_contrast(stack: Stack, limits: Limits | None = None) -> Contrast:
    """Choose the contrast of a stack: the 0.1 and 99.9 percentiles of a sample of all of it, or `limits`.

    At most 320,000 pixels of about 32 planes spread over the stack are looked at, always the same ones; blank planes
    do not count, and background of exactly one value does not count as brightness. Channels of a fluorescence image
    are measured one by one, colours together, so that they keep their hue. An RGB image of uint8 keeps 0..255: it was
    made to be looked at, the official models were trained on such pictures, and stretching a slide with little tissue
    would turn its white into colour noise; only if it is dim (nothing above 128) its brightest becomes white.

    Parameters
    ----------
    stack : Stack
        The image.
    limits : pair of float, or sequence of pairs, optional
        ``(low, high)``, or one pair per channel that is used.

    Raises
    ------
    ValueError
        If `limits` are no such pairs.
    """
    if limits is not None:
        return _given(limits, channels=max(1, len(stack.channels)))
    samples = [sample for _, sample in itertools.islice(sample_planes(stack), _PLANES)]
    values = np.concatenate(samples) if samples else _constants(stack)  # (n, channels)
    if stack.rgb:
        values = values.reshape(-1, 1)
    pairs = [_robust_range(channel, integer=stack.dtype.kind != "f") for channel in values.T]
    if stack.rgb and stack.dtype == np.uint8:
        pairs = [(0.0, high if high <= _DIM else 255.0) for _, high in pairs]
    low, high = zip(*pairs, strict=True)
    return Contrast("percentile", low, high)


def sample_planes(stack: Stack) -> Iterator[tuple[Plane, Pixels]]:
    """Yield ``(plane, (n, channels) pixels)`` of planes spread over the stack that are not blank.

    The order fills the stack ever more densely and never changes. Of a stack with many blank planes the first 128
    are looked at, and if those are all blank, as many as it takes to find one that is not.
    """
    count = int(np.prod(stack.stack_shape))
    share = _PIXELS // min(count, _PLANES)
    found = False
    for looked_at, number in enumerate(_spread(count)):
        if found and looked_at >= _MOST_PLANES:
            return
        plane = _plane(stack, number)
        sample = _sample(stack, plane, share)
        if not _is_blank(sample):
            found = True
            yield plane, sample


def _given(limits: Limits, *, channels: int) -> Contrast:
    pairs = np.atleast_2d(np.asarray(limits, float))
    if pairs.shape not in {(1, 2), (channels, 2)}:
        msg = f"contrast must be (low, high) or one such pair for each of {channels} channels, got {limits!r}"
        raise ValueError(msg)
    return Contrast("limits", tuple(pairs[:, 0].tolist()), tuple(pairs[:, 1].tolist()))


def _robust_range(values: Pixels, *, integer: bool) -> tuple[float, float]:
    values = values[np.isfinite(values)].astype(np.float64)
    if values.size == 0:
        return 0.0, 1.0
    # Most of an image can be one exact value: padding, thresholded or clipped background.
    above, below = values[values > values.min()], values[values < values.max()]
    if above.size == 0:
        low = high = float(values[0])
    else:
        low = float(np.percentile(below, _PERCENTILES[0], method="higher"))
        high = float(np.percentile(above, _PERCENTILES[1], method="lower"))
    if high <= low:
        low, high = float(values.min()), float(values.max())
    # A difference of one count, or of rounding errors, is not worth showing.
    least = 1.0 if integer else 1e-5 * max(abs(low), abs(high)) or 1.0
    return low, max(high, low + least)


def _spread(count: int) -> Iterator[int]:
    """Yield 0..count-1 by their reversed binary digits, so that any first part is spread evenly (van der Corput)."""
    digits = (count - 1).bit_length()
    for i in range(2**digits):
        number = int(f"{i:0{digits}b}"[::-1], 2) if digits else 0
        if number < count:
            yield number


def _plane(stack: Stack, number: int) -> Plane:
    return tuple(int(i) for i in np.unravel_index(number, stack.stack_shape)) if stack.stack_shape else ()


def _sample(stack: Stack, plane: Plane, count: int) -> Pixels:
    channels = max(1, len(stack.channels))
    windows = [stack.read(plane, window).reshape(-1, channels) for window in _windows(stack.plane_shape)]
    pixels = np.concatenate(windows)
    if len(pixels) <= count:
        return pixels
    # Drawn at random, because a regular grid would beat with regular structures; always the same draw.
    return pixels[np.random.default_rng(0).integers(len(pixels), size=count)]


def _windows(plane_shape: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
    if max(plane_shape) <= 4 * _WINDOW:
        yield WHOLE
        return
    rows, columns = (
        [slice(start, start + _WINDOW) for start in sorted({0, max(0, side - _WINDOW) // 2, max(0, side - _WINDOW)})]
        for side in plane_shape
    )
    yield from itertools.product(rows, columns)


def _is_blank(sample: Pixels) -> bool:
    finite = sample[np.isfinite(sample).all(axis=1)]
    return len(finite) == 0 or bool((finite == finite[0]).all())


def _constants(stack: Stack) -> Pixels:
    """One pixel of each plane of a stack in which every plane is blank, ``(n, channels)``."""
    corner = (slice(0, 1), slice(0, 1))
    channels = max(1, len(stack.channels))
    planes = itertools.islice(stack.planes(), _MOST_PLANES)
    return np.concatenate([stack.read(plane, corner).reshape(-1, channels) for plane in planes])
