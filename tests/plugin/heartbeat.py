"""How long a thread was kept from running, told apart from how busy the machine is."""

import time
from pathlib import Path

_SCHEDULE = Path("/proc/thread-self/schedstat")  # Linux: time run, time ready to run without a processor, turns


class Heartbeat:
    """To be told as often as possible that its thread runs; measures the longest time between two tellings.

    Attributes
    ----------
    own : float
        Longest time, in seconds, that the thread itself computed for.
    waited : float
        Longest time that it waited for something else than a processor: a lock, a call that blocks, its next event.
    """

    def __init__(self):
        self.own, self.waited = 0.0, 0.0
        self._last = _now()

    def beat(self):
        now = _now()
        own, waited = (new - old for new, old in zip(now, self._last, strict=True))
        self.own, self.waited, self._last = max(self.own, own), max(self.waited, waited), now


def _now():
    delayed = int(_SCHEDULE.read_text().split()[1]) / 1e9 if _SCHEDULE.exists() else 0.0
    own = time.thread_time()
    return own, time.monotonic() - delayed - own
