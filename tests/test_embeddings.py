import copy

import numpy as np
import pytest
import torch

from napari_sam.contrast import Contrast
from napari_sam.embeddings import encode, encoder_sha256, to_device
from napari_sam.image import Frame

AS_IS = Contrast("limits", (0,), (255,))


def encoded(sam, *shape):
    """Encode made planes of this shape in one batch."""
    planes = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    frame = Frame.for_plane(shape[-2:], sam.config.grid)
    return planes, encode(sam, planes, contrast=AS_IS, frames=[frame] * len(planes))


def test_an_embedding_knows_the_frame_of_its_plane(tiny_sam):
    _, [embedding] = encoded(tiny_sam, 1, 20, 30)
    assert embedding.image_embedding.shape == (32, 4, 4)
    assert embedding.frame == Frame((20, 30), (43, 64), (64, 64))


def test_a_batch_gives_what_its_planes_give_alone(tiny_sam):
    planes, batched = encoded(tiny_sam, 5, 20, 30)
    for pixels, each in zip(planes, batched, strict=True):
        [alone] = encode(tiny_sam, [pixels], contrast=AS_IS, frames=[each.frame])
        torch.testing.assert_close(alone.image_embedding, each.image_embedding)


def test_the_caller_may_still_take_gradients(tiny_sam):
    encoded(tiny_sam, 1, 20, 30)
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
