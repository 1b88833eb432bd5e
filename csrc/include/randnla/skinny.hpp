// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>

#include "randnla/isa.hpp"
#include "randnla/matrix_view.hpp"

namespace randnla {

// C = alpha A B + beta C on the calling thread for a B of few columns, the product that randomized
// methods spend their time in. A general GEMM packs both operands and leaves a third of the peak on
// such shapes; here B is packed once and a row-major A is read where it lies, once.
// `workspace` holds skinny_workspace<T>() elements.
template <class T>
using SkinnyProduct = void (*)(T alpha, MatrixView<const T> a, MatrixView<const T> b, T beta,
                               MatrixView<T> c, T* workspace);

struct SkinnyKernels {
    SkinnyProduct<float> product_f32;  // null at levels without a fused multiply-add
    SkinnyProduct<double> product_f64;
    SkinnyProduct<float> wide_f32;  // the same for an A of few rows and a B with unit column stride
    SkinnyProduct<double> wide_f64;
};
RANDNLA_DECLARE_KERNELS(SkinnyKernels, skinny_kernels)

constexpr index_t skinny_max_cols = 256;  // the most columns of B, or rows of A
constexpr std::size_t skinny_packed_bytes = std::size_t{512} << 10;  // of B: half of an L2 cache
constexpr index_t skinny_inner_block = 128;  // a tile's stretch of the inner dimension
constexpr index_t skinny_row_block = 384;    // rows of A multiplied before moving on

template <class T>
constexpr index_t skinny_workspace() {
    return static_cast<index_t>(skinny_packed_bytes / sizeof(T)) +
           (skinny_inner_block + 16) * (skinny_row_block + 16);
}

}  // namespace randnla
