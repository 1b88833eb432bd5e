// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/gemm.hpp"

#include <algorithm>
#include <type_traits>

#include "randnla/blas.hpp"
#include "randnla/skinny.hpp"
#include "randnla/threads.hpp"
#include "randnla/workspace.hpp"

namespace randnla {
namespace {

// One BLAS call answers Ctrl-C only when it returns: keep each to some hundredths of a second.
constexpr index_t flops_per_call = index_t{1} << 30;

template <class T>
struct Skinny;
template <>
struct Skinny<float> {
    static SkinnyProduct<float> product() { return skinny_kernels().product_f32; }
    static SkinnyProduct<float> wide() { return skinny_kernels().wide_f32; }
};
template <>
struct Skinny<double> {
    static SkinnyProduct<double> product() { return skinny_kernels().product_f64; }
    static SkinnyProduct<double> wide() { return skinny_kernels().wide_f64; }
};

// C = A B + beta C by the wide kernel, whose C must have unit column stride; else through strips of
// scratch, which begin with what C holds: sums keep their order however they are called.
template <class T>
void wide_product(T alpha, MatrixView<const T> a, MatrixView<const T> b, T beta, MatrixView<T> c) {
    const Scratch<T> workspace(skinny_workspace<T>());
    if (c.col_stride == 1) return Skinny<T>::wide()(alpha, a, b, beta, c, workspace.data());
    // Whole vectors, and no power of two: columns of the strip would share a few sets of the cache.
    constexpr index_t strip_width = 1008;
    const Scratch<T> strip(c.rows * std::min(strip_width, c.cols));
    for (index_t j = 0; j < c.cols; j += strip_width) {
        const index_t end = std::min(c.cols, j + strip_width);
        const auto part = row_major_view(strip.data(), c.rows, end - j);
        const auto target = c.block(0, c.rows, j, end);
        if (beta != T(0))
            for (index_t q = 0; q < part.cols; ++q)
                for (index_t p = 0; p < part.rows; ++p) part(p, q) = beta * target(p, q);
        Skinny<T>::wide()(alpha, a, b.block(0, b.rows, j, end), beta == T(0) ? T(0) : T(1), part,
                          workspace.data());
        for (index_t q = 0; q < part.cols; ++q)
            for (index_t p = 0; p < part.rows; ++p) target(p, q) = part(p, q);
    }
}

// Float32 rows of 96 to 1000 numbers against at most 64 columns: reading them in place costs more
// than the BLAS's packing (measured on Zen 5, 17 against 22 ms for 240000 x 200 x 50), but less on
// Intel (Sapphire Rapids, 58 against 64 ms).
template <class T>
bool packing_pays(MatrixView<const T> a, MatrixView<const T> b, MatrixView<T> c) {
    return std::is_same_v<T, float> && !is_intel() && a.row_major() && c.row_major() &&
           b.cols <= 64 && a.cols >= 96 && a.cols <= 1000;
}

// On one thread: our kernels where one side has few rows or columns, the BLAS elsewhere.
template <class T>
void product(T alpha, MatrixView<const T> a, MatrixView<const T> b, T beta, MatrixView<T> c) {
    const auto few = [](index_t n) { return n >= 4 && n <= skinny_max_cols; };
    if (Skinny<T>::product() == nullptr || a.cols < 32) return blas::gemm<T>(alpha, a, b, beta, c);
    if (few(b.cols) && a.rows >= 64) {
        if (a.row_stride == 1)
            return wide_product<T>(alpha, b.transposed(), a.transposed(), beta, c.transposed());
        if (packing_pays<T>(a, b, c)) return blas::gemm<T>(alpha, a, b, beta, c);
        if (c.col_stride == 1) {
            const Scratch<T> workspace(skinny_workspace<T>());
            return Skinny<T>::product()(alpha, a, b, beta, c, workspace.data());
        }
    }
    if (few(a.rows) && b.cols >= 64) {
        if (b.col_stride == 1) return wide_product<T>(alpha, a, b, beta, c);
        if (c.row_stride == 1) {
            const Scratch<T> workspace(skinny_workspace<T>());
            return Skinny<T>::product()(alpha, b.transposed(), a.transposed(), beta, c.transposed(),
                                        workspace.data());
        }
    }
    blas::gemm<T>(alpha, a, b, beta, c);
}

// Products below which one member is as quick as two that are awake, .06 ms, and quicker than one
// that has to wake the other.
constexpr double worth_a_team = 1 << 20;
// Tiles of C bound both the length of a call and, where an operand has to be packed, its memory.
constexpr index_t tile = 2048;

template <class T>
void gemm_tile(Team& team, T alpha, MatrixView<const T> a, MatrixView<const T> b, T beta,
               MatrixView<T> c) {
    // Whole blocks of our kernels, whose sums then do not depend on the step.
    const index_t step =
        std::max<index_t>(2, flops_per_call / (c.rows * c.cols) / skinny_inner_block) *
        skinny_inner_block;
    for (index_t k = 0; k < std::max<index_t>(1, a.cols); k += step) {
        const index_t end = std::min(a.cols, k + step);
        team.checkpoint();
        product<T>(alpha, a.block(0, a.rows, k, end), b.block(k, end, 0, b.cols),
                   k == 0 ? beta : T(1), c);
    }
}

// Few outputs, long sums: the inner dimension is cut into stretches, whatever the team, and the
// sums of these are added in their order.
constexpr index_t stretches = 8;

template <class T>
void gemm_split_inner(T alpha, MatrixView<const T> a, MatrixView<const T> b, T beta,
                      MatrixView<T> c, int members) {
    const index_t size = c.rows * c.cols;
    const Scratch<T> partial(size * stretches);
    const auto sum_of = [&](index_t s) {
        return row_major_view(partial.data() + s * size, c.rows, c.cols);
    };
    const auto cut = [&](index_t s) {
        return s == stretches ? a.cols
                              : a.cols * s / stretches / skinny_inner_block * skinny_inner_block;
    };
    parallel_team(
        [&](Team& team) {
            const auto [s0, s1] = team.share(stretches);
            for (index_t s = s0; s < s1; ++s)
                member_gemm<T>(team, alpha, a.block(0, a.rows, cut(s), cut(s + 1)),
                               b.block(cut(s), cut(s + 1), 0, b.cols), T(0), sum_of(s));
            team.barrier();
            if (team.rank() != 0) return;
            const auto total = sum_of(0);
            for (index_t s = 1; s < stretches; ++s)
                for (index_t i = 0; i < size; ++i) total.data[i] += sum_of(s).data[i];
            for (index_t i = 0; i < c.rows; ++i)
                for (index_t j = 0; j < c.cols; ++j)
                    c(i, j) = total(i, j) + (beta == T(0) ? T(0) : beta * c(i, j));
        },
        members);
}

}  // namespace

template <class T>
void member_gemm(Team& team, T alpha, MatrixView<const T> a, MatrixView<const T> b, T beta,
                 MatrixView<T> c) {
    if (c.empty()) return;
    const index_t tall = std::max(tile, tile * tile / std::min(tile, c.cols));
    for (index_t i = 0; i < c.rows; i += tall)
        for (index_t j = 0; j < c.cols; j += tile) {
            const index_t i1 = std::min(c.rows, i + tall), j1 = std::min(c.cols, j + tile);
            gemm_tile<T>(team, alpha, a.block(i, i1, 0, a.cols), b.block(0, b.rows, j, j1), beta,
                         c.block(i, i1, j, j1));
        }
}

template <class T>
void parallel_gemm(T alpha, MatrixView<const T> a, MatrixView<const T> b, T beta, MatrixView<T> c) {
    if (c.empty()) return;
    // C^T = B^T A^T: the longer side of C is its rows.
    if (c.cols > c.rows)
        return parallel_gemm<T>(alpha, b.transposed(), a.transposed(), beta, c.transposed());
    blas::use_one_thread();
    constexpr index_t slab_unit = 16;
    const double products = static_cast<double>(c.rows * c.cols) * static_cast<double>(a.cols);
    int members = products < worth_a_team ? 1 : num_threads();
    if (products >= worth_a_team && c.rows < 8 * slab_unit &&
        a.cols >= std::max(stretches * skinny_inner_block, 8 * c.rows))
        return gemm_split_inner<T>(alpha, a, b, beta, c, members);
    // Slabs of a narrow product are tall enough for our kernels, and whole tiles of the BLAS where
    // that takes it: its bits are those of one thread.
    const index_t unit = packing_pays<T>(a, b, c) ? 3 * slab_unit : slab_unit;
    if (c.cols <= skinny_max_cols)
        members = static_cast<int>(std::clamp<index_t>(c.rows / (6 * slab_unit), 1, members));
    parallel_team(
        [&](Team& team) {
            const auto [i0, i1] = team.share(c.rows, unit);
            if (i0 < i1)
                member_gemm<T>(team, alpha, a.block(i0, i1, 0, a.cols), b, beta,
                               c.block(i0, i1, 0, c.cols));
        },
        members);
}

#define RANDNLA_INSTANTIATE(T)                                                          \
    template void member_gemm<T>(Team&, T, MatrixView<const T>, MatrixView<const T>, T, \
                                 MatrixView<T>);                                        \
    template void parallel_gemm<T>(T, MatrixView<const T>, MatrixView<const T>, T, MatrixView<T>);
RANDNLA_INSTANTIATE(float)
RANDNLA_INSTANTIATE(double)

}  // namespace randnla
