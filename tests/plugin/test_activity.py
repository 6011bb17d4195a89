"""The bar in the activity dock."""

from napari_sam.plugin import activity
from napari_sam.plugin.activity import Activity


class FakeBar:
    made = 0

    def __init__(self, *, total, desc, during=lambda: None):
        self.total, self.n = total, 0
        FakeBar.made += 1
        during()

    def update(self, count):
        self.n += count

    def close(self):
        self.total = None


def test_a_bar_that_processes_events_while_it_is_made_is_made_once(monkeypatch):
    """The next step arrived inside napari's constructor of the bar and made another, until the stack was full."""
    shown = Activity("Encoding")
    monkeypatch.setattr(FakeBar, "made", 0)
    monkeypatch.setattr(activity, "progress", lambda **kw: FakeBar(**kw, during=lambda: shown.show(2, 5)))
    shown.show(1, 5)
    assert FakeBar.made == 1
    shown.hide()


def test_the_button_of_a_bar_cancels_at_once():
    cancelled = []
    activity = Activity("Downloading", lambda: cancelled.append(True))
    activity.show(1, 10)
    activity._bar.cancel()
    assert cancelled == [True]
    activity.hide()
