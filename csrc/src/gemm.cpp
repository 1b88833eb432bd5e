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

// One BLAS call answers Ctrl-C only when it returns: keep each below about a hundredth of a second.
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

// C = A B by the wide kernel, whose C must have unit column stride; else through strips of scratch.
template <class T>
void wide_product(T alpha, MatrixView<const T> a, MatrixView<const T> b, T beta, MatrixView<T> c) {
    const Scratch<T> workspace(skinny_workspace<T>());
    if (c.col_stride == 1) return Skinny<T>::wide()(alpha, a, b, beta, c, workspace.data());
    constexpr index_t strip_width = 1024;
    const Scratch<T> strip(c.rows * std::min(strip_width, c.cols));
    for (index_t j = 0; j < c.cols; j += strip_width) {
        const index_t end = std::min(c.cols, j + strip_width);
        const auto part = row_major_view(strip.data(), c.rows, end - j);
        Skinny<T>::wide()(alpha, a, b.block(0, b.rows, j, end), T(0), part, workspace.data());
        const auto target = c.block(0, c.rows, j, end);
        for (index_t q = 0; q < part.cols; ++q)
            for (index_t p = 0; p < part.rows; ++p)
                target(p, q) = beta == T(0) ? part(p, q) : part(p, q) + beta * target(p, q);
    }
}

// On one thread: our kernels where one side has few rows or columns, the BLAS elsewhere.
template <class T>
void product(T alpha, MatrixView<const T> a, MatrixView<const T> b, T beta, MatrixView<T> c) {
    const auto few = [](index_t n) { return n >= 4 && n <= skinny_max_cols; };
    if (Skinny<T>::product() == nullptr || a.cols < 32) return blas::gemm<T>(alpha, a, b, beta, c);
    if (few(b.cols) && a.rows >= 64) {
        if (a.row_stride == 1)
            return wide_product<T>(alpha, b.transposed(), a.transposed(), beta, c.transposed());
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

template <class T>
void gemm_in_steps(Team& team, T alpha, MatrixView<const T> a, MatrixView<const T> b, T beta,
                   MatrixView<T> c) {
    const index_t per_inner = std::max<index_t>(1, c.rows * c.cols);
    const index_t inner_step = std::max<index_t>(256, flops_per_call / per_inner);
    if (inner_step >= a.cols) {
        team.checkpoint();
        return product<T>(alpha, a, b, beta, c);
    }
    for (index_t k = 0; k < a.cols; k += inner_step) {
        const index_t end = std::min(a.cols, k + inner_step);
        team.checkpoint();
        product<T>(alpha, a.block(0, a.rows, k, end), b.block(k, end, 0, b.cols),
                   k == 0 ? beta : T(1), c);
    }
}

template <class T>
void add_to(MatrixView<const T> x, MatrixView<T> y) {
    for (index_t i = 0; i < x.rows; ++i)
        for (index_t j = 0; j < x.cols; ++j) y(i, j) += x(i, j);
}

// Few outputs, long sums: every member sums its own stretch of the inner dimension.
template <class T>
void gemm_split_inner(T alpha, MatrixView<const T> a, MatrixView<const T> b, T beta,
                      MatrixView<T> c) {
    const index_t size = c.rows * c.cols;
    const Scratch<T> partial(size * num_threads());
    parallel_team([&](Team& team) {
        const auto [k0, k1] = team.share(a.cols, 64);
        const auto mine = row_major_view(partial.data() + team.rank() * size, c.rows, c.cols);
        gemm_in_steps<T>(team, alpha, a.block(0, a.rows, k0, k1), b.block(k0, k1, 0, b.cols), T(0),
                         mine);
        team.barrier();
        if (team.rank() != 0) return;
        for (int r = 1; r < team.size(); ++r)
            add_to<T>(row_major_view<const T>(partial.data() + r * size, c.rows, c.cols), mine);
        for (index_t i = 0; i < c.rows; ++i)
            for (index_t j = 0; j < c.cols; ++j)
                c(i, j) = mine(i, j) + (beta == T(0) ? T(0) : beta * c(i, j));
    });
}

}  // namespace

template <class T>
void parallel_gemm(T alpha, MatrixView<const T> a, MatrixView<const T> b, T beta, MatrixView<T> c) {
    if (c.empty()) return;
    blas::use_one_thread();
    const index_t flops = c.rows * c.cols * std::max<index_t>(1, a.cols);
    if (num_threads() == 1 || flops < (index_t{1} << 16))
        return parallel_team([&](Team& team) { gemm_in_steps<T>(team, alpha, a, b, beta, c); }, 1);
    constexpr index_t slab_unit = 16;
    const index_t longest = std::max(c.rows, c.cols);
    if (longest < 4 * slab_unit * num_threads() && a.cols > 8 * longest)
        return gemm_split_inner<T>(alpha, a, b, beta, c);
    const bool by_rows = c.rows >= c.cols;
    parallel_team([&](Team& team) {
        const auto [i0, i1] = team.share(longest, slab_unit);
        if (i0 == i1) return;
        if (by_rows)
            gemm_in_steps<T>(team, alpha, a.block(i0, i1, 0, a.cols), b, beta,
                             c.block(i0, i1, 0, c.cols));
        else
            gemm_in_steps<T>(team, alpha, a, b.block(0, b.rows, i0, i1), beta,
                             c.block(0, c.rows, i0, i1));
    });
}

template <class T, class Accumulate>
void parallel_gram(MatrixView<const T> a, MatrixView<Accumulate> c) {
    if (c.empty()) return;
    blas::use_one_thread();
    const index_t n = c.rows, size = n * n;
    const Scratch<Accumulate> partial(size * num_threads());
    parallel_team([&](Team& team) {
        const auto [i0, i1] = team.share(a.rows, 8);
        const auto mine = row_major_view(partial.data() + team.rank() * size, n, n);
        std::fill(mine.data, mine.data + size, Accumulate(0));
        const index_t step =
            std::clamp<index_t>((index_t{1} << 16) / std::max<index_t>(1, n), 64, 4096);
        const Scratch<Accumulate> widened(std::is_same_v<T, Accumulate> ? 0 : step * n);
        for (index_t i = i0; i < i1; i += step) {
            const index_t end = std::min(i1, i + step);
            const auto rows = a.block(i, end, 0, n);
            team.checkpoint();
            if constexpr (std::is_same_v<T, Accumulate>) {
                blas::syrk<T>(rows, T(1), mine);
            } else {
                const auto wide = row_major_view(widened.data(), end - i, n);
                for (index_t r = 0; r < wide.rows; ++r)
                    for (index_t j = 0; j < n; ++j)
                        wide(r, j) = static_cast<Accumulate>(rows(r, j));
                blas::syrk<Accumulate>(wide, Accumulate(1), mine);
            }
        }
        team.barrier();
        if (team.rank() != 0) return;
        for (int r = 1; r < team.size(); ++r)
            add_to<Accumulate>(row_major_view<const Accumulate>(partial.data() + r * size, n, n),
                               mine);
        for (index_t i = 0; i < n; ++i)
            for (index_t j = i; j < n; ++j) c(i, j) = c(j, i) = mine(i, j);
    });
}

#define RANDNLA_INSTANTIATE(T) \
    template void parallel_gemm<T>(T, MatrixView<const T>, MatrixView<const T>, T, MatrixView<T>);
RANDNLA_INSTANTIATE(float)
RANDNLA_INSTANTIATE(double)
template void parallel_gram<float, float>(MatrixView<const float>, MatrixView<float>);
template void parallel_gram<float, double>(MatrixView<const float>, MatrixView<double>);
template void parallel_gram<double, double>(MatrixView<const double>, MatrixView<double>);

}  // namespace randnla
