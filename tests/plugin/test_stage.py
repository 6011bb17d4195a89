"""The layers that we make: their order, their tools, and shapes that were given up."""

from copy import deepcopy
from types import SimpleNamespace

import numpy as np
import pytest
from napari.components.overlays import BrushCircleOverlay
from tests.plugin.fakes import CLICK, SHAPE, Studio, object_on

BOX = [[2, 10, 10], [2, 10, 30], [2, 30, 30], [2, 30, 10]]


def test_the_layers_are_there_before_anything_is_pressed(studio):
    names = [layer.name for layer in studio.viewer.layers]
    assert names[1:] == ["SAM preview", "SAM shapes", "SAM points"]
    assert studio.viewer.layers.selection.active is studio.points
    assert studio.points.mode == "add"


@pytest.mark.parametrize(("side", "size"), [(100, 3), (900, 15), (9000, 40)])
def test_the_brush_is_as_large_as_what_may_be_seen_on_a_plane(side, size):
    """On a small plane napari's brush of 10 pixels covered half a nucleus, on a large one it could hardly be seen."""
    studio = Studio(np.broadcast_to(np.zeros((), np.uint8), (2, side, side)))
    assert studio.annotation.stage.preview.brush_size == size


def test_a_brush_that_is_put_down_leaves_no_dark_square(studio):
    """napari 0.9.2 left the box behind its circle on the object that had just been painted and committed."""
    overlays = studio.viewer.canvas.overlays.values() if hasattr(studio.viewer, "canvas") else ()
    assert not any(one.box for one in overlays if isinstance(one, BrushCircleOverlay))


def test_what_marks_an_object_does_not_hide_it_on_a_large_plane():
    """Edges of 10 pixels filled a box around a nucleus, and a click of 40 covered it."""
    studio = Studio(np.broadcast_to(np.zeros((), np.uint8), (9000, 9000)), scale=(0.5, 0.5))
    shapes = studio.annotation.stage.shapes
    shapes.scale_factor = 0.125  # micrometers per pixel of the screen: zoomed in four times
    studio.annotation.use("box")
    assert shapes.current_edge_width == 0.5
    assert studio.points.canvas_size_limits[1] < 20


def test_the_tool_of_a_new_layer_is_chosen_when_its_buttons_are_there_to_follow():
    """The button of pan and zoom was lit while clicks made points."""
    studio, seen = Studio(np.zeros(SHAPE, np.uint8)), []
    points = studio.points
    studio.viewer.layers.remove(points)
    studio.annotation.forget(points)
    studio.viewer.layers.events.inserted.connect(lambda event: seen.append(str(event.value.mode)))
    studio.annotation.use("point")
    assert seen == ["pan_zoom"]
    assert studio.points.mode == "add"


def test_a_layer_made_anew_takes_its_place_under_the_others(studio):
    preview = studio.annotation.stage.preview
    studio.viewer.layers.remove(preview)
    studio.annotation.forget(preview)
    studio.annotation.use("brush")
    assert [layer.name for layer in studio.viewer.layers][1:] == ["SAM preview", "SAM shapes", "SAM points"]


def _give_up_a_polygon(shapes):
    """Click twice on one place: napari begins a polygon and removes it."""
    event = SimpleNamespace(position=CLICK, pos=(200, 250), type="mouse_press")
    shapes.mode = "add_polygon"
    for callbacks in (shapes.mouse_drag_callbacks, shapes.mouse_double_click_callbacks):
        callbacks[-1](shapes, event)


def test_a_polygon_that_was_given_up_leaves_the_next_shape_to_its_own_object(studio):
    """Two clicks on one place: from then on every shape went to the object of the one before it."""
    shapes = studio.annotation.stage.shapes
    _give_up_a_polygon(shapes)
    studio.annotation.aim(object_id=7)
    shapes.add(BOX, shape_type="rectangle")
    studio.work()
    assert {object_id for object_id, _ in studio.annotation.session.drafts} == {7}
    assert len(shapes.features) == len(shapes.data) == 1


def test_a_polygon_that_was_given_up_in_an_adopted_layer_leaves_the_next_shape_to_its_own_object(studio):
    mine = studio.viewer.add_shapes(ndim=3, features={"object": np.zeros(0, int)}, feature_defaults={"object": 3})
    studio.annotation.stage.adopt([mine])
    _give_up_a_polygon(mine)
    mine.feature_defaults = {"object": 7}
    mine.add(BOX, shape_type="rectangle")
    studio.work()
    assert studio.annotation.session.object_ids == {7}


def test_a_polygon_that_was_given_up_before_its_layer_was_adopted_is_forgotten(studio):
    mine = studio.viewer.add_shapes(ndim=3, features={"object": np.zeros(0, int)}, feature_defaults={"object": 3})
    _give_up_a_polygon(mine)
    studio.annotation.stage.adopt([mine])
    mine.feature_defaults = {"object": 7}
    mine.add(BOX, shape_type="rectangle")
    studio.work()
    assert studio.annotation.session.object_ids == {7}


def test_a_shape_that_was_only_begun_is_no_prompt(studio):
    shapes = studio.annotation.stage.shapes
    shapes.add(np.array([CLICK, CLICK]), shape_type="path")  # napari leaves it if another tool is chosen
    assert not studio.annotation.session.prompts
    assert studio.annotation.outside == 0


def test_a_copy_of_the_preview_holds_labels_of_its_own(studio):
    """Duplicate layer failed: object proxy must define __deepcopy__."""
    studio.click(*CLICK)
    copy = deepcopy(studio.annotation.stage.preview.data)
    np.testing.assert_array_equal(copy, object_on(CLICK[0]))
    copy[:] = 0
    assert studio.preview.any()
