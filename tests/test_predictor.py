"""Prompts to masks: batched, but as if each prompt were alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_sam import predictor
from napari_sam.contrast import Contrast
from napari_sam.crops import Crop
from napari_sam.embeddings import ImageEmbedding, encode
from napari_sam.image import Frame
from napari_sam.low_res import mask_to_logits
from napari_sam.predictor import predict, predict_low_res
from napari_sam.prompts import Prompt

PLANE_SHAPE = (40, 48)
POINT = Prompt(points=[[10, 12]])
CLICKS = Prompt(points=[[10, 12], [30, 40], [5, 5]], point_labels=[1, 0, 1])
BOX = Prompt(box=[[5, 6], [20, 25]])
MASK = Prompt(mask=np.tri(*PLANE_SHAPE, dtype=bool))
PROMPTS = [POINT, BOX, CLICKS, MASK, replace(CLICKS, box=BOX.box), replace(POINT, points=[[20, 20]])]


@pytest.fixture(scope="module")
def embedding(tiny_sam):
    pixels = np.random.default_rng(0).random(PLANE_SHAPE, np.float32)
    frame = Frame.for_plane(pixels.shape, tiny_sam.config.grid)
    return encode(tiny_sam, [pixels], contrast=Contrast("limits", (0.0,), (1.0,)), frames=[frame])[0]


def logits_of(prediction):
    return prediction.low_res_logits


def test_masks_have_the_size_of_the_plane_and_come_best_first(tiny_sam, embedding):
    prediction = predict(tiny_sam, embedding, [POINT])[0]
    assert prediction.masks.shape == (3, *PLANE_SHAPE)
    assert prediction.masks.dtype == bool
    assert prediction.low_res_logits.shape == (3, 16, 16)
    assert prediction.iou_predictions.dtype == np.float32
    assert (np.diff(prediction.iou_predictions) <= 0).all()


def test_only_a_lone_point_is_ambiguous(tiny_sam, embedding):
    assert [len(p.masks) for p in predict(tiny_sam, embedding, PROMPTS)] == [3, 1, 1, 1, 1, 3]


@pytest.mark.parametrize(("multimask", "masks"), [(True, 3), (False, 1)])
def test_the_number_of_masks_can_be_asked_for(tiny_sam, embedding, multimask, masks):
    predictions = predict(tiny_sam, embedding, PROMPTS, multimask_output=multimask)
    assert {len(p.masks) for p in predictions} == {masks}


def test_neighbours_in_a_call_change_nothing(tiny_sam, embedding):
    together = predict(tiny_sam, embedding, PROMPTS)
    for prompt, prediction in zip(PROMPTS, together, strict=True):
        alone = predict(tiny_sam, embedding, [prompt])[0]
        np.testing.assert_allclose(logits_of(prediction), logits_of(alone), atol=1e-5)


def test_prompts_in_views_of_their_own_are_decoded_as_alone(tiny_sam, embedding):
    views = [replace(embedding, image_embedding=embedding.image_embedding + i) for i in range(len(PROMPTS))]
    together = predict(tiny_sam, views, PROMPTS)
    for view, prompt, prediction in zip(views, PROMPTS, together, strict=True):
        alone = predict(tiny_sam, view, [prompt])[0]
        np.testing.assert_allclose(logits_of(prediction), logits_of(alone), atol=1e-5)


def test_prompts_of_one_kind_are_decoded_in_one_batch(tiny_sam, embedding, monkeypatch):
    batches = []
    decode = type(tiny_sam).decode

    def counted(self, *args, **kwargs):
        logits, ious = decode(self, *args, **kwargs)
        batches.append(len(ious))
        return logits, ious

    monkeypatch.setattr(type(tiny_sam), "decode", counted)
    monkeypatch.setattr(predictor, "_at_once", lambda sam, frame: 2)
    predict(tiny_sam, embedding, [POINT, BOX, POINT, POINT, BOX])
    assert sorted(batches) == [1, 2, 2]


def test_the_best_mask_is_its_upscaled_logits_above_zero(tiny_sam, embedding):
    prediction = predict(tiny_sam, embedding, [BOX])[0]
    logits, frame = torch.from_numpy(prediction.low_res_logits[None]), embedding.frame
    upscaled = tiny_sam.postprocess(logits, input_size=frame.input_size, original_size=frame.original_size)
    np.testing.assert_array_equal(upscaled[0].numpy() > 0, prediction.masks)


def test_given_logits_win_over_the_mask(tiny_sam, embedding):
    inverse = ~MASK.mask.full()
    logits = mask_to_logits(Crop.of(inverse), embedding.frame, low_res_stride=4)
    given = predict(tiny_sam, embedding, [MASK], mask_input=[logits])[0]
    painted = predict(tiny_sam, embedding, [replace(MASK, mask=inverse)])[0]
    np.testing.assert_array_equal(logits_of(given), logits_of(painted))


@pytest.mark.parametrize("wide", [False, True], ids=["found in the part", "comes to its edge"])
def test_an_object_is_looked_for_nearby_and_only_then_everywhere(tiny_sam, monkeypatch, wide):
    cells, looked_in = 24, []
    side = cells * tiny_sam.config.grid.stride
    view = ImageEmbedding(torch.zeros(1, cells, cells), Frame((side, side), (side, side), (side, side)))
    there, now = np.full((2, 4 * cells, 4 * cells), -8, np.float32)
    there[48:52, 48:52] = 8
    now[48:52, 0 if wide else 46 : 52] = 3

    def see(self, images, *, parts, **inputs):
        looked_in.append(parts)
        rows, columns = parts[0] if parts else (slice(0, cells), slice(0, cells))
        shown = now[4 * rows.start : 4 * rows.stop, 4 * columns.start : 4 * columns.stop]
        return torch.as_tensor(shown)[None, None], torch.ones(1, 1)

    monkeypatch.setattr(type(tiny_sam), "decode", see)
    [(found, _)] = predict_low_res(tiny_sam, view, [MASK], mask_input=[there], nearby=True)
    np.testing.assert_array_equal(found, now)
    assert [parts is not None for parts in looked_in] == [True, False][: 1 + wide]


def test_no_prompts_give_no_predictions(tiny_sam, embedding):
    assert predict(tiny_sam, embedding, []) == ()


@pytest.mark.parametrize(
    ("mask_input", "complaint"), [([], "got 0 for 1"), ([np.zeros((8, 8), np.float32)], r"\(16, 16\), got \(8, 8\)")]
)
def test_logits_that_do_not_fit_are_refused(tiny_sam, embedding, mask_input, complaint):
    with pytest.raises(ValueError, match=complaint):
        predict(tiny_sam, embedding, [POINT], mask_input=mask_input)


def test_prediction_leaves_gradients_as_they_were(tiny_sam, embedding):
    predict(tiny_sam, embedding, [POINT])
    assert torch.is_grad_enabled()
    assert all(parameter.grad is None for parameter in tiny_sam.parameters())
