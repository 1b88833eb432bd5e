// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "randnla/isa.hpp"
#include "randnla/matrix_view.hpp"
#include "randnla/philox.hpp"

// Random maps with few nonzeros a column, all +-1 (SparseSign: `nnz` of them in distinct rows;
// CountSketch: one). Their stream is described in DevNotes.md.
namespace randnla {

struct SparseMap {
    Key key;
    index_t rows = 0;                 // d
    index_t nnz = 1;                  // nonzeros a column
    index_t lanes = lanes_per_block;  // columns of one Philox block: 16, or 64 for CountSketch
};

SparseMap sparse_sign_map(std::uint64_t seed, std::uint64_t stream, index_t d, index_t nnz,
                          std::uint32_t element_bits);
SparseMap countsketch_map(std::uint64_t seed, std::uint64_t stream, index_t d,
                          std::uint32_t element_bits);

// Columns [first, first + count): nnz positions and signs (+-1) each, in the order of their draw.
void sparse_map_columns(const SparseMap& map, index_t first, index_t count, std::int64_t* positions,
                        std::int8_t* signs);

// The same as codes 2 position + (sign is -1), positions relative to row_start; those outside
// [row_start, row_start + rows) become `rows`. rows < 2^31. On the calling thread.
void sparse_map_codes(const SparseMap& map, index_t first, index_t count, index_t row_start,
                      index_t rows, std::uint32_t* codes);

// Throws unless [row_start, row_start + rows) x [col_start, col_start + columns) is a block of the
// map that the functions below can apply.
void check_sparse_block(const SparseMap& map, index_t row_start, index_t rows, index_t col_start,
                        index_t columns);

// out = scale S A with S = map[row_start : row_start + out.rows, col_start : col_start + A.rows].
// An entry of out is scale times the sum, over ascending rows of A and then the order of the draw,
// of +-A(i, j): its bits depend neither on the team nor on the layouts. With one nonzero a column,
// each stretch of rows of A is summed so, and then the sums of the stretches, in turn.
template <class T>
void apply_sparse_map(const SparseMap& map, index_t row_start, index_t col_start, T scale,
                      MatrixView<const T> a, MatrixView<T> out);

// Rows of A that are summed together, of `rows` of them: all, or with one nonzero a column and many
// rows of A for each of the map a part (of 2^19 rows at most) that depends on these two numbers
// alone.
index_t stretch_of_rows(const SparseMap& map, index_t rows);

// out = scale S^T A with S = map[row_start : row_start + A.rows, col_start : col_start + out.rows].
// An entry sums its at most nnz terms in the order of their draw.
template <class T>
void apply_sparse_map_adjoint(const SparseMap& map, index_t row_start, index_t col_start, T scale,
                              MatrixView<const T> a, MatrixView<T> out);

// ---- kernels ----

// A panel is a strip of columns one cache line wide: panel[i] holds 64 bytes of row i.
constexpr index_t panel_bytes = 64;

struct SparseMapKernels {
    // The columns of one Philox block, lane by lane, nnz codes each. Scratch of nnz * lanes
    // elements. `sample` for d <= 2^16, `sample_wide` beyond.
    void (*sample)(Key key, index_t d, index_t nnz, index_t lanes, std::uint64_t block,
                   std::uint32_t* scratch, std::uint32_t* codes);
    void (*sample_wide)(Key key, index_t d, index_t nnz, index_t lanes, std::uint64_t block,
                        std::uint64_t* scratch, std::uint64_t* codes);
};
RANDNLA_DECLARE_KERNELS(SparseMapKernels, sparse_map_kernels)

// What becomes of a sum and of what its place holds: it replaces that, begins with it or is added.
enum class Onto { replace, begin, add };

// Sums of signed rows of A, one per row of `out`, which has one cache line of columns at least. Row
// i takes inputs[starts[i]] to inputs[starts[i + 1] - 1], codes 2 row + (sign is -1), in turn. Both
// matrices have contiguous rows.
template <class T>
struct SumOfRows {
    const T* a;
    index_t a_stride;
    const std::uint32_t *inputs, *starts;
    T* out;
    index_t out_stride, rows, cols;
    Onto onto;
};
// Inputs that are fetched ahead: as many valid ones must follow the last.
constexpr index_t sum_rows_ahead = 16;

template <class T>
struct SparseApplyKernels {
    // Codes to panel offsets (in units of 8 bytes) and signs +-1.
    void (*expand)(const std::uint32_t* codes, index_t n, std::uint32_t* offsets, T* signs);
    // Panels, `lines` (1 or 2) cache lines a row and panel_stride elements apart, from contiguous
    // rows or columns; columns of the last panel beyond `cols` become zero.
    void (*pack_rows)(const T* a, index_t stride, index_t rows, index_t cols, T* panels,
                      index_t lines, index_t panel_stride);
    void (*pack_cols)(const T* a, index_t stride, index_t rows, index_t cols, T* panels,
                      index_t lines, index_t panel_stride);
    // sums[row of nonzero z of column i] += sign * tile[i] for i < rows, z < nnz; fetches
    // `fetch_lines` lines every fetch_stride bytes from `fetch` on, one an input row.
    void (*scatter)(const T* tile, index_t rows, index_t nnz, const std::uint32_t* offsets,
                    const T* signs, T* sums, const char* fetch, index_t fetch_lines,
                    index_t fetch_stride);
    // tile[i] = scale * sum over z of sign * panel[row of nonzero z of column i].
    void (*gather)(const T* panel, index_t rows, index_t nnz, const std::uint32_t* offsets,
                   const T* signs, T scale, T* tile);
    // c[codes[k] / 2, :] += or -= a[inputs[k], :], k = 0..n-1, for contiguous rows.
    void (*add_rows)(const T* a, index_t a_stride, index_t cols, index_t n,
                     const std::uint32_t* inputs, const std::uint32_t* codes, T* c,
                     index_t c_stride);
    // The same for all rows of a in turn, but for those with a code of row `rows` and above.
    void (*add_in_turn)(const T* a, index_t a_stride, index_t cols, index_t n,
                        const std::uint32_t* codes, T* c, index_t c_stride, index_t rows);
    void (*sum_rows)(const SumOfRows<T>& sum);
};
struct SparseApplyTable {
    SparseApplyKernels<float> f32;
    SparseApplyKernels<double> f64;
};
RANDNLA_DECLARE_KERNELS(SparseApplyTable, sparse_apply_table)

template <class T>
const SparseApplyKernels<T>& sparse_apply_kernels() {
    if constexpr (sizeof(T) == 4)
        return sparse_apply_table().f32;
    else
        return sparse_apply_table().f64;
}

}  // namespace randnla
