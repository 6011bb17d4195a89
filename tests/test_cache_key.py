import numpy as np
import pytest

from napari_sam.cache_key import describe, plane_hash
from napari_sam.contrast import Contrast
from napari_sam.stack import open_stack

PLANE = np.arange(12, dtype=np.uint16).reshape(3, 4)


@pytest.mark.parametrize("same", [PLANE.astype(">u2"), np.asfortranarray(PLANE), np.tile(PLANE, 2)[:, :4]])
def test_how_pixels_lie_in_memory_does_not_matter(same):
    assert plane_hash(same) == plane_hash(PLANE)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.float16, np.float64])
def test_pixels_of_any_type_are_hashed(dtype):
    assert plane_hash(np.zeros((3, 4), dtype)) != plane_hash(np.ones((3, 4), dtype))


def test_no_plane_has_the_hash_that_means_nothing_is_stored(monkeypatch):
    monkeypatch.setattr("xxhash.xxh3_64_intdigest", lambda _: 0)
    assert plane_hash(PLANE) != 0


def test_few_planes_of_a_long_stack_are_read_to_recognise_it(tiny_sam):
    class Counting:
        shape, dtype, reads = (1000, 8, 8), np.dtype(np.uint8), 0

        def __getitem__(self, index):
            self.reads += 1
            return np.arange(64, dtype=np.uint8).reshape(8, 8)

    image = Counting()
    describe(tiny_sam, open_stack(image), Contrast("limits", (0,), (255,)))
    assert image.reads == 8
