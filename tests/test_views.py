"""Prompts on a plane that is looked at through views: one mask per object, wherever tiles and windows end."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sam import Prompt, Segmenter, load_sam, predictor
from napari_sam.crops import Crop
from napari_sam.embeddings import ImageEmbedding
from napari_sam.image import Frame
from napari_sam.low_res import MaskInput, mask_to_logits
from napari_sam.model.config import CONFIGS
from napari_sam.plane_embedding import PlaneEmbedding
from napari_sam.predictor import MaskPrediction
from napari_sam.tiles import TileGrid
from napari_sam.views import predict
from napari_sam.windows import Windows

SHAPE = (600, 700)


def iou(one, other):
    return np.count_nonzero(one & other) / np.count_nonzero(one | other)


def world(monkeypatch, truth, name="nano", tile=64):
    """Return the embedding of a plane in which the model sees exactly what a view shows of the truth."""
    config = CONFIGS[name]
    grid = TileGrid.choose(truth.shape, config, tile, None)
    views = Windows.choose(truth.shape, config, grid) or grid
    seen = []

    def see(sam, embedding, prompts, *, multimask_output, mask_input):
        seen.extend(zip([view.frame for view in embedding], mask_input, strict=True))
        return tuple(see_in(view.frame) for view in embedding)

    def see_in(frame):
        logits = mask_to_logits(Crop.of(truth), frame, low_res_stride=CONFIGS[name].grid.low_res_stride)
        iou = np.array([0.9], np.float32)
        return MaskPrediction(truth[frame.window][None], iou, logits[None], frame)

    def encode(frame):
        return ImageEmbedding(torch.zeros(1, *(n // config.grid.stride for n in frame.padded_size)), frame)

    def stored(number):
        return encode(grid.tiles[number] if grid else Frame.for_plane(truth.shape, config.grid))

    monkeypatch.setattr(predictor, "predict", see)
    return PlaneEmbedding(views, stored, encode), seen


def rectangle(top, left, height, width):
    mask = np.zeros(SHAPE, bool)
    mask[top : top + height, left : left + width] = True
    return mask


@pytest.mark.parametrize(("name", "tile"), [("nano", None), ("nano", 256), ("vit_b", 256)])
@settings(max_examples=30)
@given(top=st.integers(0, 400), left=st.integers(0, 400), height=st.integers(20, 200), width=st.integers(20, 200))
def test_an_object_that_a_click_shows_is_found_whole_wherever_views_end(name, tile, top, left, height, width):
    truth = rectangle(top, left, height, width)
    with pytest.MonkeyPatch.context() as patch:
        embedding, _ = world(patch, truth, name, tile)
        [prediction] = predict(None, embedding, [Prompt(points=[[top + height // 2, left + width // 2]])])
    assert iou(prediction.masks[0], truth) > 0.95  # less than half a cell of the logits may lie behind the edge


def test_a_box_larger_than_a_tile_is_decoded_once_in_a_view_that_shows_it(monkeypatch):
    embedding, seen = world(monkeypatch, rectangle(50, 60, 300, 310))
    predict(None, embedding, [Prompt(box=[[50, 60], [349, 369]])])
    [(frame, _)] = seen
    assert frame.origin[0] <= 50
    assert frame.origin[0] + frame.original_size[0] > 349


def test_a_click_on_endless_background_is_not_followed_through_the_whole_plane(monkeypatch):
    embedding, seen = world(monkeypatch, np.ones((9000, 9000), bool), tile=256)
    predict(None, embedding, [Prompt(points=[[4500, 4500]])])
    [first, *_], largest = seen[0][0].original_size, max(max(frame.original_size) for frame, _ in seen)
    assert first < largest <= first * 2**3


def test_specks_far_from_the_object_do_not_ask_for_a_larger_view(monkeypatch):
    truth = rectangle(300, 300, 30, 30)
    truth[:, ::50] |= rectangle(0, 0, 600, 700)[:, ::50] & (np.arange(600) % 10 == 0)[:, None]
    embedding, seen = world(monkeypatch, truth)
    predict(None, embedding, [Prompt(points=[[315, 315]])])
    assert len(seen) <= 2


def test_prompts_come_back_in_their_order_and_share_views(monkeypatch):
    embedding, seen = world(monkeypatch, rectangle(300, 300, 20, 20))
    near, far = Prompt(points=[[310, 310]]), Prompt(points=[[20, 650]])
    predictions = predict(None, embedding, [near, far, near])
    assert [p.masks[0].sum() for p in predictions] == [400, 0, 400]
    assert len(seen) < 2 * len(predictions)


def test_an_object_of_a_few_pixels_is_looked_at_more_closely(monkeypatch):
    truth = rectangle(300, 300, 5, 6)
    embedding, seen = world(monkeypatch, truth, tile=None)
    [prediction] = predict(None, embedding, [Prompt(points=[[302, 302]])])
    scales = [frame.scale for frame, _ in seen]
    assert scales == [(1.0, 1.0), (4.0, 4.0)]
    assert iou(prediction.masks[0], truth) == 1


def test_a_closer_look_that_sees_nothing_does_not_lose_what_was_seen_before(monkeypatch):
    truth = rectangle(300, 300, 5, 6)
    embedding, _ = world(monkeypatch, truth, tile=None)
    see = predictor.predict

    def blind_when_close(*args, **keywords):
        found = see(*args, **keywords)
        return [replace(each, low_res_logits=each.low_res_logits - 99 * (each.frame.scale[0] > 1)) for each in found]

    monkeypatch.setattr(predictor, "predict", blind_when_close)
    [prediction] = predict(None, embedding, [Prompt(points=[[302, 302]])])
    assert iou(prediction.masks[0], truth) == 1


def test_what_was_found_refines_the_next_call_in_another_view(monkeypatch):
    embedding, seen = world(monkeypatch, rectangle(100, 100, 40, 40))
    [first] = predict(None, embedding, [Prompt(points=[[120, 120]])])
    seen.clear()
    click = Prompt(points=[[120, 120], [400, 400]], point_labels=[1, 0])
    predict(None, embedding, [click], mask_input=[first.mask_input()])
    frame, given = seen[0]
    assert isinstance(given, MaskInput)
    assert frame != given.frame
    assert frame.window[0].stop > 400


def test_logits_without_a_frame_are_refused_on_a_tiled_plane(monkeypatch):
    embedding, _ = world(monkeypatch, rectangle(100, 100, 40, 40))
    with pytest.raises(ValueError, match="mask_input"):
        predict(None, embedding, [Prompt(points=[[120, 120]])], mask_input=[np.zeros((32, 32), np.float32)])


@pytest.mark.parametrize("level", [0, 1])
def test_joined_tiles_have_the_features_of_the_whole(level):
    """Features that are a smooth function of the place are the same from whatever tile they are taken."""
    grid = TileGrid.choose((3000, 2500), CONFIGS["nano"], 512, None)

    def place(frame):
        cells = [
            (np.arange(n // 8) * 8 * grid.reduction(frame) + start)
            for n, start in zip(frame.padded_size, frame.origin, strict=True)
        ]
        return torch.from_numpy(np.stack(np.meshgrid(*cells, indexing="ij"))).float()

    views = Windows.choose((3000, 2500), CONFIGS["nano"], grid)
    stored = [ImageEmbedding(place(tile), tile) for tile in grid.tiles]
    embedding = PlaneEmbedding(views, stored.__getitem__, place)
    extent = (300.0, 700.0, 700.0, 1100.0) if level == 0 else (900.0, 300.0, 1400.0, 900.0)
    view = views.first_view(extent, sized=True)
    assert views.level(view) == level
    assert len(list(views.tiles_under(view))) > 1
    torch.testing.assert_close(embedding.view(view).image_embedding, place(view))


def test_a_window_of_a_plane_that_is_encoded_whole_is_cut_out_of_it():
    views = Windows.choose((250, 300), CONFIGS["nano"], None)
    [(whole, _)] = views.tiles_under(Frame.for_plane((250, 300), CONFIGS["nano"].grid))
    cells = torch.arange(64 * 80).reshape(1, 64, 80)
    view = views.first_view((100.0, 200.0, 140.0, 230.0), sized=True)
    seen = PlaneEmbedding(views, lambda _: ImageEmbedding(cells, whole), None).view(view)
    first = [start * 2 // 8 for start in view.origin]
    assert seen.image_embedding[0, 0, 0] == cells[0, *first]
    assert seen.image_embedding.shape[1:] == tuple(n // 8 for n in view.padded_size) < (64, 80)


class Endless:
    """A plane of 20,000 x 20,000 pixels that is made where it is read."""

    shape, dtype = (20_000, 20_000), np.dtype(np.uint8)

    def __init__(self):
        self.largest = 0

    def __getitem__(self, index):
        rows, columns = (np.arange(*each.indices(n)) for each, n in zip(index, self.shape, strict=True))
        self.largest = max(self.largest, len(rows) * len(columns))
        distance = np.hypot((rows % 100 - 50)[:, None], (columns % 100 - 50)[None])
        return np.where(distance < 30, 200, 20).astype(np.uint8)


@pytest.fixture(scope="module")
def nano():
    return load_sam("nano", device="cpu")


@pytest.mark.slow
def test_one_click_on_a_huge_plane_reads_and_encodes_one_tile(nano):
    image, encoded = Endless(), Counter()
    hook = nano.image_encoder.register_forward_hook(lambda _, images, __: encoded.update(tiles=len(images[0])))
    segmenter = Segmenter(image, nano)
    prediction = segmenter.predict(Prompt(points=[[10_050, 10_050]]))
    hook.remove()
    assert encoded["tiles"] == 1
    assert image.largest == 512 * 512
    assert prediction.masks.shape == (3, *image.shape)
    rows, columns = prediction.frame.window
    assert iou(prediction.masks[0][rows, columns], image[rows, columns] > 100) < 1
    disc = np.hypot(*np.ogrid[-50:50, -50:50]) < 30
    assert iou(prediction.masks[0][10_000:10_100, 10_000:10_100], disc) > 0.9


@pytest.mark.slow
def test_masks_from_tiles_are_those_of_the_whole_plane(nano):
    """A small object inside a tile, one across a seam, and one that is larger than a tile; by a click and by a box."""
    discs = [(90, 90, 25), (250, 420, 30), (460, 200, 80)]
    rows, columns = np.ogrid[:640, :640]
    truths = [np.hypot(rows - r, columns - c) < radius for r, c, radius in discs]
    noise = np.random.default_rng(0).normal(0, 8, (640, 640))
    image = np.clip(40 + 120 * np.any(truths, axis=0) + noise, 0, 255).astype(np.uint8)
    whole, tiled = Segmenter(image, nano, tile=None), Segmenter(image, nano, tile=256)
    for r, c, radius in discs:
        for prompt in (Prompt(points=[[r, c]]), Prompt(box=[[r - radius, c - radius], [r + radius, c + radius]])):
            masks = [seg.predict(prompt, multimask_output=False).masks[0] for seg in (whole, tiled)]
            assert iou(*masks) >= 0.95


@pytest.mark.slow
def test_an_object_is_carried_through_tiled_planes(nano):
    rows, columns = np.ogrid[:300, :400]
    truth = np.stack([np.hypot(rows - 150, columns - 100 - 10 * z) < 40 for z in range(8)])
    image = (40 + 120 * truth + np.random.default_rng(0).normal(0, 8, truth.shape)).astype(np.uint8)
    segmenter = Segmenter(image, nano, tile=256)
    list(segmenter.propagate([Prompt((0,), [[150, 100]])]))
    assert iou(segmenter.labels == 1, truth) > 0.85


def test_a_frame_of_a_window_puts_masks_where_they_belong():
    frame = Frame((2, 3), (4, 6), (32, 32), origin=(5, 7), plane_shape=(10, 12))
    plane = frame.on_plane(np.ones((1, 2, 3), bool))
    assert plane.shape == (1, 10, 12)
    assert plane.sum() == plane[0, 5:7, 7:10].sum() == 6
