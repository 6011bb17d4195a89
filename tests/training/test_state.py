"""What lies beside the output: a state that fits its plan, and a log without repeated steps."""

import json
import math

import pytest
import torch

from napari_sam.training.state import Log, load_state, save_state

PLAN = {"seed": 1, "recipe": {"steps": 5}, "sources": ["a"]}


def test_a_state_is_read_as_it_was_written(tmp_path):
    save_state(tmp_path / "my.state", PLAN, {"step": 3, "weights": [torch.ones(2)]})
    values = load_state(tmp_path / "my.state", PLAN)
    assert values["step"] == 3
    assert torch.equal(values["weights"][0], torch.ones(2))
    assert [path.name for path in tmp_path.iterdir()] == ["my.state"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 2}, "seed was 1, now 2"),
        ({"recipe": {"steps": 6}}, "steps was 5, now 6"),
        ({"sources": ["b"]}, "sources are others"),
    ],
)
def test_the_state_of_another_plan_is_refused_and_says_what_differs(tmp_path, change, said):
    save_state(tmp_path / "my.state", PLAN, {})
    with pytest.raises(ValueError, match=said):
        load_state(tmp_path / "my.state", PLAN | change)


def test_a_damaged_state_is_refused(tmp_path):
    (tmp_path / "my.state").write_bytes(b"half of it")
    with pytest.raises(ValueError, match="damaged"):
        load_state(tmp_path / "my.state", PLAN)


def test_each_line_of_the_log_is_json(tmp_path):
    log = Log(tmp_path / "my.jsonl", step=0)
    log.write({"step": 1, "loss": math.nan})
    log.write({"step": 2, "loss": 0.5})
    lines = [json.loads(line) for line in (tmp_path / "my.jsonl").read_text().splitlines()]
    assert lines == [{"step": 1, "loss": None}, {"step": 2, "loss": 0.5}]


def test_going_on_drops_the_lines_of_steps_that_are_done_again(tmp_path):
    path = tmp_path / "my.jsonl"
    path.write_text('{"step": 0}\n{"step": 1}\n{"step": 2}\n{"step": 3}\n{"ste')
    Log(path, step=2)
    assert path.read_text() == '{"step": 0}\n{"step": 1}\n{"step": 2}\n'
