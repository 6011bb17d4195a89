"""A synthetic fluorescence stack of nuclei with exact truth, made from a seed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Shape3D = tuple[int, int, int]
Floats = npt.NDArray[np.float32]

_NUCLEI_SPACING = (1.0, 0.35, 0.35)
_NUCLEI_PER_UM3 = 3.6e-4
_ATTENUATION_LENGTH_UM = 32.0
_FULL_SCALE_12_BIT = 4095


@dataclass(frozen=True, slots=True)
class Sample:
    """A stack and its exact instance labels.

    Attributes
    ----------
    image : ndarray of uint16 or uint8, shape (z, y, x)
    labels : ndarray of uint16, shape (z, y, x)
        0 is background; objects count from 1 without gaps.
    spacing : tuple of float
        Distance between pixel centres along (z, y, x), in micrometres.
    """

    image: npt.NDArray[Any]
    labels: npt.NDArray[np.uint16]
    spacing: tuple[float, float, float]


def make_nuclei_stack(shape: Shape3D = (24, 256, 256), *, seed: int = 0) -> Sample:
    """Make a confocal-like stack of stained nuclei, some of them touching.

    Nuclei are wobbly ellipsoids of several sizes with chromatin texture, bright chromocenters and dark nucleoli;
    a few are condensed and bright. They are seen through an anisotropic PSF and an out-of-focus haze, fade with
    depth, and carry shot and read noise on an offset. Values use 12 of the 16 bits.

    Parameters
    ----------
    shape : tuple of int
        (z, y, x) in pixels of 1.0 x 0.35 x 0.35 micrometres.
    seed : int
        The same seed and shape give the same stack.
    """
    rng = np.random.default_rng(seed)
    nuclei = _place_nuclei(shape, rng)
    labels = _rasterise(nuclei, shape, smooth_noise(rng, shape, (2.5, 7.0, 7.0)))
    fluorescence = _stain(nuclei, labels, rng)
    return Sample(_expose(fluorescence, rng), count_from_one(labels), _NUCLEI_SPACING)


@dataclass(frozen=True, slots=True)
class _Nucleus:
    centre: npt.NDArray[np.float64]  # micrometres
    radius: float  # micrometres, of the ball with about the same cross section
    to_unit_ball: npt.NDArray[np.float64]  # (3, 3), micrometres -> unit ball
    brightness: float


def _place_nuclei(shape: Shape3D, rng: np.random.Generator) -> list[_Nucleus]:
    extent = np.multiply(shape, _NUCLEI_SPACING)
    wanted = max(3, round(float(np.prod(extent)) * _NUCLEI_PER_UM3))
    nuclei: list[_Nucleus] = []
    for _ in range(40 * wanted):
        if len(nuclei) == wanted:
            break
        candidate = _random_nucleus(extent, nuclei, rng)
        if all(_are_apart(candidate, other) for other in nuclei):
            nuclei.append(candidate)
    return nuclei


def _random_nucleus(extent: Floats, nuclei: list[_Nucleus], rng: np.random.Generator) -> _Nucleus:
    mitotic = rng.random() < 0.06
    radius = 4.6 * rng.lognormal(0.0, 0.17) * (0.62 if mitotic else 1.0)
    centre = rng.uniform(0.0, extent)
    if nuclei and rng.random() < 0.45:  # beside an earlier one, so that some touch
        neighbour = nuclei[rng.integers(len(nuclei))]
        direction = rng.normal(size=3) * (0.5, 1.0, 1.0)
        centre = neighbour.centre + direction / np.linalg.norm(direction) * 0.97 * (radius + neighbour.radius)
        centre = np.clip(centre, 0.0, extent)
    elongation = rng.uniform(1.0, 1.45) * (1.4 if mitotic else 1.0)
    semi_axes = radius * np.array([0.85, elongation**0.5, elongation**-0.5])
    to_unit_ball = _random_rotation(rng) / semi_axes[:, None]
    return _Nucleus(centre, radius, to_unit_ball, rng.lognormal(0.0, 0.38) * (2.4 if mitotic else 1.0))


def _random_rotation(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Turn freely within the plane, and tilt out of it by some 15 degrees: adherent cells lie flat."""
    angle, tilt = rng.uniform(0.0, np.pi), rng.normal(0.0, 0.25)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), np.sin(angle)], [0, -np.sin(angle), np.cos(angle)]])
    lean = np.array([[np.cos(tilt), np.sin(tilt), 0], [-np.sin(tilt), np.cos(tilt), 0], [0, 0, 1]])
    return np.asarray(lean @ turn)


def _are_apart(one: _Nucleus, other: _Nucleus) -> bool:
    return bool(np.linalg.norm(one.centre - other.centre) >= 0.92 * (one.radius + other.radius))


def _rasterise(nuclei: list[_Nucleus], shape: Shape3D, wobble: Floats) -> npt.NDArray[np.uint16]:
    """Label each voxel with the nucleus that it lies deepest in; (z, y, x), 0 outside all."""
    nearest = np.ones(shape, np.float32)  # distance from the centre in units of the local radius; 1 is the surface
    labels = np.zeros(shape, np.uint16)
    for number, nucleus in enumerate(nuclei, start=1):
        window = _window(nucleus, shape)
        offsets = np.stack([axis - at for axis, at in zip(_micrometres(window), nucleus.centre, strict=True)], axis=-1)
        distance = np.linalg.norm(offsets @ nucleus.to_unit_ball.T, axis=-1) + 0.09 * wobble[window]
        closer = distance < nearest[window]
        nearest[window][closer] = distance[closer]
        labels[window][closer] = number
    return _keep_largest_components(labels)


def _window(nucleus: _Nucleus, shape: Shape3D) -> tuple[slice, ...]:
    reach = 1.7 * nucleus.radius
    low = np.maximum((nucleus.centre - reach) / _NUCLEI_SPACING, 0).astype(int)
    high = np.minimum((nucleus.centre + reach) / _NUCLEI_SPACING + 1, shape).astype(int)
    return tuple(slice(a, b) for a, b in zip(low, high, strict=True))


def _micrometres(window: tuple[slice, ...]) -> tuple[npt.NDArray[np.float64], ...]:
    axes = [np.arange(w.start, w.stop) * step for w, step in zip(window, _NUCLEI_SPACING, strict=True)]
    return np.meshgrid(*axes, indexing="ij")


def _keep_largest_components(labels: npt.NDArray[np.uint16], min_voxels: int = 60) -> npt.NDArray[np.uint16]:
    """Leave one connected piece of each object, and no object smaller than `min_voxels`."""
    kept = np.zeros_like(labels)
    for number, window in _objects(labels):
        pieces, _ = ndimage.label(labels[window] == number)
        sizes = np.bincount(pieces.ravel())[1:]
        if sizes.max() >= min_voxels:
            kept[window][pieces == sizes.argmax() + 1] = number
    return kept


def _objects(labels: npt.NDArray[np.uint16]) -> Iterator[tuple[int, tuple[slice, ...]]]:
    for number, window in enumerate(ndimage.find_objects(labels), start=1):
        if window is not None:
            yield number, window


def _stain(nuclei: list[_Nucleus], labels: npt.NDArray[np.uint16], rng: np.random.Generator) -> Floats:
    """Stain density, about 1 in an ordinary nucleus and 0 outside; (z, y, x)."""
    shape = labels.shape
    chromatin = (
        1.0 + 0.22 * smooth_noise(rng, shape, (0.6, 1.6, 1.6)) + 0.10 * smooth_noise(rng, shape, (1.5, 5.0, 5.0))
    )
    chromatin += _blobs(nuclei, shape, rng, count=(3, 9), height=1.8, sigma=(0.7, 1.5, 1.5))
    chromatin -= _blobs(nuclei, shape, rng, count=(1, 3), height=0.7, sigma=(0.9, 2.6, 2.6))
    brightness = np.array([0.0, *(nucleus.brightness for nucleus in nuclei)], np.float32)
    return np.maximum(chromatin, 0.15) * brightness[labels]


def _blobs(
    nuclei: list[_Nucleus],
    shape: tuple[int, ...],
    rng: np.random.Generator,
    *,
    count: tuple[int, int],
    height: float,
    sigma: tuple[float, float, float],
) -> Floats:
    """Gaussian blobs (sigma in pixels) at random places inside each nucleus."""
    impulses = np.zeros(shape, np.float32)
    for nucleus in nuclei:
        inside = rng.uniform(-0.5, 0.5, size=(rng.integers(*count, endpoint=True), 3))
        places = nucleus.centre + inside @ np.linalg.inv(nucleus.to_unit_ball).T
        for place in np.round(places / _NUCLEI_SPACING).astype(int):
            if (place >= 0).all() and (place < shape).all():
                impulses[tuple(place)] += rng.uniform(0.4, 1.0)
    peak = (2 * np.pi) ** 1.5 * np.prod(sigma)
    blobs: Floats = ndimage.gaussian_filter(impulses, sigma, truncate=3.0)
    return blobs * np.float32(height * peak)


def _expose(fluorescence: Floats, rng: np.random.Generator) -> npt.NDArray[np.uint16]:
    """Image the stain density: PSF, haze, attenuation with depth, shot noise, read noise, offset."""
    in_focus = ndimage.gaussian_filter(fluorescence, (1.0, 0.8, 0.8))
    haze = ndimage.gaussian_filter(fluorescence, (2.5, 8.0, 8.0), truncate=2.5)
    depth = np.arange(len(fluorescence)) * _NUCLEI_SPACING[0]
    attenuation = np.exp(-depth / _ATTENUATION_LENGTH_UM)[:, None, None]
    photons = 110.0 * attenuation * (in_focus + 0.10 * haze + 0.02)
    counts = 100.0 + 7.0 * rng.poisson(photons) + rng.normal(0.0, 9.0, photons.shape)
    return np.asarray(np.clip(np.round(counts), 0, _FULL_SCALE_12_BIT), np.uint16)


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], sigma: tuple[float, ...]) -> Floats:
    """Smooth Gaussian noise with mean 0 and standard deviation 1; sigma in pixels."""
    smooth: Floats = ndimage.gaussian_filter(rng.standard_normal(shape, np.float32), sigma, truncate=3.0)
    smooth -= smooth.mean()
    return smooth / np.float32(max(smooth.std(), 1e-6))


def count_from_one(labels: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
    """Renumber objects without gaps; 0 stays the background."""
    _, dense = np.unique(np.append(0, labels), return_inverse=True)
    return dense[1:].reshape(labels.shape).astype(np.uint16)
