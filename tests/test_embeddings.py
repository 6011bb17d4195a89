import copy

import numpy as np
import pytest
import torch

from napari_sam.contrast import Contrast
from napari_sam.embeddings import encode_planes, encoder_sha256, to_device
from napari_sam.image import Frame
from napari_sam.stack import open_stack

AS_IS = Contrast("limits", (0,), (255,))


def stack(*shape):
    return open_stack(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))


def test_planes_come_in_the_order_asked_for(tiny_sam):
    planes = [(3,), (0,), (2,)]
    assert [plane for plane, _ in encode_planes(tiny_sam, stack(5, 20, 30), planes, contrast=AS_IS)] == planes


def test_an_embedding_knows_the_frame_of_its_plane(tiny_sam):
    [(_, embedding)] = encode_planes(tiny_sam, stack(20, 30), [()], contrast=AS_IS)
    assert embedding.image_embedding.shape == (32, 4, 4)
    assert embedding.frame == Frame((20, 30), (43, 64), (64, 64))


def test_a_batch_gives_what_its_planes_give_alone(tiny_sam):
    image = stack(5, 20, 30)
    alone = dict(encode_planes(tiny_sam, image, image.planes(), contrast=AS_IS))
    batched = dict(encode_planes(tiny_sam, image, image.planes(), contrast=AS_IS, batch_size=2))
    assert alone.keys() == batched.keys()
    for plane, embedding in alone.items():
        torch.testing.assert_close(embedding.image_embedding, batched[plane].image_embedding)


class SmallGpu:
    """A model whose device holds only so many planes at once."""

    def __init__(self, sam, room):
        self.config, self.device, self._sam, self._room = sam.config, sam.device, sam, room

    def encode(self, images):
        if len(images) > self._room:
            msg = "CUDA out of memory. Tried to allocate 2.00 GiB"
            raise torch.cuda.OutOfMemoryError(msg)
        return self._sam.encode(images)


def test_a_batch_that_the_gpu_does_not_hold_is_encoded_in_parts_and_says_so(tiny_sam, caplog):
    image = stack(5, 20, 30)
    whole = dict(encode_planes(tiny_sam, image, image.planes(), contrast=AS_IS))
    parts = dict(encode_planes(SmallGpu(tiny_sam, 2), image, image.planes(), contrast=AS_IS, batch_size=5))
    assert [plane for plane, _ in parts.items()] == list(whole)
    for plane, embedding in whole.items():
        torch.testing.assert_close(embedding.image_embedding, parts[plane].image_embedding)
    assert "does not hold 5 planes" in caplog.text


def test_a_single_plane_that_the_gpu_does_not_hold_is_an_error(tiny_sam):
    with pytest.raises(torch.cuda.OutOfMemoryError, match="out of memory"):
        list(encode_planes(SmallGpu(tiny_sam, 0), stack(20, 30), [()], contrast=AS_IS))


def test_a_plane_is_read_when_it_is_its_turn(tiny_sam):
    planes = iter([(0,), (1,), (2,)])
    next(encode_planes(tiny_sam, stack(3, 20, 30), planes, contrast=AS_IS))
    assert list(planes) == [(1,), (2,)]


def test_the_consumer_of_the_iterator_may_still_take_gradients(tiny_sam):
    for _ in encode_planes(tiny_sam, stack(20, 30), [()], contrast=AS_IS):
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()


def test_the_hash_of_the_weights_sees_one_changed_number(tiny_sam):
    other = copy.deepcopy(tiny_sam)
    assert encoder_sha256(other) == encoder_sha256(tiny_sam)
    with torch.no_grad():
        next(other.image_encoder.parameters()).view(-1)[0] += 1e-3
    assert encoder_sha256(other) != encoder_sha256(tiny_sam)


def test_the_hash_of_the_weights_is_computed_once_for_as_long_as_they_stay(tiny_sam, monkeypatch):
    other = copy.deepcopy(tiny_sam)
    first = encoder_sha256(other)
    with monkeypatch.context() as slow:
        slow.setattr("hashlib.sha256", None)
        assert encoder_sha256(other) == first
    assert encoder_sha256(other.bfloat16().float()) != first  # rounded, though no tensor counts this as a change


def test_the_hash_of_the_weights_is_about_the_image_encoder_alone(tiny_sam):
    other = copy.deepcopy(tiny_sam)
    with torch.no_grad():
        next(other.mask_decoder.parameters()).add_(1)
    assert encoder_sha256(other) == encoder_sha256(tiny_sam)


class Images:
    """Images that tell how they were brought to a device."""

    def __init__(self):
        self.device, self.steps = torch.device("cpu"), []

    def pin_memory(self):
        self.steps.append("pinned")
        return self

    def to(self, device, *, non_blocking=False):
        self.steps.append((str(device), non_blocking))
        return self


@pytest.mark.parametrize(
    ("device", "steps"),
    [("cuda:1", ["pinned", ("cuda:1", True)]), ("mps", [("mps", False)]), ("cpu", [("cpu", False)])],
)
def test_images_go_to_a_cuda_device_from_pinned_memory(device, steps):
    assert to_device(Images(), torch.device(device)).steps == steps
