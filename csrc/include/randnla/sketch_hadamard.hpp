// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>
#include <vector>

#include "randnla/isa.hpp"
#include "randnla/matrix_view.hpp"

// The subsampled randomized Hadamard transform S = sqrt(1/d) R H D: D random signs, H the
// unnormalised Hadamard matrix of order M, the power of two at or above m, R the choice of d of its
// rows without replacement. E[S^T S] = I.
//
// The butterflies run over the bits of the index in ascending order on every path, so that the
// bits of a result depend neither on layout, instruction set nor threads.
namespace randnla {

struct HadamardMap {
    std::uint64_t seed = 0, stream = 0;
    index_t d = 0;          // rows of the whole map
    index_t row_start = 0;  // first of the rows in use
    index_t m = 0;          // columns
};

// The smallest power of two >= m.
index_t hadamard_order(index_t m);

// out = S[row_start : row_start + out.rows] a; a has m rows.
template <class T>
void apply_hadamard(const HadamardMap& map, MatrixView<const T> a, MatrixView<T> out);

// out = S[row_start : row_start + b.rows]^T b; out has m rows.
template <class T>
void apply_hadamard_adjoint(const HadamardMap& map, MatrixView<const T> b, MatrixView<T> out);

// ---- the kernels, compiled per instruction set ----

template <class T>
struct SignWord;
template <>
struct SignWord<float> {
    using type = std::uint32_t;
};
template <>
struct SignWord<double> {
    using type = std::uint64_t;
};

// The same signs twice: one bit an element, and one word with the sign bit set or clear. Null
// pointers say that all signs are plus.
template <class T>
struct Signs {
    const std::uint32_t* bits = nullptr;
    const typename SignWord<T>::type* words = nullptr;

    Signs from(index_t i) const {  // i is a multiple of 32
        return bits == nullptr ? Signs{} : Signs{bits + i / 32, words + i};
    }
};

// Rows of a matrix with contiguous rows; `next` is where the caller goes on afterwards, fetched
// ahead of time (null: nowhere).
template <class T>
struct PanelRows {
    const T* data;
    index_t row_stride, rows, cols;
    const T* next;
};

// Sampled rows by their residue g = position mod Q: those of group g are starts[g]..starts[g+1],
// each with the slot position / Q and the row of the output it goes to.
struct PanelPicks {
    const std::int32_t* starts;
    const std::int32_t* slots;
    const std::int32_t* rows;
};

template <class T>
struct HadamardKernels {
    int radix_levels;  // the most levels that pass and finish_panel can take at once
    // x[0..size) = transform of signs * a, a followed by zeros; x == a is allowed. As much
    // of `next`, unless null, is fetched to L2 meanwhile.
    void (*vector_chunk)(const T* a, index_t valid, Signs<T> signs, T* x, index_t size,
                         const T* next);
    // The same for the columns of a panel: `rows` rows of `width` elements, whole vectors.
    void (*panel_chunk)(const PanelRows<T>& a, Signs<T> signs, T* x, index_t rows, index_t width);
    // `levels` levels of the 2^levels runs x + i stride, count elements (whole vectors) of each.
    void (*pass)(T* x, index_t stride, int levels, index_t count);
    // out[i * stride] = scale * x[positions[i]].
    void (*pick)(const T* x, const std::int32_t* positions, index_t count, T scale, T* out,
                 index_t stride);
    // The last `levels` levels of a panel of Q << levels rows, of which only the picked rows are
    // written.
    void (*finish_panel)(const T* x, index_t q, int levels, index_t width, const PanelPicks& picks,
                         T scale, T* out, index_t row_stride, index_t cols,
                         const PanelRows<T>& next);
    // x[i] = left[i] +- x[i], minus where bit `level` of parts[i] is set; rows of `width` elements.
    void (*combine)(const T* left, T* x, const std::int32_t* parts, int level, index_t rows,
                    index_t width);
    // out = scale * x for `cols` columns of rows of `width` elements.
    void (*store_rows)(const T* x, index_t rows, index_t width, index_t cols, T scale, T* out,
                       index_t row_stride);
    // out[j] = scale * sign * x[j] for a contiguous run.
    void (*store_signed)(const T* x, Signs<T> signs, index_t count, T scale, T* out);
};

struct HadamardTables {
    HadamardKernels<float> f32;
    HadamardKernels<double> f64;
};
RANDNLA_DECLARE_KERNELS(HadamardTables, hadamard_kernels)

}  // namespace randnla
