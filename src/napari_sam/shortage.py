"""Memory that ran out: PyTorch, numpy and drivers each say so in words of their own."""

from __future__ import annotations

import re

_WORDS = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")


def shortage(error: Exception) -> str | None:
    """Say whose memory ran out, and how much was asked for, in words that a sentence may begin with.

    Parameters
    ----------
    error : Exception
        What was raised. PyTorch raises a RuntimeError, whose text is a paragraph.

    Returns
    -------
    str or None
        None if the error tells of something else.
    """
    said = str(error)
    if not isinstance(error, MemoryError) and not any(words in said.lower() for words in _WORDS):
        return None
    is_on_gpu = not isinstance(error, MemoryError) and "CPU" not in said
    whose = "The GPU" if is_on_gpu else "This computer"
    asked = re.search(r"allocate (\d[\d.]* \w+)", said)
    return f"{whose} is out of memory{f' (it was asked for {asked[1]} more)' if asked else ''}"
