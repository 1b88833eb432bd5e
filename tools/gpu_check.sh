#!/usr/bin/env bash
# SPDX-FileCopyrightText: 2026 the randnla developers
# SPDX-License-Identifier: BSD-3-Clause
#
# For a machine with a GPU: build for it, run the public maps and factorizations on it against NumPy, time the
# maps beside a copy and beside CuPy's product with the map at hand. Run as `OUT=folder tools/gpu_check.sh [--fast]` in an
# environment that holds CuPy and what a build needs; nothing is downloaded. --fast leaves the timings out.
# A stage that fails does not stop the next. Exits 0 where all passed, 77 where there is no GPU.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=${OUT:-gpu-check-output}
python=${PYTHON:-python3}
fast=${1:-}
mkdir -p "${out}"
passed=0 failed=0

stage() {
    local name=$1 limit=$2
    shift 2
    echo "== ${name}"
    if timeout "${limit}" "$@" 2>&1 | tee "${out}/${name}.log"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "== ${name} failed"
    fi
}

if ! command -v nvidia-smi >/dev/null || ! nvidia-smi --query-gpu=name,driver_version,compute_cap --format=csv; then
    echo "no GPU is visible here: nothing was checked"
    exit 77
fi
nvcc --version | tail -2
architecture=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -1 | tr -d '. ')

build() {
    "${python}" -m pip install --quiet --no-build-isolation --no-deps --no-index --target "${out}/site" --upgrade \
        -C build-dir="build/gpu_check" -C cmake.define.RANDNLA_CUDA=ON \
        -C cmake.define.RANDNLA_CUDA_ARCHS="${architecture}-real" .
}
export -f build
export python out architecture PYTHONPATH="${out}/site"
stage build 240 bash -c build
stage check 120 "${python}" tools/gpu_maps.py check
if test "${fast}" != --fast; then
    stage bench 120 "${python}" tools/gpu_maps.py bench --json "${out}/gpu_bench.json"
fi
echo "${passed} passed, ${failed} failed"
test "${failed}" -eq 0
