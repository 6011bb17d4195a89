"""Gradient steps: repeatable, resumable bit for bit, and they touch only what is to be trained."""

import pytest
import torch

from napari_sam.training.dataset import Source
from napari_sam.training.lesson import CropLesson
from napari_sam.training.planes import EncodedPair, PlaneLesson
from napari_sam.training.recipe import Recipe
from napari_sam.training.trainer import Trainer, copy_of

RECIPE = Recipe(steps=6, batch=1, objects=2, warmup=2, learning_rate=1e-3)


@pytest.fixture(params=["crops", "planes"])
def new_trainer(request, fresh_nano, fresh_sam, nuclei):
    """Make trainers that all start alike: the whole of a nano on crops, or a decoder on encoded planes."""

    def make() -> Trainer:
        if request.param == "crops":
            source = Source("nuclei", [nuclei.stack.array], [nuclei.labels], 1.0, 1.0)
            return Trainer(fresh_nano(), CropLesson([source], RECIPE), RECIPE, seed=3)
        sam = fresh_sam()
        sam.image_encoder.requires_grad_(requires_grad=False)
        return Trainer(sam, PlaneLesson([EncodedPair.open(nuclei, sam, None)], RECIPE), RECIPE, seed=3)

    return make


def weights(sam):
    return torch.cat([tensor.flatten() for tensor in sam.state_dict().values()])


def test_three_steps_resumed_for_three_more_equal_six_bit_for_bit(new_trainer, tmp_path):
    straight, interrupted, resumed = new_trainer(), new_trainer(), new_trainer()
    steps = list(straight.run())
    first = interrupted.run()
    told = [next(first) for _ in range(3)]
    torch.save(interrupted.state(), tmp_path / "state")
    resumed.restore(torch.load(tmp_path / "state", weights_only=True))
    assert told + list(resumed.run()) == steps
    assert torch.equal(weights(resumed.master), weights(straight.master))
    assert torch.equal(weights(resumed.averaged()), weights(straight.averaged()))


def test_training_changes_the_weights_and_their_average(new_trainer):
    trainer = new_trainer()
    before = weights(trainer.master).clone()
    next(trainer.run())
    assert not torch.equal(weights(trainer.master), before)
    assert not torch.equal(weights(trainer.averaged()), before)


def test_frozen_parameters_stay_as_they_are(new_trainer):
    trainer = new_trainer()
    frozen = trainer.master.prompt_encoder
    frozen.requires_grad_(requires_grad=False)
    trainer = Trainer(trainer.master, trainer.lesson, RECIPE, seed=3)
    before = [parameter.clone() for parameter in frozen.parameters()]
    next(trainer.run())
    assert all(torch.equal(*pair) for pair in zip(before, frozen.parameters(), strict=True))


def test_a_step_that_is_not_finite_changes_nothing(new_trainer):
    trainer = new_trainer()

    def burst(sam, rng):
        figures = lesson(sam, rng)
        sam.mask_decoder.iou_token.weight.grad.fill_(float("nan"))
        return figures

    lesson, trainer.lesson = trainer.lesson, burst
    before = weights(trainer.master).clone()
    next(trainer.run())
    assert torch.equal(weights(trainer.master), before)


def test_a_copy_shares_a_frozen_encoder_and_nothing_else(fresh_sam):
    sam = fresh_sam()
    sam.image_encoder.requires_grad_(requires_grad=False)
    copy = copy_of(sam, torch.bfloat16)
    assert copy.image_encoder is sam.image_encoder
    assert copy.dtype == torch.bfloat16
    assert sam.dtype == torch.float32


def test_the_clock_ends_a_run_of_minutes(fresh_sam, nuclei):
    recipe = Recipe(minutes=1e-9, batch=1, objects=1)
    sam = fresh_sam()
    sam.image_encoder.requires_grad_(requires_grad=False)
    steps = list(Trainer(sam, PlaneLesson([EncodedPair.open(nuclei, sam, None)], recipe), recipe, seed=0).run())
    assert [step.progress for step in steps] == [1.0]


@pytest.mark.parametrize("wrong", [{}, {"steps": 3, "minutes": 1.0}, {"steps": 0}, {"steps": 3, "learning_rate": -1.0}])
def test_a_recipe_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match=r"steps|learning_rate"):
        Recipe(**wrong)


def test_the_rate_rises_and_then_falls_to_a_fiftieth():
    recipe = Recipe(steps=100, warmup=10, learning_rate=1.0)
    rates = [recipe.rate(step, recipe.progress(step, 0.0)) for step in range(101)]
    assert rates[0] == pytest.approx(0.1, rel=0.01)
    assert max(rates) == pytest.approx(rates[9], rel=0.03)
    assert rates[100] == pytest.approx(0.02)
