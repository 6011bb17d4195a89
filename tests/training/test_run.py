"""A training from pairs to a file: what it leaves behind, how it goes on, and what it refuses at once."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from napari_sam.training.recipe import Recipe
from napari_sam.training.run import Encoded, Plan, Validated, train
from napari_sam.training.trainer import Step, Trainer


@pytest.fixture
def plan(tmp_path):
    recipe = Recipe(steps=4, batch=1, objects=2, warmup=2)
    return Plan(recipe=recipe, output=tmp_path / "my.safetensors", freeze_encoder=True)


def names(folder):
    return {path.name for path in folder.iterdir()}


def run_until(training, step):
    for event in training:
        if isinstance(event, Step) and event.step == step:
            training.close()
            return


def test_it_encodes_validates_trains_and_validates_again(fresh_sam, nuclei, plan, tmp_path):
    events = list(train(fresh_sam(), [nuclei], plan))
    kinds = [type(event) for event in events]
    planes = len(nuclei.planes) - round(0.2 * len(nuclei.planes))
    assert kinds == [Encoded] * planes + [Validated] + [Step] * 4 + [Validated]
    assert events[-1].mean_iou.keys() == {"1 click", "3 clicks", "box"}
    assert names(tmp_path) == {"my.safetensors", "my.jsonl"}


def test_the_whole_of_nano_is_trained_on_crops(fresh_nano, nuclei, plan, tmp_path):
    events = list(train(fresh_nano(), [nuclei], replace(plan, freeze_encoder=False, held_out=0.0)))
    assert [type(event) for event in events] == [Validated] + [Step] * 4 + [Validated]
    assert events[-1].mean_iou == {}
    assert names(tmp_path) == {"my.safetensors", "my.jsonl"}


def test_an_interrupted_training_goes_on_to_the_same_weights(fresh_sam, nuclei, plan, tmp_path):
    straight = replace(plan, output=tmp_path / "straight.safetensors")
    list(train(fresh_sam(), [nuclei], straight))
    run_until(train(fresh_sam(), [nuclei], plan), step=2)
    assert names(tmp_path) >= {"my.state", "my.jsonl"}
    steps = [event.step for event in train(fresh_sam(), [nuclei], plan) if isinstance(event, Step)]
    assert steps == [3, 4]
    weights, expected = load_file(plan.output), load_file(straight.output)
    assert all((weights[name] == tensor).all() for name, tensor in expected.items())
    assert not (tmp_path / "my.state").exists()


def interrupted_in_step(training, number, monkeypatch):
    """Run until Ctrl+C hits in the middle of a step."""
    update, steps = Trainer._update, iter(range(1, number + 1))

    def interrupt(trainer):
        if next(steps) == number:
            raise KeyboardInterrupt
        return update(trainer)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_update", interrupt)
        with pytest.raises(KeyboardInterrupt):
            list(training)


@pytest.mark.parametrize(("number", "left"), [(1, [1, 2, 3, 4]), (2, [2, 3, 4])])
def test_ctrl_c_in_the_first_minute_leaves_a_state_to_go_on_from(fresh_sam, nuclei, plan, monkeypatch, number, left):
    """Nothing was saved before a minute had passed: the training began anew, its validation too."""
    interrupted_in_step(train(fresh_sam(), [nuclei], plan), number, monkeypatch)
    validated = []
    monkeypatch.setattr("napari_sam.training.run.validate", lambda *_, **__: validated.append(True) or {"box": 1.0})
    events = list(train(fresh_sam(), [nuclei], plan))
    assert [event.step for event in events if isinstance(event, Step)] == left
    assert len(validated) == 1  # at the end
    first = json.loads(plan.output.with_suffix(".jsonl").read_text().splitlines()[0])
    assert first["config"] == "tiny"


def test_the_log_has_each_step_once(fresh_sam, nuclei, plan, tmp_path):
    run_until(train(fresh_sam(), [nuclei], plan), step=2)
    list(train(fresh_sam(), [nuclei], plan))
    lines = [json.loads(line) for line in (tmp_path / "my.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4]
    assert lines[0]["config"] == "tiny"
    assert lines[-1]["mean_iou"].keys() == lines[0]["mean_iou"].keys()


def test_encoded_planes_are_kept_for_the_next_time(fresh_sam, nuclei, plan, tmp_path, monkeypatch):
    plan = replace(plan, cache=tmp_path / "cache")
    list(train(fresh_sam(), [nuclei], plan))
    monkeypatch.setattr("napari_sam.cache.encode", None)
    list(train(fresh_sam(), [nuclei], plan, overwrite=True))


def test_another_seed_does_not_go_on_with_a_training(fresh_sam, nuclei, plan):
    run_until(train(fresh_sam(), [nuclei], plan), step=1)
    with pytest.raises(ValueError, match="seed was 0, now 1"):
        train(fresh_sam(), [nuclei], replace(plan, seed=1))


def test_overwriting_starts_over(fresh_sam, nuclei, plan):
    run_until(train(fresh_sam(), [nuclei], plan), step=1)
    steps = [event.step for event in train(fresh_sam(), [nuclei], plan, overwrite=True) if isinstance(event, Step)]
    assert steps == [1, 2, 3, 4]


def test_the_whole_of_a_model_of_fixed_input_size_is_trained_on_crops_of_that_size(fresh_sam, nuclei, plan):
    sam = fresh_sam()
    before = {name: value.clone() for name, value in sam.state_dict().items()}
    events = list(train(sam, [nuclei], replace(plan, freeze_encoder=False, held_out=0.0)))
    assert [type(event) for event in events] == [Validated] + [Step] * 4 + [Validated]
    after = sam.state_dict()
    for part in ("image_encoder.blocks", "image_encoder.neck", "mask_decoder"):
        assert any(name.startswith(part) and not torch.equal(before[name], after[name]) for name in before)


def test_an_output_that_exists_is_refused_at_once(fresh_sam, nuclei, plan):
    plan.output.touch()
    with pytest.raises(FileExistsError, match="exists"):
        train(fresh_sam(), [nuclei], plan)


@pytest.mark.parametrize(
    ("output", "error", "complaint"),
    [("my.pth", ValueError, "must end with"), ("no/my.safetensors", FileNotFoundError, "does not exist")],
)
def test_a_wrong_output_is_refused_at_once(fresh_sam, nuclei, plan, tmp_path, output, error, complaint):
    with pytest.raises(error, match=complaint):
        train(fresh_sam(), [nuclei], replace(plan, output=tmp_path / output))
