# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""What ``check_cuda`` reads of ptxas and cuobjdump, and every fault it must find, planted by a false nvcc."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
MANGLED = "_ZN7randnla4cuda12_GLOBAL__N_113gather_kernelIfLi4EEEvPT_"


@pytest.fixture(scope="module")
def check() -> ModuleType:
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        return importlib.import_module("check_cuda")
    finally:
        sys.path.remove(str(ROOT / "tools"))


def report(registers: int = 32, shared: str = ", 64 bytes smem", stack: int = 0, name: str = MANGLED) -> str:
    return (
        f"ptxas info    : Compiling entry function '{name}' for 'sm_90'\n"
        f"ptxas info    : Function properties for {name}\n"
        f"    {stack} bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
        f"ptxas info    : Used {registers} registers, used 1 barriers{shared}, 416 bytes cmem[0]\n"
    )


# A loop of two multiply-adds to one load inside of a loop with more loads.
SASS = f"""
\t\tFunction : {MANGLED}
        /*0000*/                   MOV R1, c[0x0][0x28] ;                  /* 0x00000a0000017a02 */
        /*0010*/              @!P0 BRA 0x00b0 ;                            /* 0xfffffffc00e08947 */
        /*0020*/                   LDG.E.128.CONSTANT R4, [R2.64] ;        /* 0x0000000402047981 */
        /*0030*/              @!P1 LDS R3, [R7] ;                          /* 0x0000000402047981 */
        /*0040*/                   LDS R3, [R7+0x10] ;                     /* 0x0000000402047981 */
        /*0050*/                   LDS.128 R4, [R7+0x20] ;                 /* 0x0000000402047981 */
        /*0060*/                   FFMA R4, R4, R5, R6 ;                   /* 0x0000000402047981 */
        /*0070*/             @!UP0 FFMA.FTZ R5, R4, R5, R6 ;               /* 0x0000000402047981 */
        /*0080*/               @P0 BRA 0x50 ;                              /* 0xfffffffc004c8947 */
        /*0090*/               @P2 BRA 0x30 ;                              /* 0xfffffffc004c8947 */
        /*00a0*/                   EXIT ;                                  /* 0x000000000000794d */
        /*00b0*/                   BRA 0xb0;                               /* 0xfffffffc00fc7947 */
"""


def test_report_of_ptxas_is_read(check: ModuleType) -> None:
    first, second = check.usages(report(40, stack=16) + report(255, shared=""))
    assert (first.name, first.registers, first.static_bytes, first.stack) == (
        "gather_kernel<float, 4>",
        40,
        64,
        16,
    )
    assert (second.registers, second.static_bytes, second.stack) == (255, 0, 0)
    assert check.usages("ptxas info    : 0 bytes gmem\n") == []


def test_reports_it_cannot_read_are_refused(check: ModuleType) -> None:
    with pytest.raises(AssertionError):
        check.usages(report().replace("Used", "Took"))
    with pytest.raises(AssertionError):
        check.usages(report().replace("stack frame", "frame"))


def test_names(check: ModuleType) -> None:
    enumerator = "_ZN7randnla4cuda12_GLOBAL__N_112apply_kernelIfLNS_10StreamKindE1ELb0ELNS0_7ReadingE2EEEvPT_"
    assert check.kernel_name(enumerator) == "apply_kernel<float, 1, false, 2>"


@pytest.mark.parametrize(
    ("architecture", "registers", "threads", "shared", "blocks"),
    [
        ("90", 32, 256, 0, 8),  # all threads
        ("90", 128, 256, 0, 2),  # all registers
        ("90", 129, 256, 0, 1),  # they come eight a thread
        ("80", 112, 288, 0, 1),  # 18 warps of registers, and four schedulers share them
        ("80", 32, 32, 0, 32),
        ("80", 32, 128, 81 * 1024, 2),
        ("80", 32, 128, 81 * 1024 + 1, 1),  # a block takes 1 KB more
        ("90", 32, 128, 81 * 1024 + 1, 2),
    ],
)
def test_blocks_of_a_multiprocessor(
    check: ModuleType, architecture: str, registers: int, threads: int, shared: int, blocks: int
) -> None:
    assert check.blocks_resident(architecture, registers, threads, shared) == blocks


def test_sass_is_read(check: ModuleType) -> None:
    code = check.listing(SASS)["gather_kernel<float, 4>"]
    assert [i.opcode for i in code[:4]] == ["MOV", "BRA", "LDG.E.128.CONSTANT", "LDS"]
    assert [i.target for i in code] == [None, 0xB0, *[None] * 6, 0x50, 0x30, None, 0xB0]
    assert [i.address for i in check.hot_loop(code)] == [0x50, 0x60, 0x70, 0x80]
    # No multiply-add in a loop: the whole kernel.
    flat = [i for i in code if i.opcode != "BRA"]
    assert check.hot_loop(flat) == flat


@pytest.mark.parametrize(
    ("sass", "rules", "problem"),
    [
        (SASS, {"LDG.E.128": 1, "ratio": 2}, None),
        (SASS, {"LDG.E.128": 2}, "1 of LDG.E.128, expected 2"),
        (SASS, {"HMMA": 1}, "0 of HMMA, expected 1"),
        (SASS, {"ratio": 3}, "2 multiply-adds to 1 shared loads, expected 3 to 1"),
        (SASS.replace("FFMA", "IADD3"), {"ratio": 1}, "0 multiply-adds to 3 shared loads"),
        (SASS.replace("MOV R1", "LDL.LU R1"), {}, "local memory (LDL.LU)"),
        (SASS.replace("@!P1 LDS R3", "@!P1 STL R3"), {}, "local memory (STL)"),
    ],
)
def test_rules_on_instructions(
    check: ModuleType, sass: str, rules: dict[str, int], problem: str | None
) -> None:
    problems = check.judge_instructions("k", check.listing(sass)["gather_kernel<float, 4>"], rules)
    assert len(problems) == (problem is not None)
    assert problem is None or problem in problems[0]


ROW = {"threads": 256, "registers": 40, "static_bytes": 64, "dynamic_bytes": 0, "blocks": 6}


@pytest.mark.parametrize(
    ("row", "text", "problem"),
    [
        ({}, report(), None),
        ({"blocks": 5}, report(41), "41 registers, allowed 40"),
        ({"registers": 48}, report(48), "5 blocks a multiprocessor, expected 6"),
        ({"static_bytes": 60}, report(), "64 bytes of shared memory, allowed 60"),
        ({"dynamic_bytes": 48 * 1024}, report(), "4 blocks a multiprocessor, expected 6"),
        ({}, report(stack=8), "8 bytes of stack"),
    ],
)
def test_judgement_of_resources(
    check: ModuleType, row: dict[str, int], text: str, problem: str | None
) -> None:
    problems = check.judge(check.usages(text)[0], "90", ROW | row)
    assert problems == ([] if problem is None else [f"sm_90 gather_kernel<float, 4>: {problem}"])


class Tree:
    """A tree with one kernel, and tools that print what a test tells them to."""

    def __init__(self, folder: Path, check: ModuleType, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.check = folder, check
        (folder / "cuda/kernels").mkdir(parents=True)
        (folder / "bin").mkdir()
        (folder / "cuda/kernels/gather_rows.cu").write_text("")
        self.rows(r"gather_rows\.gather_kernel<float, 4>")
        self.tell("report", report())
        self.tell("ptx", f".visible .entry {MANGLED}(\n)\nfma.rn.f32 %f1;\n")
        self.tell("sass", SASS)
        self.script(
            "nvcc",
            f'for last; do :; done; case " $* " in\n*" -ptx "*) cat {folder}/ptx > "$last";;\n'
            f'*) cat {folder}/report >&2; : > "$last"; exit $(cat {folder}/status);;\nesac',
        )
        self.script("cuobjdump", f"cat {folder}/sass")
        self.tell("status", "0")
        patch.setattr(check, "ROOT", folder)
        patch.setenv("PATH", f"{folder / 'bin'}:/usr/bin:/bin")
        patch.delenv("CUOBJDUMP", raising=False)

    def tell(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def script(self, name: str, text: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def rows(self, *patterns: str) -> None:
        text = [f"[kernel.'{p}']\n" + "".join(f"{k} = {v}\n" for k, v in ROW.items()) for p in patterns]
        (self.folder / "cuda/resources.toml").write_text("\n".join(text))


@pytest.fixture
def tree(check: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    return Tree(tmp_path, check, monkeypatch)


def test_a_sound_tree_is_clean(tree: Tree, capsys: Any) -> None:
    assert tree.check.main() == 0
    assert "clean (not run on a GPU)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("report", report(41), "sm_80 gather_kernel<float, 4>: 41 registers, allowed 40"),
        ("report", report(name=MANGLED.replace("IfLi4E", "IdLi2E")), "no row in cuda/resources.toml"),
        ("report", "", "names no kernel"),
        ("sass", SASS.replace("MOV R1", "LDL R1"), "local memory (LDL)"),
        (
            "ptx",
            ".entry _Z11fill_kernelPf(\n)\nfma.rn.f32 %f1;\n",
            "fill_kernel: fused, flushed or approximate",
        ),
        (
            "ptx",
            ".entry _Z11fill_kernelPf(\n)\nmul.ftz.f32 %f1;\n",
            "fill_kernel: fused, flushed or approximate",
        ),
    ],
)
def test_faults_are_found(tree: Tree, capsys: Any, name: str, text: str, problem: str) -> None:
    tree.tell(name, text)
    assert tree.check.main() == 1
    assert problem in capsys.readouterr().out


def test_spills_are_errors(tree: Tree) -> None:
    tree.tell("report", "ptxas error   : Registers are spilled to local memory in function 'f'\n")
    tree.tell("status", "255")
    with pytest.raises(
        SystemExit, match=r"gather_rows.cu for sm_80 does not compile:\nptxas error .*spilled"
    ):
        tree.check.main()
    assert "-Xptxas=-v,-warn-spills,-Werror" in tree.check.FLAGS


def test_missing_tools_are_told(tree: Tree, capsys: Any) -> None:
    (tree.folder / "bin/cuobjdump").unlink()
    assert tree.check.main() == 0
    assert "cuobjdump is not installed, instructions were not read" in capsys.readouterr().out
    (tree.folder / "bin/nvcc").unlink()
    assert tree.check.main() == 0
    assert capsys.readouterr().out == "check_cuda: nvcc is not installed, nothing was compiled\n"


def test_rows_of_this_tree_say_what_is_needed(check: ModuleType) -> None:
    text = (check.ROOT / "cuda/resources.toml").read_text()
    for pattern, row in check.tomllib.loads(text)["kernel"].items():
        assert set(ROW) <= set(row) <= {*ROW, "instructions"}, pattern
