"""Importing torch in a thread leaves the others their turn."""

import gc
import os
import subprocess
import sys

import pytest

from napari_sam.plugin import torch_import

BEATING = """
import sys, threading, time
from pathlib import Path
from napari_sam.plugin import torch_import

beats, thread = 0, threading.Thread(target=torch_import._open_libraries)
thread.start()
while thread.is_alive():
    time.sleep(0.001)
    beats += 1
print("torch" in sys.modules, "libtorch_cpu" in Path("/proc/self/maps").read_text(), beats)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the libraries in /proc")
def test_other_threads_go_on_while_torchs_libraries_are_opened():
    """The window stood still for a third of a second, or some seconds on a busy machine, when the widget was opened.

    The linker takes 0.2 s; who calls it with Python's lock held lets others run once, before or after.
    """
    command = [sys.executable, "-W", "ignore", "-c", BEATING]
    said = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
    imported, is_open, beats = said.stdout.split()
    assert (imported, is_open) == ("False", "True")
    assert int(beats) > 3


def test_garbage_is_collected_again_after_the_import():
    with torch_import._no_garbage_collection():
        assert not gc.isenabled()
    assert gc.isenabled()
