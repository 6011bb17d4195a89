"""The plugin with the model that it comes with: what the fakes promise holds for the real segmenter, too."""

import numpy as np
import pytest
import tifffile
from tests.plugin.fakes import Studio

from napari_sam import cli
from napari_sam.plugin import view
from napari_sam.plugin.bench import Opener
from napari_sam.prompt_files import save_prompts

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


def test_the_command_line_replays_saved_prompts_to_the_same_labels(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    studio = Studio(_stack_of_two_discs(), open_segmenter=Opener("nano"))
    studio.annotation.encode_ahead(False)
    studio.viewer.dims.set_point(0, 1)
    studio.click(1, 16, 16)
    studio.annotation.propagate()
    studio.work()
    studio.viewer.dims.set_point(0, 0)
    studio.annotation.confirm()  # an anchor without a prompt is saved as the mask that it is
    studio.commit()
    save_prompts(tmp_path / "prompts.json", studio.annotation.prompts())
    tifffile.imwrite("image.tif", studio.image.data, photometric="minisblack", metadata={"axes": "ZYX"})
    with pytest.raises(SystemExit) as end:
        cli.main(["segment", "image.tif", "--prompts", "prompts.json", "--propagate", "--output", "labels.tif"])
    assert end.value.code == 0
    assert studio.labels.data.any()
    np.testing.assert_array_equal(tifffile.imread("labels.tif"), studio.labels.data)
