"""Nothing of the work is lost, however a session ends: also not what was done just before."""

import gc

import numpy as np
import pytest
from superqt.utils import qdebounced
from tests.plugin.fakes import FakeSegmenter

from napari_sam.plugin import keeper, keeping
from napari_sam.plugin import widget as widget_module
from napari_sam.plugin.threads import Threads
from napari_sam.plugin.widget import SamStacks
from napari_sam.plugin.work import Desks, Job

SHAPE = (5, 40, 50)
CLICK = (2, 20, 25)
AN_HOUR = 3_600_000  # milliseconds


@pytest.fixture
def path(tmp_path, monkeypatch):
    """Where the work is kept; nothing is ever kept because some time has passed."""
    path = tmp_path / "work.json"
    monkeypatch.setattr(keeper, "kept_at", lambda annotation, folder: path)
    monkeypatch.setattr(
        widget_module,
        "qdebounced",
        lambda act, timeout: qdebounced(act, timeout=AN_HOUR if timeout == 1000 else timeout),
    )
    return path


@pytest.fixture
def window(make_napari_viewer_proxy, qtbot, path):
    """A window on the screen, where somebody has just clicked."""
    viewer = make_napari_viewer_proxy(show=True)
    viewer.add_image(np.zeros(SHAPE, np.uint8), name="stack")
    widget = SamStacks(viewer, open_segmenter=FakeSegmenter)
    viewer.window.add_dock_widget(widget, name="SAM stacks")
    qtbot.waitUntil(lambda: widget.annotation.segmenter is not None and widget._threads.is_idle)
    widget.annotation.stage.points.add(CLICK)
    qtbot.waitUntil(lambda: bool(widget.annotation.session.drafts) and widget._threads.is_idle)
    assert not path.exists()
    yield viewer, widget
    qtbot.wait(50)  # what was closed is deleted
    gc.collect()  # napari asks before the next test whether a viewer is left


@pytest.mark.parametrize(
    "end",
    [
        lambda viewer, widget: viewer.close(),
        lambda viewer, widget: widget.window().hide(),
        lambda viewer, widget: viewer.window.remove_dock_widget(widget),
        lambda viewer, widget: viewer.layers.remove("stack"),
        lambda viewer, widget: viewer.layers.clear(),
        lambda viewer, widget: widget.choose_image(viewer.add_image(np.zeros((30, 30)), name="other")),
    ],
    ids=["script closes", "window", "dock", "image", "all layers", "another image"],
)
def test_the_last_click_is_kept_however_it_ends(window, path, end):
    """Whoever closed the window within a second of a click found the click gone the next day."""
    viewer, widget = window
    threads = widget._threads
    end(viewer, widget)
    threads._wait()  # as when the application ends
    work = keeping.kept(path)
    assert [point.tolist() for point in work.drawn["points"].data] == [list(CLICK)]
    assert len(work.drafts) == 1


def test_what_is_to_be_written_when_the_application_ends_is_written(qapp):
    """A job that came while the thread before it was ending waited for an event that never came."""
    desks, written = Desks(), []
    threads = Threads(desks)
    desks.writing.submit(Job(key="keep", urgency=0, run=lambda: iter([written.append("work")])))
    threads._wait()
    assert written == ["work"]


def test_work_that_cannot_be_kept_is_said_once(window, path, qtbot, monkeypatch):
    _, widget = window
    said = []
    monkeypatch.setattr(widget_module, "show_error", said.append)
    folder = path.parent / "full"
    folder.write_text("a file, so that nothing can be kept in it")
    monkeypatch.setattr(keeper, "kept_at", lambda annotation, place: folder / "work.json")
    for column in (30, 35):
        widget.annotation.stage.points.add((2, 20, column))
        widget._keep()
        qtbot.waitUntil(lambda: widget._threads.is_idle)
    assert len(said) == 1
    assert str(folder) in said[0]
    assert "Save prompts" in said[0]
    folder.unlink()
    widget._keep()
    qtbot.waitUntil((folder / "work.json").is_file)
