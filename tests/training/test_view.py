"""A crop shows the pixels that its pose says, and nothing beyond the plane."""

from math import pi

import numpy as np
import pytest
import torch

from napari_sam.training.augment import Look
from napari_sam.training.view import PADDING, Pose, draw_orientation, sample_view

PLAIN = Look(low=0.0, high=255.0, gamma=1.0, noise=0.0, blur=0.0, light=0.0, invert=False, grey=False)


def view(pixels, labels, matrix, centre, rng, size=8):
    pose = Pose(np.asarray(centre, float), np.asarray(matrix, float))
    return sample_view(pixels, labels, pose, size=size, look=PLAIN, rng=rng)


@pytest.fixture
def plane(rng):
    return rng.integers(0, 256, (16, 12)).astype(np.uint8), rng.integers(0, 9, (16, 12)).astype(np.int32)


def test_the_identity_shows_the_very_pixels(plane, rng):
    pixels, labels = plane
    image, ids = view(pixels, labels, np.eye(2), (7.5, 5.5), rng)
    np.testing.assert_allclose(image[0], pixels[4:12, 2:10], atol=0.01)
    np.testing.assert_array_equal(ids, labels[4:12, 2:10])


def test_a_quarter_turn_turns_pixels_and_labels_alike(plane, rng):
    pixels, labels = plane
    turn = [[0.0, -1.0], [1.0, 0.0]]
    image, ids = view(pixels, labels, turn, (7.5, 5.5), rng)
    np.testing.assert_allclose(image[0], np.rot90(pixels[4:12, 2:10], -1), atol=0.01)
    np.testing.assert_array_equal(ids, np.rot90(labels[4:12, 2:10], -1))


def test_outside_of_the_plane_is_padding_without_labels(plane, rng):
    pixels, labels = plane
    image, ids = view(pixels, labels + 1, np.eye(2), (-0.5, 5.5), rng)
    assert (image[:, :4] == PADDING).all()
    assert (ids[:4] == 0).all()
    assert (ids[4:] > 0).all()


def test_a_crop_beside_the_plane_is_all_padding(plane, rng):
    image, ids = view(*plane, np.eye(2), (500, 500), rng)
    assert (image == PADDING).all()
    assert not ids.any()


def test_shrinking_does_not_alias(rng):
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 200
    image, _ = view(stripes, np.zeros((64, 64), np.int32), np.eye(2) * 8, (31.5, 31.5), rng, size=4)
    assert image.std() < 15


def test_an_orientation_keeps_areas(rng):
    determinants = [abs(np.linalg.det(draw_orientation(rng))) for _ in range(20)]
    np.testing.assert_allclose(determinants, 1)


def test_a_pose_moves_less_within_a_stack_than_when_a_plane_is_shown_again():
    def spread(*, in_stack):
        rng = np.random.default_rng(0)
        start = Pose(np.zeros(2), np.eye(2))
        return np.std([start.moved(10.0, rng, in_stack=in_stack).centre for _ in range(200)])

    assert spread(in_stack=True) < 0.7 * spread(in_stack=False)


def test_a_pose_knows_how_much_it_shrinks():
    angle = pi / 5
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    assert Pose(np.zeros(2), turned * 3).shrink == pytest.approx(3)


def test_labels_are_int32_and_pixels_have_three_channels(plane, rng):
    image, ids = view(*plane, np.eye(2), (8, 6), rng)
    assert image.shape == (3, 8, 8)
    assert ids.dtype == torch.int32
