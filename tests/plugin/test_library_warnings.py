"""What the library warns of is seen in the window, in words, and not once for each plane."""

import gc
import logging
import threading

import pytest

from napari_sam.plugin import library_warnings
from napari_sam.plugin.library_warnings import LibraryWarnings


@pytest.fixture
def said(monkeypatch):
    said = []
    monkeypatch.setattr(library_warnings, "show_warning", lambda text: said.append((text, threading.current_thread())))
    return said


def _warn(*planes):
    for plane in planes:
        logging.getLogger("napari_sam.cache_store").warning("the pixels of plane %s have changed", plane)


def test_a_warning_from_a_thread_is_shown_once_in_the_gui_thread(said, qtbot):
    warnings = LibraryWarnings()
    thread = threading.Thread(target=_warn, args=(3, 4, 5))
    thread.start()
    thread.join()
    qtbot.waitUntil(lambda: said == [("The pixels of plane 3 have changed", threading.main_thread())])
    warnings.begin_anew()
    _warn(6)
    qtbot.waitUntil(lambda: len(said) == 2)
    warnings.stop()


def test_what_the_widget_says_itself_is_not_said_twice(said, qtbot):
    warnings = LibraryWarnings()
    logging.getLogger("napari_sam.plugin.widget").warning("out of memory")
    _warn(1)
    qtbot.waitUntil(lambda: len(said) == 1)
    warnings.stop()
    _warn(2)
    assert len(said) == 1


def test_nobody_listens_when_the_widget_is_gone(said, qtbot):
    before = list(logging.getLogger("napari_sam").handlers)
    warnings = LibraryWarnings()
    del warnings
    gc.collect()
    _warn(1)
    assert logging.getLogger("napari_sam").handlers == before
    assert not said
