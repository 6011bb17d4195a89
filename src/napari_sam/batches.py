"""How many planes go through an encoder at once: as many as the memory of its device has room for."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST = 16  # more make no GPU faster, and the pixels of as many planes wait in memory
_USABLE = 0.8  # of free memory: other programs want some, and it is in pieces


def fitting(device: torch.device, cost: int) -> int:
    """Tell how many planes fit into the free memory of a device now.

    Parameters
    ----------
    device : torch.device
        Where the encoder is.
    cost : int
        Bytes that a plane takes on its way through the encoder, from `peak_memory`; 0 if that is not known.

    Returns
    -------
    int
        At least 1; just that on a device that does not tell its memory, such as a processor.
    """
    memory = _memory(device)
    if memory is None or cost == 0:
        return 1
    free, _ = memory.mem_get_info(device)
    free += memory.memory_reserved(device) - memory.memory_allocated(device)  # which PyTorch holds and can use again
    return min(max(int(_USABLE * free) // cost, 1), _MOST)


@contextmanager
def peak_memory(device: torch.device) -> Iterator[list[int]]:
    """Measure what is done within the context: afterwards the list holds the bytes that it took at most, or 0."""
    memory, taken = _memory(device), [0]
    if memory is None:
        yield taken
        return
    before = memory.memory_allocated(device)
    memory.reset_peak_memory_stats(device)
    yield taken
    taken[0] = memory.max_memory_allocated(device) - before


def _memory(device: torch.device) -> Any:
    """Return the part of PyTorch that knows the memory of a kind of device (CUDA, ROCm, XPU), else None."""
    module = getattr(torch, device.type, None)
    return module if hasattr(module, "mem_get_info") and hasattr(module, "max_memory_allocated") else None
