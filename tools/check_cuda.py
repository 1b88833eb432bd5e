#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
"""Compile the device kernels with nvcc and check what can be known without a device.

Run as ``python tools/check_cuda.py``. Registers, shared memory, stack and blocks a multiprocessor of every
kernel stand against ``cuda/resources.toml``; spills are errors; where cuobjdump is found, the instructions
are counted, too; the PTX of the newest architecture is made, and random-number code may hold no fused
multiply-add. Without nvcc it says so and exits 0. Nothing here was run on a GPU.
"""

from __future__ import annotations

import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FLAGS = ("-std=c++17", "-O3", "-fmad=false", "-ftz=false", "-Xptxas=-v,-warn-spills,-Werror")
ARCHITECTURES = ("80", "90")
# Per multiprocessor: registers, threads, blocks, bytes of shared memory; a block takes 1 KB more of it.
LIMITS = {"80": (65536, 2048, 32, 164 * 1024), "90": (65536, 2048, 32, 228 * 1024)}


@dataclass(frozen=True)
class Usage:
    """What ptxas says of one kernel."""

    name: str
    registers: int
    static_bytes: int
    stack: int


def compile_kernels(nvcc: str, source: Path, architecture: str, folder: Path) -> tuple[Path, str]:
    """Compile one source to a cubin; return it with what ptxas reported."""
    cubin = folder / f"{source.stem}.{architecture}.cubin"
    includes = [f"-I{ROOT / 'cuda/include'}", f"-I{ROOT / 'csrc/include'}"]
    command = [nvcc, *FLAGS, *includes, "-cubin", f"-arch=sm_{architecture}", str(source), "-o", str(cubin)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{source.name} for sm_{architecture} does not compile:\n{done.stderr}{done.stdout}")
    return cubin, done.stdout + done.stderr


def kernel_name(mangled: str) -> str:
    """``apply_kernel<float, 2, 0, 1>`` without namespaces, casts and arguments."""
    plain = subprocess.run(["c++filt", mangled], capture_output=True, text=True, check=True).stdout.strip()
    plain = re.sub(r"\(anonymous namespace\)::|randnla::cuda::|^void ", "", plain)
    plain = re.sub(r"\((?:Reading|StreamKind|int|bool|randnla::StreamKind|unsigned int)\)", "", plain)
    return plain.split("(", 1)[0]


def usages(report: str) -> list[Usage]:
    """Read the lines of ``ptxas -v``."""
    found = []
    for block in re.split(r"Compiling entry function '", report)[1:]:
        registers = re.search(r"Used (\d+) registers", block)
        stack = re.search(r"(\d+) bytes stack frame", block)
        static = re.search(r"(\d+) bytes smem", block)
        assert registers is not None, block
        assert stack is not None, block
        found.append(
            Usage(
                kernel_name(block.split("'", 1)[0]),
                int(registers.group(1)),
                int(static.group(1)) if static else 0,
                int(stack.group(1)),
            )
        )
    return found


def blocks_resident(architecture: str, registers: int, threads: int, shared_bytes: int) -> int:
    """Blocks that one multiprocessor holds at a time: registers are given out 256 at a time to a warp."""
    all_registers, all_threads, most, all_shared = LIMITS[architecture]
    warps = -(-threads // 32)
    by_registers = all_registers // (-(-registers * 32 // 256) * 256) // 4 * 4 // warps  # of 4 schedulers
    by_shared = all_shared // (shared_bytes + 1024)
    return min(most, all_threads // threads, by_registers, by_shared)


def judge(usage: Usage, architecture: str, row: dict[str, int]) -> list[str]:
    """What of one kernel is worse than its row allows."""
    problems = []
    shared = usage.static_bytes + row["dynamic_bytes"]
    resident = blocks_resident(architecture, usage.registers, row["threads"], shared)
    if usage.registers > row["registers"]:
        problems.append(f"{usage.registers} registers, allowed {row['registers']}")
    if usage.static_bytes > row["static_bytes"]:
        problems.append(f"{usage.static_bytes} bytes of shared memory, allowed {row['static_bytes']}")
    if usage.stack != 0:
        problems.append(f"{usage.stack} bytes of stack")
    if resident < row["blocks"]:
        problems.append(f"{resident} blocks a multiprocessor, expected {row['blocks']}")
    return [f"sm_{architecture} {usage.name}: {problem}" for problem in problems]


@dataclass(frozen=True)
class Instruction:
    """One line of SASS; `target` is where a branch goes."""

    address: int
    opcode: str
    target: int | None


def listing(sass: str) -> dict[str, list[Instruction]]:
    """Read what ``cuobjdump -sass`` prints: the instructions of every kernel."""
    line = re.compile(r"/\*([0-9a-f]{4,})\*/\s+(?:@!?U?P\w+ )?([A-Z][\w.]*)(?:\s+[^;]*?\b0x([0-9a-f]+)\s*;)?")
    kernels = {}
    for part in sass.split("Function : ")[1:]:
        found = line.finditer(part)
        kernels[kernel_name(part.split("\n", 1)[0].strip())] = [
            Instruction(
                int(m.group(1), 16),
                m.group(2),
                int(m.group(3), 16) if m.group(2).startswith("BRA") and m.group(3) else None,
            )
            for m in found
        ]
    return kernels


def multiply_adds(code: list[Instruction]) -> int:
    """Of scalars or of tiles; those of integers are addresses."""
    return sum(i.opcode.startswith(("FFMA", "DFMA", "HMMA", "IMMA")) for i in code)


def hot_loop(code: list[Instruction]) -> list[Instruction]:
    """The loop without loops inside that has most multiply-adds; all of the kernel where there is none."""
    back = [(i.target, i.address) for i in code if i.target is not None and i.target < i.address]
    inner = [x for x in back if not any(x != y and x[0] <= y[0] and y[1] <= x[1] for y in back)]
    loops = [[i for i in code if low <= i.address <= high] for low, high in inner]
    best = max(loops, key=multiply_adds, default=code)
    return best if multiply_adds(best) else code


def judge_instructions(name: str, code: list[Instruction], rules: dict[str, float]) -> list[str]:
    """Rules on opcodes: ``"LDG.E.128" = 1`` at least so many, ``ratio`` in the hot loop; no local memory."""
    local = sorted({i.opcode for i in code if i.opcode.startswith(("LDL", "STL"))})
    problems = [f"{name}: local memory ({opcode})" for opcode in local]
    for pattern, least in rules.items():
        if pattern == "ratio":
            loop = hot_loop(code)
            top, loads = multiply_adds(loop), sum(i.opcode.startswith("LDS") for i in loop)
            if top < least * loads or top == 0:
                problems.append(f"{name}: {top} multiply-adds to {loads} shared loads, expected {least} to 1")
        elif (count := sum(i.opcode.startswith(pattern) for i in code)) < least:
            problems.append(f"{name}: {count} of {pattern}, expected {least}")
    return problems


def disassembly(cuobjdump: str, cubin: Path) -> str:
    """Return the SASS of a cubin."""
    return subprocess.run([cuobjdump, "-sass", str(cubin)], capture_output=True, text=True, check=True).stdout


def check_ptx(nvcc: str, folder: Path) -> list[str]:
    """PTX for later devices; kernels that only write entries may not fuse."""
    problems = []
    for source in sorted((ROOT / "cuda/kernels").glob("*.cu")):
        out = folder / f"{source.stem}.ptx"
        includes = [f"-I{ROOT / 'cuda/include'}", f"-I{ROOT / 'csrc/include'}"]
        subprocess.run(
            [nvcc, *FLAGS[:4], *includes, "-ptx", "-arch=compute_90", str(source), "-o", str(out)], check=True
        )
        for entry in re.split(r"\.entry\s+", out.read_text())[1:]:
            name = kernel_name(entry.split("(", 1)[0].strip())
            if name.startswith("fill_kernel") and re.search(r"\bfma\.|\.ftz\b|\.approx\b", entry):
                problems.append(f"{name}: fused, flushed or approximate arithmetic in PTX")
    return problems


def main() -> int:
    """Check everything; print the table and the problems."""
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        print("check_cuda: nvcc is not installed, nothing was compiled")
        return 0
    rows = tomllib.loads((ROOT / "cuda/resources.toml").read_text())["kernel"]
    cuobjdump = os.environ.get("CUOBJDUMP") or shutil.which("cuobjdump")
    problems, seen = [], set()
    with tempfile.TemporaryDirectory() as name, concurrent.futures.ThreadPoolExecutor(2) as pool:
        folder = Path(name)
        jobs = [(s, a) for s in sorted((ROOT / "cuda/kernels").glob("*.cu")) for a in ARCHITECTURES]
        results = list(pool.map(lambda job: compile_kernels(nvcc, *job, folder), jobs))
        for (source, architecture), (cubin, report) in zip(jobs, results, strict=True):
            code = listing(disassembly(cuobjdump, cubin)) if cuobjdump else {}
            for usage in usages(report):
                key = f"{source.stem}.{usage.name}"
                row = next((r for pattern, r in rows.items() if re.fullmatch(pattern, key)), None)
                if row is None:
                    problems.append(f"{key}: no row in cuda/resources.toml")
                    continue
                seen.add(id(row))
                problems += judge(usage, architecture, row)
                if code:
                    problems += judge_instructions(key, code[usage.name], row.get("instructions", {}))
                print(f"sm_{architecture} {usage.registers:4d} registers {usage.static_bytes:5d} B  {key}")
        problems += check_ptx(nvcc, folder)
    problems += [f"row {pattern} names no kernel" for pattern, row in rows.items() if id(row) not in seen]
    print(*problems, sep="\n")
    if not cuobjdump:
        print("check_cuda: cuobjdump is not installed, instructions were not read")
    print(f"check_cuda: {len(problems)} problem(s)" if problems else "check_cuda: clean (not run on a GPU)")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
