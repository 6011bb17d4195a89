"""The work on an image survives the viewer, whole."""

import json

import numpy as np
import pytest
from tests.plugin.fakes import CLICK, SHAPE, Studio

from napari_sam.plugin import keeper, keeping


@pytest.fixture
def path(tmp_path):
    return tmp_path / "work" / "image.json"


def _write(path, studio, **options):
    for _ in keeping.keep(path, keeping.work_of(studio.annotation, "nano", options)):
        pass


def _reopen(path, **image):
    other = Studio(np.zeros(SHAPE, np.uint8), **image)
    keeping.restore(other.annotation, keeping.kept(path))
    other.work()
    return other


def test_prompts_drafts_and_scores_come_back_without_decoding(studio, path):
    studio.click(*CLICK)
    studio.annotation.propagate()
    studio.work()
    studio.annotation.aim(positive=False)
    studio.click(4, 8, 8)
    _write(path, studio)
    other = _reopen(path)
    np.testing.assert_array_equal(other.preview, studio.preview)
    np.testing.assert_array_equal(other.points.data, studio.points.data)
    assert other.points.features["label"].tolist() == ["positive", "negative"]
    assert [one.score for one in other.annotation.curve] == pytest.approx(
        [one.score for one in studio.annotation.curve]
    )
    assert other.segmenter.asked == []


def test_shapes_come_back_as_they_were_drawn_wherever_the_image_lies_now(studio, path):
    ellipse = np.array([[3, 5, 5], [3, 5, 15], [3, 15, 15], [3, 15, 5]])
    studio.annotation.stage.shapes.add_ellipses(ellipse)
    studio.work()
    _write(path, studio)
    other = _reopen(path, scale=(3, 1, 1), translate=(0, 7, 0))
    assert other.annotation.stage.shapes.shape_type == ["ellipse"]
    np.testing.assert_allclose(other.annotation.stage.shapes.data[0], ellipse)
    assert other.annotation.prompts() == studio.annotation.prompts()


def test_committed_objects_come_back_as_drafts_with_their_prompts(studio, path):
    studio.click(*CLICK)
    studio.annotation.propagate()
    studio.work()
    committed = studio.preview.copy()
    studio.commit()
    studio.click(3, 8, 8)
    _write(path, studio)
    other = _reopen(path)
    np.testing.assert_array_equal(other.preview == 1, committed == 1)
    assert sorted(other.points.features["object"]) == [1, 2]
    assert other.annotation.prompts() == studio.annotation.prompts()
    assert other.annotation.object_id == 2
    other.commit()
    assert set(np.unique(other.labels.data)) == {0, 1, 2}


def test_a_painted_plane_stays_an_anchor(studio, path):
    studio.annotation.stage.preview.paint((4, 10, 10), 1)
    _write(path, studio)
    other = _reopen(path)
    (draft,) = other.annotation.session.drafts.values()
    assert draft.origin == "painted"


def test_a_mask_of_an_adopted_layer_is_vouched_for_without_it(studio, path):
    studio.annotation.stage.adopt([studio.viewer.add_points([CLICK], name="mine")])
    studio.work()
    _write(path, studio)
    other = _reopen(path)
    np.testing.assert_array_equal(other.preview, studio.preview)
    assert all(draft.is_anchor for draft in other.annotation.session.drafts.values())


def test_a_prompt_that_had_no_answer_yet_is_decoded(studio, path):
    studio.points.add(CLICK)
    _write(path, studio)
    other = _reopen(path)
    assert other.preview[CLICK] == 1


def test_restoring_can_be_undone(studio, path):
    studio.click(*CLICK)
    _write(path, studio)
    other = Studio(np.zeros(SHAPE, np.uint8))
    other.click(1, 5, 5)
    keeping.restore(other.annotation, keeping.kept(path))
    other.annotation.undo()
    other.work()
    np.testing.assert_array_equal(other.points.data, [[1, 5, 5]])


def test_model_and_options_are_kept(studio, path):
    studio.click(*CLICK)
    _write(path, studio, largest=True, smooth=1.5)
    work = keeping.kept(path)
    assert (work.model, work.options) == ("nano", {"largest": True, "smooth": 1.5})


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"format": 99}', '{"format": 1}'])
def test_a_damaged_file_offers_nothing(studio, path, damage):
    studio.click(*CLICK)
    _write(path, studio)
    path.write_text(damage)
    assert keeping.kept(path) is None


def test_a_mask_of_another_shape_is_left_out(studio, path):
    studio.click(*CLICK)
    _write(path, studio)
    said = json.loads(path.read_text())
    said["drafts"][0]["shape"] = [400, 500]
    path.write_text(json.dumps(said))
    assert _reopen(path).preview[CLICK] == 1  # decoded anew


def test_a_click_before_the_work_of_the_time_before_was_found_does_not_overwrite_it(studio, path, monkeypatch):
    studio.click(*CLICK)
    _write(path, studio)
    before = path.read_text()
    monkeypatch.setattr(keeper, "kept_at", lambda annotation, folder: path)
    other, keeping_it = Studio(np.zeros(SHAPE, np.uint8)), keeper.Keeper()
    looking = keeping_it.look(other.annotation)
    other.click(1, 5, 5)
    saving = keeping_it.job(other.annotation, "nano", {})
    for job in (looking, saving):
        for found in job.run():
            job.on_step(found)
    assert keeping_it.offered is None
    assert path.with_suffix(".before-1.json").read_text() == before


def test_work_of_the_time_before_is_set_aside_and_not_overwritten(studio, path):
    studio.click(*CLICK)
    _write(path, studio)
    before = path.read_text()
    keeping.set_aside(path)
    assert keeping.kept(path) is None
    path.write_text("of another day")
    keeping.set_aside(path)
    assert path.with_suffix(".before-1.json").read_text() == before
    assert path.with_suffix(".before-2.json").read_text() == "of another day"


def test_what_was_begun_hides_the_offer_and_gives_it_back_when_it_is_undone(studio, path, monkeypatch):
    """Restore stayed after the first click and would have put the last session in the place of new work."""
    studio.click(*CLICK)
    _write(path, studio)
    before = json.loads(path.read_text())
    monkeypatch.setattr(keeper, "kept_at", lambda annotation, folder: path)
    other, keeping_it = Studio(np.zeros(SHAPE, np.uint8)), keeper.Keeper()
    _run(keeping_it.look(other.annotation))
    assert keeping_it.offered is not None
    other.click(1, 5, 5)
    assert keeping_it.offered is None
    _run(keeping_it.job(other.annotation, "nano", {}))
    other.undo()
    assert keeping_it.offered is not None
    _run(keeping_it.job(other.annotation, "nano", {}))
    assert json.loads(path.read_text()) == before
    other.click(1, 5, 5)
    other.commit()
    assert keeping_it.offered is None


def _run(job):
    for found in job.run():
        job.on_step(found)


@pytest.mark.parametrize("name", ["SAM points", "SAM shapes"])
def test_prompts_of_a_commit_are_kept_when_a_layer_is_gone(studio, path, name):
    """Whoever removed an empty layer of ours after a commit was told KeyError, and nothing was kept any more."""
    studio.click(*CLICK)
    studio.commit()
    studio.viewer.layers.remove(name)
    _write(path, studio)
    np.testing.assert_array_equal(_reopen(path).points.data, [CLICK])
    studio.undo()
    np.testing.assert_array_equal(studio.points.data, [CLICK])
