"""From a click in the world to a voxel of the labels, whatever the image is made of and however it lies."""

import dask.array
import numpy as np
import pytest
import zarr
from hypothesis import example, given, settings
from hypothesis import strategies as st
from napari.layers import Image
from tests.plugin.fakes import Studio
from tests.plugin.test_layers import transforms

from napari_sam.plugin.view import view_image

# napari says so of its own slicing when an axis that is not displayed is turned; prompts are exact all the same.
pytestmark = pytest.mark.filterwarnings("ignore:Non-orthogonal slicing:UserWarning")

SHAPE = (4, 20, 30)
voxels = st.tuples(*(st.integers(0, n - 1) for n in SHAPE))


SHEARED = {"scale": [0.5, 0.5, 1.0], "shear": [0.5, 0.0, 0.5]}  # the viewer cuts it at an angle


@settings(max_examples=15, deadline=None)
@example(SHEARED, (1, 0, 0), [0, 1, 2])
@given(transforms(), voxels, st.permutations(range(3)))
def test_a_click_in_the_world_is_committed_to_the_voxel_that_lies_there(placed, voxel, order):
    studio = Studio(np.zeros(SHAPE, np.uint8), **placed)
    studio.viewer.dims.order = order
    studio.work()
    world = studio.image.data_to_world(voxel)
    studio.click(*studio.points.world_to_data(world))
    studio.commit()
    assert studio.labels.data[voxel] == 1
    np.testing.assert_allclose(studio.labels.data_to_world(voxel), world, atol=1e-6)
    assert not studio.errors


@settings(max_examples=15, deadline=None)
@given(transforms(), voxels)
def test_an_image_that_is_moved_takes_clicks_and_masks_along(placed, voxel):
    """Who typed the voxel size after the first click saw the mask beside its nucleus, and clicked beside the clicks."""
    studio = Studio(np.zeros(SHAPE, np.uint8))
    studio.click(*voxel)
    asked = len(studio.segmenter.asked)
    for name, value in placed.items():
        setattr(studio.image, name, value)
    world = studio.image.data_to_world(voxel)
    for layer in studio.annotation.stage.own_layers:
        np.testing.assert_allclose(layer.data_to_world(voxel), world, atol=1e-6)
    other = tuple((at + 1) % n for at, n in zip(voxel, SHAPE, strict=True))
    studio.click(*studio.points.world_to_data(studio.image.data_to_world(other)))
    assert len(studio.segmenter.asked) == asked + 1  # and not the first one again
    studio.commit()
    assert studio.labels.data[voxel] == 1


ARRAYS = {
    "numpy": lambda data, path: data,
    "dask": lambda data, path: dask.array.from_array(data, chunks=(1, 10, 30)),
    "zarr": lambda data, path: zarr.create_array(path, data=data, chunks=(1, 10, 30)),
}


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0)])
@pytest.mark.parametrize("kind", ARRAYS)
def test_planes_of_any_array_are_those_that_are_shown(tmp_path, kind, order):
    data = np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE)
    view = view_image(Image(ARRAYS[kind](data, tmp_path / "a.zarr")), order)
    for plane in np.ndindex(*view.stack_shape):
        np.testing.assert_array_equal(np.asarray(view.array[plane]), data[view.index(plane)])


@pytest.mark.parametrize("kind", ["numpy", "zarr"])
def test_a_commit_goes_to_labels_in_memory_and_on_disk(tmp_path, kind):
    studio = Studio(np.zeros(SHAPE, np.uint8))
    data = ARRAYS[kind](np.zeros(SHAPE, np.uint16), tmp_path / "a.zarr")
    studio.annotation.set_result(studio.viewer.add_labels(data))
    studio.work()
    studio.click(2, 10, 15)
    studio.commit()
    assert np.asarray(data[2, 10, 15]) == 1
    studio.undo()
    assert not np.asarray(data[:]).any()
