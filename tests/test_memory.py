"""Peak memory does not grow with the stack: planes are read, encoded and stored one by one."""

import subprocess
import sys

import pytest

from napari_sam.training.result import write_weights

ENCODE = """
import resource, sys
from math import inf
import numpy as np
from napari_sam import Segmenter, checkpoints
from napari_sam.model.config import DecoderConfig, InputGrid, SamConfig, ViTConfig

class Planes:
    \"\"\"A stack that makes its planes when they are read, and never holds two of them.\"\"\"

    dtype, ndim = np.dtype(np.uint16), 3

    def __init__(self, count):
        self.shape = (count, 512, 512)

    def __getitem__(self, key):
        (z, *window) = key if isinstance(key, tuple) else (key,)
        assert np.ndim(z) == 0 and not isinstance(z, slice), f"more than a plane was read: {key}"
        plane = np.random.default_rng(int(z)).integers(0, 4000, (512, 512), dtype=np.uint16)
        return plane[tuple(window)]

checkpoints.CONFIGS = {"tiny": eval(sys.argv[3])}
seg = Segmenter(Planes(int(sys.argv[1])), "tiny.safetensors", cache=sys.argv[2])
assert sum(1 for _ in seg.embed()) == int(sys.argv[1])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the peak is read from the resource module of Unix")
def test_encoding_ten_times_as_many_planes_takes_no_more_memory(tmp_path, tiny_sam):
    write_weights(tmp_path / "tiny.safetensors", tiny_sam, {})

    def peak(planes):
        arguments = (str(planes), f"cache{planes}", repr(tiny_sam.config))
        run = subprocess.run(
            [sys.executable, "-c", ENCODE, *arguments], cwd=tmp_path, stdout=subprocess.PIPE, text=True, check=True
        )
        return int(run.stdout)

    few, many = peak(100), peak(1000)
    assert many < 1.1 * few
