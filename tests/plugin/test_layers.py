"""Prompts mean the same voxel wherever the layers lie in the world."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Image, Labels, Points, Shapes

from napari_sam.plugin import layers
from napari_sam.plugin.view import view_image

# napari says so of its own slicing when an axis that is not displayed is turned; prompts are exact all the same.
pytestmark = pytest.mark.filterwarnings("ignore:Non-orthogonal slicing:UserWarning")

SHAPE = (4, 20, 30)
numbers = st.floats(-20, 20, allow_subnormal=False)
sizes = st.floats(0.2, 8)


@st.composite
def transforms(draw):
    """Any placement in the world that can be undone."""
    angles = [draw(st.floats(-60, 60)) for _ in range(3)]
    affine = np.eye(4)
    affine[:3, :3] += 0.1 * np.array([draw(numbers) for _ in range(9)]).reshape(3, 3) / 20
    affine[:3, 3] = [draw(numbers) for _ in range(3)]
    return {
        "scale": [draw(sizes) for _ in range(3)],
        "translate": [draw(numbers) for _ in range(3)],
        "rotate": tuple(angles),
        "shear": [draw(st.floats(-0.5, 0.5)) for _ in range(3)],
        "affine": affine,
    }


voxels = st.tuples(*(st.integers(0, n - 1) for n in SHAPE))


@settings(max_examples=60, deadline=None)
@given(transforms(), transforms(), voxels, st.permutations(range(3)))
def test_a_click_on_a_voxel_prompts_that_voxel_however_the_layers_lie(image_at, points_at, voxel, order):
    image = Image(np.zeros(SHAPE), **image_at)
    points = Points(ndim=3, **points_at)
    points.add(points.world_to_data(image.data_to_world(voxel)))
    view = view_image(image, order)
    ((key, prompt),) = layers.read_prompts([points], image, view).prompts.items()
    found = view.to_data(key[1], np.array(prompt.points))[0]
    np.testing.assert_allclose(found, voxel, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(transforms(), voxels)
def test_layers_made_for_an_image_lie_where_it_lies(image_at, voxel):
    image = Image(np.zeros(SHAPE), units=("um", "um", "um"), axis_labels=("z", "y", "x"), **image_at)
    view = view_image(image, (0, 1, 2))
    made = [
        layers.new_points(image, view),
        layers.new_shapes(image, view),
        layers.new_labels(image, view, np.zeros(SHAPE, int), name="SAM result"),
    ]
    for layer in made:
        np.testing.assert_allclose(layer.data_to_world(voxel), image.data_to_world(voxel), atol=1e-9)
        assert layer.units == image.units
        assert layer.axis_labels == image.axis_labels


@settings(max_examples=40, deadline=None)
@given(transforms(), voxels, st.permutations(range(3)))
def test_going_to_a_plane_shows_that_plane(image_at, voxel, order):
    image = Image(np.zeros(SHAPE), **image_at)
    view = view_image(image, order)
    (plane,), _ = view.to_plane(np.array([voxel], float))
    world = layers.plane_in_world(image, view, plane, (0.0, 0.0, 0.0))
    assert layers.current_plane(image, view, world) == plane


@pytest.mark.parametrize("scale", [(2, 1, 1), (0.5, 0.1, 0.1), (7, 3, 3)])
def test_the_current_plane_is_that_of_the_slice_and_not_of_the_slider(scale):
    """With one image of z-scale 2 and an unscaled layer the slider says 4 where the image shows plane 2."""
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros(SHAPE), scale=scale)
    viewer.add_image(np.zeros((60, 20, 30)))
    viewer.dims.set_point(0, 2 * scale[0])
    assert layers.current_plane(image, view_image(image, viewer.dims.order), viewer.dims.point) == (2,)


def test_points_of_a_five_dimensional_viewer_fall_on_a_three_dimensional_image():
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros(SHAPE))
    viewer.add_image(np.zeros((2, 2, *SHAPE)))
    viewer.dims.set_point((0, 1, 2), (1, 1, 3))
    assert layers.current_plane(image, view_image(image, viewer.dims.order), viewer.dims.point) == (3,)


def _image_and_view():
    image = Image(np.zeros(SHAPE))
    return image, view_image(image, (0, 1, 2))


def _square(plane, low, high):
    return np.array([[plane, low, low], [plane, low, high], [plane, high, high], [plane, high, low]])


def test_points_stay_on_their_own_planes_and_objects_with_their_polarity():
    image, view = _image_and_view()
    points = layers.new_points(image, view)
    points.add([1, 5, 5])
    layers.aim(points, object_id=1, positive=False)
    points.add([1, 6, 6])
    layers.aim(points, object_id=2, positive=True)
    points.add([3, 7, 7])
    prompts = layers.read_prompts([points], image, view).prompts
    assert set(prompts) == {(1, (1,)), (2, (3,))}
    assert prompts[1, (1,)].point_labels == (1, 0)


def test_a_rectangle_and_a_negative_point_make_one_prompt():
    image, view = _image_and_view()
    points, shapes = layers.new_points(image, view), layers.new_shapes(image, view)
    shapes.add_rectangles(_square(2, 3.5, 9.5))
    layers.aim(points, object_id=1, positive=False)
    points.add([2, 12, 12])
    ((key, prompt),) = layers.read_prompts([points, shapes], image, view).prompts.items()
    assert key == (1, (2,))
    assert prompt.box == ((4.0, 4.0), (9.0, 9.0))
    assert prompt.point_labels == (0,)


@pytest.mark.parametrize("kind", ["ellipse", "polygon"])
def test_an_outline_is_a_box_and_a_mask(kind):
    image, view = _image_and_view()
    shapes = layers.new_shapes(image, view)
    shapes.add(_square(0, 2, 12), shape_type=kind)
    (prompt,) = layers.read_prompts([shapes], image, view).prompts.values()
    assert prompt.mask.full()[7, 7]
    assert prompt.box is not None
    assert not prompt.points


@pytest.mark.parametrize("kind", ["line", "path"])
def test_a_line_is_clicks_along_it(kind):
    image, view = _image_and_view()
    shapes = layers.new_shapes(image, view)
    shapes.add(np.array([[0, 2, 2], [0, 2, 10]]), shape_type=kind)
    (prompt,) = layers.read_prompts([shapes], image, view).prompts.values()
    assert prompt.points == ((2, 2), (2, 4), (2, 6), (2, 8), (2, 10))


def test_a_negative_outline_is_a_negative_click_in_its_middle():
    image, view = _image_and_view()
    shapes = layers.new_shapes(image, view)
    layers.aim(shapes, object_id=1, positive=False)
    shapes.add_rectangles(_square(2, 3.5, 8.5))
    (prompt,) = layers.read_prompts([shapes], image, view).prompts.values()
    assert (prompt.points, prompt.point_labels, prompt.box) == (((6, 6),), (0,), None)


def test_what_lies_outside_the_image_is_counted_and_left_out():
    image, view = _image_and_view()
    points = Points([[0, 5, 5], [9, 5, 5], [0, 50, 5]])
    reading = layers.read_prompts([points], image, view)
    assert (len(reading.prompts), reading.outside) == (1, 2)


def test_a_users_points_without_an_object_column_are_an_object_each():
    image, view = _image_and_view()
    mine = layers.new_points(image, view)
    mine.add([0, 1, 1])
    users = Points([[0, 5, 5], [0, 9, 9]])
    prompts = layers.read_prompts([mine, users], image, view).prompts
    assert {object_id for object_id, _ in prompts} == {1, 2, 3}
    assert list(users.features.columns) == []


def test_a_saved_csv_of_our_points_says_the_same_to_the_command_line():
    image, view = _image_and_view()
    points = layers.new_points(image, view)
    points.add([1, 5, 5])
    assert isinstance(points.features, pd.DataFrame)
    assert list(points.features.columns) == ["object", "label"]


def test_colours_and_symbols_follow_the_features():
    image, view = _image_and_view()
    points = layers.new_points(image, view)
    points.add([0, 1, 1])
    layers.aim(points, object_id=2, positive=False)
    points.add([0, 2, 2])
    layers.paint_by_features(points, object_id=2, labels=Labels(np.zeros(SHAPE, int)))
    red, green = points.face_color[1], points.face_color[0]
    assert red[0] > red[1]
    assert green[1] > green[0]
    assert green[3] < red[3] == 1
    assert points.symbol[0] != points.symbol[1]


def test_a_users_shapes_without_features_work():
    image, view = _image_and_view()
    shapes = Shapes([_square(0, 2, 12)])
    assert list(layers.read_prompts([shapes], image, view).prompts) == [(1, (0,))]
