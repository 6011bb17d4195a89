"""Painting: the objects given are what can be seen."""

import numpy as np
import pytest

from napari_sam.training.painting import paint, repaint
from napari_sam.training.synthetic import make_packed_stack


@pytest.fixture(scope="module")
def labels():
    return make_packed_stack((4, 72, 80), np.random.default_rng(3))[1]


@pytest.mark.parametrize("seed", range(5))
def test_an_image_has_the_shape_of_the_labels_and_shows_something(labels, seed):
    image = repaint(labels, np.random.default_rng(seed))
    assert image.shape == labels.shape
    assert image.dtype == np.uint8
    assert image.std() > 3


def test_every_image_of_the_same_objects_is_another(labels):
    one, other = (repaint(labels, np.random.default_rng(seed)).astype(float) for seed in range(2))
    assert np.abs(one - other).mean() > 10


def test_the_same_chance_paints_the_same_image(labels):
    assert (repaint(labels, np.random.default_rng(1)) == repaint(labels, np.random.default_rng(1))).all()


def test_the_real_image_shines_through(labels):
    real = np.random.default_rng(5).integers(0, 4000, labels.shape)
    plain, over = (repaint(labels, np.random.default_rng(2), over=each) for each in (None, real))
    alike = [np.corrcoef(real.ravel(), image.ravel())[0, 1] for image in (plain, over)]
    assert abs(alike[0]) < 0.1
    assert alike[1] > 0.2


@pytest.mark.parametrize("seed", range(5))
def test_objects_that_touch_are_told_apart_by_a_rim(seed):
    labels = np.ones((1, 64, 64), int)
    labels[:, :, 32:] = 2
    image = paint(labels, np.random.default_rng(seed), touching=True)[0].astype(float)
    rim, inside = image[:, 31:33].mean(), (image[:, 8:24].mean() + image[:, 40:56].mean()) / 2
    assert abs(rim - inside) > 5
