"""The window never waits: not for the encoder, and not for work of its own on a large plane."""

import time

import numpy as np
import pytest
from qtpy.QtCore import QTimer
from tests.plugin import fakes
from tests.plugin.fakes import FakeSegmenter, Studio, disc
from tests.plugin.heartbeat import Heartbeat

from napari_sam.plugin.widget import SamStacks

ENCODER = 2.0  # seconds that a plane takes
LARGE = (30, 4096, 4096)
WINDOW = 0.1  # seconds of its own computing that the window may take at once
CLICK = (3, 2000, 2000)


@pytest.mark.slow
def test_the_window_goes_on_while_the_encoder_takes_its_time(make_napari_viewer_proxy, qtbot):
    """The bound is generous because test machines are busy; a call that blocks would wait for the encoder."""
    viewer = make_napari_viewer_proxy()
    viewer.add_image(np.zeros((5, 40, 50), np.uint8))
    widget = SamStacks(viewer, open_segmenter=FakeSegmenter)
    viewer.window.add_dock_widget(widget)
    qtbot.waitUntil(lambda: widget.annotation.segmenter is not None and widget._threads.is_idle)
    segmenter = widget.annotation.segmenter

    def predict(prompt, **options):
        time.sleep(ENCODER)
        return FakeSegmenter.predict(segmenter, prompt, **options)

    segmenter.predict = predict
    heart, timer = Heartbeat(), QTimer()
    timer.timeout.connect(heart.beat)
    timer.start(5)
    widget.annotation.stage.points.add((2, 20, 25))
    qtbot.waitUntil(lambda: bool(widget.annotation.session.drafts), timeout=60_000)
    timer.stop()
    assert heart.waited < ENCODER / 4
    assert heart.own < 5 * WINDOW  # with what napari takes to draw its first point
    qtbot.waitUntil(lambda: widget._threads.is_idle)


@pytest.fixture
def studio(monkeypatch):
    """An annotation of large planes, whose objects are large, too."""
    monkeypatch.setattr(fakes, "RADIUS", 150)
    monkeypatch.setattr(fakes, "disc", lambda centre, shape, radius=150: disc(centre, shape, radius))
    studio = Studio(np.broadcast_to(np.zeros(1, np.uint8), LARGE))
    studio.viewer.dims.set_point(0, CLICK[0])
    return studio


def _computing(action):
    before = time.thread_time()
    action()
    return time.thread_time() - before


def _deliveries(desk):
    """Let the thread's work be done, and give what is left for the window to do."""
    return [lambda step=step: desk.deliver(step) for step in list(desk.work())]


def test_a_mask_on_a_large_plane_is_shown_at_once(studio):
    """napari's viewer computed on all 16 million pixels, several times: 0.3 s for each answer."""
    studio.annotation.stage.points.add(CLICK)
    steps = list(studio.clicks.work())
    assert max(_computing(lambda step=step: studio.clicks.deliver(step)) for step in steps) < WINDOW
    assert studio.annotation.draft.mask.pixels.shape == (301, 301)


def test_a_walk_over_large_planes_takes_the_window_little_time_for_each(studio):
    studio.click(*CLICK)
    studio.annotation.propagate(limits=(0, 8))
    steps = list(studio.clicks.work())
    taken = [_computing(lambda step=step: studio.clicks.deliver(step)) for step in steps]
    assert len(taken) >= 8
    assert max(taken) < WINDOW


def test_a_stroke_on_a_large_plane_follows_the_brush(studio):
    """Every move of the mouse sorted the pixels of the whole plane: more than a second."""
    preview = studio.annotation.stage.preview
    preview.brush_size = 40
    assert _computing(lambda: preview.paint((CLICK[0], 1000, 1000), 1)) < WINDOW
    assert studio.annotation.draft.mask.pixels.sum() > 1000
    assert studio.annotation.draft.mask.top == pytest.approx(980, abs=2)


def test_a_commit_of_millions_of_voxels_and_its_undo_are_no_work_for_the_window(studio, monkeypatch):
    """napari's own way to set voxels, with an undo step, took a second for 5 million, and the window with it."""
    monkeypatch.setattr(fakes, "disc", lambda centre, shape, radius=300: disc(centre, shape, 300))
    studio.click(*CLICK)
    studio.annotation.propagate(limits=(0, 10))
    studio.work()
    taken = [_computing(studio.annotation.commit), *map(_computing, _deliveries(studio.writing))]
    assert np.count_nonzero(studio.labels.data) > 2_500_000
    taken += [_computing(studio.annotation.undo), *map(_computing, _deliveries(studio.writing))]
    assert np.count_nonzero(studio.labels.data) == 0
    assert max(taken) < WINDOW


def test_lassos_that_are_there_already_cost_the_next_click_nothing(studio):
    """Each click filled and compared all of them anew: half a second for twenty."""
    view, shapes = studio.annotation.view, studio.annotation.stage.shapes
    corners = np.array([[3, 1000, 1000], [3, 1000, 1200], [3, 1200, 1200], [3, 1200, 1000]])
    shapes.add_ellipses([corners + np.array([0, 100 * i, 0]) for i in range(12)])
    before = studio.annotation.session.prompts
    studio.annotation.aim(object_id=2)
    studio.annotation.stage.points.add(CLICK)
    after = studio.annotation.session.prompts
    assert len(after) == 2
    assert after[1, (3,)] is before[1, (3,)]
    assert after[1, (3,)].mask.shape == view.plane_shape


def test_a_large_plane_may_hold_an_object_with_a_large_number(studio):
    """Drafts are 16 bits wide, which napari shows at once, as long as that is enough."""
    studio.annotation.aim(object_id=70_000)
    studio.click(*CLICK)
    assert studio.annotation.stage.preview.data[CLICK] == 70_000
