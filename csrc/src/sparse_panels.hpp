// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>

#include "randnla/sketch_sparse.hpp"
#include "randnla/threads.hpp"

// What the ways to apply a sparse map share.
namespace randnla {

template <class T>
constexpr index_t line = panel_bytes / static_cast<index_t>(sizeof(T));

// Columns in panels of `lines` cache lines a row, panels `stride` elements apart.
template <class T>
struct Panels {
    T* data;
    index_t lines, stride;

    index_t row_stride() const { return lines * line<T>; }
    T* column_line(index_t p) const { return data + p / lines * stride + p % lines * line<T>; }
    // From panel p on.
    Panels from(index_t p) const { return {data + p * stride, lines, stride}; }
};

// How the rows of A from k on meet those before, all of which are summed together or not.
inline Onto onto_of(index_t k, bool together) {
    return k == 0 ? Onto::replace : together ? Onto::begin : Onto::add;
}

// The members draw the codes of columns [first, first + count) together.
inline void draw_together(Team& team, const SparseMap& map, index_t first, index_t count,
                          index_t row_start, index_t rows, std::uint32_t* codes) {
    constexpr index_t step = 4096;
    const auto [begin, end] = team.share(count, words_per_block);
    for (index_t j = begin; j < end; j += step) {
        team.checkpoint();
        sparse_map_codes(map, first + j, std::min(step, end - j), row_start, rows,
                         codes + j * map.nnz);
    }
    team.barrier();
}

// Columns of the last panel beyond those of `a` become zero, whatever the layout of `a`.
template <class T>
void pack(MatrixView<const T> a, Panels<T> panels) {
    const auto& kernels = sparse_apply_kernels<T>();
    const auto kernel = a.col_stride == 1 || a.cols == 1 ? kernels.pack_rows
                        : a.row_stride == 1              ? kernels.pack_cols
                                                         : nullptr;
    if (kernel != nullptr)
        return kernel(a.data, a.col_stride == 1 || a.cols == 1 ? a.row_stride : a.col_stride,
                      a.rows, a.cols, panels.data, panels.lines, panels.stride);
    const index_t width = panels.lines * line<T>, padded = (a.cols + width - 1) / width * width;
    for (index_t j = 0; j < padded; ++j) {
        T* to = panels.column_line(j / line<T>) + j % line<T>;
        for (index_t i = 0; i < a.rows; ++i, to += panels.row_stride())
            *to = j < a.cols ? a(i, j) : T(0);
    }
}

// out = scale * panels or, with `add`, scale * (out + panels).
template <class T>
void unpack(Panels<T> panels, T scale, MatrixView<T> out, bool add = false) {
    const auto value = [=](T sum, T& to) { to = (add ? to + sum : sum) * scale; };
    for (index_t j0 = 0; j0 < out.cols; j0 += line<T>) {
        const T* from = panels.column_line(j0 / line<T>);
        const index_t width = std::min(line<T>, out.cols - j0), stride = panels.row_stride();
        if (out.col_stride == 1)
            for (index_t i = 0; i < out.rows; ++i)
                for (index_t j = 0; j < width; ++j) value(from[i * stride + j], (&out(i, j0))[j]);
        else
            for (index_t j = 0; j < width; ++j)
                for (index_t i = 0; i < out.rows; ++i) value(from[i * stride + j], out(i, j0 + j));
    }
}

// out *= factor, by the team.
template <class T>
void multiply(Team& team, T factor, MatrixView<T> out) {
    const auto [begin, end] = team.share(out.rows);
    for (index_t i = begin; i < end; ++i) {
        if (i % 4096 == 0) team.checkpoint();
        T* row = &out(i, 0);
        if (factor == T(0))
            for (index_t j = 0; j < out.cols; ++j) row[j * out.col_stride] = T(0);
        else if (out.col_stride == 1)
            for (index_t j = 0; j < out.cols; ++j) row[j] *= factor;
        else
            for (index_t j = 0; j < out.cols; ++j) row[j * out.col_stride] *= factor;
    }
    team.barrier();
}

// Whether a block of `rows` rows of the map, applied to `lines` cache lines a row, is faster
// sorted.
bool sorting_pays(const SparseMap& map, index_t rows, index_t lines, bool contiguous_rows);

// out = scale S A, through nonzeros sorted by row.
template <class T>
void apply_sorted(const SparseMap& map, index_t row_start, index_t col_start, T scale,
                  MatrixView<const T> a, MatrixView<T> out);

// Above this many rows (4 MB a panel) the sums go straight to the output.
constexpr index_t panel_rows = index_t{1} << 16;

// Members that apply a map of one nonzero a column to contiguous rows by the way below; 0 where
// others are faster.
template <class T>
int members_in_turn(const SparseMap& map, MatrixView<const T> a, MatrixView<T> out);

// out = scale S A, stretch by stretch of A.
template <class T>
void apply_in_turn(const SparseMap& map, index_t row_start, index_t col_start, T scale, int members,
                   MatrixView<const T> a, MatrixView<T> out);

// Whether a map of one nonzero a column is applied to contiguous rows by the way below.
template <class T>
bool row_sums_pay(const SparseMap& map, MatrixView<const T> a, MatrixView<T> out);

// out = scale S A, row by row of out, from inputs sorted by their row.
template <class T>
void apply_by_rows(const SparseMap& map, index_t row_start, index_t col_start, T scale,
                   MatrixView<const T> a, MatrixView<T> out);

}  // namespace randnla
