"""The desk: urgent jobs overtake, replaced and cancelled ones are not heard of again."""

import pytest

from napari_sam.plugin.work import Desk, Job


def _job(key, values, heard, *, urgency=1, error=None):
    def run():
        yield from values
        if error is not None:
            raise error

    return Job(
        key=key,
        urgency=urgency,
        run=run,
        on_step=lambda value: heard.append((key, value)),
        on_end=lambda error: heard.append((key, error)),
    )


def _work(desk, steps=None):
    for number, step in enumerate(desk.work(), start=1):
        desk.deliver(step)
        if number == steps:
            return


def test_a_job_is_told_its_values_and_its_end():
    desk, heard = Desk(), []
    desk.submit(_job("a", [1, 2], heard))
    _work(desk)
    assert heard == [("a", 1), ("a", 2), ("a", None)]
    assert desk.is_empty
    assert not desk.has("a")


def test_an_urgent_job_goes_between_two_steps_of_another():
    desk, heard = Desk(), []
    desk.submit(_job("walk", [1, 2], heard, urgency=2))
    _work(desk, steps=1)
    desk.submit(_job("click", [9], heard))
    _work(desk)
    assert heard == [("walk", 1), ("click", 9), ("click", None), ("walk", 2), ("walk", None)]


def test_a_newer_job_takes_the_place_of_one_with_the_same_key():
    desk, heard = Desk(), []
    desk.submit(_job("a", [1], heard))
    late = next(desk.work())
    desk.submit(_job("a", [2], heard))
    desk.deliver(late)
    _work(desk)
    assert heard == [("a", 2), ("a", None)]


def test_a_cancelled_job_takes_no_further_step_and_nobody_is_told():
    desk, heard = Desk(), []
    desk.submit(_job("a", [1, 2], heard))
    work = desk.work()
    late = next(work)
    desk.cancel("a")
    desk.deliver(late)
    assert heard == []
    assert list(work) == []


@pytest.mark.parametrize("error", [ValueError("no"), OSError("disk"), RuntimeError("memory")])
def test_an_expected_error_ends_its_job_and_not_the_others(error):
    desk, heard = Desk(), []
    desk.submit(_job("a", [], heard, error=error))
    desk.submit(_job("b", [1], heard))
    _work(desk)
    assert heard == [("a", error), ("b", 1), ("b", None)]


def test_a_mistake_in_the_code_is_not_hidden():
    desk = Desk()
    desk.submit(_job("a", [], [], error=ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        _work(desk)
    assert desk.is_empty


def test_a_job_may_submit_another_when_it_ends():
    desk, heard = Desk(), []
    second = _job("b", [2], heard)
    desk.submit(Job(key="a", urgency=0, run=lambda: iter([1]), on_end=lambda error: desk.submit(second)))
    _work(desk)
    _work(desk)
    assert heard == [("b", 2), ("b", None)]
