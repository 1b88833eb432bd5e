# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""The Python code of README and guide runs, page by page, as a reader would type it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import randnla

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PAGES = [
    path
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if BLOCK.search(path.read_text())
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_code_of_the_page_runs(page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    code = "\n".join(BLOCK.findall(page.read_text()))
    exec(compile(code, str(page), "exec"), {"__name__": "page"})


def test_the_pages_with_code_are_found() -> None:
    names = {page.name for page in PAGES}
    assert {"README.md", "start.md", "lowrank.md", "certificates.md", "maps.md"} <= names


def test_the_reference_lists_every_public_name() -> None:
    text = (ROOT / "docs" / "reference" / "index.md").read_text()
    rooms = " ".join(re.findall(r"^```{public-names} (.*)$", text, flags=re.MULTILINE)).split()
    missing = [name for name, module in randnla._EXPORTS.items() if module.split(".")[1] not in rooms]
    assert missing == []
