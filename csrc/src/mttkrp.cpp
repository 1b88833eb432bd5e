// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/mttkrp.hpp"

#include <algorithm>

#include "randnla/blas.hpp"
#include "randnla/gemm.hpp"
#include "randnla/threads.hpp"
#include "randnla/workspace.hpp"

namespace randnla {
namespace {

constexpr index_t rows_per_block = 1024;  // of the matrix of slices, at least one slice
constexpr index_t stretches = 8;          // with sums of their own, whatever the team

index_t slices_per_block(index_t rows) {
    return std::max<index_t>(1, rows_per_block / std::max<index_t>(1, rows));
}

// body(rows, first): slices i0 to i1 as a matrix of their rows, from row `first` of it on: at once
// where they lie as one, else one slice after the other. Nothing is packed here.
template <class T, class Body>
void over_rows(const BatchView<const T>& t, index_t i0, index_t i1, const Body& body) {
    if (t.stride == t.rows * t.row_stride || i1 - i0 == 1)
        return body(MatrixView<const T>{t.data + i0 * t.stride, (i1 - i0) * t.rows, t.cols,
                                        t.row_stride, t.col_stride},
                    index_t{0});
    for (index_t i = i0; i < i1; ++i) body(t[i], (i - i0) * t.rows);
}

// w = (slices i0 to i1) c
template <class T>
void slices_times(Team& team, const BatchView<const T>& t, index_t i0, index_t i1,
                  MatrixView<const T> c, MatrixView<T> w) {
    over_rows<T>(t, i0, i1, [&](MatrixView<const T> rows, index_t first) {
        member_gemm<T>(team, T(1), rows, c, T(0), w.block(first, first + rows.rows, 0, w.cols));
    });
}

// to[s] += x[s] y[s]
template <class T>
void add_products(const T* x, const T* y, index_t n, T* to) {
    for (index_t s = 0; s < n; ++s) to[s] += x[s] * y[s];
}

template <class T>
struct Factors {
    MatrixView<const T> a, b, c;
};

// The first axis: out[i] = sum_q (t_i c)[q] * b[q].
template <class T>
void first_axis(const BatchView<const T>& t, const Factors<T>& f, MatrixView<T> out) {
    const index_t r = out.cols, step = slices_per_block(t.rows);
    const index_t blocks = (t.count + step - 1) / step;
    parallel_team([&](Team& team) {
        const Scratch<T> work(step * t.rows * r);
        const auto [first, last] = team.share(blocks);
        for (index_t block = first; block < last; ++block) {
            const index_t i0 = block * step, i1 = std::min(t.count, i0 + step);
            const auto w = row_major_view(work.data(), (i1 - i0) * t.rows, r);
            slices_times<T>(team, t, i0, i1, f.c, w);
            for (index_t i = i0; i < i1; ++i) {
                std::fill_n(&out(i, 0), r, T(0));
                for (index_t q = 0; q < t.rows; ++q)
                    add_products(&w((i - i0) * t.rows + q, 0), &f.b(q, 0), r, &out(i, 0));
            }
        }
    });
}

// Blocks of slices of one stretch after the other, each stretch into sums of its own, which are
// added in their order. body(team, i0, i1, work, sums) adds a block; `work` has `scratch` elements.
template <class T, class Body>
void by_stretches(index_t slices, index_t step, index_t scratch, index_t size, T* out,
                  const Body& body) {
    const Scratch<T> partial(stretches * size);
    const auto cut = [&](index_t s) { return slices * s / stretches; };
    parallel_team([&](Team& team) {
        const Scratch<T> work(scratch);
        const auto [first, last] = team.share(stretches);
        for (index_t s = first; s < last; ++s) {
            T* const sums = partial.data() + s * size;
            std::fill_n(sums, size, T(0));
            for (index_t i0 = cut(s); i0 < cut(s + 1); i0 += step)
                body(team, i0, std::min(cut(s + 1), i0 + step), work.data(), sums);
        }
    });
    std::copy_n(partial.data(), size, out);
    for (index_t s = 1; s < stretches; ++s)
        for (index_t i = 0; i < size; ++i) out[i] += partial[s * size + i];
}

// The second axis: out[q] = sum_i (t_i c)[q] * a[i].
template <class T>
void second_axis(const BatchView<const T>& t, const Factors<T>& f, MatrixView<T> out) {
    const index_t r = out.cols, step = slices_per_block(t.rows);
    by_stretches<T>(t.count, step, step * t.rows * r, t.rows * r, out.data,
                    [&](Team& team, index_t i0, index_t i1, T* work, T* sums) {
                        const auto w = row_major_view(work, (i1 - i0) * t.rows, r);
                        slices_times<T>(team, t, i0, i1, f.c, w);
                        for (index_t i = i0; i < i1; ++i)
                            for (index_t q = 0; q < t.rows; ++q)
                                add_products(&w((i - i0) * t.rows + q, 0), &f.a(i, 0), r,
                                             sums + q * r);
                    });
}

// The third axis: out^T = sum over rows of products of a and b, made a block at a time.
template <class T>
void third_axis(const BatchView<const T>& t, const Factors<T>& f, MatrixView<T> out) {
    const index_t r = out.cols, step = slices_per_block(t.rows);
    const Scratch<T> transposed(r * t.cols);
    by_stretches<T>(t.count, step, step * t.rows * r, r * t.cols, transposed.data(),
                    [&](Team& team, index_t i0, index_t i1, T* work, T* sums) {
                        const auto w = row_major_view(work, (i1 - i0) * t.rows, r);
                        for (index_t i = i0; i < i1; ++i)
                            for (index_t q = 0; q < t.rows; ++q)
                                for (index_t s = 0; s < r; ++s)
                                    w((i - i0) * t.rows + q, s) = f.a(i, s) * f.b(q, s);
                        const auto to = row_major_view(sums, r, t.cols).transposed();
                        over_rows<T>(t, i0, i1, [&](MatrixView<const T> rows, index_t first) {
                            member_gemm<T>(team, T(1), rows.transposed(),
                                           w.block(first, first + rows.rows, 0, r), T(1), to);
                        });
                    });
    for (index_t k = 0; k < t.cols; ++k)
        for (index_t s = 0; s < r; ++s) out(k, s) = transposed[s * t.cols + k];
}

}  // namespace

template <class T>
void parallel_mttkrp(BatchView<const T> t, MatrixView<const T> a, MatrixView<const T> b,
                     MatrixView<const T> c, int mode, MatrixView<T> out) {
    blas::use_one_thread();
    const Factors<T> factors{a, b, c};
    if (mode == 0) return first_axis<T>(t, factors, out);
    if (mode == 1) return second_axis<T>(t, factors, out);
    third_axis<T>(t, factors, out);
}

#define RANDNLA_INSTANTIATE(T)                                                                     \
    template void parallel_mttkrp<T>(BatchView<const T>, MatrixView<const T>, MatrixView<const T>, \
                                     MatrixView<const T>, int, MatrixView<T>);
RANDNLA_INSTANTIATE(float)
RANDNLA_INSTANTIATE(double)

}  // namespace randnla
