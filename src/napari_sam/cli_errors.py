"""What went wrong, in words: a sentence that says what to do, or nothing where the mistake is ours."""

import errno
import os
import sys
import zlib
from gzip import BadGzipFile
from traceback import walk_tb

from napari_sam.shortage import shortage

SIGPIPE = 128 + 13  # the exit code of what a shell calls ended by a pipe that nobody reads
OF_UNPACKING = (zlib.error, BadGzipFile, EOFError)

_DAMAGED = "the image or the labels are damaged: copy them again, or open them with what has written them"
_MORE_ROOM = "make room there or choose another output; with --cache the planes need not be encoded again"
_LESS_MEMORY = (
    "close what else uses it, or take a smaller model or --precision bfloat16; instead of a GPU --device cpu, in "
    "training a smaller --batch, for large labels an --output that ends with .zarr"
)


def in_words(error: Exception) -> str | None:
    """Put an error into words: those of the system without its number, with the file first; None: it is our mistake."""
    if _is_of_unpacking(error):
        return f"what is stored cannot be unpacked ({error}); {_DAMAGED}"
    if isinstance(error, OSError) and error.strerror == os.strerror(errno.ENOSPC):
        return f"{error.filename or 'where the output goes'}: {error.strerror}; {_MORE_ROOM}"
    if isinstance(error, OSError) and error.strerror is not None:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, ValueError | OSError):
        return str(error)
    short = shortage(error)
    return None if short is None else f"{short}; {_LESS_MEMORY}"


def reader_is_gone() -> bool:
    """Tell whether what reads the output, such as `head`, has ended; if so, no more is written."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def _is_of_unpacking(error: Exception) -> bool:
    """Tell whether the bytes of a chunk made no sense, which most codecs call a RuntimeError."""
    raised_in = [frame.f_code.co_filename for frame, _ in walk_tb(error.__traceback__)][-1]
    of_a_codec = isinstance(error, RuntimeError) and any(name in raised_in for name in ("numcodecs", "imagecodecs"))
    return of_a_codec or isinstance(error, OF_UNPACKING)
