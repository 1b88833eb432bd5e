# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The directive ``public-names``: an autosummary of the public names of some rooms, read from the package."""

from __future__ import annotations

from typing import ClassVar

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import randnla


def public_names(rooms: list[str]) -> list[str]:
    """Names whose module lies in one of the rooms, sorted."""
    return sorted(
        name
        for name, module in randnla._EXPORTS.items()
        if any(module == f"randnla.{room}" or module.startswith(f"randnla.{room}.") for room in rooms)
    )


class PublicNames(SphinxDirective):
    """Arguments: rooms of the package."""

    required_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar[dict[str, object]] = {}

    def run(self) -> list[nodes.Node]:
        names = public_names(self.arguments[0].split())
        lines = [".. autosummary::", "   :toctree: generated", "   :nosignatures:", ""]
        lines += [f"   ~randnla.{name}" for name in names]
        parent = nodes.container()
        self.state.nested_parse(StringList(lines, "public-names"), self.content_offset, parent)
        return parent.children


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("public-names", PublicNames)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
