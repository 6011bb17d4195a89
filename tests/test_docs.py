"""What the documentation prints must run."""

import ast
import importlib
import re
import shlex
from pathlib import Path

import pytest

from napari_sam.cli import app

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def named(pages):
    return pytest.mark.parametrize("page", pages, ids=lambda page: page.relative_to(ROOT).as_posix())


@named([page for page in PAGES if "sam-stacks " in "".join(blocks(page, "console"))])
def test_the_command_line_takes_every_command_that_is_printed(page):
    lines = "".join(blocks(page, "console")).replace("\\\n", " ").splitlines()
    for line in lines:
        if line.startswith("sam-stacks "):
            _, *arguments = shlex.split(line, comments=True)
            app.parse_args(arguments, exit_on_error=False, print_error=False)


@named([page for page in PAGES if blocks(page, "python")])
def test_every_name_that_a_snippet_imports_is_there(page):
    for snippet in blocks(page, "python"):
        for node in ast.walk(ast.parse(snippet)):
            if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "napari_sam":
                module = importlib.import_module(node.module)
                assert all(hasattr(module, alias.name) for alias in node.names)


@named([*PAGES, ROOT / "CONTRIBUTING.md"])
def test_every_link_to_a_file_leads_somewhere(page):
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.slow
def test_the_tutorial_runs_as_printed():
    names: dict[str, object] = {}
    exec("\n".join(blocks(DOCS / "tutorial.md", "python")), names)
    assert (names["seg"].labels == 5).any()
