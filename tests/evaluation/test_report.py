"""Tables of scores."""

import json

import pytest

from napari_sam.evaluation.report import calibration_error, check_report_output, summarise, to_markdown, write_report
from napari_sam.evaluation.scores import Score, Target

CELL, NUCLEUS = Target(1, (3,)), Target(2, (4,))
SCORES = [Score(CELL, "box", 0.9, 1.0), Score(NUCLEUS, "box", 0.5, 0.3), Score(CELL, "Otsu", 0.25)]


def test_a_summary_is_the_mean_over_objects():
    box, otsu = summarise(SCORES)
    assert (box.way, box.objects, box.mean_iou) == ("box", 2, pytest.approx(0.7))
    assert (otsu.way, otsu.objects, otsu.mean_iou) == ("Otsu", 1, 0.25)


def test_the_calibration_error_is_over_what_was_predicted():
    assert calibration_error(SCORES) == pytest.approx(0.15)
    assert calibration_error(SCORES[2:]) is None


def test_a_markdown_table_has_a_row_per_data_set():
    lines = to_markdown({"cells": SCORES, "nuclei": SCORES[:2]}).splitlines()
    assert lines[0] == "| data set | objects | box | Otsu | calibration error |"
    assert lines[2] == "| cells | 2 | .700 | .250 | .150 |"
    assert lines[3] == "| nuclei | 2 | .700 |  | .150 |"


def test_json_holds_every_score(tmp_path):
    write_report(tmp_path / "scores.json", {"cells": SCORES})
    cells = json.loads((tmp_path / "scores.json").read_text())["cells"]
    assert cells["scores"][0] == {"object_id": 1, "plane": [3], "way": "box", "iou": 0.9, "predicted": 1.0}
    assert [way["way"] for way in cells["ways"]] == ["box", "Otsu"]


def test_a_report_is_refused_before_the_work(tmp_path):
    (tmp_path / "there.md").write_text("")
    with pytest.raises(FileExistsError, match="exists"):
        check_report_output(tmp_path / "there.md")
    check_report_output(tmp_path / "there.md", overwrite=True)
    with pytest.raises(ValueError, match="must end with"):
        check_report_output(tmp_path / "scores.csv")
    with pytest.raises(FileNotFoundError, match="create it first"):
        check_report_output(tmp_path / "nowhere" / "scores.md")
