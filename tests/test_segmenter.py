"""The scripting API with a tiny model: what goes in, what comes out, and what is left alone."""

from dataclasses import replace

import numpy as np
import pytest
import zarr

from napari_sam import PlaneMask, Prompt, Segmenter, StepPrompt, StopRules
from napari_sam.crops import Crop
from napari_sam.low_res import mask_to_logits
from napari_sam.upscaling import upscaled_mask

SHAPE = (4, 40, 48)
ANYTHING_GOES = StopRules(
    min_predicted_iou=-100,
    max_area_ratio=np.inf,
    min_overlap=0,
    min_presence=0,
    min_faded_presence=0,
)
CLICK = Prompt((1,), [[10, 12]])
SQUARE = np.zeros(SHAPE[1:], bool)
SQUARE[10:20, 12:30] = True
PAINTED = Prompt((1,), mask=SQUARE, object_id=3)
PAINTED_5 = replace(PAINTED, object_id=5)


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 4000, SHAPE, np.uint16)


@pytest.fixture
def segmenter(image, tiny_sam):
    return Segmenter(image, tiny_sam)


def coarse(mask, frame):
    return mask_to_logits(mask, frame, low_res_stride=4)


def seen(mask, segmenter):
    """Return the mask as the low-res logits of the decoder show it."""
    crop = Crop.of(mask)
    frame = segmenter.cache.find_frame(crop)
    logits = coarse(crop, frame)
    return upscaled_mask(Crop(logits.shape, 0, 0, logits), frame).full()


def copying(monkeypatch):
    """Replace the decoder: every prompt with logits or a mask gets them back, every other one the square."""

    def decode(sam, embedding, prompts, *, mask_input=None, **options):
        masks = (Crop.of(SQUARE) if prompt.mask is None else prompt.mask for prompt in prompts)
        pairs = zip(masks, mask_input or [None] * len(prompts), strict=True)
        logits = (coarse(mask, embedding.frame) if given is None else given.low_res_logits for mask, given in pairs)
        return [(each, 0.9, embedding.frame) for each in logits]

    monkeypatch.setattr("napari_sam.segmenter.predict_low_res", decode)
    monkeypatch.setattr("napari_sam.vision.predict_low_res", decode)


def test_labels_have_the_spatial_shape_of_the_image(image, tiny_sam):
    assert Segmenter(image, tiny_sam).labels.shape == SHAPE
    assert Segmenter(np.stack([image] * 2), tiny_sam, channel_axis=0).labels.shape == SHAPE
    assert Segmenter(np.stack([image] * 3, -1), tiny_sam, rgb=True).labels.shape == SHAPE
    assert Segmenter(image[0], tiny_sam).labels.shape == SHAPE[1:]


def test_some_of_many_channels_are_chosen(image, tiny_sam):
    five = np.stack([image] * 5)
    assert Segmenter(five, tiny_sam, channel_axis=0, channels=(4, 1)).labels.shape == SHAPE
    with pytest.raises(ValueError, match="one to three of the image's 5 channels"):
        Segmenter(five, tiny_sam, channel_axis=0)


def test_a_prediction_writes_nothing(segmenter):
    prediction = segmenter.predict(CLICK)
    assert prediction.masks.shape == (3, *SHAPE[1:])
    assert not segmenter.labels.any()


def test_a_prediction_can_be_refined_with_its_logits(segmenter):
    first = segmenter.predict(CLICK)
    refined = segmenter.predict(CLICK, multimask_output=False, mask_input=first.low_res_logits[0])
    again = segmenter.predict(CLICK, multimask_output=False)
    assert refined.masks.shape == (1, *SHAPE[1:])
    assert (refined.low_res_logits != again.low_res_logits).any()


def test_many_prompts_are_answered_in_their_order_as_each_alone(segmenter):
    box = Prompt((1,), box=[[5, 5], [20, 20]], object_id=2)
    prompts = [CLICK, box, Prompt((2,), [[30, 30]], object_id=3), Prompt((1,), [[25, 30]])]
    together = list(segmenter.predict_many(prompts))
    alone = [segmenter.predict(prompt) for prompt in prompts]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.low_res_logits, other.low_res_logits, rtol=1e-4, atol=1e-4)


def test_embedding_yields_the_planes_that_were_missing(segmenter):
    segmenter.predict(CLICK)
    assert list(segmenter.embed([(1,), (2,)])) == [(2,)]
    assert list(segmenter.embed()) == [(0,), (3,)]


def test_a_segmented_object_is_the_best_mask_on_its_plane(segmenter):
    mask = segmenter.predict(CLICK).masks[0]
    labels = segmenter.segment([replace(CLICK, object_id=5)])
    assert labels is segmenter.labels
    np.testing.assert_array_equal(labels[1] == 5, mask)
    assert not labels[[0, 2, 3]].any()


def test_an_object_that_is_not_found_is_told_and_one_that_is_said_to_be_absent_is_not(segmenter, monkeypatch, caplog):
    """The labels had nothing of it, and nobody said so."""
    copying(monkeypatch)
    monkeypatch.setitem(globals(), "SQUARE", np.zeros(SHAPE[1:], bool))
    segmenter.segment([replace(CLICK, object_id=4), replace(PAINTED, mask=np.zeros(SHAPE[1:], bool)), PAINTED_5])
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        "object 4 was not found on plane (1,)"
    ]


def test_objects_that_are_found_on_none_of_several_planes_are_told_in_one_sentence(segmenter, monkeypatch, caplog):
    copying(monkeypatch)
    monkeypatch.setitem(globals(), "SQUARE", np.zeros(SHAPE[1:], bool))
    segmenter.segment([replace(CLICK, plane=(z,), object_id=4) for z in range(3)])
    (record,) = caplog.records
    told, _, _ = record.getMessage().partition(";")
    assert told == "3 objects were not found: 4 on plane (0,), 4 on plane (1,), 4 on plane (2,)"


def test_segmenting_again_replaces_the_object_and_nothing_else(segmenter, monkeypatch):
    copying(monkeypatch)
    segmenter.labels[1, 15:25, 20:40] = 9
    before = segmenter.labels == 9
    segmenter.segment([PAINTED])
    segmenter.segment([replace(PAINTED, mask=np.roll(SQUARE, 3, axis=0))])
    np.testing.assert_array_equal(segmenter.labels == 9, before)
    moved = seen(np.roll(SQUARE, 3, axis=0), segmenter)
    np.testing.assert_array_equal(segmenter.labels[1] == 3, moved & ~before[1])


def test_replacing_other_objects_has_to_be_asked_for(segmenter, monkeypatch):
    copying(monkeypatch)
    segmenter.labels[1, 15:25, 20:40] = 9
    segmenter.segment([PAINTED], overlap="replace")
    np.testing.assert_array_equal(segmenter.labels[1] == 3, seen(SQUARE, segmenter))
    with pytest.raises(ValueError, match="overlap"):
        segmenter.segment([PAINTED], overlap="merge")


@pytest.mark.parametrize("make", [np.zeros, zarr.zeros], ids=["numpy", "zarr"])
def test_labels_of_the_caller_are_written_in_place(image, tiny_sam, make):
    labels = make(shape=SHAPE, dtype="uint8")
    segmenter = Segmenter(image, tiny_sam, labels=labels)
    assert segmenter.segment([CLICK]) is labels
    assert labels[1].any()


def test_propagation_carries_an_object_through_the_stack(image, tiny_sam, monkeypatch):
    copying(monkeypatch)
    segmenter = Segmenter(np.repeat(image[:1], len(image), axis=0), tiny_sam)  # nothing moves
    walked = list(segmenter.propagate([replace(CLICK, object_id=2)], rules=ANYTHING_GOES))
    assert [(each.plane, each.reason) for each in walked] == [
        ((1,), None),
        ((2,), None),
        ((3,), "range"),
        ((0,), "range"),
    ]
    np.testing.assert_array_equal(segmenter.labels, np.broadcast_to(2 * seen(SQUARE, segmenter), SHAPE))


def test_what_an_earlier_walk_has_left_of_the_objects_is_in_nobodys_way(image, tiny_sam, monkeypatch):
    copying(monkeypatch)
    segmenter = Segmenter(np.repeat(image[:1], len(image), axis=0), tiny_sam)
    segmenter.labels[2, 8:25] = 5
    corner = np.zeros_like(SQUARE)
    corner[30:, 38:] = True
    above = Prompt((3,), mask=corner, object_id=5)
    list(segmenter.propagate([PAINTED, above], rules=ANYTHING_GOES))
    np.testing.assert_array_equal(segmenter.labels[2] == 3, seen(SQUARE, segmenter))
    assert not (segmenter.labels[2, :25] == 5).any()


def test_each_plane_is_in_the_labels_when_it_comes(segmenter):
    for each in segmenter.propagate([CLICK, PAINTED], rules=ANYTHING_GOES):
        assert isinstance(each, PlaneMask)
        np.testing.assert_array_equal(segmenter.labels[each.plane] == each.object_id, each.mask)


def test_a_painted_mask_is_taken_as_it_is(segmenter):
    seed = next(segmenter.propagate([PAINTED]))
    np.testing.assert_array_equal(seed.mask, SQUARE)
    assert seed.score == 1


def test_every_policy_of_a_step_runs_on_the_real_decoder(segmenter):
    for step in (StepPrompt(), StepPrompt(mask=False, points=3), StepPrompt(box=False, points=0)):
        walked = list(segmenter.propagate([PAINTED], rules=ANYTHING_GOES, step=step))
        assert walked[0].plane == (1,)
        assert len(walked) > 1


def test_a_painted_plane_is_not_encoded(segmenter):
    next(segmenter.propagate([PAINTED]))
    assert (1,) in list(segmenter.embed())


def test_a_painted_plane_stays_as_it_is_where_another_prompted_object_ran_over_it_before(segmenter):
    segmenter.labels[1] = 9
    other = Prompt((0,), [[30, 30]], object_id=9)
    first = next(each for each in segmenter.propagate([PAINTED, other]) if each.object_id == PAINTED.object_id)
    np.testing.assert_array_equal(first.mask, PAINTED.mask.full())


def test_a_changed_plane_is_not_cut_by_what_a_walk_that_is_done_again_has_left_there(segmenter):
    """Two objects were corrected on different planes; one of them had leaked into the other."""
    segmenter.labels[1, :15] = 9
    elsewhere = Prompt((3,), mask=~SQUARE, object_id=9)
    found = segmenter.propagate([PAINTED, elsewhere], changed=[(1,), (3,)])
    np.testing.assert_array_equal(next(found).mask, SQUARE)


def test_a_changed_plane_leaves_what_objects_that_did_not_change_hold_there(segmenter):
    segmenter.labels[1, :15] = 9
    elsewhere = Prompt((3,), mask=~SQUARE, object_id=9)
    found = segmenter.propagate([PAINTED, elsewhere], changed=[(1,)])
    rest = SQUARE.copy()
    rest[:15] = False
    np.testing.assert_array_equal(next(found).mask, rest)


def test_prompts_may_come_from_a_generator(segmenter):
    assert segmenter.segment(prompt for prompt in [CLICK]).any()
    assert list(segmenter.propagate(prompt for prompt in [CLICK]))


def test_a_2d_image_is_segmented_and_has_no_axis_to_walk_along(image, tiny_sam):
    segmenter = Segmenter(image[0], tiny_sam)
    assert segmenter.segment([Prompt(points=[[10, 12]])]).any()
    with pytest.raises(ValueError, match="leading axes"):
        segmenter.propagate([Prompt(points=[[10, 12]])])


@pytest.mark.parametrize(
    ("prompts", "complaint"),
    [
        ([Prompt((4,), [[1, 1]])], "plane"),
        ([Prompt((), [[1, 1]])], "plane"),
        ([Prompt((1,), [[40, 1]])], "outside"),
        ([Prompt((1,), box=[[50, 50], [60, 60]])], "outside"),
        ([Prompt((1,), mask=np.ones((3, 3), bool))], "shape"),
        ([Prompt((1,), [[1, 1]], object_id=256)], "uint8"),
        ([CLICK, CLICK], "2 prompts"),
    ],
)
def test_a_wrong_prompt_is_refused_before_anything_is_written(image, tiny_sam, prompts, complaint):
    segmenter = Segmenter(image, tiny_sam, labels=np.zeros(SHAPE, np.uint8))
    for act in (segmenter.segment, segmenter.propagate):
        with pytest.raises(ValueError, match=complaint):
            act([PAINTED, *prompts])
    assert not segmenter.labels.any()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"axis": 1}, "axis"),
        ({"axis": -1}, "axis"),
        ({"start": 3, "stop": 3}, "start"),
        ({"stop": 5}, "stop"),
        ({"start": -1}, "start"),
        ({"start": 2}, "between start 2"),
    ],
)
def test_a_wrong_range_is_refused_at_once(segmenter, options, complaint):
    with pytest.raises(ValueError, match=complaint):
        segmenter.propagate([CLICK], **options)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [({"labels": np.zeros((2, 2), int)}, "labels"), ({"contrast": (5, 1)}, "contrast"), ({"rgb": True}, "rgb")],
)
def test_a_wrong_argument_is_refused(image, tiny_sam, options, complaint):
    with pytest.raises(ValueError, match=complaint):
        Segmenter(image, tiny_sam, **options)


def test_a_folder_keeps_embeddings_for_the_next_time(image, tiny_sam, tmp_path):
    list(Segmenter(image, tiny_sam, cache=tmp_path).embed())
    assert list(Segmenter(image, tiny_sam, cache=str(tmp_path)).embed()) == []


def test_a_choice_that_there_is_not_is_refused(segmenter):
    with pytest.raises(ValueError, match="components must be one of"):
        segmenter.propagate([CLICK], components="one")
    with pytest.raises(ValueError, match="overlap must be one of"):
        segmenter.segment([CLICK], overlap="merge")
