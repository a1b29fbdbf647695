# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The documentation as a site, ``make docs``.

Its source is the root of the repository, so that links between pages, bundles and files hold there as well as in a
browser of the repository.
"""

from __future__ import annotations

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

import monai_debias

project = "monai-debias"
author = "monai-debias contributors"
copyright = "monai-debias contributors, Apache-2.0"
version = release = monai_debias.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
root_doc = "docs/index"
include_patterns = [
    "docs/**",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "bundles/*/docs/README.md",
    "tutorials/**",
    "benchmarks/results/*.md",
]
exclude_patterns = ["docs/_build", "tutorials/scratch"]

html_theme = "furo"
html_math_renderer = "mathml"
html_title = f"monai-debias {version}"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
suppress_warnings = ["toc.not_included"]  # tables of results are reached by links
nb_execution_mode = "off"  # the tutorials are executed by `make tutorials`

autodoc_default_options = {"members": True, "imported-members": True, "show-inheritance": True}
autodoc_typehints = "none"  # the signatures have them, and the arguments are described in words
autodoc_member_order = "alphabetical"


def setup(app: Sphinx) -> None:
    """Formulas are MathML, which browsers show without a network; MathJax, the default, is fetched from one."""
    app.add_html_math_renderer("mathml", (_formula, None), (_formula, None))


def _formula(writer: HTML5Translator, node: nodes.math | nodes.math_block) -> None:
    is_block = isinstance(node, nodes.math_block)
    formula = tex2mathml(node.astext(), as_block=is_block)
    writer.body.append(f'<div style="overflow-x: auto">{formula}</div>' if is_block else formula)
    raise nodes.SkipNode
