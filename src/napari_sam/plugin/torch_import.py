"""Import torch in a thread while the window goes on: its shared libraries are opened without Python's lock. No Qt."""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# In torch's own order. The first brings CUDA's libraries, for everybody to see; the second all of torch but its Python
# part, which may want the lock.
_LIBRARIES = (("libtorch_global_deps", "RTLD_GLOBAL"), ("libtorch", "RTLD_LOCAL"))
_SUFFIXES = {"linux": ".so", "darwin": ".dylib"}  # on Windows torch opens its libraries itself, without the lock


def import_torch() -> None:
    """Import torch; the lock is held for some hundredths of a second at a time.

    An import holds the lock while the linker opens libraries (measured: 0.3 s of the 1.4 s that torch takes, more from
    a cold disk), and while garbage is collected among everything that was just defined (0.1 s each time).

    Raises
    ------
    ImportError
        If torch is not installed, or one of its libraries is missing.
    """
    if "torch" in sys.modules:
        return
    _open_libraries()
    with _no_garbage_collection():
        import torch  # noqa: F401


def _open_libraries() -> None:
    """Open torch's libraries; what cannot be opened is left to the import, whose error says why."""
    suffix = _SUFFIXES.get(sys.platform)
    spec = importlib.util.find_spec("torch")
    if suffix is None or spec is None or spec.origin is None:
        return
    # `ctypes.CDLL(name)` would hold the lock; a function of a library that is open already is called without it.
    dlopen = ctypes.CDLL(None).dlopen
    dlopen.argtypes, dlopen.restype = (ctypes.c_char_p, ctypes.c_int), ctypes.c_void_p
    for name, visibility in _LIBRARIES:
        path = Path(spec.origin).parent / "lib" / f"{name}{suffix}"
        dlopen(os.fsencode(path), os.RTLD_NOW | getattr(os, visibility))


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
