"""What a user does to an image, without a window: clicks, walks, commits, and what must not be lost."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from napari.components.overlays import BrushCircleOverlay
from tests.plugin.fakes import RADIUS, FakeSegmenter, Studio, disc

from napari_sam.cleanup import Cleanup
from napari_sam.crops import Crop
from napari_sam.plugin.status import describe

SHAPE = (6, 40, 50)
CLICK = (2, 20, 25)
BOX = [[2, 10, 10], [2, 10, 30], [2, 30, 30], [2, 30, 10]]


@pytest.fixture
def studio():
    return Studio(np.zeros(SHAPE, np.uint8))


def _object(*planes, radius=RADIUS, value=1):
    labels = np.zeros(SHAPE, int)
    for plane in planes:
        labels[plane][disc(CLICK[1:], SHAPE[1:], radius)] = value
    return labels


def _give_up_a_polygon(shapes):
    """Click twice on one place: napari begins a polygon and removes it."""
    event = SimpleNamespace(position=CLICK, pos=(200, 250), type="mouse_press")
    shapes.mode = "add_polygon"
    for callbacks in (shapes.mouse_drag_callbacks, shapes.mouse_double_click_callbacks):
        callbacks[-1](shapes, event)


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


def test_a_click_is_previewed_and_no_labels_are_written(studio):
    studio.click(*CLICK)
    np.testing.assert_array_equal(studio.preview, _object(2))
    assert studio.labels is None


def test_the_three_masks_of_a_click_take_turns(studio):
    studio.click(*CLICK)
    studio.viewer.dims.set_point(0, 2)
    radii = []
    for _ in range(4):
        radii.append(int(studio.preview[2].any(axis=1).sum() // 2))
        studio.annotation.next_choice()
    assert radii == [RADIUS, RADIUS + 2, RADIUS - 2, RADIUS]


def test_a_click_after_choosing_refines_the_chosen_mask(studio):
    studio.click(*CLICK)
    studio.viewer.dims.set_point(0, 2)
    studio.annotation.next_choice()
    studio.click(2, 22, 25)
    assert studio.segmenter.asked[-1][1][0, 0] == 1


def test_an_answer_that_was_overtaken_is_dropped(studio):
    studio.points.add(CLICK)
    late = next(iter(studio.clicks.work()))
    studio.points.data = np.array([[2, 10, 10]])
    studio.clicks.deliver(late)
    assert not studio.preview.any()
    studio.work()
    assert studio.preview[2, 10, 10] == 1


def test_deleting_the_clicks_deletes_the_mask(studio):
    studio.click(*CLICK)
    studio.points.selected_data = {0}
    studio.points.remove_selected()
    studio.work()
    assert not studio.preview.any()


def test_propagation_fills_the_stack_and_commits_as_one_undo_step(studio):
    studio.click(*CLICK)
    studio.annotation.propagate()
    studio.work()
    np.testing.assert_array_equal(studio.preview, _object(*range(6)))
    studio.commit()
    np.testing.assert_array_equal(studio.labels.data, _object(*range(6)))
    assert not studio.preview.any()
    assert len(studio.points.data) == 0
    assert studio.annotation.object_id == 2


def test_the_next_click_after_the_first_commit_is_a_prompt_again(studio):
    """The new Labels layer became the active one, and the next click on the image went to it."""
    studio.click(*CLICK)
    studio.commit()
    assert studio.viewer.layers.selection.active is studio.points
    assert studio.points.mode == "add"
    assert [layer.name for layer in studio.viewer.layers][1:3] == ["SAM labels", "SAM preview"]


def test_after_a_commit_with_the_brush_at_hand_the_next_click_is_a_prompt(studio):
    studio.annotation.use("brush")
    studio.annotation.stage.preview.data_setitem((np.array([2]), np.array([5]), np.array([6])), 1)
    studio.commit()
    assert studio.annotation.stage.tool == "point"
    studio.annotation.use("box")
    studio.click(*CLICK)
    studio.commit()
    assert studio.annotation.stage.tool == "box"


def test_planes_ahead_are_encoded_from_the_one_that_was_scrolled_to(studio):
    studio.annotation.encoded.clear()
    studio.annotation.encode_ahead(True)
    studio.viewer.dims.set_point(0, 5)
    studio.segmenter.embedded.clear()
    studio.annotation.follow()
    studio.work()
    assert studio.segmenter.embedded == [(5,), (4,), (3,), (2,), (1,), (0,)]


def test_in_a_movie_the_planes_of_each_time_are_encoded_and_counted_for_themselves():
    """Of the second time it was said that all planes were encoded, and none was."""
    studio = Studio(np.zeros((2, *SHAPE), np.uint8))
    studio.annotation.walk_along(1)
    assert studio.annotation.ahead == (SHAPE[0], SHAPE[0])
    studio.viewer.dims.set_point(0, 1 - studio.annotation.plane[0])
    assert studio.annotation.ahead == (0, SHAPE[0])
    studio.annotation.follow()
    studio.work()
    assert studio.annotation.ahead == (SHAPE[0], SHAPE[0])


def test_planes_that_a_walk_encoded_count(studio):
    studio.annotation.encode_ahead(False)
    studio.click(*CLICK)
    studio.annotation.encoded.clear()
    studio.annotation.propagate()
    studio.work()
    assert len(studio.annotation.encoded) == SHAPE[0]


def test_an_object_that_was_not_committed_here_cannot_be_reopened_and_says_what_to_do(studio):
    with pytest.raises(ValueError, match="press Use label"):
        studio.annotation.reopen(7)


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


def test_undo_in_the_labels_layer_brings_voxels_and_prompts_back_byte_for_byte(studio):
    studio.click(*CLICK)
    studio.annotation.propagate()
    studio.work()
    before, clicks = studio.preview.copy(), studio.points.data.copy()
    studio.commit()
    studio.press("Ctrl+Z", studio.labels)
    assert not studio.labels.data.any()
    np.testing.assert_array_equal(studio.preview, before)
    np.testing.assert_array_equal(studio.points.data, clicks)
    assert studio.annotation.object_id == 1


def test_painting_in_the_labels_layer_is_undone_without_touching_commits(studio):
    studio.click(*CLICK)
    studio.commit()
    studio.labels.paint((0, 3, 3), 7)
    studio.press("Ctrl+Z", studio.labels)
    np.testing.assert_array_equal(studio.labels.data, _object(2))
    assert len(studio.points.data) == 0


def test_a_commit_never_takes_voxels_of_others(studio):
    mine = np.zeros(SHAPE, np.uint8)
    mine[:, 20:] = 9
    studio.annotation.set_result(studio.viewer.add_labels(mine.copy()))
    studio.work()
    assert studio.annotation.object_id == 10
    studio.click(*CLICK)
    studio.commit()
    np.testing.assert_array_equal(studio.labels.data == 9, mine == 9)
    assert (studio.labels.data == 10).any()


def test_others_are_overwritten_only_if_asked_and_not_preserved(studio):
    studio.annotation.set_result(studio.viewer.add_labels(np.full(SHAPE, 9, np.uint8)))
    studio.work()
    studio.annotation.result.overlap = "replace"
    studio.labels.preserve_labels = True
    studio.click(*CLICK)
    studio.commit()
    assert (studio.labels.data == 9).all()
    studio.labels.preserve_labels = False
    studio.click(*CLICK)
    studio.commit()
    assert (studio.labels.data[2] == 11).sum() == disc(CLICK[1:], SHAPE[1:]).sum()


def test_an_id_that_the_labels_cannot_hold_writes_nothing_and_says_so(studio):
    studio.annotation.set_result(studio.viewer.add_labels(np.zeros(SHAPE, np.uint8)))
    studio.annotation.aim(object_id=300)
    studio.click(*CLICK)
    with pytest.raises(ValueError, match="300 does not fit"):
        studio.commit()
    assert not studio.labels.data.any()
    assert studio.preview.any()


def test_an_object_without_a_mask_is_not_committed_and_says_what_to_do(studio):
    """An empty step came into the history, and the number of the object was used up."""
    studio.annotation.paint((2,), disc(CLICK[1:], SHAPE[1:]).astype(int))
    studio.annotation.paint((2,), np.zeros(SHAPE[1:], int))
    with pytest.raises(ValueError, match="object 1 has no mask on any plane: click again"):
        studio.commit()
    assert studio.labels is None
    assert studio.annotation.object_id == 1


def test_an_object_without_a_mask_stays_behind_when_others_are_committed(studio):
    studio.click(*CLICK)
    studio.annotation.paint((4,), 2 * disc(CLICK[1:], SHAPE[1:]))
    studio.annotation.paint((4,), np.zeros(SHAPE[1:], int))
    studio.commit()
    np.testing.assert_array_equal(studio.labels.data, _object(2))
    assert studio.annotation.session.object_ids == {2}


def test_a_committed_object_is_removed_by_committing_it_empty(studio):
    studio.click(*CLICK)
    studio.commit()
    studio.annotation.reopen(1)
    studio.annotation.paint((2,), np.zeros(SHAPE[1:], int))
    studio.commit()
    assert not studio.labels.data.any()


def test_an_object_that_the_clean_up_would_drop_is_a_draft_again(studio):
    studio.annotation.result.cleanup = Cleanup(min_size=10**5)
    studio.click(*CLICK)
    studio.commit()
    assert "lower Min. size" in str(studio.errors[0])
    np.testing.assert_array_equal(studio.preview, _object(2))


def test_a_label_that_the_user_painted_is_not_given_to_the_next_object(studio):
    studio.click(*CLICK)
    studio.commit()
    studio.labels.selected_label = 2
    studio.labels.paint((0, 3, 3), 2)
    assert studio.annotation.object_id == 3


def test_a_commit_is_undone_in_a_layer_whose_type_was_converted(studio):
    mine = studio.viewer.add_labels(np.zeros(SHAPE, np.uint8))
    studio.annotation.set_result(mine)
    studio.click(*CLICK)
    studio.commit()
    mine.data = mine.data.astype(np.int32)  # as Convert data type does
    studio.undo()
    assert not mine.data.any()
    studio.redo()
    np.testing.assert_array_equal(mine.data, _object(CLICK[0]))


def test_a_cancelled_walk_keeps_what_it_found(studio):
    studio.click(*CLICK)
    studio.annotation.propagate()
    studio.work(steps=3)
    studio.annotation.cancel()
    studio.work()
    assert 0 < studio.preview.any(axis=(1, 2)).sum() < 6
    assert studio.annotation.walking is None


def test_a_corrected_plane_is_an_anchor_and_only_the_planes_beside_it_are_walked_again(studio):
    studio.click(*CLICK)
    studio.annotation.propagate()
    studio.work()
    studio.annotation.stage.preview.paint((4, 5, 5), 1)
    assert studio.preview[4, 5, 5] == 1
    studio.annotation.propagate()
    studio.work()
    prompts, _, start, stop = studio.segmenter.walks[-1]
    assert {prompt.plane for prompt in prompts} == {(2,), (4,)}
    assert (start, stop) == (2, 6)
    assert studio.preview[4, 5, 5] == 1


def test_a_negative_click_on_a_walked_plane_refines_what_the_walk_found(studio):
    studio.click(*CLICK)
    studio.annotation.propagate()
    studio.work()
    studio.annotation.aim(positive=False)
    studio.click(4, 22, 25)
    prompt, _ = studio.segmenter.asked[-1]
    np.testing.assert_array_equal(prompt.mask.full(), disc(CLICK[1:], SHAPE[1:]))
    assert prompt.point_labels == (0,)


def test_an_object_that_ends_on_a_plane_is_not_behind_it_either(studio):
    studio.click(*CLICK)
    studio.annotation.propagate()
    studio.work()
    studio.viewer.dims.set_point(0, 4)
    studio.annotation.end_here()
    np.testing.assert_array_equal(studio.preview, _object(0, 1, 2, 3))
    studio.annotation.propagate()
    studio.work()
    prompts, _, start, stop = studio.segmenter.walks[-1]
    assert [prompt.plane for prompt in prompts if prompt.mask is not None and not prompt.mask] == [(4,)]
    assert (start, stop) == (2, 6)
    studio.commit()
    np.testing.assert_array_equal(studio.labels.data, _object(0, 1, 2, 3))


def test_a_plane_between_two_anchors_is_emptied_alone(studio):
    studio.click(*CLICK)
    studio.click(5, 20, 25)
    studio.annotation.propagate()
    studio.work()
    studio.viewer.dims.set_point(0, 3)
    studio.annotation.end_here()
    np.testing.assert_array_equal(studio.preview, _object(0, 1, 2, 4, 5))
    studio.undo()
    np.testing.assert_array_equal(studio.preview, _object(*range(6)))


def test_a_plane_that_is_right_becomes_an_anchor_as_it_is(studio):
    studio.click(*CLICK)
    studio.annotation.propagate()
    studio.work()
    studio.viewer.dims.set_point(0, 4)
    studio.annotation.confirm()
    np.testing.assert_array_equal(studio.preview, _object(*range(6)))
    assert [one.position for one in studio.annotation.curve if one.is_anchor] == [2, 4]
    studio.annotation.propagate()
    studio.work()
    prompts, _, start, stop = studio.segmenter.walks[-1]
    np.testing.assert_array_equal(prompts[-1].mask.full(), _object(4)[4])
    assert (prompts[-1].plane, start, stop) == ((4,), 2, 6)
    studio.annotation.go_to_weakest()
    assert studio.annotation.plane not in [(2,), (4,)]


def test_a_plane_where_the_walk_found_nothing_can_be_right_and_says_so(studio):
    """The weakest plane is often the one where a walk has ended, and nothing said what that meant."""
    planes = studio.segmenter.propagate

    def propagate(*args, **options):
        return (
            replace(one, crop=Crop.empty(SHAPE[1:])) if one.plane == (5,) else one for one in planes(*args, **options)
        )

    studio.segmenter.propagate = propagate
    studio.click(*CLICK)
    studio.annotation.propagate()
    studio.work()
    studio.annotation.go_to_weakest()
    assert studio.annotation.plane == (5,)
    assert describe(studio.annotation, {"confirm": "Shift+W"}).startswith(
        "Propagation ended before this plane: if the object is here, click on it; if not, press Shift+W."
    )
    studio.annotation.confirm()
    assert not studio.annotation.prompts()[-1].mask
    studio.segmenter.propagate = planes  # which would find something there
    studio.annotation.propagate()
    studio.work()
    np.testing.assert_array_equal(studio.preview, _object(*range(5)))
    studio.annotation.go_to_weakest()
    assert studio.annotation.plane != (5,)
    assert "ended before" not in describe(studio.annotation, {"confirm": "Shift+W"})


def test_a_plane_that_was_found_right_can_be_taken_back(studio):
    studio.click(*CLICK)
    studio.annotation.propagate()
    studio.work()
    studio.viewer.dims.set_point(0, 4)
    studio.annotation.confirm()
    studio.undo()
    assert not studio.annotation.draft.is_anchor


def test_a_plane_without_a_mask_cannot_be_right_and_says_what_to_do(studio):
    with pytest.raises(ValueError, match="object 1 has no mask on this plane: click on it"):
        studio.annotation.confirm()


def test_an_object_that_has_not_begun_cannot_end(studio):
    with pytest.raises(ValueError, match="has not begun"):
        studio.annotation.end_here()


def test_removing_a_correction_gives_back_what_the_walk_found(studio):
    studio.click(*CLICK)
    studio.annotation.propagate()
    studio.work()
    before = studio.preview.copy()
    studio.click(4, 8, 8)
    assert not np.array_equal(studio.preview, before)
    studio.points.selected_data = {1}
    studio.points.remove_selected()
    np.testing.assert_array_equal(studio.preview, before)


def test_nothing_of_one_object_reaches_the_next(studio):
    studio.click(*CLICK)
    studio.commit()
    studio.click(*CLICK)
    prompt, mask_input = studio.segmenter.asked[-1]
    assert (prompt.object_id, prompt.mask, mask_input) == (2, None, None)


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


def test_one_object_for_each_click(studio):
    studio.annotation.one_object_each = True
    studio.click(2, 8, 8)
    studio.click(2, 30, 30)
    assert set(np.unique(studio.preview)) == {0, 1, 2}
    studio.commit()
    assert set(np.unique(studio.labels.data)) == {0, 1, 2}
    studio.undo()
    assert not studio.labels.data.any()


def test_many_prompts_become_as_many_objects_in_one_batch(studio):
    studio.points.add([[2, 8, 8], [2, 30, 30], [2, 8, 40]])
    studio.work()
    studio.annotation.aim(positive=False)
    studio.click(2, 20, 20)
    assert set(np.unique(studio.preview)) == {0, 1}
    studio.annotation.split()
    studio.work()
    assert studio.segmenter.batches == [3]
    assert [studio.preview[2, 8, 8], studio.preview[2, 30, 30], studio.preview[2, 8, 40]] == [1, 2, 3]
    assert studio.points.features["object"].tolist() == [1, 2, 3, 1]
    studio.undo()
    studio.work()
    assert set(np.unique(studio.preview)) == {0, 1}


def test_a_click_overtakes_the_answers_of_a_batch(studio):
    studio.annotation.one_object_each = True
    studio.viewer.add_points([[2, 8, 8], [2, 30, 30]], name="mine")
    studio.annotation.stage.adopt([studio.viewer.layers["mine"]])
    late = next(iter(studio.clicks.work()))
    studio.viewer.layers["mine"].data = np.array([[2, 8, 30], [2, 30, 30]])
    studio.clicks.deliver(late)
    assert not studio.preview[2, 8, 8]
    assert studio.preview[2, 30, 30] == 2
    studio.work()
    assert studio.preview[2, 8, 30] == 1


def test_all_objects_with_new_prompts_walk_together(studio):
    studio.annotation.one_object_each = True
    studio.click(2, 8, 8)
    studio.click(2, 30, 30)
    studio.annotation.propagate()
    studio.work()
    assert studio.preview[5, 8, 8] == 1
    assert studio.preview[5, 30, 30] == 2
    studio.click(3, 20, 40)
    studio.annotation.propagate()
    assert {prompt.object_id for prompt in studio.segmenter.walks[-1][0]} == {1, 2}
    studio.work()
    assert {prompt.object_id for prompt in studio.segmenter.walks[-1][0]} == {3}


def test_a_reopened_object_loses_the_voxels_that_it_lost(studio):
    studio.click(*CLICK)
    studio.annotation.propagate()
    studio.work()
    studio.commit()
    studio.annotation.reopen(1)
    studio.points.data = np.array([[2, 8, 8]])
    studio.work()
    studio.annotation.propagate(limits=(2, 4))
    studio.work()
    studio.commit()
    assert studio.labels.data[2, 8, 8] == 1
    assert studio.labels.data[2, 20, 25] == 0


def test_a_walk_leaves_other_objects_alone(studio):
    taken = np.zeros(SHAPE, int)
    taken[4, :, 25:] = 5
    studio.annotation.set_result(studio.viewer.add_labels(taken))
    studio.work()
    studio.click(*CLICK)
    studio.annotation.propagate()
    studio.work()
    assert not studio.preview[4, :, 25:].any()
    assert studio.preview[3, :, 25:].any()


def test_a_failing_model_says_so_once_and_loses_no_prompt():
    def fail(view, surroundings):
        msg = "there is no file nano.safetensors"
        raise FileNotFoundError(msg)

    studio = Studio(np.zeros(SHAPE), open_segmenter=fail)
    assert [str(error) for error in studio.errors] == ["there is no file nano.safetensors"]
    studio.click(*CLICK)
    assert len(studio.points.data) == 1
    assert studio.annotation.segmenter is None


class Downloading(FakeSegmenter):
    @staticmethod
    def download():
        yield 1, 3
        yield 3, 3


def test_a_download_is_told_and_ends_when_another_model_is_chosen(studio):
    studio.annotation.use_model(Downloading)
    studio.clicks.deliver(next(studio.clicks.work()))
    assert studio.annotation.fetching == (1, 3)
    assert studio.annotation.segmenter is None
    studio.annotation.use_model(FakeSegmenter)
    assert studio.annotation.fetching is None
    studio.work()
    assert type(studio.annotation.segmenter) is FakeSegmenter


def test_a_failing_decode_leaves_everything_as_it_was(studio):
    studio.click(*CLICK)
    before = studio.preview.copy()

    def fail(*args, **kwargs):
        msg = "out of memory"
        raise RuntimeError(msg)

    studio.segmenter.predict = fail
    studio.click(2, 30, 30)
    assert [str(error) for error in studio.errors] == ["out of memory"]
    np.testing.assert_array_equal(studio.preview, before)


def test_rolled_axes_segment_the_planes_that_are_shown(studio):
    studio.viewer.dims.order = (1, 0, 2)
    studio.work()
    studio.click(*CLICK)
    prompt, _ = studio.segmenter.asked[-1]
    assert (prompt.plane, prompt.points) == ((20,), ((2, 25),))
    assert studio.preview[:, 20].any()
    assert not studio.preview[:, 19].any()


def test_rolling_the_axes_and_back_loses_nothing(studio):
    studio.click(*CLICK)
    studio.annotation.propagate()
    studio.work()
    before = studio.preview.copy()
    for order in ((1, 0, 2), (0, 1, 2)):
        studio.viewer.dims.order = order
        studio.work()
    np.testing.assert_array_equal(studio.preview, before)


def test_the_weakest_plane_is_one_step_away(studio):
    studio.click(*CLICK)
    studio.annotation.propagate()
    studio.work()
    studio.annotation.go_to_weakest()
    assert studio.annotation.draft.origin == "walked"
    assert studio.annotation.plane != (2,)


def test_neighbours_are_encoded_outward_from_the_current_plane():
    opened = []

    def open_segmenter(view, surroundings):
        opened.append(FakeSegmenter(view, surroundings))
        return opened[-1]

    studio = Studio(np.zeros(SHAPE), open_segmenter=open_segmenter)
    middle = int(studio.viewer.dims.point[0])
    assert opened[0].embedded[:3] == [(middle,), (middle - 1,), (middle + 1,)]
    assert len(opened[0].embedded) == 6


def test_a_paused_encoding_goes_on_with_what_is_missing(studio):
    assert studio.annotation.encoded == {(plane,) for plane in range(6)}
    studio.segmenter.embedded.clear()
    studio.annotation.encoded.discard((5,))
    studio.annotation.encode_ahead(False)
    studio.work()
    assert studio.segmenter.embedded == []
    studio.annotation.encode_ahead(True)
    studio.work()
    assert studio.segmenter.embedded == [(5,)]


def test_a_2d_image_is_segmented_and_has_nowhere_to_propagate_to():
    studio = Studio(np.zeros((40, 50)))
    studio.click(20, 25)
    with pytest.raises(ValueError, match="single plane"):
        studio.annotation.propagate()
    studio.commit()
    np.testing.assert_array_equal(studio.labels.data == 1, disc((20, 25), (40, 50)))


def test_closing_leaves_the_layers_and_listens_no_more(studio):
    studio.click(*CLICK)
    studio.annotation.propagate()
    studio.annotation.close()
    studio.click(2, 5, 5)
    assert studio.clicks.is_empty
    assert len(studio.viewer.layers) == 4


def test_a_pyramid_is_labelled_at_full_resolution():
    levels = [np.zeros((2, 4096, 64), np.uint8), np.zeros((2, 2048, 32), np.uint8)]
    studio = Studio(levels, multiscale=True)
    studio.viewer.dims.set_point(0, 1)
    studio.click(1, 2000, 32)
    prompt, _ = studio.segmenter.asked[-1]
    assert prompt.points == ((999.75, 15.75),)
    assert studio.annotation.stage.preview.data.shape == (2, 4096, 64)
    assert studio.annotation.draft.mask.pixels.shape[0] == pytest.approx(4 * RADIUS, abs=2)


def test_saved_prompts_hold_commits_too(studio):
    studio.click(*CLICK)
    studio.commit()
    studio.click(3, 8, 8)
    assert [(prompt.object_id, prompt.plane) for prompt in studio.annotation.prompts()] == [(1, (2,)), (2, (3,))]


def test_a_resting_annotation_does_not_answer_when_the_axes_are_rolled(studio):
    studio.annotation.suspend()
    studio.viewer.dims.order = (1, 0, 2)
    assert studio.clicks.is_empty
    studio.annotation.resume()
    assert studio.annotation.view.order == (1, 0, 2)


def test_a_label_of_the_result_becomes_an_anchor(studio):
    mine = np.zeros(SHAPE, int)
    mine[2, 5:9, 5:9] = 3
    studio.annotation.set_result(studio.viewer.add_labels(mine))
    studio.work()
    studio.viewer.dims.set_point(0, 2)
    with pytest.raises(ValueError, match="not on this plane"):
        studio.annotation.take_labels()
    studio.labels.selected_label = 3
    studio.annotation.take_labels()
    (prompt,) = studio.annotation.prompts()
    np.testing.assert_array_equal(prompt.mask.full(), mine[2] == 3)


def test_prompts_of_an_adopted_layer_are_committed_once_and_come_back_with_an_undo(studio):
    mine = studio.viewer.add_points([[2, 8, 8], [2, 30, 30]], name="mine")
    studio.annotation.stage.adopt([mine])
    studio.work()
    before = studio.preview.copy()
    studio.commit()
    studio.click(4, 20, 20)
    assert set(np.unique(studio.preview)) == {0, 3}
    studio.undo()
    studio.undo()
    np.testing.assert_array_equal(studio.preview[2], before[2])
    assert len(mine.data) == 2
