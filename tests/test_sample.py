"""The synthetic stacks: reproducible, realistic in the ways that matter, and labelled exactly."""

import numpy as np
import pytest
from scipy import ndimage

from napari_sam.sample import make_nuclei_stack
from napari_sam.sample_em import make_membrane_stack

SHAPE = (10, 96, 112)


@pytest.fixture(scope="module")
def nuclei():
    return make_nuclei_stack(SHAPE, seed=3)


@pytest.fixture(scope="module")
def neurites():
    return make_membrane_stack(SHAPE, seed=3)


@pytest.mark.parametrize("make", [make_nuclei_stack, make_membrane_stack])
def test_a_seed_gives_one_stack_and_another_seed_another(make):
    first, again, other = make((4, 48, 48)), make((4, 48, 48)), make((4, 48, 48), seed=1)
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert (first.image != other.image).any()


@pytest.mark.parametrize("sample", ["nuclei", "neurites"])
def test_image_and_labels_have_the_shape_and_ids_have_no_gaps(sample, request):
    made = request.getfixturevalue(sample)
    assert made.image.shape == made.labels.shape == SHAPE
    ids = np.unique(made.labels[made.labels > 0])
    np.testing.assert_array_equal(ids, np.arange(1, len(ids) + 1))


def test_each_nucleus_is_one_connected_piece(nuclei):
    for object_id in range(1, nuclei.labels.max() + 1):
        assert ndimage.label(nuclei.labels == object_id)[1] == 1


def test_some_nuclei_touch():
    labels = make_nuclei_stack((16, 160, 160)).labels
    left, right = labels[..., :-1], labels[..., 1:]
    assert ((left != right) & (left > 0) & (right > 0)).any()


def test_nuclei_use_twelve_of_the_sixteen_bits(nuclei):
    assert nuclei.image.dtype == np.uint16
    assert 1000 < nuclei.image.max() <= 4095


def test_nuclei_are_bright_and_fade_with_depth(nuclei):
    inside = nuclei.labels > 0
    assert np.median(nuclei.image[inside]) > 2 * np.median(nuclei.image[~inside])
    deep = make_nuclei_stack((30, 96, 96))
    top, bottom = (np.mean(deep.image[z][deep.labels[z] > 0]) for z in (slice(0, 10), slice(20, 30)))
    assert bottom < top


def test_neurites_fill_space_and_their_membranes_are_dark(neurites):
    assert neurites.labels.min() == 1
    membrane = np.zeros(SHAPE, bool)
    membrane[..., 1:] = neurites.labels[..., 1:] != neurites.labels[..., :-1]
    assert np.median(neurites.image[membrane]) < 0.7 * np.median(neurites.image)


def test_neurites_go_on_from_plane_to_plane(neurites):
    assert (neurites.labels[1:] == neurites.labels[:-1]).mean() > 0.8
