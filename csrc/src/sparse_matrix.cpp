// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/sparse_matrix.hpp"

#include <algorithm>
#include <atomic>

#include "randnla/error.hpp"
#include "randnla/threads.hpp"
#include "randnla/workspace.hpp"

namespace randnla {
namespace {

constexpr index_t check_grain = index_t{1} << 18;
// Work between two checkpoints, in multiply-adds: about a millisecond.
constexpr index_t work_grain = index_t{1} << 21;
// A packed panel of X or C: as many columns as fit, at least one cache line of them.
constexpr index_t panel_bytes = index_t{8} << 20;

template <class T>
index_t panel_columns(index_t rows, index_t cols) {
    constexpr index_t line = 64 / static_cast<index_t>(sizeof(T));
    const index_t bytes_of_line = std::max<index_t>(1, rows) * 64;
    return std::min(cols, std::max<index_t>(1, panel_bytes / bytes_of_line) * line);
}

template <class I, class T>
index_t rows_per_step(const CsrView<I, T>& a, index_t width) {
    const index_t work = (a.nnz / std::max<index_t>(1, a.rows) + 1) * std::max<index_t>(1, width);
    return std::max<index_t>(1, work_grain / work);
}

template <class T>
void copy(MatrixView<const T> from, MatrixView<T> to) {
    parallel_for(from.rows, 1024, [&](index_t begin, index_t end) {
        for (index_t i = begin; i < end; ++i)
            for (index_t j = 0; j < from.cols; ++j) to(i, j) = from(i, j);
    });
}

// X with contiguous rows.
template <class I, class T>
void matmul_packed(CsrView<I, T> a, MatrixView<const T> x, MatrixView<T> c) {
    const auto& kernels = csr_kernels<I, T>();
    parallel_for(a.rows, rows_per_step(a, x.cols), [&](index_t begin, index_t end) {
        const bool direct = c.col_stride == 1 || c.cols == 1;
        const Scratch<T> row(direct ? 0 : c.cols);
        for (index_t i = begin; i < end; ++i) {
            const index_t first = static_cast<index_t>(a.indptr[i]),
                          count = static_cast<index_t>(a.indptr[i + 1]) - first;
            T* to = direct ? &c(i, 0) : row.data();
            kernels.gather_rows(a.indices + first, a.data + first, count, x.data, x.row_stride,
                                x.cols, to);
            if (!direct)
                for (index_t j = 0; j < c.cols; ++j) c(i, j) = to[j];
        }
    });
}

// The tile C[r0:r1, j0:j1] of C = A^T X, summed in `sums` (rows padded to whole cache lines, so
// that no two members write to one line).
template <class I, class T>
void transposed_tile(Team& team, const CsrView<I, T>& a, MatrixView<const T> x, index_t first_row,
                     MatrixView<T> c, T* sums) {
    constexpr index_t line = 64 / static_cast<index_t>(sizeof(T));
    const auto& kernels = csr_kernels<I, T>();
    const index_t stride = (c.cols + line - 1) / line * line;
    std::fill(sums, sums + c.rows * stride, T(0));
    const Scratch<T> packed(c.cols);
    const index_t step = rows_per_step(a, c.cols);
    for (index_t i = 0; i < a.rows; ++i) {
        if (i % step == 0) team.checkpoint();
        const T* xi = packed.data();
        if (x.col_stride == 1)
            xi = &x(i, 0);
        else
            for (index_t j = 0; j < c.cols; ++j) packed[j] = x(i, j);
        const index_t first = static_cast<index_t>(a.indptr[i]),
                      count = static_cast<index_t>(a.indptr[i + 1]) - first;
        kernels.scatter_row(a.indices + first, a.data + first, count, xi, c.cols, first_row,
                            first_row + c.rows, sums, stride);
    }
    for (index_t r = 0; r < c.rows; ++r)
        for (index_t j = 0; j < c.cols; ++j) c(r, j) = sums[r * stride + j];
}

}  // namespace

template <class I, class T>
void validate(CsrView<I, T> a) {
    require(a.indptr[0] == 0, "indptr: expected to start at 0");
    std::atomic<bool> rising{true}, inside{true};
    parallel_for(a.rows, check_grain, [&](index_t begin, index_t end) {
        bool good = true;
        for (index_t i = begin; i < end; ++i) good = good && a.indptr[i] <= a.indptr[i + 1];
        if (!good) rising = false;
    });
    require(rising, "indptr: expected values that do not decrease");
    const index_t stored = static_cast<index_t>(a.indptr[a.rows]);
    require(stored <= a.nnz, "indptr: its last value exceeds the length of indices and data");
    parallel_for(stored, check_grain, [&](index_t begin, index_t end) {
        if (!csr_kernels<I, T>().in_range(a.indices + begin, end - begin, a.cols)) inside = false;
    });
    require(inside, "indices: a column index lies outside the matrix");
}

template <class I, class T>
void csr_matmul(CsrView<I, T> a, MatrixView<const T> x, MatrixView<T> c) {
    require(a.cols == x.rows && a.rows == c.rows && x.cols == c.cols,
            "csr_matmul: shapes do not agree");
    if (c.empty()) return;
    if (x.col_stride == 1 || x.cols == 1) return matmul_packed(a, x, c);
    const index_t width = panel_columns<T>(x.rows, x.cols);
    const Scratch<T> panel(x.rows * width);
    for (index_t j = 0; j < x.cols; j += width) {
        const index_t end = std::min(x.cols, j + width);
        const auto packed = row_major_view(panel.data(), x.rows, end - j);
        copy<T>(x.block(0, x.rows, j, end), packed);
        matmul_packed<I, T>(a, packed, c.block(0, c.rows, j, end));
    }
}

template <class I, class T>
void csr_transposed_matmul(CsrView<I, T> a, MatrixView<const T> x, MatrixView<T> c) {
    require(a.rows == x.rows && a.cols == c.rows && x.cols == c.cols,
            "csr_matmul: shapes do not agree");
    if (c.empty()) return;
    constexpr index_t line = 64 / static_cast<index_t>(sizeof(T));
    const index_t lines = (c.cols + line - 1) / line;
    const index_t lines_per_tile = (panel_columns<T>(c.rows, c.cols) + line - 1) / line;
    // Tiles are panels of columns, of whole cache lines; only if there are fewer of them than
    // members are their rows cut too. A tile sees every row of A in order, so no sum depends on the
    // cut.
    parallel_team([&](Team& team) {
        const index_t size = team.size(), panels = (lines + lines_per_tile - 1) / lines_per_tile,
                      across = lines <= size ? lines : (panels + size - 1) / size * size,
                      down = std::min(c.rows, std::max<index_t>(1, size / across));
        for (index_t tile = team.rank(); tile < across * down; tile += size) {
            const index_t p = tile % across, q = tile / across;
            const index_t j0 = std::min(c.cols, lines * p / across * line),
                          j1 = std::min(c.cols, lines * (p + 1) / across * line);
            const index_t r0 = c.rows * q / down, r1 = c.rows * (q + 1) / down;
            if (j0 == j1) continue;
            const Scratch<T> sums((r1 - r0) * ((j1 - j0 + line - 1) / line * line));
            transposed_tile<I, T>(team, a, x.block(0, x.rows, j0, j1), r0, c.block(r0, r1, j0, j1),
                                  sums.data());
        }
    });
}

#define RANDNLA_INSTANTIATE(I, T)                                                \
    template void validate(CsrView<I, T>);                                       \
    template void csr_matmul(CsrView<I, T>, MatrixView<const T>, MatrixView<T>); \
    template void csr_transposed_matmul(CsrView<I, T>, MatrixView<const T>, MatrixView<T>);
RANDNLA_INSTANTIATE(std::int32_t, float)
RANDNLA_INSTANTIATE(std::int32_t, double)
RANDNLA_INSTANTIATE(std::int64_t, float)
RANDNLA_INSTANTIATE(std::int64_t, double)

}  // namespace randnla
