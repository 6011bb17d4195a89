"""Prompts: what they refuse, and the way to the model frame."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_sam.crops import Crop
from napari_sam.image import Frame
from napari_sam.model.config import CONFIGS
from napari_sam.prompts import Prompt, check_inside, to_model_frame

IDENTITY = Frame((40, 60), (40, 60), (64, 64))
CPU = {"device": torch.device("cpu"), "dtype": torch.float32}
SIZES = st.tuples(st.integers(1, 700), st.integers(1, 700))
GRIDS = st.sampled_from([config.grid for config in CONFIGS.values()])


def painted(shape=(40, 60), rows=slice(4, 8), columns=slice(10, 20)):
    mask = np.zeros(shape, bool)
    mask[rows, columns] = True
    return mask


def test_sequences_become_tuples_of_numbers():
    prompt = Prompt(plane=[np.int64(3)], points=np.array([[1, 2], [3, 4]]), point_labels=[True, 0])
    assert prompt.plane == (3,)
    assert prompt.points == ((1.0, 2.0), (3.0, 4.0))
    assert prompt.point_labels == (1, 0)


def test_points_without_labels_are_on_the_object():
    assert Prompt(points=[[1, 2], [3, 4]]).point_labels == (1, 1)


def test_corners_of_a_box_come_in_any_order():
    assert Prompt(box=[[9, 2], [1, 7]]).box == ((1.0, 2.0), (9.0, 7.0))


def test_a_prompt_keeps_its_mask_when_the_caller_paints_on():
    mask = painted()
    prompt = Prompt(mask=mask)
    mask[:] = False
    np.testing.assert_array_equal(prompt.mask.full(), painted())
    with pytest.raises(ValueError, match="read-only"):
        prompt.mask.pixels[0, 0] = False


def test_a_mask_takes_no_more_memory_than_its_object():
    """Fifty painted prompts on a plane of 4096 x 4096 took 800 MB, and each step of a thousand cells 4 GB."""
    assert Prompt(mask=painted()).mask.pixels.shape == (4, 10)


def test_a_mask_may_be_given_as_a_crop_with_or_without_a_margin():
    wide = Crop((40, 60), 2, 5, painted()[2:20, 5:30])
    assert Prompt(mask=wide) == Prompt(mask=Crop.of(painted())) == Prompt(mask=painted())
    assert Prompt(mask=Crop((40, 60), 9, 9, np.zeros((2, 2), bool))) == Prompt(mask=np.zeros((40, 60), bool))


def test_painted_is_the_mask_of_a_prompt_that_says_nothing_else():
    assert Prompt(mask=painted()).painted == Crop.of(painted())
    assert Prompt((), [[1, 2]], mask=painted()).painted is None
    assert Prompt(points=[[1, 2]]).painted is None


def test_prompts_that_say_the_same_are_equal_and_hash_alike():
    one, two = (Prompt((1,), [[2, 3]], mask=painted(), object_id=4) for _ in range(2))
    assert one == two
    assert len({one, two}) == 1
    assert one != replace(one, mask=painted(rows=slice(4, 9)))
    assert one != "a prompt"


def test_a_prompt_survives_pickling():
    prompt = Prompt((1,), [[2, 3]], box=[[0, 0], [4, 4]], mask=painted())
    assert pickle.loads(pickle.dumps(prompt)) == prompt


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ({}, "empty"),
        ({"points": [[1, np.nan]]}, "finite"),
        ({"points": [[1, np.inf]]}, "finite"),
        ({"points": [1, 2]}, r"\[\[r, c\]\]"),
        ({"points": [[1, 2, 3]]}, r"\(N, 2\)"),
        ({"points": [["a", "b"]]}, "numbers"),
        ({"points": [[1, 2], [3]]}, "numbers"),
        ({"points": [[1, 2]], "point_labels": [1, 0]}, "got 2 for 1"),
        ({"points": [[1, 2]], "point_labels": [2]}, "1 .object. or 0"),
        ({"point_labels": [1], "box": [[0, 0], [1, 1]]}, "got 1 for 0"),
        ({"box": [[0, 0], [np.nan, 1]]}, "finite"),
        ({"box": [0, 0, 1, 1]}, "two corners"),
        ({"mask": np.zeros((4, 4), bool), "points": [[1, 1]]}, "mask is empty"),
        ({"mask": np.ones((4, 4), np.uint8)}, "boolean"),
        ({"mask": np.ones((1, 4, 4), bool)}, "boolean"),
        ({"points": [[1, 2]], "object_id": 0}, "at least 1"),
        ({"points": [[1, 2]], "object_id": 1.5}, "integer"),
        ({"points": [[1, 2]], "plane": 3}, "tuple"),
        ({"points": [[1, 2]], "plane": (0.5,)}, "integers"),
        ({"points": [[1, 2]], "plane": (-1,)}, "at least 0"),
    ],
)
def test_a_prompt_that_makes_no_sense_is_refused(said, complaint):
    with pytest.raises(ValueError, match=complaint):
        Prompt(**said)


@pytest.mark.parametrize(
    "said",
    [
        {"points": [[40, 3]]},
        {"points": [[3, -0.6]]},
        {"box": [[41, 0], [50, 9]]},
        {"box": [[0, -9], [9, -1]]},
        {"mask": painted((60, 40))},
    ],
)
def test_a_prompt_outside_the_plane_is_refused(said):
    with pytest.raises(ValueError, match="plane"):
        check_inside(Prompt(**said), (40, 60))


def test_a_box_may_reach_over_the_border_and_is_cut_there():
    prompt = Prompt(box=[[-5, -5], [10, 100]])
    check_inside(prompt, (40, 60))
    boxes = to_model_frame([prompt], [IDENTITY], low_res_stride=4, **CPU).boxes
    assert boxes.tolist() == [[-0.5, -0.5, 59.5, 10.5]]


def test_a_point_becomes_x_and_y():
    coords = to_model_frame([Prompt(points=[[3, 7]])], [IDENTITY], low_res_stride=4, **CPU).point_coords
    assert coords.tolist() == [[[7.0, 3.0]]]


def test_a_box_of_one_pixel_has_the_edges_of_that_pixel():
    boxes = to_model_frame([Prompt(box=[[5, 7], [5, 7]])], [IDENTITY], low_res_stride=4, **CPU).boxes
    assert boxes.tolist() == [[6.5, 4.5, 7.5, 5.5]]


def test_what_no_prompt_has_is_missing_in_the_model_frame():
    inputs = to_model_frame([Prompt(points=[[3, 7]])], [IDENTITY], low_res_stride=4, **CPU)
    assert inputs.boxes is None
    assert inputs.mask_input is None


def test_given_logits_take_the_place_of_the_mask():
    logits = np.full((16, 16), 3, np.float32)
    prompts = [Prompt(mask=painted()), Prompt(mask=painted())]
    inputs = to_model_frame(prompts, [IDENTITY] * 2, low_res_stride=4, mask_input=[logits, None], **CPU)
    assert inputs.mask_input.shape == (2, 1, 16, 16)
    assert (inputs.mask_input[0] == 3).all()
    assert (inputs.mask_input[1] != 3).any()


@given(SIZES, GRIDS, st.floats(0, 1), st.floats(0, 1))
def test_to_the_model_frame_and_back_is_the_identity(original_size, grid, down, across):
    frame = Frame.for_plane(original_size, grid)
    point = (down * (original_size[0] - 1), across * (original_size[1] - 1))
    inputs = to_model_frame([Prompt(points=[point])], [frame], low_res_stride=grid.low_res_stride, **CPU)
    row_column = inputs.point_coords[0, 0].flip(-1).double().numpy()
    back = (row_column + 0.5) / frame.scale - 0.5
    np.testing.assert_allclose(back, point, atol=1e-3 / min(*frame.scale, 1))


@given(SIZES, GRIDS)
def test_the_box_of_the_whole_plane_is_the_whole_model_input(original_size, grid):
    frame = Frame.for_plane(original_size, grid)
    height, width = original_size
    inputs = to_model_frame(
        [Prompt(box=[[0, 0], [height - 1, width - 1]])], [frame], low_res_stride=grid.low_res_stride, **CPU
    )
    expected = [-0.5, -0.5, frame.input_size[1] - 0.5, frame.input_size[0] - 0.5]
    np.testing.assert_allclose(inputs.boxes[0], expected, rtol=1e-6)
