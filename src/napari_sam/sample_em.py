"""A synthetic EM-like stack of densely packed neurites with exact truth, made from a seed."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_sam.sample import Floats, Sample, Shape3D, count_from_one, smooth_noise

_SPACING = (0.01, 0.01, 0.01)  # micrometres
_NEURITE_AREA = 620.0  # square pixels, on average


def make_membrane_stack(shape: Shape3D = (24, 256, 256), *, seed: int = 0) -> Sample:
    """Make an EM-like stack of densely packed neurites with dark membranes.

    Neurites of very different calibre run through the planes and fill space; a few have dark cytoplasm, and the
    larger ones hold mitochondria and vesicles. Every voxel belongs to a neurite: a membrane is shared by halves.

    Parameters
    ----------
    shape : tuple of int
        (z, y, x) in isotropic pixels of 10 nanometres, as in FIB-SEM.
    seed : int
        The same seed and shape give the same stack.
    """
    rng = np.random.default_rng(seed)
    labels, membrane_distance = _pack_neurites(shape, rng)
    density = _cytoplasm(labels, rng)
    _add_organelles(density, membrane_distance, rng)
    density -= (density - 0.12) * np.exp(-((membrane_distance / 1.7) ** 2))
    return Sample(_scan(density, rng), count_from_one(labels), _SPACING)


def _pack_neurites(shape: Shape3D, rng: np.random.Generator) -> tuple[npt.NDArray[np.uint16], Floats]:
    """Divide each plane among drifting centres: a power diagram (Aurenhammer 1987) of warped coordinates.

    Returns the labels and the distance to the nearest membrane in pixels, both (z, y, x).
    """
    depth, height, width = shape
    count = max(4, round((height + 60) * (width + 60) / _NEURITE_AREA))
    centres = _drifting_centres(depth, height, width, count, rng)
    weights = np.minimum(rng.lognormal(4.6, 1.5, count), 3600.0)  # squared pixels: calibres from fine to 60 px
    warps = np.stack([7.0 * smooth_noise(rng, shape, (6.0, 11.0, 11.0)) for _ in range(2)], axis=-1)
    grid = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), axis=-1)
    planes = [_power_diagram(places, weights, grid + warp) for places, warp in zip(centres, warps, strict=True)]
    labels, distances = zip(*planes, strict=True)
    return np.stack(labels), np.stack(distances)


def _drifting_centres(depth: int, height: int, width: int, count: int, rng: np.random.Generator) -> Floats:
    """(z, count, 2): a place, a slope and a slow random walk for each neurite."""
    start = rng.uniform((-30.0, -30.0), (height + 30.0, width + 30.0), size=(count, 2))
    slope = rng.normal(0.0, 0.35, size=(count, 2))
    walk = np.cumsum(rng.normal(0.0, 0.35, size=(depth, count, 2)), axis=0)
    return (start + slope * np.arange(depth)[:, None, None] + walk).astype(np.float32)


def _power_diagram(
    centres: Floats, weights: npt.NDArray[np.float64], at: Floats
) -> tuple[npt.NDArray[np.uint16], Floats]:
    """Label (from 1) and distance to the cell's border in pixels, at points `at` of shape (h, w, 2)."""
    # |x - c|^2 - w without |x|^2, which all centres share: one matrix product instead of n images of distances.
    offset = (centres**2).sum(axis=1) - weights.astype(np.float32)
    power = offset - 2.0 * at.reshape(-1, 2).astype(np.float32) @ centres.T  # (h*w, count)
    first, second = np.argpartition(power, 1, axis=1)[:, :2].T
    rows = np.arange(len(power))
    gap = power[rows, second] - power[rows, first]
    distance = gap / (2.0 * np.linalg.norm(centres[first] - centres[second], axis=1) + 1e-6)
    shape = at.shape[:2]
    return (first + 1).reshape(shape).astype(np.uint16), distance.reshape(shape).astype(np.float32)


def _cytoplasm(labels: npt.NDArray[np.uint16], rng: np.random.Generator) -> Floats:
    """Grey value between 0 and 1 (bright is empty) of each neurite with its granular texture; (z, y, x)."""
    grey = rng.normal(0.72, 0.06, labels.max() + 1)
    dark = rng.random(labels.max() + 1) < 0.10
    grey[dark] = rng.uniform(0.12, 0.4, dark.sum())
    texture = 0.045 * smooth_noise(rng, labels.shape, (1.2, 1.2, 1.2)) + 0.035 * smooth_noise(
        rng, labels.shape, (3.0, 3.0, 3.0)
    )
    return np.asarray(grey[labels] + texture, np.float32)


@dataclass(frozen=True, slots=True)
class _Organelle:
    radius: tuple[float, float]  # pixels
    elongation: tuple[float, float]
    fill: float  # grey of its inside; nan leaves the cytoplasm
    per_megavoxel: float


_MITOCHONDRION = _Organelle(radius=(6.0, 10.0), elongation=(1.0, 2.5), fill=0.36, per_megavoxel=90)
_VESICLE = _Organelle(radius=(2.5, 4.5), elongation=(1.0, 1.2), fill=float("nan"), per_megavoxel=220)


def _add_organelles(density: Floats, membrane_distance: Floats, rng: np.random.Generator) -> None:
    """Draw mitochondria and vesicles into `density` where a neurite has room for them."""
    for kind in (_MITOCHONDRION, _VESICLE):
        for _ in range(round(kind.per_megavoxel * density.size / 1e6)):
            radius, elongation = rng.uniform(*kind.radius), rng.uniform(*kind.elongation)
            place, axis = rng.integers(density.shape), rng.normal(size=3)
            if membrane_distance[tuple(place)] > radius + 3.0:
                _draw_organelle(density, place, radius, axis * (elongation / np.linalg.norm(axis)), kind.fill)


def _draw_organelle(
    density: Floats, place: npt.NDArray[np.int64], radius: float, axis: npt.NDArray[np.float64], fill: float
) -> None:
    """Draw an ellipsoid around the long `axis`, whose length is the elongation, with a dark membrane."""
    elongation = float(np.linalg.norm(axis))
    low = np.maximum(place - int(2 + radius * elongation), 0)
    high = np.minimum(place + int(3 + radius * elongation), density.shape)
    window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    offsets = np.stack(np.meshgrid(*map(np.arange, low, high), indexing="ij"), axis=-1) - place
    along = offsets @ axis / elongation
    across = np.sqrt(np.maximum((offsets**2).sum(axis=-1) - along**2, 0.0))
    depth = radius - np.hypot(along / elongation, across)  # pixels below its surface, about
    grey = density[window]
    if not np.isnan(fill):
        cristae = 0.06 * np.sin(along * 1.4)
        grey[depth > 0] = (fill + cristae + 0.3 * (grey - 0.72))[depth > 0]
    grey -= (grey - 0.18) * np.exp(-((depth / 1.2) ** 2))


def _scan(density: Floats, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Image the grey values as an electron microscope's detector does: slight blur, noise, 8 bits."""
    blurred = ndimage.gaussian_filter(density, 0.7)
    grey = 36.0 + 180.0 * blurred + rng.normal(0.0, 7.0, density.shape)
    return np.asarray(np.clip(np.round(grey), 0, 255), np.uint8)
