"""Planes are encoded before anybody asks for them, the nearest first."""

import numpy as np
from tests.plugin.fakes import CLICK, SHAPE, FakeSegmenter, Studio


def test_planes_ahead_are_encoded_from_the_one_that_was_scrolled_to(studio):
    studio.annotation.encoded.clear()
    studio.annotation.encode_ahead(True)
    studio.viewer.dims.set_point(0, 5)
    studio.segmenter.embedded.clear()
    studio.annotation.follow()
    studio.work()
    assert studio.segmenter.embedded == [(5,), (4,), (3,), (2,), (1,), (0,)]


def test_in_a_movie_the_planes_of_each_time_are_encoded_and_counted_for_themselves():
    """Of the second time it was said that all planes were encoded, and none was."""
    studio = Studio(np.zeros((2, *SHAPE), np.uint8))
    studio.annotation.walk_along(1)
    assert studio.annotation.ahead == (SHAPE[0], SHAPE[0])
    studio.viewer.dims.set_point(0, 1 - studio.annotation.plane[0])
    assert studio.annotation.ahead == (0, SHAPE[0])
    studio.annotation.follow()
    studio.work()
    assert studio.annotation.ahead == (SHAPE[0], SHAPE[0])


def test_planes_that_a_walk_encoded_count(studio):
    studio.annotation.encode_ahead(False)
    studio.click(*CLICK)
    studio.annotation.encoded.clear()
    studio.annotation.propagate()
    studio.work()
    assert len(studio.annotation.encoded) == SHAPE[0]


def test_neighbours_are_encoded_outward_from_the_current_plane():
    opened = []

    def open_segmenter(view, surroundings):
        opened.append(FakeSegmenter(view, surroundings))
        return opened[-1]

    studio = Studio(np.zeros(SHAPE), open_segmenter=open_segmenter)
    middle = int(studio.viewer.dims.point[0])
    assert opened[0].embedded[:3] == [(middle,), (middle - 1,), (middle + 1,)]
    assert len(opened[0].embedded) == 6


def test_a_paused_encoding_goes_on_with_what_is_missing(studio):
    assert studio.annotation.encoded == {(plane,) for plane in range(6)}
    studio.segmenter.embedded.clear()
    studio.annotation.encoded.discard((5,))
    studio.annotation.encode_ahead(False)
    studio.work()
    assert studio.segmenter.embedded == []
    studio.annotation.encode_ahead(True)
    studio.work()
    assert studio.segmenter.embedded == [(5,)]
