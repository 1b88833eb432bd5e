// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>

#include "randnla/blas.hpp"
#include "randnla/gemm.hpp"
#include "randnla/workspace.hpp"

// Block reflectors I - V T V^T as lapack::geqrt leaves them, applied by products.
namespace randnla {

template <class T>
MatrixView<T> col_major_view(T* data, index_t rows, index_t cols) {
    return {data, rows, cols, 1, rows};
}

// The reflectors of a panel, V = [V1; V2]: V1 square with its unit diagonal and the zeros above it
// written out, V2 where it lies in A.
template <class T>
struct Reflectors {
    MatrixView<const T> v1, v2, t;
};

template <class T>
Reflectors<T> unpack_reflectors(MatrixView<const T> panel, MatrixView<const T> t, T* memory) {
    const index_t width = panel.cols;
    const auto v1 = col_major_view(memory, width, width);
    for (index_t j = 0; j < width; ++j) {
        std::fill(&v1(0, j), &v1(0, j) + j, T(0));
        v1(j, j) = T(1);
        std::copy(&panel(0, j) + j + 1, &panel(0, j) + width, &v1(0, j) + j + 1);
    }
    return {v1, panel.block(width, panel.rows, 0, width), t};
}

// C := (I - V T V^T) C, or with T^T, on the calling thread.
template <class T>
void reflect(const Reflectors<T>& by, bool transposed, MatrixView<T> c) {
    const index_t width = by.v1.cols;
    const Scratch<T> memory(2 * width * c.cols);
    const auto w = col_major_view(memory.data(), width, c.cols),
               tw = col_major_view(memory.data() + width * c.cols, width, c.cols);
    const auto top = c.block(0, width, 0, c.cols), below = c.block(width, c.rows, 0, c.cols);
    blas::gemm<T>(T(1), by.v1.transposed(), top, T(0), w);
    parallel_gemm<T>(T(1), by.v2.transposed(), below, T(1), w);
    blas::gemm<T>(T(1), transposed ? by.t.transposed() : by.t, w, T(0), tw);
    blas::gemm<T>(T(-1), by.v1, tw, T(1), top);
    blas::gemm<T>(T(-1), by.v2, tw, T(1), below);
}

// The same, not transposed, on a C whose rows below the first of V's columns are zero, whatever
// they hold.
template <class T>
void reflect_top(const Reflectors<T>& by, MatrixView<T> c) {
    const index_t width = by.v1.cols;
    const Scratch<T> memory(2 * width * c.cols);
    const auto w = col_major_view(memory.data(), width, c.cols),
               tw = col_major_view(memory.data() + width * c.cols, width, c.cols);
    const auto top = c.block(0, width, 0, c.cols), below = c.block(width, c.rows, 0, c.cols);
    blas::gemm<T>(T(1), by.v1.transposed(), top, T(0), w);
    blas::gemm<T>(T(1), by.t, w, T(0), tw);
    blas::gemm<T>(T(-1), by.v1, tw, T(1), top);
    blas::gemm<T>(T(-1), by.v2, tw, T(0), below);
}

}  // namespace randnla
