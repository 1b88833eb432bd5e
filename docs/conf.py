# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Sphinx configuration. The build uses no network; warnings are errors (``make docs``)."""

from __future__ import annotations

import sys
from pathlib import Path

import randnla

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

project = "randnla"
author = "the randnla developers"
project_copyright = "2026, the randnla developers"
release = version = randnla.__version__

extensions = [
    "mathml",
    "public_names",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_nb",
    "sphinx_gallery.gen_gallery",
    "sphinxcontrib.bibtex",
]
exclude_patterns = ["_build", "examples", "**/generated/*.ipynb", "**/generated/*.py", "**/generated/*.md5"]
templates_path = ["_templates"]

html_theme = "pydata_sphinx_theme"
html_title = "randnla"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "show_nav_level": 2,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "tango",
}

autodoc_typehints = "none"
autosummary_generate_overwrite = True
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

# Code of the guide is run by tests/docs, not while the pages are built.
nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3

bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "unsrt"

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery/generated",
    "filename_pattern": r"plot_\w+\.py",
    "download_all_examples": False,
    "show_signature": False,
    "remove_config_comments": True,
    "abort_on_example_error": True,
    "matplotlib_animations": False,
}
