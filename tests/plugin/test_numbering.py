"""An object that was begun under a number that the labels hold already takes another one; nothing there is lost."""

import numpy as np
import pytest
from tests.plugin.fakes import CLICK, SHAPE, Studio, disc, object_on

from napari_sam.plugin.annotation import Annotation
from napari_sam.plugin.listener import Listener

CELL = disc((8, 8), SHAPE[1:])  # of another tool, far from the click


@pytest.fixture
def studio():
    studio = Studio(np.zeros(SHAPE, np.uint8))
    studio.viewer.dims.set_point(0, CLICK[0])
    return studio


def _cells(studio, *planes, value=1):
    """A layer of another tool, with a cell on some planes."""
    labels = np.zeros(SHAPE, np.uint16)
    for plane in planes:
        labels[plane][CELL] = value
    return studio.viewer.add_labels(labels, name="cells")


@pytest.mark.parametrize("plane", [2, 5], ids=["on the plane of the click", "on another plane"])
def test_labels_that_are_chosen_after_the_first_click_keep_their_objects(studio, plane):
    """Cell 1 of another tool was erased on that plane, and both cells were object 1 after that."""
    cells = _cells(studio, plane)
    studio.click(*CLICK)
    studio.annotation.set_result(cells)
    studio.work()
    assert studio.annotation.session.object_ids == {2}
    assert studio.points.features["object"].tolist() == [2]
    assert studio.annotation.object_id == 2
    np.testing.assert_array_equal(studio.preview, object_on(2, value=2))
    studio.commit()
    assert (cells.data == 1).sum() == CELL.sum()
    np.testing.assert_array_equal(cells.data == 2, object_on(2) == 1)
    assert studio.errors == []


def test_a_cell_that_was_painted_under_the_same_number_is_not_lost(studio):
    """napari paints with the next free number of the layer: that of the object that is just being marked."""
    studio.click(*CLICK)
    studio.commit()
    studio.click(2, 30, 40)
    labels = studio.labels
    labels.brush_size, labels.selected_label = 5, 2
    labels.paint((2, 8, 8), 2)
    painted = labels.data == 2
    assert painted.any()
    studio.commit()
    assert "other objects with the numbers 2" in str(studio.errors[0])
    assert "commit again" in str(studio.errors[0])
    np.testing.assert_array_equal(labels.data == 2, painted)
    studio.commit()
    np.testing.assert_array_equal(labels.data == 2, painted)
    np.testing.assert_array_equal(labels.data[2] == 3, disc((30, 40), SHAPE[1:]))
    assert len(studio.errors) == 1


def test_a_click_before_the_labels_were_searched_erases_nothing(studio):
    cells = _cells(studio, 2)
    studio.annotation.set_result(cells)
    studio.points.add(CLICK)
    for step in studio.clicks.work():
        studio.clicks.deliver(step)
        if studio.annotation.draft is not None:
            break
    studio.annotation.commit()
    studio.work()
    studio.annotation.commit()
    studio.work()
    assert (cells.data == 1).sum() == CELL.sum()
    assert (cells.data == 2).sum() == disc(CLICK[1:], SHAPE[1:]).sum()


def test_the_same_object_keeps_its_number_and_is_replaced(studio):
    """So do objects of the last session, which come back as drafts over the labels that were saved then."""
    before = np.zeros(SHAPE, np.uint16)
    before[2][disc((22, 25), SHAPE[1:])] = 1
    labels = studio.viewer.add_labels(before)
    studio.click(*CLICK)
    studio.annotation.set_result(labels)
    studio.work()
    studio.commit()
    np.testing.assert_array_equal(labels.data, object_on(2))


def test_a_number_that_the_user_chose_is_meant(studio):
    """To add a plane to an object of another tool."""
    cells = _cells(studio, 3)
    studio.annotation.set_result(cells)
    studio.work()
    studio.annotation.choose_object(1)
    cells.paint((0, 30, 30), 7)  # something else is done meanwhile
    studio.work()
    studio.click(*CLICK)
    studio.commit()
    assert studio.errors == []
    np.testing.assert_array_equal(cells.data[2] == 1, disc(CLICK[1:], SHAPE[1:]))
    np.testing.assert_array_equal(cells.data[3] == 1, CELL)


def test_a_click_that_is_not_answered_yet_takes_the_new_number_too(studio):
    cells = _cells(studio, 2)
    studio.click(*CLICK)
    studio.points.add((4, 20, 25))
    studio.annotation._renumber({1})
    studio.work()
    assert studio.annotation.session.drafts.keys() == {(2, (2,)), (2, (4,))}
    assert not studio.annotation.session.asked
    assert cells.data[2].any()


def test_two_images_that_share_their_labels_number_their_objects_in_one_row(studio):
    """Nuclei of one channel and cells of another had the same numbers, once one had gone back to the first image."""
    image = studio.viewer.add_image(np.zeros(SHAPE, np.uint8), name="other channel")
    other = Studio.__new__(Studio)
    other.__dict__.update(studio.__dict__, image=image)
    other.annotation = Annotation(
        studio.viewer,
        image,
        open_segmenter=type(studio.segmenter),
        desks=studio.desks,
        listener=Listener(on_error=studio.errors.append),
    )
    studio.click(*CLICK)
    studio.commit()
    studio.annotation.suspend()
    other.annotation.set_result(studio.labels)
    other.work()
    other.click(2, 8, 8)
    other.commit()
    other.annotation.suspend()
    studio.annotation.resume()
    studio.annotation.result.doubt()
    studio.annotation.search()
    studio.work()
    studio.click(2, 30, 40)
    studio.commit()
    assert np.unique(studio.labels.data).tolist() == [0, 1, 2, 3]
