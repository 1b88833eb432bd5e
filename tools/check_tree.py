# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Check the house rules that no linter knows: import order, lengths, headers, banned compiler flags.

Run as ``python tools/check_tree.py [ROOT]``; prints one line per violation and exits 1 if there is any.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cpp_functions

FILE_LINES = 600
FUNCTION_LINES = 60
PROSE_COLUMNS = 100
SPDX = ("SPDX-FileCopyrightText: 2026 the randnla developers", "SPDX-License-Identifier: BSD-3-Clause")
SKIPPED_FOLDERS = {".git", ".venv", "build", "dist", "wheelhouse", "demo-output", "_build", "generated"}

# Storeys: a room imports only from rooms of a lower number. Rooms of one number never import each other.
STOREYS = {
    "_backend": 10,
    "operators": 20,
    "sketching": 30,
    "qr": 40,
    "lowrank": 51,
    "solvers": 52,
    "estimate": 53,
    "matrix_functions": 54,
    **dict.fromkeys(("curvature", "tensor", "robust", "recovery", "quantum_inspired", "manifold"), 60),
    **dict.fromkeys(("torch", "jax", "dask", "learn", "optim", "datasets", "testing"), 70),
    "demo": 71,
    "cli": 72,
}
# The only places that may import a package: rooms, or files below python/randnla.
OWNERS = {
    "randnla._core": ("_backend/kernels",),
    "randnla._cuda": ("_backend/kernels",),
    "array_api_compat": ("_backend/namespace.py",),
    "torch": ("torch",),
    "jax": ("jax",),
    "dask": ("dask",),
    "sklearn": ("learn", "datasets", "demo"),
    "matplotlib": ("demo", "cli.py"),
    "rich": ("demo", "cli.py"),
    "PIL": ("datasets", "demo"),
}
# Options that change the meaning of floating point or the baseline of a wheel.
BANNED_FLAGS = re.compile(
    r"-ffast-math|-Ofast|-funsafe-math-optimizations|-fassociative-math|-freciprocal-math"
    r"|-ffinite-math-only|-fno-signed-zeros|-march=native|-mtune=native|optimize\(\"O?fast"
)
# Standard templates leave copies that the linker merges across instruction sets.
TEMPLATE_HEADERS = re.compile(r"<(algorithm|array|functional|memory|numeric|optional|string|tuple|vector)>")


@dataclass(frozen=True)
class Violation:
    """One broken rule at one place."""

    path: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


def tree_files(root: Path, *suffixes: str) -> Iterator[Path]:
    """Yield the files below root with one of the suffixes, skipping what was built."""
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        if path.is_file() and path.name.endswith(suffixes) and not SKIPPED_FOLDERS.intersection(parts):
            yield path


def imported_names(tree: ast.Module, package: list[str]) -> Iterator[tuple[int, str]]:
    """Yield (line, dotted name) of each import; ``from a import b`` counts as ``a.b``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = [*base, *([node.module] if node.module else [])]
            for alias in node.names:
                yield node.lineno, ".".join([*module, alias.name])


def import_violations(root: Path) -> Iterator[Violation]:
    """Imports against the order of the storeys, the owners of packages and the privacy of rooms."""
    top = root / "python" / "randnla"
    for path in tree_files(top, ".py"):
        relative = path.relative_to(top)
        room = relative.parts[0].removesuffix(".py")
        package = ["randnla", *relative.parts[:-1]]
        for line, name in imported_names(ast.parse(path.read_text(encoding="utf-8")), package):
            for message in judge_import(relative, room, name):
                yield Violation(path, line, message)


def judge_import(relative: Path, room: str, name: str) -> Iterator[str]:
    """Yield what is wrong with the import of `name` by the file `relative` of `room`."""
    for owned, owners in OWNERS.items():
        if f"{name}.".startswith(f"{owned}."):
            place = relative.as_posix()
            if not any(place == owner or place.startswith(f"{owner}/") for owner in owners):
                yield f"{owned} may be imported by {', '.join(owners)} only"
    parts = name.split(".")
    if parts[0] != "randnla" or len(parts) < 2 or parts[1] == room or room == "__init__":
        return
    if parts[1] in STOREYS:
        if room in STOREYS and STOREYS[parts[1]] >= STOREYS[room]:
            yield f"{room} (storey {STOREYS[room]}) imports {parts[1]} (storey {STOREYS[parts[1]]})"
        private = [part for part in parts[2:] if part.startswith("_") and not part.startswith("__")]
        if private:
            yield f"private name {private[0]} of room {parts[1]} is imported by {room}"


def room_violations(root: Path) -> Iterator[Violation]:
    """Rooms that nobody gave a storey."""
    top = root / "python" / "randnla"
    for path in sorted(top.iterdir()) if top.is_dir() else ():
        name = path.name.removesuffix(".py")
        is_room = path.suffix == ".py" or (path / "__init__.py").is_file()
        if is_room and name not in STOREYS and not name.startswith("__") and name != "_info":
            yield Violation(path, 1, f"room {name} has no storey in tools/check_tree.py")


def python_length_violations(root: Path) -> Iterator[Violation]:
    """Functions over the cap, docstring not counted, and boolean positional parameters."""
    for path in tree_files(root, ".py"):
        in_package = (root / "python") in path.parents
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            lines = function_lines(node)
            if lines > FUNCTION_LINES:
                yield Violation(path, node.lineno, f"{node.name} has {lines} lines (cap {FUNCTION_LINES})")
            if in_package:
                for name in boolean_positionals(node):
                    yield Violation(path, node.lineno, f"{node.name}: boolean positional argument {name}")


def function_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from ``def`` to the end, without the docstring."""
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node, clean=False) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def boolean_positionals(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """Names of positional parameters that are annotated bool or default to one (dunders may have them)."""
    if node.name.startswith("__") and node.name.endswith("__") and node.name != "__init__":
        return []
    positional = [*node.args.posonlyargs, *node.args.args]
    padding: list[ast.expr | None] = [None] * (len(positional) - len(node.args.defaults))
    defaults: list[ast.expr | None] = [*padding, *node.args.defaults]
    return [
        arg.arg
        for arg, default in zip(positional, defaults, strict=True)
        if (isinstance(arg.annotation, ast.Name) and arg.annotation.id == "bool")
        or (isinstance(default, ast.Constant) and isinstance(default.value, bool))
    ]


def file_violations(root: Path) -> Iterator[Violation]:
    """Files over the hard cap or without the two-line SPDX header."""
    for path in tree_files(
        root, ".py", ".cpp", ".hpp", ".cu", ".cuh", ".cmake", "CMakeLists.txt", "Makefile"
    ):
        lines = path.read_text(encoding="utf-8").splitlines()
        if len(lines) > FILE_LINES:
            yield Violation(path, len(lines), f"{len(lines)} lines (hard cap {FILE_LINES})")
        head = lines[1:3] if lines and lines[0].startswith("#!") else lines[:2]
        if len(head) < 2 or any(text not in line for text, line in zip(SPDX, head, strict=True)):
            yield Violation(path, 1, "the two-line SPDX header is missing")


def doubled_test_violations(root: Path) -> Iterator[Violation]:
    """Test files of one name: the folders of tests are no packages, and the second is not collected."""
    seen: dict[str, Path] = {}
    for path in tree_files(root / "tests", ".py"):
        if path.name.startswith("test_"):
            other = seen.setdefault(path.name, path)
            if other != path:
                yield Violation(path, 1, f"a test file of this name stands in {other.parent.name}, too")


def flag_violations(root: Path) -> Iterator[Violation]:
    """Compiler options that break IEEE arithmetic or tie the build to one machine."""
    for path in tree_files(
        root, ".cmake", ".txt", ".toml", ".json", ".cpp", ".hpp", ".cu", "Makefile", ".sh"
    ):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            found = BANNED_FLAGS.search(line)
            if found:
                yield Violation(path, number, f"banned compiler option {found.group()}")


def cpp_violations(root: Path) -> Iterator[Violation]:
    """C++: long functions, headers outside their place, include cycles."""
    places = {
        "<iostream>": None,
        "<pybind11/": "csrc/bindings",
        "<Python.h>": "csrc/bindings",
        "<omp.h>": "csrc/src/threads.cpp",
    }
    for path in tree_files(root / "csrc", ".cpp", ".hpp") if (root / "csrc").is_dir() else ():
        text = path.read_text(encoding="utf-8")
        for name, line, length in cpp_functions.functions(text):
            if length > FUNCTION_LINES:
                yield Violation(path, line, f"{name} has {length} lines (cap {FUNCTION_LINES})")
        for number, line_text in enumerate(text.splitlines(), 1):
            if not line_text.lstrip().startswith("#include"):
                continue
            if path.parent == root / "csrc" / "src" / "isa" and TEMPLATE_HEADERS.search(line_text):
                message = "no standard templates in a file compiled for many instruction sets"
                yield Violation(path, number, message)
            for header, place in places.items():
                inside = place is not None and path.relative_to(root).as_posix().startswith(place)
                if header in line_text and not inside:
                    yield Violation(path, number, f"#include {header} is allowed in {place or 'no file'}")
    yield from include_cycles(root)


def include_cycles(root: Path) -> Iterator[Violation]:
    """Headers of the core that include each other in a circle."""
    folder = root / "csrc" / "include"
    graph = {
        path.relative_to(folder).as_posix(): re.findall(
            r'#include "(randnla/[^"]+)"', path.read_text("utf-8")
        )
        for path in (tree_files(folder, ".hpp") if folder.is_dir() else ())
    }
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> Iterator[Violation]:
        if name in trail:
            yield Violation(folder / name, 1, f"include cycle: {' -> '.join([*trail, name])}")
        elif name not in done:
            for other in graph.get(name, []):
                yield from visit(other, (*trail, name))
            done.add(name)

    for name in graph:
        yield from visit(name, ())


def prose_violations(root: Path) -> Iterator[Violation]:
    """Lines of the documentation that are too long, tables and code apart."""
    for path in [*tree_files(root / "docs", ".md"), root / "CHANGELOG.md", root / "README.md"]:
        fenced = False
        for number, line in enumerate(path.read_text("utf-8").splitlines() if path.is_file() else (), 1):
            if line.lstrip().startswith("```"):
                fenced = not fenced
            elif not fenced and len(line) > PROSE_COLUMNS and not line.lstrip().startswith(("|", "#")):
                yield Violation(path, number, f"{len(line)} columns (cap {PROSE_COLUMNS})")


CHECKS: tuple[Callable[[Path], Iterator[Violation]], ...] = (
    import_violations,
    room_violations,
    python_length_violations,
    file_violations,
    doubled_test_violations,
    flag_violations,
    cpp_violations,
    prose_violations,
)


def violations(root: Path) -> list[Violation]:
    """Return all violations below root, paths relative to it."""
    found = [violation for check in CHECKS for violation in check(root)]
    return [Violation(v.path.relative_to(root), v.line, v.message) for v in found]


def main() -> int:
    """Check the tree given on the command line, by default the one this file stands in."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1]).resolve()
    found = violations(root)
    for violation in found:
        print(violation)
    print(f"check_tree: {len(found)} violation(s)" if found else "check_tree: clean")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
