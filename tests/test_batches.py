"""As many planes at once as a GPU has room for; the GPU is a fake that counts bytes."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from napari_sam.batches import fitting, peak_memory
from napari_sam.cache import EmbeddingCache
from napari_sam.contrast import Contrast
from napari_sam.stack import open_stack

PLANE = 1000  # bytes that the fake says a plane takes
CPU = torch.device("cpu")


@dataclass
class Gpu:
    """The functions of `torch.cuda` that tell about memory, for a device of some size."""

    size: int
    used: int = 0
    peak: int = 0
    held: int = 0
    batches: list[int] = field(default_factory=list)

    def mem_get_info(self, device):
        return self.size - self.used - self.held, self.size

    def memory_allocated(self, device):
        return self.used

    def memory_reserved(self, device):
        return self.used + self.held

    def reset_peak_memory_stats(self, device):
        self.peak = self.used

    def max_memory_allocated(self, device):
        return self.peak

    def encode(self, module, inputs):
        """Take what a batch needs, as a hook of the encoder; the peak is known when it is through."""
        count = len(inputs[0])
        if self.used + count * PLANE > self.size:
            msg = "CUDA out of memory"
            raise torch.cuda.OutOfMemoryError(msg)
        self.batches.append(count)
        self.peak = max(self.peak, self.used + count * PLANE)


@pytest.fixture
def install(monkeypatch, tiny_sam):
    """Make the processor look like a GPU for the time of a test."""
    handles = []

    def install_gpu(gpu):
        for name in ("mem_get_info", "memory_allocated", "memory_reserved"):
            monkeypatch.setattr(torch.cpu, name, getattr(gpu, name), raising=False)
        for name in ("reset_peak_memory_stats", "max_memory_allocated"):
            monkeypatch.setattr(torch.cpu, name, getattr(gpu, name), raising=False)
        handles.append(tiny_sam.image_encoder.register_forward_pre_hook(gpu.encode))
        return gpu

    yield install_gpu
    for handle in handles:
        handle.remove()


def opened(sam, planes, **options):
    stack = open_stack(np.random.default_rng(0).integers(0, 256, (planes, 16, 16), np.uint8))
    return EmbeddingCache.open(None, sam=sam, stack=stack, contrast=Contrast("limits", (0,), (255,)), **options)


def test_the_first_plane_tells_how_many_fit(tiny_sam, install):
    gpu = install(Gpu(size=5 * PLANE, used=500))  # four fifths of 4.5 planes
    assert list(opened(tiny_sam, 8).embed()) == [(z,) for z in range(8)]
    assert gpu.batches == [1, 3, 3, 1]


def test_batches_shrink_when_others_use_the_gpu(tiny_sam, install):
    gpu = install(Gpu(size=10 * PLANE))
    running = opened(tiny_sam, 20).embed()
    for _ in range(4):
        next(running)
    gpu.used = 7 * PLANE
    assert len(list(running)) == 16
    assert gpu.batches == [1, 8, 2, 2, 2, 2, 2, 1]


@pytest.mark.parametrize("batch_size", [None, 8])
def test_where_it_was_too_many_after_all_nothing_is_lost(tiny_sam, install, caplog, batch_size):
    """Free memory may lie in pieces; then a batch is halved, and the planes are those that were asked for."""
    gpu = Gpu(size=3 * PLANE)
    gpu.mem_get_info = lambda device: (100 * PLANE, 100 * PLANE)
    install(gpu)
    cache = opened(tiny_sam, 9, batch_size=batch_size)
    assert list(cache.embed()) == [(z,) for z in range(9)]
    assert "does not hold 8 planes" in caplog.text
    alone = opened(tiny_sam, 9, batch_size=1)
    for plane in cache.stack.planes():
        one, other = (each.get_or_encode(plane).image_embedding for each in (cache, alone))
        torch.testing.assert_close(one, other, atol=1e-2, rtol=0)


def test_what_did_not_fit_is_not_tried_again(tiny_sam, install, caplog):
    """A user saw the warning for each batch of a long stack, and every batch cost a failed attempt."""
    gpu = install(Gpu(size=3 * PLANE))
    assert len(list(opened(tiny_sam, 20, batch_size=8).embed())) == 20
    assert gpu.batches == [2] * 10
    assert len(caplog.records) == 2  # 8 became 4, and 4 became 2


def test_a_single_plane_that_the_gpu_does_not_hold_is_an_error(tiny_sam, install):
    install(Gpu(size=PLANE, used=500))
    with pytest.raises(torch.cuda.OutOfMemoryError, match="out of memory"):
        list(opened(tiny_sam, 2, batch_size=2).embed())


def test_memory_that_pytorch_holds_and_does_not_use_is_free(install):
    install(Gpu(size=10 * PLANE, used=2 * PLANE, held=6 * PLANE))
    assert fitting(CPU, PLANE) == 6


def test_there_is_an_end_to_what_is_useful(install):
    install(Gpu(size=10**9))
    assert fitting(CPU, PLANE) == 16


@pytest.mark.parametrize("kind", ["cpu", "mps", "meta"])
def test_elsewhere_planes_go_one_by_one(kind):
    device = torch.device(kind)
    with peak_memory(device) as taken:
        pass
    assert (taken, fitting(device, PLANE)) == ([0], 1)


def test_a_batch_size_that_is_given_is_kept(tiny_sam, install):
    gpu = install(Gpu(size=100 * PLANE))
    assert len(list(opened(tiny_sam, 5, batch_size=2).embed())) == 5
    assert gpu.batches == [2, 2, 1]
