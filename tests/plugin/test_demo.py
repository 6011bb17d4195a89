"""The demo, as somebody meets it who has just installed the package."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

VISITOR = Path(__file__).with_name("demo_visitor.py")


@pytest.mark.slow
def test_the_demo_is_ready_to_click_and_every_tool_gives_a_mask(qapp, tmp_path):
    """Point, Box, Lasso and Scribble by mouse in the window of `sam-stacks demo --napari`, which is then closed."""
    run = subprocess.run(
        [sys.executable, str(VISITOR)],
        env={**os.environ, "NAPARI_SAM_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )
    assert run.returncode == 0, run.stderr
    assert "Traceback" not in run.stderr
    ious = json.loads(run.stdout.splitlines()[-1])
    assert ious.keys() == {"point", "box", "outline", "scribble"}
    assert min(ious.values()) > 0.6, ious
    (work,) = (tmp_path / "embeddings" / "work").glob("*.json")
    assert {draft["object"] for draft in json.loads(work.read_text())["drafts"]} == {1, 2, 3, 4}
