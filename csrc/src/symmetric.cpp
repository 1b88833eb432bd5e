// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/symmetric.hpp"

#include <algorithm>
#include <atomic>
#include <functional>

#include "qr_blocks.hpp"
#include "randnla/blas.hpp"
#include "randnla/gemm.hpp"
#include "randnla/gram.hpp"
#include "randnla/threads.hpp"
#include "randnla/workspace.hpp"

namespace randnla {
namespace {

constexpr index_t flops_per_call = index_t{1} << 30;  // of one BLAS call, which answers no Ctrl-C

constexpr index_t unfold_tile = 32;

// body(team, k) for k = 0, ..., count - 1, dealt to whoever is free.
void deal(index_t count, const std::function<void(Team&, index_t)>& body) {
    std::atomic<index_t> next{0};
    parallel_team(
        [&](Team& team) {
            for (index_t k = next.fetch_add(1); k < count; k = next.fetch_add(1)) {
                team.checkpoint();
                body(team, k);
            }
        },
        static_cast<int>(std::min<index_t>(count, num_threads())));
}

// Columns [j0, j1) of the triangle.
template <class T>
void update_strip(Team& team, T alpha, MatrixView<const T> a, T beta, MatrixView<T> c, index_t j0,
                  index_t j1) {
    const index_t width = j1 - j0;
    const index_t step = std::max<index_t>(64, flops_per_call / (2 * j1 * width));
    for (index_t i = 0; i < a.rows; i += step) {
        const index_t end = std::min(a.rows, i + step);
        const T keep = i == 0 ? beta : T(1);
        const auto right = a.block(i, end, j0, j1);
        team.checkpoint();
        if (j0 > 0)
            blas::gemm<T>(alpha, a.block(i, end, 0, j0).transposed(), right, keep,
                          c.block(0, j0, j0, j1));
        blas::syrk<T>(alpha, right, keep, c.block(j0, j1, j0, j1));
    }
}

template <class T>
void scale_triangle(T beta, MatrixView<T> c) {
    for (index_t i = 0; i < c.rows; ++i)
        for (index_t j = i; j < c.cols; ++j) c(i, j) = beta == T(0) ? T(0) : beta * c(i, j);
}

// Few columns: slabs of rows, each with sums of its own.
template <class T>
void update_narrow(T alpha, MatrixView<const T> a, T beta, MatrixView<T> c) {
    const index_t n = c.rows;
    const Scratch<T> memory(n * n);
    const auto gram = row_major_view(memory.data(), n, n);
    parallel_gram<T, T>(a, gram);
    for (index_t i = 0; i < n; ++i)
        for (index_t j = i; j < n; ++j)
            c(i, j) = alpha * gram(i, j) + (beta == T(0) ? T(0) : beta * c(i, j));
}

// to = alpha from^T, of one tile: a copy in between spares lines a power of two apart, which
// compete for one place in the cache.
template <class T>
void transpose_tile(T alpha, MatrixView<const T> from, MatrixView<T> to) {
    T tile[unfold_tile][unfold_tile + 1];
    for (index_t i = 0; i < from.rows; ++i)
        for (index_t j = 0; j < from.cols; ++j) tile[i][j] = alpha * from(i, j);
    for (index_t j = 0; j < from.cols; ++j)
        for (index_t i = 0; i < from.rows; ++i) to(j, i) = tile[i][j];
}

// Rows [begin, end) of alpha S, and the columns that mirror them, by tiles.
template <class T>
void unfold_rows(T alpha, MatrixView<const T> s, index_t begin, index_t end, MatrixView<T> out) {
    const index_t n = s.rows;
    for (index_t i0 = begin; i0 < end; i0 += unfold_tile) {
        const index_t i1 = std::min(end, i0 + unfold_tile);
        for (index_t i = i0; i < i1; ++i) {
            for (index_t j = i; j < n; ++j) out(i, j) = alpha * s(i, j);
            for (index_t j = i + 1; j < i1; ++j) out(j, i) = out(i, j);
        }
        for (index_t j0 = i1; j0 < n; j0 += unfold_tile) {
            const index_t j1 = std::min(n, j0 + unfold_tile);
            transpose_tile<T>(alpha, s.block(i0, i1, j0, j1), out.block(j0, j1, i0, i1));
        }
    }
}

// y += S[i0:i1, i0:i1] x[i0:i1] for the square [i0, i1) on the diagonal.
template <class T>
void add_diagonal_square(Team& team, MatrixView<const T> s, MatrixView<const T> x, index_t i0,
                         index_t i1, MatrixView<T> y) {
    constexpr index_t leaf = 1024;
    const auto rows = [](auto view, index_t begin, index_t end) {
        return view.block(begin, end, 0, view.cols);
    };
    if (i1 - i0 <= leaf) {
        const index_t n = i1 - i0;
        const Scratch<T> memory(n * n);
        const auto square = row_major_view(memory.data(), n, n);
        unfold_rows<T>(T(1), s.block(i0, i1, i0, i1), 0, n, square);
        return member_gemm<T>(team, T(1), square, rows(x, i0, i1), T(1), rows(y, i0, i1));
    }
    const index_t mid = i0 + (i1 - i0 + 1) / 2;
    const auto corner = s.block(i0, mid, mid, i1);
    member_gemm<T>(team, T(1), corner, rows(x, mid, i1), T(1), rows(y, i0, mid));
    member_gemm<T>(team, T(1), corner.transposed(), rows(x, i0, mid), T(1), rows(y, mid, i1));
    add_diagonal_square<T>(team, s, x, i0, mid, y);
    add_diagonal_square<T>(team, s, x, mid, i1, y);
}

}  // namespace

template <class T>
void update_triangle(T alpha, MatrixView<const T> a, T beta, MatrixView<T> c) {
    if (c.empty()) return;
    blas::use_one_thread();
    if (a.rows == 0) return scale_triangle(beta, c);
    constexpr index_t narrow = 384;
    if (c.cols <= narrow) return update_narrow<T>(alpha, a, beta, c);
    const index_t width = c.cols <= 2048 ? 256 : 512;
    const index_t strips = (c.cols + width - 1) / width;
    // The last strips are the longest: they are dealt first.
    deal(strips, [&](Team& team, index_t k) {
        const index_t j0 = (strips - 1 - k) * width;
        update_strip<T>(team, alpha, a, beta, c, j0, std::min(c.cols, j0 + width));
    });
}

template <class T>
void symmetric_product(MatrixView<const T> s, MatrixView<const T> x, MatrixView<T> y) {
    if (y.empty()) return;
    blas::use_one_thread();
    const index_t n = s.rows;
    parallel_team([&](Team& team) {
        const auto [i0, i1] = team.share(n, 16);
        if (i0 >= i1) return;
        const auto mine = y.block(i0, i1, 0, y.cols);
        member_gemm<T>(team, T(1), s.block(i0, i1, i1, n), x.block(i1, n, 0, x.cols), T(0), mine);
        member_gemm<T>(team, T(1), s.block(0, i0, i0, i1).transposed(), x.block(0, i0, 0, x.cols),
                       T(1), mine);
        add_diagonal_square<T>(team, s, x, i0, i1, y);
    });
}

template <class T>
void unfold_triangle(T alpha, MatrixView<const T> s, MatrixView<T> out) {
    const index_t n = s.rows, tiles = (n + unfold_tile - 1) / unfold_tile;
    parallel_for(tiles, 1, [&](index_t begin, index_t end) {
        unfold_rows<T>(alpha, s, begin * unfold_tile, std::min(n, end * unfold_tile), out);
    });
}

template <class T>
void crossed_gram(MatrixView<const T> a, MatrixView<const T> b, MatrixView<double> c) {
    if (c.empty()) return;
    blas::use_one_thread();
    constexpr index_t stretch = 1024, least = 512, most = 8;
    const index_t n = c.rows, size = n * n;
    SlabPlan plan = plan_slabs(a.rows, n);
    plan.slabs = std::clamp<index_t>(a.rows / least, 1, most);
    plan.slab_rows = (a.rows + plan.slabs - 1) / plan.slabs;
    const Scratch<double> totals(size * plan.slabs);
    const Scratch<T> parts(size * plan.slabs);
    std::fill(totals.data(), totals.data() + size * plan.slabs, 0.0);
    std::fill(parts.data(), parts.data() + size * plan.slabs, T(0));
    for_each_block(plan, [&](index_t slab, index_t begin, index_t end) {
        const auto part = row_major_view(parts.data() + slab * size, n, n);
        add_crossed<T>(a.block(begin, end, 0, n), b.block(begin, end, 0, n), plan.panel, part);
        const index_t first = slab * plan.slab_rows;
        const index_t last = std::min(plan.rows, first + plan.slab_rows);
        if ((begin - first) / stretch == (end - first) / stretch && end != last) return;
        const auto total = row_major_view(totals.data() + slab * size, n, n);
        for (index_t i = 0; i < n; ++i)
            for (index_t j = i; j < n; ++j) {
                total(i, j) += static_cast<double>(part(i, j));
                part(i, j) = T(0);
            }
    });
    for (index_t i = 0; i < n; ++i)
        for (index_t j = i; j < n; ++j) {
            double sum = 0.0;
            for (index_t s = 0; s < plan.slabs; ++s) sum += totals[s * size + i * n + j];
            c(i, j) = sum;
        }
}

#define RANDNLA_INSTANTIATE(T)                                                                   \
    template void update_triangle<T>(T, MatrixView<const T>, T, MatrixView<T>);                  \
    template void symmetric_product<T>(MatrixView<const T>, MatrixView<const T>, MatrixView<T>); \
    template void unfold_triangle<T>(T, MatrixView<const T>, MatrixView<T>);                     \
    template void crossed_gram<T>(MatrixView<const T>, MatrixView<const T>, MatrixView<double>);
RANDNLA_INSTANTIATE(float)
RANDNLA_INSTANTIATE(double)

}  // namespace randnla
