// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/woodbury.hpp"

#include <algorithm>
#include <type_traits>

#include "randnla/error.hpp"
#include "randnla/threads.hpp"
#include "randnla/workspace.hpp"

namespace randnla {
namespace {

// Columns of a partial sum: eight rows of it take 2 MB of float32, .05 ms at the speed of memory.
constexpr index_t slab_cols = index_t{1} << 16;
// Columns of G that several right-hand sides read one after the other while they are in cache.
constexpr index_t shared_cols = index_t{1} << 12;
// Columns of float64 sums kept in the second cache: short runs of a row cost more than they save.
constexpr index_t least_width = 4096, most_width = 32768;
// Elements below which a team has less to share than it costs to call it.
constexpr index_t worth_a_team = index_t{1} << 16;
// Right-hand sides that meet a slab of eight rows between two checkpoints.
constexpr index_t most_sides = 16;
// Rows times right-hand sides of the least piece of a combination between two checkpoints.
constexpr index_t most_terms = index_t{1} << 15;

template <class S>
auto dots_kernel() {
    if constexpr (std::is_same_v<S, float>)
        return window_kernels().dots_f32;
    else if constexpr (std::is_same_v<S, double>)
        return window_kernels().dots_f64;
    else if constexpr (std::is_same_v<S, Half>)
        return window_kernels().dots_f16;
    else
        return window_kernels().dots_bf16;
}
template <class S>
auto combine_kernel() {
    if constexpr (std::is_same_v<S, float>)
        return window_kernels().combine_f32;
    else if constexpr (std::is_same_v<S, double>)
        return window_kernels().combine_f64;
    else if constexpr (std::is_same_v<S, Half>)
        return window_kernels().combine_f16;
    else
        return window_kernels().combine_bf16;
}

template <class T>
bool contiguous_rows(MatrixView<T> a) {
    return a.col_stride == 1 || a.cols <= 1;
}

}  // namespace

template <class S, class T>
void window_dots(MatrixView<const S> g, MatrixView<const T> x, MatrixView<double> c) {
    require(contiguous_rows(g) && contiguous_rows(x), "window: expected contiguous rows");
    require(x.cols == g.cols && c.rows == g.rows && c.cols == x.rows,
            "window: shapes do not agree");
    if (c.empty()) return;
    const index_t m = g.rows, k = x.rows, width = k == 1 ? slab_cols : shared_cols;
    const index_t groups = (m + window_rows - 1) / window_rows;
    const index_t slabs = std::max<index_t>(1, (g.cols + slab_cols - 1) / slab_cols);
    const index_t blocks = (k + most_sides - 1) / most_sides, tasks = slabs * groups * blocks;
    const Scratch<double> partial(slabs * m * k);
    const auto kernel = dots_kernel<S>();
    const auto run = [&](index_t task) {
        const index_t slab = task / (groups * blocks), i = task / blocks % groups * window_rows;
        const index_t first = task % blocks * most_sides, last = std::min(k, first + most_sides);
        const int rows = static_cast<int>(std::min<index_t>(window_rows, m - i));
        const index_t begin = slab * slab_cols, end = std::min(g.cols, begin + slab_cols);
        double* const target = partial.data() + (slab * m + i) * k;
        for (int p = 0; p < rows; ++p)
            std::fill(target + p * k + first, target + p * k + last, 0.0);
        double sums[window_rows];
        for (index_t j = begin; j < end; j += width) {
            const index_t n = std::min(width, end - j);
            for (index_t q = first; q < last; ++q) {
                kernel(&g(i, j), g.row_stride, rows, &x(q, j), n, sums, 1);
                for (int p = 0; p < rows; ++p) target[p * k + q] += sums[p];
            }
        }
    };
    const index_t grain = m * k * g.cols <= worth_a_team ? tasks : 1;
    parallel_for(tasks, grain, [&](index_t first, index_t last) {
        for (index_t task = first; task < last; ++task) run(task);
    });
    parallel_for(m, std::max<index_t>(1, worth_a_team / (slabs * k)),
                 [&](index_t top, index_t end) {
                     for (index_t i = top; i < end; ++i)
                         for (index_t q = 0; q < k; ++q) {
                             double sum = 0;
                             for (index_t s = 0; s < slabs; ++s)
                                 sum += partial[(s * m + i) * k + q];
                             c(i, q) = sum;
                         }
                 });
}

template <class S, class T>
void window_combine(MatrixView<const S> g, MatrixView<const double> c, double alpha,
                    MatrixView<const T> x, MatrixView<T> y) {
    require(contiguous_rows(g) && contiguous_rows(x), "window: expected contiguous rows");
    require(x.cols == g.cols && y.cols == g.cols && c.rows == g.rows && c.cols == x.rows &&
                y.rows == x.rows && contiguous_rows(y),
            "window: shapes do not agree");
    if (y.empty()) return;
    const index_t m = g.rows, k = x.rows;
    // Several right-hand sides share the cache; sixteen pieces are enough to share among a team.
    const index_t most = std::clamp<index_t>(most_terms / std::max<index_t>(1, m), 1, k);
    const index_t piece = (g.cols / 16 + 511) / 512 * 512;
    const index_t shared = std::clamp(piece, least_width, most_width) / most;
    const bool alone = m * k * g.cols <= worth_a_team;
    const index_t width = alone ? g.cols : std::max<index_t>(512, shared);
    const index_t pieces = (g.cols + width - 1) / width, blocks = (k + most - 1) / most;
    const Scratch<double> columns(k * m);  // C^T, so that a kernel reads runs
    for (index_t q = 0; q < k; ++q)
        for (index_t i = 0; i < m; ++i) columns[q * m + i] = c(i, q);
    const auto kernel = combine_kernel<S>();
    const auto run = [&](index_t task, double* sums) {
        const index_t begin = task / blocks * width, n = std::min(width, g.cols - begin);
        const index_t first = task % blocks * most, last = std::min(k, first + most);
        for (index_t q = first; q < last; ++q)
            for (index_t j = 0; j < n; ++j)
                sums[(q - first) * width + j] = alpha * static_cast<double>(x(q, begin + j));
        for (index_t i = 0; i < m; i += 2 * window_rows) {
            const int rows = static_cast<int>(std::min<index_t>(2 * window_rows, m - i));
            for (index_t q = first; q < last; ++q)
                kernel(&g(i, begin), g.row_stride, rows, columns.data() + q * m + i, n,
                       sums + (q - first) * width);
        }
        for (index_t q = first; q < last; ++q)
            for (index_t j = 0; j < n; ++j)
                y(q, begin + j) = static_cast<T>(sums[(q - first) * width + j]);
    };
    parallel_for(pieces * blocks, alone ? pieces * blocks : 1, [&](index_t first, index_t last) {
        const Scratch<double> sums(most * width);
        for (index_t task = first; task < last; ++task) run(task, sums.data());
    });
}

namespace {

// Rows are read in pairs: kernels take any distance between them.
struct Pair {
    index_t first, distance;
    int rows;
};

template <class T>
Pair pair_of(MatrixView<const T> a, const index_t* index, index_t k, index_t count) {
    if (k + 1 == count) return {index[k], 0, 1};
    return {index[k], (index[k + 1] - index[k]) * a.row_stride, 2};
}

template <class T>
void check_gathered(MatrixView<const T> a, const index_t* index, index_t count) {
    require(contiguous_rows(a), "gathered: expected contiguous rows");
    for (index_t k = 0; k < count; ++k)
        require(index[k] >= 0 && index[k] < a.rows, "gathered: there is no such row");
}

}  // namespace

template <class T>
void gathered_dots(MatrixView<const T> a, const index_t* index, index_t count, const T* x,
                   double* out) {
    check_gathered(a, index, count);
    const index_t pairs = (count + 1) / 2;
    const index_t grain = std::max<index_t>(1, worth_a_team / 2 / std::max<index_t>(1, a.cols));
    const auto kernel = dots_kernel<T>();
    parallel_for(pairs, grain, [&](index_t first, index_t last) {
        for (index_t k = 2 * first; k < std::min(count, 2 * last); k += 2) {
            const Pair pair = pair_of(a, index, k, count);
            kernel(&a(pair.first, 0), pair.distance, pair.rows, x, a.cols, out + k, 1);
        }
    });
}

template <class T>
void gathered_combine(MatrixView<const T> a, const index_t* index, index_t count, const double* c,
                      double* out) {
    check_gathered(a, index, count);
    std::fill(out, out + a.cols, 0.0);
    const bool alone = count * a.cols <= worth_a_team;
    const index_t width = alone ? std::max<index_t>(1, a.cols) : 512;
    const auto kernel = combine_kernel<T>();
    parallel_for((a.cols + width - 1) / width, 1, [&](index_t first, index_t last) {
        const index_t begin = first * width, n = std::min(last * width, a.cols) - begin;
        for (index_t k = 0; k < count; k += 2) {
            const Pair pair = pair_of(a, index, k, count);
            kernel(&a(pair.first, begin), pair.distance, pair.rows, c + k, n, out + begin);
        }
    });
}

#define RANDNLA_INSTANTIATE_GATHERED(T)                                                            \
    template void gathered_dots<T>(MatrixView<const T>, const index_t*, index_t, const T*,         \
                                   double*);                                                       \
    template void gathered_combine<T>(MatrixView<const T>, const index_t*, index_t, const double*, \
                                      double*);
RANDNLA_INSTANTIATE_GATHERED(float)
RANDNLA_INSTANTIATE_GATHERED(double)

#define RANDNLA_INSTANTIATE(S, T)                                                                  \
    template void window_dots<S, T>(MatrixView<const S>, MatrixView<const T>, MatrixView<double>); \
    template void window_combine<S, T>(MatrixView<const S>, MatrixView<const double>, double,      \
                                       MatrixView<const T>, MatrixView<T>);
RANDNLA_INSTANTIATE(float, float)
RANDNLA_INSTANTIATE(double, double)
RANDNLA_INSTANTIATE(Half, float)
RANDNLA_INSTANTIATE(Brain, float)

}  // namespace randnla
