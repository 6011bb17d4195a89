"""The plugin with the model that it comes with: what the fakes promise holds for the real segmenter, too."""

import numpy as np
import pytest
from tests.plugin.fakes import Studio

from napari_sam.plugin import view
from napari_sam.plugin.bench import Opener

SHAPE = (3, 64, 64)
ROWS, COLUMNS = np.ogrid[:64, :64]


def _stack_of_two_discs():
    plane = np.full(SHAPE[1:], 20.0)
    for centre in (16, 46):
        plane[(ROWS - centre) ** 2 + (COLUMNS - centre) ** 2 <= 100] = 200
    noise = np.random.default_rng(0).normal(0, 5, SHAPE)
    return (plane + noise).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("levels", [1, 2])
def test_objects_are_clicked_walked_and_committed_beside_each_other(levels, monkeypatch):
    """A second walk, with the first object in the labels around it, ended in an error."""
    monkeypatch.setattr(view, "LARGEST_SIDE", 64)  # of a pyramid the second level is read
    full = np.kron(_stack_of_two_discs(), np.ones((1, levels, levels), np.uint8))
    data = full if levels == 1 else [full, full[:, ::2, ::2]]
    studio = Studio(data, open_segmenter=Opener("nano"), multiscale=levels > 1)
    studio.annotation.encode_ahead(False)
    studio.viewer.dims.set_point(0, 1)
    for centre in (16, 46):
        studio.click(1, levels * centre, levels * centre)
        studio.annotation.propagate()
        studio.work()
        studio.commit()
    assert not studio.errors
    assert studio.annotation.view.level == levels - 1
    for plane in studio.labels.data:
        assert [plane[levels * centre, levels * centre] for centre in (16, 46)] == [1, 2]
