"""What the GUI thread does in turns: one thing after the other, and never two without a pause."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from napari_sam.plugin import jobs as jobs_module
from napari_sam.plugin.jobs import Jobs
from napari_sam.plugin.work import Desk, Desks


@pytest.fixture
def desk(monkeypatch):
    monkeypatch.setattr(jobs_module, "_PATIENCE", 60.0)  # a test that waits for nothing would hang here
    return Desk()


def _in_turns(desk, things, do):
    errors = []
    jobs = Jobs(Desks(clicks=desk), errors.append)
    jobs.in_turns(things, do)
    return jobs


def test_things_are_done_in_their_order(desk):
    done = []
    _in_turns(desk, ["preview", "shapes", "points"], done.append)
    for step in desk.work():
        desk.deliver(step)
    assert done == ["preview", "shapes", "points"]


def test_the_next_turn_comes_when_the_one_before_is_done(desk):
    """Three layers were made in one go: a window that had just opened did not move for 0.3 s."""
    _in_turns(desk, ["preview", "shapes"], lambda name: None)
    steps = desk.work()
    first = next(steps)
    with ThreadPoolExecutor(1) as thread:
        second = thread.submit(next, steps)
        with pytest.raises(TimeoutError):
            second.result(timeout=0.2)
        desk.deliver(first)
        assert second.result().value == "shapes"


def test_a_thing_that_fails_does_not_keep_the_others_waiting(desk):
    def fail(name):
        raise ValueError(name)

    _in_turns(desk, ["preview", "shapes"], fail)
    steps = desk.work()
    with pytest.raises(ValueError, match="preview"):
        desk.deliver(next(steps))
    assert next(steps).value == "shapes"


def test_turns_end_when_the_image_is_put_aside(desk):
    done = []
    jobs = _in_turns(desk, ["preview", "shapes"], done.append)
    steps = desk.work()
    desk.deliver(next(steps))
    jobs.clear()
    assert not list(steps)
    assert done == ["preview"]
