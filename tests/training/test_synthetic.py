"""Made-up stacks: exact truth that goes on from plane to plane."""

from itertools import pairwise

import numpy as np
import pytest

from napari_sam.training.synthetic import make_confocal_stack, make_packed_stack, make_stack

MAKERS = (make_stack, make_packed_stack, make_confocal_stack)


@pytest.fixture(scope="module", params=[(make, seed) for make in MAKERS for seed in range(6)])
def made(request):
    make, seed = request.param
    return make((5, 72, 80), np.random.default_rng(seed))


def test_image_and_labels_have_the_shape_asked_for(made):
    image, labels = made
    assert image.shape == labels.shape == (5, 72, 80)
    assert image.dtype == np.uint8


def inner_ids(plane):
    """Objects that do not touch the border, where a part of them would be out of sight."""
    border = np.concatenate([plane[0], plane[-1], plane[:, 0], plane[:, -1]])
    return np.setdiff1d(plane, np.append(border, 0))


def test_an_object_keeps_its_id_through_z(made):
    """Where an object lies on two neighbouring planes, these parts are close to each other."""
    _, labels = made
    for plane, following in pairwise(labels):
        for i in np.intersect1d(inner_ids(plane), inner_ids(following)):
            centres = [np.argwhere(part == i).mean(0) for part in (plane, following)]
            size = np.sqrt(max((plane == i).sum(), (following == i).sum()))
            assert np.linalg.norm(centres[0] - centres[1]) < 4 + size


def test_the_planes_of_an_object_have_no_gap(made):
    _, labels = made
    for i in range(1, labels.max() + 1):
        planes = np.flatnonzero((labels == i).any((1, 2)))
        assert planes.size == 0 or np.ptp(planes) == planes.size - 1


def test_objects_can_be_seen(made):
    image, labels = made
    assert image.std() > 3
    assert labels.max() >= 2


def test_the_same_chance_makes_the_same_stack():
    one, other = (make_stack((3, 48, 48), np.random.default_rng(5)) for _ in range(2))
    assert (one[0] == other[0]).all()
    assert (one[1] == other[1]).all()


def test_packed_objects_end_where_others_begin():
    """A walk that goes straight on from an object's last plane often finds another object."""
    replaced = []
    for seed in range(4):
        _, labels = make_packed_stack((16, 96, 96), np.random.default_rng(seed))
        for plane, following in pairwise(labels):
            ended = np.setdiff1d(inner_ids(plane), following)
            replaced += [(following[plane == i] > 0).any() for i in ended]
    assert len(replaced) > 50
    assert np.mean(replaced) > 0.3


def test_the_light_of_confocal_nuclei_fades_beyond_their_ends():
    """Right behind its last plane a nucleus is still seen, dimmer than on it, brighter than where nothing is near."""
    on, behind, nowhere = [], [], []
    for seed in range(4):
        image, labels = make_confocal_stack((16, 96, 96), np.random.default_rng(seed))
        for z, (plane, following) in enumerate(pairwise(labels)):
            for i in np.setdiff1d(inner_ids(plane), following):
                where = (plane == i) & (following == 0)
                on.append(image[z][where])
                behind.append(image[z + 1][where])
            nowhere.append(image[z][(labels[max(z - 2, 0) : z + 3] == 0).all(0)])
    means = [np.concatenate(each).mean() for each in (on, behind, nowhere)]
    assert means == sorted(means, reverse=True)
