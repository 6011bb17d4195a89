"""Light along a walk: only what falls and rises again is another object's."""

from math import nan

import pytest

from napari_sam.light import Light


def walked(*contrasts):
    light = Light()
    for contrast in contrasts:
        if light.is_anothers:
            break
        light = light.after(contrast)
    return light


def test_a_fall_and_a_rise_make_it_another_object():
    light = walked(0.9, 0.7, 0.5, 0.7, 0.9, 1.0)
    assert light.is_anothers
    assert light.dip == pytest.approx((0.7 + 0.5 + 0.7) / 3)


@pytest.mark.parametrize(
    "contrasts",
    [
        pytest.param((0.9, 0.8, 0.7, 0.5, 0.3, 0.1), id="it fades"),
        pytest.param((1.2, 1.5, 1.8, 2.0, 2.0), id="the anchor was not the brightest plane"),
        pytest.param((1.0, 0.92, 0.9, 0.92, 1.0, 1.0), id="it hardly falls"),
        pytest.param((1.0, 0.7, 1.0, 1.0, 1.0), id="one dark plane is noise"),
        pytest.param((nan, nan, nan), id="it never stood out"),
    ],
)
def test_anything_else_does_not(contrasts):
    assert not walked(*contrasts).is_anothers


def test_behind_a_dim_anchor_a_rise_is_enough():
    assert Light.of_anchor(0.6).after(0.8).after(0.9).is_anothers
    assert not Light.of_anchor(0.95).after(1.0).after(1.1).is_anothers


def test_the_fall_is_measured_from_the_brightest_plane():
    assert walked(1.5, 2.0, 2.0, 1.6, 1.4, 1.4, 1.9, 2.0).is_anothers
