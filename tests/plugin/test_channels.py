"""Channels inside a layer are seen together; prompts and labels are of all of them."""

import numpy as np
import pytest
import zarr
from napari.layers import Image
from tests.plugin.fakes import Studio, disc

from napari_sam.plugin import results
from napari_sam.plugin.channels import Channels, channel_choices
from napari_sam.plugin.results import fits, layers_take_axes
from napari_sam.plugin.settings import KEYS
from napari_sam.plugin.status import describe
from napari_sam.plugin.view import view_image
from napari_sam.stack import open_stack

SHAPE = (5, 3, 40, 50)  # planes, channels, rows, columns: as ImageJ writes them
DATA = np.random.default_rng(0).integers(0, 255, SHAPE, np.uint8)
TWO = Channels(1, (2, 0))


@pytest.fixture
def studio():
    studio = Studio(DATA, scale=(4, 1, 2, 2))
    studio.annotation.use_channels(TWO)
    studio.work()
    return studio


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (1, 2, 0, 3)])
def test_the_model_sees_the_chosen_channels_of_a_plane(order):
    view = view_image(Image(DATA), order, TWO)
    stack = open_stack(view.array, channel_axis=-1, channels=TWO.chosen)
    assert stack.spatial_shape == view.spatial_shape
    index = tuple(0 if axis == 1 else 2 for axis in view.order[:-2])
    plane = np.moveaxis(DATA, [1, view.order[0] if view.order[1] == 1 else view.order[1]], [0, 1])[:, 2]
    np.testing.assert_array_equal(stack.read(index), np.moveaxis(plane, 0, -1)[..., [2, 0]])


def test_before_anything_is_done_the_status_asks_whether_a_short_axis_holds_channels(studio):
    """Labels were of one channel alone, and vanished when the other was shown."""
    studio.annotation.use_channels(None)
    studio.work()
    slider = studio.viewer.dims.axis_labels[1]  # another one for each napari
    assert f"Are the 3 positions of slider {slider} channels?" in describe(studio.annotation, KEYS)
    studio.click(2, 1, 20, 25)
    assert "channels" not in describe(studio.annotation, KEYS)


def test_short_axes_that_are_not_displayed_can_hold_channels():
    choices = channel_choices(Image(DATA), (2, 3))
    assert {choice.axis for choice in choices} == {0, 1}
    assert next(choice.chosen for choice in choices if choice.axis == 1) == (0, 1, 2)
    assert channel_choices(Image(np.zeros((40, 50))), (0, 1)) == []


def test_two_channels_can_be_seen_together_or_each_alone():
    choices = channel_choices(Image(np.zeros((9, 2, 40, 50))), (2, 3))
    assert [choice.chosen for choice in choices] == [(0, 1), (0,), (1,)]


def test_a_displayed_axis_cannot_hold_channels():
    with pytest.raises(ValueError, match="axis 1 holds channels and cannot be displayed"):
        view_image(Image(DATA), (0, 2, 1, 3), TWO)


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_a_click_on_any_channel_is_a_click_on_all(studio, channel):
    world = studio.image.data_to_world((2, channel, 20, 25))
    studio.viewer.dims.point = world
    studio.click(*studio.points.world_to_data(world))
    prompt, _ = studio.segmenter.asked[-1]
    assert prompt.plane == (2, 0)
    np.testing.assert_allclose(prompt.points, [(20, 25)])
    assert studio.annotation.plane == (2, 0)


def test_labels_have_one_position_that_spans_all_channels(studio):
    studio.click(*studio.points.world_to_data(studio.image.data_to_world((2, 1, 20, 25))))
    studio.annotation.propagate()
    studio.work()
    studio.commit()
    labels = studio.labels
    assert labels.data.shape == (5, 1, 40, 50)
    np.testing.assert_array_equal(labels.data[3, 0], disc((20, 25), SHAPE[2:]))
    for channel in range(3):
        world = studio.image.data_to_world((3, channel, 20, 25))
        assert labels.get_value(world, world=True) == 1


def test_labels_without_the_axis_of_the_channels_are_committed_to():
    image = np.moveaxis(DATA, 1, 0)
    studio = Studio(image)
    mine = studio.viewer.add_labels(np.zeros(image.shape[1:], np.uint8))
    assert not fits(mine, studio.annotation.view)
    studio.annotation.use_channels(Channels(0, (2, 0)))
    assert fits(mine, studio.annotation.view)
    studio.annotation.set_result(mine)
    studio.work()
    studio.click(0, 2, 20, 25)
    studio.commit()
    np.testing.assert_array_equal(mine.data[2], disc((20, 25), SHAPE[2:]))
    studio.viewer.dims.set_point(1, 2)
    studio.annotation.take_labels()
    assert studio.annotation.session.drafts[2, (0, 2)].mask
    studio.undo()
    studio.undo()
    assert not mine.data.any()


@pytest.mark.skipif(not layers_take_axes(), reason="napari gives layers no other axes before 0.9")
def test_labels_without_an_inner_axis_of_channels_are_laid_beside_the_image(studio):
    """Of an image (z, channels, y, x) and labels (z, y, x) napari shows each plane of the labels as a channel."""
    voxels = np.zeros((5, 40, 50), np.uint8)
    mine = studio.viewer.add_labels(voxels)
    studio.annotation.set_result(mine)
    studio.work()
    studio.click(*studio.points.world_to_data(studio.image.data_to_world((2, 1, 20, 25))))
    studio.commit()
    np.testing.assert_array_equal(voxels[2], disc((20, 25), SHAPE[2:]))
    assert mine.get_value(studio.image.data_to_world((2, 2, 20, 25)), world=True) == 1
    studio.undo()
    assert not voxels.any()


def test_labels_are_not_offered_where_napari_cannot_lay_them_beside_the_image(studio, monkeypatch):
    monkeypatch.setattr(results, "layers_take_axes", lambda: False)
    mine = studio.viewer.add_labels(np.zeros((5, 40, 50), np.uint8))
    assert not fits(mine, studio.annotation.view)


def test_labels_on_disk_are_not_read_to_lay_them_beside_the_image(studio):
    mine = studio.viewer.add_labels(zarr.zeros(shape=(5, 40, 50), dtype="u1"))
    assert not fits(mine, studio.annotation.view)


def test_going_to_a_plane_keeps_the_channel_that_is_shown(studio):
    studio.viewer.dims.point = studio.image.data_to_world((2, 2, 0, 0))
    studio.annotation.go_to(4)
    np.testing.assert_allclose(studio.image.world_to_data(studio.viewer.dims.point)[:2], (4, 2))


def test_choosing_channels_and_back_keeps_prompts_and_drafts(studio):
    world = studio.image.data_to_world((2, 1, 20, 25))
    studio.click(*studio.points.world_to_data(world))
    drafts = studio.annotation.session.drafts
    studio.annotation.use_channels(None)
    studio.work()
    np.testing.assert_allclose(studio.points.data_to_world(studio.points.data[0]), world)
    studio.annotation.use_channels(TWO)
    studio.work()
    assert studio.annotation.session.drafts == drafts
