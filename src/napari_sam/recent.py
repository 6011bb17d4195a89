"""What was used last is kept, and the rest is let go."""

import threading
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """The values that were used last, by key; safe to use from several threads.

    Parameters
    ----------
    most : int
        How many are kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._values: dict[K, V] = {}  # the oldest first

    def get(self, key: K) -> V | None:
        """Return a value, which now is the one that was used last; None if it is not kept."""
        with self._lock:
            if key not in self._values:
                return None
            self._values[key] = self._values.pop(key)
            return self._values[key]

    def put(self, key: K, value: V) -> V:
        """Keep a value and return it; the one that was not used for longest may go."""
        with self._lock:
            self._values.pop(key, None)
            self._values[key] = value
            if len(self._values) > self._most:
                del self._values[next(iter(self._values))]
            return value

    def clear(self) -> None:
        """Let everything go."""
        with self._lock:
            self._values.clear()
