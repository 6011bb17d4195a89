"""An image is removed in the middle of the work: what cannot go on ends, and nothing is lost with it."""

import gc
import weakref

import numpy as np
import pytest
from napari.layers import Labels
from tests.plugin import docks
from tests.plugin.docks import CLICK, click, press, rest

from napari_sam.plugin import keeper, keeping
from napari_sam.plugin import widget as widget_module
from napari_sam.plugin.parting import part


@pytest.fixture
def said(monkeypatch):
    """What the user is told."""
    said = []
    monkeypatch.setattr(widget_module, "show_info", said.append)
    return said


@pytest.fixture
def path(tmp_path, monkeypatch):
    """Where the work is kept."""
    path = tmp_path / "work.json"
    monkeypatch.setattr(keeper, "kept_at", lambda annotation, folder: path)
    return path


def _names(viewer):
    return [layer.name for layer in viewer.layers]


def _remove(viewer, widget, qtbot, name="stack"):
    viewer.layers.remove(name)
    rest(widget, qtbot)


def test_an_image_without_work_takes_our_layers_with_it(docked, qtbot, said):
    """They stayed behind, and the next image got another three."""
    viewer, widget = docked
    _remove(viewer, widget, qtbot)
    assert _names(viewer) == []
    assert said == []


def test_work_that_is_kept_goes_with_its_image_and_comes_back_with_it(docked, qtbot, said, path):
    viewer, widget = docked
    click(widget, qtbot)
    image = widget.annotation.image
    _remove(viewer, widget, qtbot)
    assert _names(viewer) == []
    assert "1 object that was not committed" in said[0]
    assert "press Restore" in said[0]
    viewer.add_layer(image)
    qtbot.waitUntil(lambda: not widget.panel.restore.isHidden())
    widget.panel.restore.click()
    qtbot.waitUntil(lambda: len(widget.annotation.session.drafts) == 1)
    np.testing.assert_array_equal(widget.annotation.stage.points.data, [CLICK])


def test_masks_that_are_kept_nowhere_stay_as_labels_of_the_user(docked, qtbot, said):
    """A dead preview stayed: it showed the masks, and what was painted in it was gone."""
    viewer, widget = docked
    click(widget, qtbot)
    shown = np.array(widget.annotation.stage.preview.data)
    _remove(viewer, widget, qtbot)
    assert _names(viewer) == ["stack, not committed", "SAM points"]
    masks = viewer.layers["stack, not committed"]
    assert isinstance(masks.data, np.ndarray)
    np.testing.assert_array_equal(masks.data, shown)
    assert masks.name in said[0]


def test_work_whose_file_could_not_be_written_stays(docked, qtbot, monkeypatch, said, path):
    viewer, widget = docked
    monkeypatch.setattr(widget_module, "show_error", lambda text: None)
    path.parent.joinpath("full").touch()
    monkeypatch.setattr(keeper, "kept_at", lambda annotation, folder: path.parent / "full" / "work.json")
    click(widget, qtbot)
    _remove(viewer, widget, qtbot)
    assert _names(viewer) == ["stack, not committed", "SAM points"]


def test_what_was_committed_stays_and_is_said_no_word_about(docked, qtbot, said, path):
    viewer, widget = docked
    click(widget, qtbot)
    press(widget.panel.commit, qtbot)
    viewer.layers.remove("stack")  # before it is written
    rest(widget, qtbot)
    assert _names(viewer) == ["SAM labels"]
    assert viewer.layers["SAM labels"].data[CLICK] == 1
    assert said == []


def test_an_image_that_is_removed_together_with_our_layers_raises_nothing(docked, qtbot, said):
    viewer, widget = docked
    click(widget, qtbot)
    viewer.layers.selection = set(viewer.layers)
    viewer.layers.remove_selected()
    rest(widget, qtbot)
    assert _names(viewer) == []
    assert said == []


def test_the_work_on_another_image_goes_on(docked, qtbot, said):
    viewer, widget = docked
    widget.choose_image(viewer.add_image(np.zeros(docks.SHAPE, np.uint8), name="other"))
    rest(widget, qtbot)
    _remove(viewer, widget, qtbot)
    click(widget, qtbot)
    assert widget.annotation.image.name == "other"
    assert len(viewer.layers) == 4  # with the preview, the points and the shapes of the other image


def test_an_offer_goes_with_its_image(docked, qtbot, path, studio):
    """The button stayed and did nothing."""
    viewer, widget = docked
    studio.click(*CLICK)
    next(keeping.keep(path, keeping.work_of(studio.annotation, "nano", {})), None)
    widget._on_open()
    qtbot.waitUntil(lambda: not widget.panel.restore.isHidden())
    _remove(viewer, widget, qtbot)
    qtbot.waitUntil(widget.panel.restore.isHidden)


def test_an_image_that_is_gone_takes_no_memory(studio):
    """The preview that stayed held on to its array."""
    studio.click(*CLICK)
    annotation, pixels = studio.annotation, weakref.ref(studio.image.data)
    studio.viewer.layers.remove(studio.image)
    annotation.close()
    assert "1 object" in part(annotation, is_kept=False)
    assert [type(one) for one in studio.viewer.layers] == [Labels, type(studio.points)]
    del annotation, studio.annotation, studio.image
    gc.collect()
    assert pixels() is None
