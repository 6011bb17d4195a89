"""Sphinx configuration."""

from importlib.metadata import version as installed_version

project = "napari-sam-stacks"
author = "The napari-sam-stacks developers"
project_copyright = "2026, the napari-sam-stacks developers"
release = installed_version("napari-sam-stacks")
version = release

extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc", "cyclopts.ext.sphinx"]
exclude_patterns = ["_build"]
default_role = "code"  # docstrings name things with single backticks

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_typehints = "none"  # the types are in the docstrings, where shapes and units are, too
numpydoc_show_class_members = False

html_theme = "pydata_sphinx_theme"
html_title = "napari-sam-stacks"
html_theme_options = {"show_toc_level": 2, "navigation_with_keys": False}
html_sidebars = {"index": []}
