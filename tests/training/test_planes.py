"""Encoded planes: labels fit the embedding, and the encoder runs once per plane."""

import numpy as np
import pytest
import torch

from napari_sam.image import Frame
from napari_sam.training.planes import EncodedPair, PlaneLesson, labels_in_frame
from napari_sam.training.recipe import Recipe


def test_labels_grow_by_whole_pixels():
    framed = labels_in_frame(np.array([[1, 2]]), Frame((1, 2), (2, 4), (4, 4)))
    assert framed.tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [0] * 4, [0] * 4]


def test_labels_shrink_to_what_lies_under_the_pixel_centres():
    framed = labels_in_frame(np.arange(36).reshape(6, 6), Frame((6, 6), (2, 2), (2, 2)))
    assert framed.tolist() == [[7, 10], [25, 28]]


def test_steps_never_encode_a_plane_twice(fresh_sam, nuclei, rng, monkeypatch):
    sam = fresh_sam()
    calls = []
    encode = sam.encode
    monkeypatch.setattr(sam, "encode", lambda images: calls.append(len(images)) or encode(images))
    lesson = PlaneLesson([EncodedPair.open(nuclei, sam, None)], Recipe(steps=1, batch=3))
    for _ in range(6):
        lesson(sam, rng)
    assert sum(calls) <= len(nuclei.planes)


@pytest.mark.parametrize("kind", ["fresh_sam", "fresh_nano"])
def test_a_step_leaves_gradients_in_the_decoder_and_none_in_the_encoder(request, nuclei, rng, kind):
    sam = request.getfixturevalue(kind)()
    sam.image_encoder.requires_grad_(requires_grad=False)
    figures = PlaneLesson([EncodedPair.open(nuclei, sam, None)], Recipe(steps=1))(sam, rng)
    assert np.isfinite(figures.loss)
    assert sam.mask_decoder.iou_token.weight.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in sam.image_encoder.parameters())


def test_a_window_shows_an_object_whole_and_its_labels_lie_on_it(fresh_nano, nuclei, rng):
    sam = fresh_nano()
    encoded = EncodedPair.open(nuclei, sam, None)
    frame = encoded.draw_frame((2,), rng)
    view = encoded.view((2,), sam, frame)
    assert view.labels.shape == frame.padded_size == tuple(8 * side for side in view.image_embedding.shape[2:])
    zoom = int(frame.scale[0])
    assert torch.equal(view.labels[::zoom, ::zoom][:8, :8], torch.from_numpy(nuclei.labels[2][frame.window][:8, :8]))


def test_a_view_has_the_embedding_of_its_plane(fresh_sam, nuclei, rng):
    sam = fresh_sam()
    encoded = EncodedPair.open(nuclei, sam, None)
    view = encoded.view((2,), sam, encoded.draw_frame((2,), rng))
    assert torch.equal(view.image_embedding[0], encoded.cache.get_or_encode((2,)).image_embedding)
    assert view.labels.shape == (64, 64)
