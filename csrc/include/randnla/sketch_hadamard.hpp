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

    Signs from(index_t i) const {  // where the bits are read, i is a multiple of 32
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

// Sampled rows by their residue g = position mod Q, the position within a part of the panel: those
// of group g are starts[g]..starts[g+1], each with the slot position / Q, the number of its part
// and the row of the output it goes to.
struct PanelPicks {
    const std::int32_t* starts;
    const std::int32_t* slots;
    const std::int32_t* parts;
    const std::int32_t* rows;
};

// What becomes of the picked rows v of a part. For c = 0..count-1 they meet the sums of the parts
// on their left, v = left[c] +- v, minus where bit level[c] of the pick's part is set. Then they
// are stored: row k of `to` is pick k, or, for the last part of a panel, scaled and with `cols`
// columns, row rows[k]. Rows of `left`, and of `to` unless last, have the panel's width.
template <class T>
struct PanelSums {
    static constexpr int max_levels = 32;
    int count = 0;
    const T* left[max_levels] = {};
    int level[max_levels] = {};
    T* to = nullptr;
    bool last = true;
    T scale = T(1);
    index_t to_stride = 0, cols = 0;
};

// Where the adjoint of a panel goes; streamed: past the caches where a row's address allows, the
// row stride being whole lines.
template <class T>
struct PanelOut {
    T* data;
    index_t row_stride, rows, cols;
    T scale;
    bool streamed;
};

template <class T>
struct HadamardVectorKernels {
    int radix_levels;  // the most levels that pass and the panels' last pass can take at once
    // x[0..size) = transform of signs * a, a followed by zeros; x == a is allowed. As much
    // of `next`, unless null, is fetched to L2 meanwhile.
    void (*vector_chunk)(const T* a, index_t valid, Signs<T> signs, T* x, index_t size,
                         const T* next);
    // `levels` levels of the 2^levels runs x + i stride, count elements (whole vectors) of each.
    void (*pass)(T* x, index_t stride, int levels, index_t count);
    // out[i * stride] = scale * x[positions[i]].
    void (*pick)(const T* x, const std::int32_t* positions, index_t count, T scale, T* out,
                 index_t stride);
    // The same of x after its top level, of stride `half`.
    void (*pick_top)(const T* x, index_t half, const std::int32_t* positions, index_t count,
                     T scale, T* out, index_t stride);
    // out[j] = scale * sign * x[j] for a contiguous run.
    void (*store_signed)(const T* x, Signs<T> signs, index_t count, T scale, T* out);
};

template <class T>
struct HadamardPanelKernels {
    // As vector_chunk, for the columns of a panel: `rows` rows of `width` elements, whole vectors.
    void (*panel_chunk)(const PanelRows<T>& a, Signs<T> signs, T* x, index_t rows, index_t width);
    // The last `levels` levels of a part of Q << levels rows, for the picked rows only.
    void (*finish)(const T* x, index_t q, int levels, index_t width, const PanelPicks& picks,
                   const PanelSums<T>& sums, const PanelRows<T>& next);
    // The last `levels` levels of a panel of Q << levels rows; out = scale * signs * result.
    void (*spread)(const T* x, index_t q, int levels, index_t width, Signs<T> signs,
                   const PanelOut<T>& out);
};

struct HadamardVectorTables {
    HadamardVectorKernels<float> f32;
    HadamardVectorKernels<double> f64;
};
struct HadamardPanelTables {
    HadamardPanelKernels<float> f32;
    HadamardPanelKernels<double> f64;
};
RANDNLA_DECLARE_KERNELS(HadamardVectorTables, hadamard_vector_kernels)
RANDNLA_DECLARE_KERNELS(HadamardPanelTables, hadamard_panel_kernels)

}  // namespace randnla
