"""What tells an object from its surroundings must tell where it has ended."""

import numpy as np
import pytest
import torch

from napari_sam.appearance import Appearance
from napari_sam.crops import Crop
from napari_sam.embeddings import ImageEmbedding
from napari_sam.image import Frame

OBJECT = np.full((64, 64), -8, np.float32)
OBJECT[24:40, 24:40] = 8


def embedding(inside, outside):
    """Features of a 16 x 16 grid: ``inside`` where the object is, and one channel that is no feature."""
    features = torch.tensor(outside)[:, None, None].repeat(1, 16, 16)
    features[:, 6:10, 6:10] = torch.tensor(inside)[:, None, None]
    return ImageEmbedding(torch.cat([features, torch.rand(1, 16, 16)]), Frame((64, 64), (128, 128), (128, 128)))


def look(logits, embedding):
    return Appearance.of_all([Crop.around(logits, logits > -8, outside=-8)], embedding, channels=2)[0]


@pytest.fixture
def anchor():
    return look(OBJECT, embedding([1.0, 0.2], [0.1, 1.0]))


def test_an_object_is_like_itself_and_unlike_its_surroundings(anchor):
    assert anchor.likeness(anchor) == pytest.approx(1 - float(anchor.inside @ anchor.outside))
    assert anchor.likeness(anchor) > 0.5


def test_a_mask_over_nothing_but_surroundings_is_unlike_the_object(anchor):
    gone = look(OBJECT, embedding([0.1, 1.0], [0.1, 1.0]))
    assert gone.likeness(anchor) < -0.5


def test_what_looks_the_same_inside_and_outside_is_neither_like_nor_unlike():
    flat = look(OBJECT, embedding([1.0, 1.0], [1.0, 1.0]))
    assert flat.likeness(flat) == pytest.approx(0, abs=1e-6)


def test_an_empty_mask_is_like_nothing(anchor):
    empty = look(np.full((64, 64), -8, np.float32), embedding([1.0, 0.2], [0.1, 1.0]))
    assert empty.likeness(anchor) == 0
