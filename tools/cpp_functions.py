# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Find the functions of a C++ file and their lengths, well enough for a length check.

Not a parser: comments, literals and preprocessor lines are blanked, then each ``{`` is classified by
the text before it. Lambdas and local blocks count as part of the function they stand in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# Raw strings first: their contents may look like anything else.
BLANKED = re.compile(
    r'R"(?P<mark>[^\s()\\]{0,16})\(.*?\)(?P=mark)"'
    r"|//[^\n]*|/\*.*?\*/"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9a-zA-Z_])'(?:\\.|[^'\\\n])+'"
    r"|^[ \t]*#(?:[^\\\n]|\\.|\\\n)*",
    re.DOTALL | re.MULTILINE,
)
# What stands before the brace of a namespace or a type: its body holds functions, it is none.
CONTAINER = re.compile(r"\b(namespace|class|struct|union|enum|extern)\b[^;{}()]*$")
# A parameter list, qualifiers and an optional initializer list or trailing return type.
FUNCTION = re.compile(
    r"(?P<name>operator\s*(?:\(\)|[^\s(\w]{1,3})|[~\w]+)\s*\((?:[^;{}])*\)\s*"
    r"(?:const|noexcept|override|final|mutable|&|&&|\s|->[^;{}]*)*(?::[^;]*)?$"
)
LEADING = re.compile(r"(?:\s|(?:public|protected|private)\s*:)*")
CONTROL = {"if", "for", "while", "switch", "catch", "return", "sizeof"}


def blank(text: str) -> str:
    """Return the text with comments, literals and directives replaced by spaces, line by line."""
    return BLANKED.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)


def functions(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield (name, first line, number of lines) of each outermost function body."""
    code = blank(text)
    stack: list[tuple[str, int] | None] = []  # one entry per open brace: the function it opens, if any
    begin = 0  # where the text before the next brace begins
    for position, character in enumerate(code):
        if character == "{":
            name = None if any(stack) else function_name(code[begin:position])
            # The body is measured from the line of the brace's statement, signature included.
            start = begin + LEADING.match(code[begin:position]).end()  # type: ignore[union-attr]
            stack.append((name, start) if name else None)
            begin = position + 1
        elif character == "}":
            opened = stack.pop() if stack else None
            if opened:
                first = code.count("\n", 0, opened[1]) + 1
                yield opened[0], first, code.count("\n", 0, position) + 2 - first
            begin = position + 1
        elif character == ";" and not inside_parentheses(code[begin:position]):
            begin = position + 1


def inside_parentheses(text: str) -> bool:
    """Whether the end of the text stands inside an unclosed parenthesis."""
    return text.count("(") > text.count(")")


def function_name(before: str) -> str | None:
    """Return the name of the function whose body follows, or None for any other brace."""
    if CONTAINER.search(before) and "(" not in before:
        return None
    found = FUNCTION.search(before.strip())
    if found is None or found["name"] in CONTROL:
        return None
    return str(found["name"])
