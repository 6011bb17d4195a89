"""Made-up stacks with exact truth: drifting blobs, rods and filaments, dense cells, files of cells, stacked nuclei.

They show the model shapes, textures and polarities that the real training sets lack, and objects that appear, move and
end along z. Nothing here imitates a particular microscope.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage import measure

from napari_sam.training.painting import grain, paint


def make_stack(shape: tuple[int, int, int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return ``(image uint8, labels int32)``, both ZYX of ``shape``, of a randomly chosen kind."""
    make = (_tessellation, _files, _scattered)[rng.choice(3, p=(0.2, 0.4, 0.4))]
    labels = make(shape, rng)
    return paint(labels, rng, touching=make is not _scattered), labels


def make_packed_stack(shape: tuple[int, int, int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return ``(image uint8, labels int32)``, both ZYX of ``shape``: objects that end where the next begins along z.

    What a walk along z must learn: an object that looks like its neighbours ends, and another lies in its place.
    """
    labels = _packed(shape, rng, flatness=rng.uniform(0.1, 0.5))
    image = paint(labels, rng, touching=True)
    if rng.random() < 0.7:  # out-of-focus light of the neighbouring planes
        image = ndimage.gaussian_filter1d(image.astype(np.float32), rng.uniform(0.3, 1.2), axis=0).astype(np.uint8)
    return image, labels


def make_confocal_stack(shape: tuple[int, int, int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return ``(image uint8, labels int32)``, both ZYX of ``shape``: stained nuclei, stacked closely, out of focus.

    What a walk along z must learn of light: it is blurred more along z than across, so that a nucleus is seen dim and
    soft above and below its end, and shines into the next one. The truth is where it was before the blur.
    """
    labels = _packed(shape, rng, flatness=rng.uniform(0.2, 0.6), gap=rng.uniform(0.02, 0.2))
    stain = np.exp(rng.normal(0, 0.35, labels.max() + 1))
    stain[0] = rng.uniform(0, 0.15)
    scale = rng.uniform(0.7, 3)
    texture = np.stack([grain(plane.shape, scale, rng) for plane in labels]) * rng.uniform(0, 0.25)
    light = np.maximum(stain[labels] * (1 + texture), 0)
    along, across = rng.uniform(0.5, 1.8), rng.uniform(0.4, 1.5)  # planes, pixels
    seen = ndimage.gaussian_filter(light, (along, across, across))
    seen += rng.uniform(0, 0.2) * ndimage.gaussian_filter(light, (2 * along, 8, 8))
    photons = np.exp(rng.uniform(math.log(5), math.log(150)))
    image = rng.poisson(photons * seen).astype(np.float32)
    return np.asarray(np.clip(image / np.percentile(image, 99.8), 0, 1) * 255, np.uint8), labels


def _scattered(shape: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    """Blobs or rods of one family, each with its own extent along z; later ones never cover earlier ones."""
    labels = np.zeros(shape, np.int32)
    size = float(np.exp(rng.uniform(math.log(5), math.log(40))))
    rods = rng.random() < 0.4
    area = math.pi * size**2 * (2 if rods else 1)
    count = int(np.clip(rng.uniform(0.15, 0.9) * shape[1] * shape[2] / area, 3, 150))
    for label in range(1, count + 1):
        _draw(labels, label, size * math.exp(rng.normal(0, 0.25)), rods=rods, rng=rng)
    return labels


def _draw(labels: np.ndarray, label: int, radius: float, *, rods: bool, rng: np.random.Generator) -> None:
    depth, *plane = labels.shape
    centre, drift = rng.uniform(0, plane), rng.normal(0, 0.06 * radius, 2)
    middle, reach = rng.uniform(-1, depth), rng.uniform(1.5, depth * 1.5)
    angle, turn = rng.uniform(0, 2 * math.pi), rng.normal(0, 0.04)
    waves = [(k, rng.normal(0, 0.25 / k**1.2), rng.uniform(0, 2 * math.pi)) for k in range(2, 6)]
    stretch = math.exp(rng.uniform(math.log(0.6), math.log(8)))
    length, bend = stretch * radius, rng.normal(0, 0.15) / (radius * max(1, stretch / 2))
    for z in range(depth):
        flat = 1 - ((z - middle) / reach) ** 2
        if flat <= 0.05:
            continue
        r = radius * math.sqrt(flat)
        y, x, window = _local(centre + drift * (z - middle), angle + turn * z, 2 * r + length * rods, plane)
        if y.size == 0:
            continue
        if rods:
            along = np.clip(x, -length, length)
            inside = (y - bend * along**2) ** 2 + (x - along) ** 2 < (0.4 * r) ** 2
        else:
            theta = np.arctan2(y, x)
            inside = np.hypot(y, x) < r * (1 + sum(a * np.cos(k * theta + phase) for k, a, phase in waves))
        view = labels[z][window]
        view[inside & (view == 0)] = label


def _local(
    centre: np.ndarray, angle: float, reach: float, plane: list[int]
) -> tuple[np.ndarray, np.ndarray, tuple[slice, slice]]:
    """Coordinates turned by ``angle`` about ``centre``, on the window within ``reach`` of it."""
    start = np.clip(np.floor(centre - reach), 0, plane).astype(int)
    stop = np.clip(np.ceil(centre + reach) + 1, 0, plane).astype(int)
    rows, columns = np.mgrid[start[0] : stop[0], start[1] : stop[1]]
    dy, dx = rows - centre[0], columns - centre[1]
    cos, sin = math.cos(angle), math.sin(angle)
    return cos * dy - sin * dx, sin * dy + cos * dx, (slice(start[0], stop[0]), slice(start[1], stop[1]))


def _tessellation(shape: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    """Cells that fill space: nearest drifting seed of a warped plane."""
    depth, height, width = shape
    spacing = float(np.exp(rng.uniform(math.log(10), math.log(50))))
    count = max(4, int(height * width / spacing**2))
    seeds, drift = rng.uniform(0, (height, width), (count, 2)), rng.normal(0, 0.05 * spacing, (count, 2))
    warp = [ndimage.gaussian_filter(rng.normal(0, 1, (height, width)), spacing / 4) for _ in range(2)]
    warp = [w / w.std() * spacing * rng.uniform(0, 0.25) for w in warp]
    points = np.stack(np.mgrid[:height, :width] + np.array(warp), axis=-1).reshape(-1, 2)
    labels = [cKDTree(seeds + drift * z).query(points)[1].reshape(height, width) + 1 for z in range(depth)]
    return np.stack(labels).astype(np.int32)


def _files(shape: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    """Elongated cells side by side and end to end, as in colonies of bacteria: bricks of a wall that was bent."""
    depth, height, width = shape
    thickness = float(np.exp(rng.uniform(math.log(6), math.log(30))))
    length = thickness * rng.uniform(1.5, 5)
    angle = rng.uniform(0, math.pi)
    turned = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    scale = rng.uniform(2, 5) * length
    bends = [ndimage.gaussian_filter(rng.normal(0, 1, (height, width)), scale / 4) for _ in range(3)]
    bends = [(bend - bend.mean()) / bend.std() for bend in bends]
    colony = bends[2] > rng.uniform(-2.5, 0.3)
    shifts = rng.uniform(0, 1, 10_000)  # of the cells in each file
    walls, bent = rng.uniform(0.02, 0.1), rng.uniform(0.02, 0.09)  # of the thickness; of the scale
    labels = np.zeros(shape, np.int32)
    for z in range(depth):
        at = np.stack([*np.indices((height, width)) + 0.1 * thickness * z]).reshape(2, -1)
        across, along = (turned @ at).reshape(2, height, width) + scale * bent * np.stack(bends[:2])
        file, place = np.divmod(across / thickness, 1)
        cell, position = np.divmod(along / length + shifts[file.astype(int)], 1)
        rounded = np.clip(np.minimum(position, 1 - position) * length / thickness * 2, 0, 1) ** 0.4
        inside = colony & (np.abs(place - 0.5) < (0.5 - walls) * rounded)
        ids = (file - file.min()) * 1000 + cell - cell.min() + 1
        labels[z] = np.where(inside, ids, 0)
    return np.asarray(measure.label(labels), np.int32)  # where the wall folds, one brick appears in several places


def _packed(shape: tuple[int, int, int], rng: np.random.Generator, *, flatness: float, gap: float = 0) -> np.ndarray:
    """Ellipsoids at all heights that press against each other: each voxel goes to the nearest, if it is near enough.

    ``flatness`` is an object's height in planes against its width in pixels; ``gap`` is left between neighbours, as a
    share of the radius.
    """
    radius = float(np.exp(rng.uniform(math.log(8), math.log(24))))
    scale = np.array([1 / flatness, 1.0, 1.0])
    extent = np.array(shape) * scale
    margin = np.array([radius, 0, 0])
    count = max(4, int(rng.uniform(0.3, 1.1) * np.prod(extent + 2 * margin) / (4 / 3 * math.pi * radius**3)))
    centres = rng.uniform(-margin, extent + margin, (count, 3))
    reach = radius * np.exp(rng.normal(0, 0.15, count))
    warp = ndimage.gaussian_filter(rng.normal(0, 1, shape), (1, radius / 3, radius / 3))
    warp *= rng.uniform(0, 0.15) / warp.std()
    voxels = np.indices(shape).reshape(3, -1).T * scale
    (distance, second), (nearest, _) = (each.T for each in cKDTree(centres).query(voxels, k=2))
    inside = (distance < reach[nearest] * (1 + warp.ravel())) & (second - distance >= gap * radius)
    return np.where(inside, nearest + 1, 0).reshape(shape).astype(np.int32)
