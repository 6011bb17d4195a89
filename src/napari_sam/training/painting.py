"""Images of given objects: their brightness, rims and texture are drawn at random, their outlines are exact."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

_DENSE = 0.7  # of the volume: where objects fill more they touch


def grain(size: tuple[int, ...], scale: float, rng: np.random.Generator) -> np.ndarray:
    """Draw a texture of mean 0 and standard deviation 1, with details of about ``scale`` pixels."""
    noise = ndimage.gaussian_filter(rng.normal(0, 1, size), scale)
    return np.asarray(noise / (noise.std() + 1e-9))


def paint(labels: np.ndarray, rng: np.random.Generator, *, touching: bool) -> np.ndarray:
    """Give objects, rims and background their brightness and texture; some cues may be missing, never all.

    Parameters
    ----------
    labels : ndarray of int, shape (z, y, x)
        0 is background.
    rng : np.random.Generator
        Source of chance.
    touching : bool
        Whether objects lie side by side, so that there must be a rim between them.

    Returns
    -------
    ndarray of uint8, shape (z, y, x)
    """
    ids = labels.max() + 1
    contrast, rim, halo = rng.normal(0, 0.25), rng.normal(0, 0.4), rng.normal(0, 0.25) * (rng.random() < 0.4)
    if touching:
        rim = math.copysign(max(abs(rim), 0.3), rim if abs(contrast) < 0.25 else -contrast)  # never lost in saturation
    elif abs(contrast) + abs(rim) < 0.25:
        contrast = math.copysign(0.3, contrast)
    brightness = 0.5 + contrast + rng.normal(0, 0.08 * rng.random(), ids)
    brightness[0] = 0.5 - contrast
    rim_width, inside_grain, outside_grain = rng.uniform(0.7, 2.5), *rng.uniform(0, 0.12, 2)
    scales = rng.uniform(0.5, 6, 2)
    image = np.empty(labels.shape, np.float32)
    for z, plane in enumerate(labels):
        edge = ndimage.gaussian_filter(_edges(plane).astype(np.float32), rim_width)
        shown = brightness[plane] + rim * np.minimum(edge * rim_width * 2, 1)
        if halo and (plane == 0).any():
            shown = shown + halo * np.exp(-ndimage.distance_transform_edt(plane == 0) / 5) * (plane == 0)
        shown = shown + grain(plane.shape, scales[0], rng) * inside_grain * (plane > 0)
        shown = shown + grain(plane.shape, scales[1], rng) * outside_grain * (plane == 0)
        image[z] = ndimage.gaussian_filter(shown, rng.uniform(0.3, 1.0))
    return np.asarray(np.clip(image * 255, 0, 255), np.uint8)


def repaint(labels: np.ndarray, rng: np.random.Generator, *, over: np.ndarray | None = None) -> np.ndarray:
    """Show real objects as no microscope has shown them.

    Their shapes are true, and everything else is drawn at random (Billot et al. 2023, "SynthSeg"): brightness, rims,
    texture, relief as of oblique light, and things inside and outside that are no objects.

    Parameters
    ----------
    labels : ndarray of int, shape (z, y, x)
        0 is background.
    rng : np.random.Generator
        Source of chance.
    over : ndarray of the same shape, optional
        The real image, which then shines through by a share drawn at random, and adds a true texture.

    Returns
    -------
    ndarray of uint8, shape (z, y, x)
    """
    image = paint(labels, rng, touching=bool((labels > 0).mean() > _DENSE)).astype(np.float32) / 255
    if rng.random() < 0.5:
        image += _relief(labels, rng)
    if rng.random() < 0.6:
        image += _specks(labels, rng)
    if over is not None:
        image += rng.uniform(0.25, 0.75) * (_stretched(over) - image)
    return np.asarray(np.clip(image * 255, 0, 255), np.uint8)


def _stretched(image: np.ndarray) -> np.ndarray:
    """Bring nearly all brightness into 0..1."""
    low, high = np.percentile(image, (1, 99))
    return np.asarray(np.clip((image - low) / (high - low + 1e-9), 0, 1), np.float32)


def _relief(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Light from one side: the slope of a soft height of the objects."""
    sigma, angle = rng.uniform(1, 4), rng.uniform(0, 2 * math.pi)
    inside = np.stack([(plane > 0) & ~_edges(plane) for plane in labels]).astype(np.float32)
    dy, dx = (ndimage.gaussian_filter(inside, (0, sigma, sigma), order=order) for order in ((0, 1, 0), (0, 0, 1)))
    slope = math.cos(angle) * dy + math.sin(angle) * dx
    return np.asarray(slope / (np.abs(slope).max() + 1e-9) * rng.uniform(0.1, 0.5), np.float32)


def _specks(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Round and irregular things within objects, or anywhere: organelles, vesicles, dirt."""
    sigma = float(np.exp(rng.uniform(math.log(1), math.log(8))))
    field = ndimage.gaussian_filter(rng.normal(0, 1, labels.shape), (1, sigma, sigma))
    specks = ndimage.gaussian_filter((field > field.std() * rng.uniform(1.2, 2.2)).astype(np.float32), (0, 0.7, 0.7))
    where = (labels > 0, labels >= 0, labels == 0)[rng.choice(3, p=(0.5, 0.3, 0.2))]
    return np.asarray(specks * where * rng.choice([-1, 1]) * rng.uniform(0.08, 0.4), np.float32)


def _edges(plane: np.ndarray) -> np.ndarray:
    edges = np.zeros(plane.shape, bool)
    edges[1:] |= plane[1:] != plane[:-1]
    edges[:, 1:] |= plane[:, 1:] != plane[:, :-1]
    return edges
