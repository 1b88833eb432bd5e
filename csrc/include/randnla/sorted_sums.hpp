// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "randnla/isa.hpp"
#include "randnla/matrix_view.hpp"

// Sums of signed rows of a tile, one per row of the output, held in registers: the nonzeros of a
// chunk of inputs are sorted by output row once, for all columns.
namespace randnla {

// Inputs of a chunk at most. The tile has one row more, of zeros.
constexpr index_t sorted_inputs = 512;
// Nonzeros of a batch at most.
constexpr index_t batch_size = 16;
// Tile and sums hold 128 bytes of each row, so that an index serves two vector operations.
constexpr index_t sorted_lines = 2;

// Rows of `count` nonzeros that a batch holds.
constexpr index_t rows_of_batch(index_t count) {
    return batch_size / count;
}

// The sorted nonzeros of a chunk. A batch holds rows_of_batch(c) rows of c nonzeros each, their
// inputs ascending; a row of more than 16 has some batches of 16 first, then one of the rest.
// Missing rows of a batch are the row beyond the last, their inputs the row of zeros.
struct SortedChunk {
    std::uint16_t* codes;  // 16 a batch: input times 64
    std::uint16_t* signs;  // one a batch: bit b is set where nonzero b is -1
    std::uint32_t* rows;   // of each batch: row times the bytes of a row of sums
    index_t
        batches[batch_size + 1];  // batches of c nonzeros a row; they lie in descending order of c
};

// Room for the chunk of n nonzeros over d rows.
constexpr index_t sorted_batches(index_t n) {
    return n / 9 + batch_size;  // a batch but the last of its kind holds at least 9 nonzeros
}
constexpr index_t sorted_rows(index_t n, index_t d) {
    constexpr index_t fetched = 32;  // read ahead, never used
    return (n < d ? n : d) + n / batch_size + batch_size * batch_size + fetched;
}

// Sorts codes 2 row + (sign is -1) of `inputs` inputs, nnz each; rows from d on are dropped. The
// room is where `chunk` points to. Scratch of 4 d words.
void sort_chunk(const std::uint32_t* codes, index_t inputs, index_t nnz, index_t d,
                std::uint32_t* scratch, SortedChunk& chunk);

// Memory to be asked for meanwhile: runs of `lines` cache lines, `stride` bytes from one run to the
// next, `count` lines in all.
struct FetchAhead {
    const char* start = nullptr;
    index_t lines = 1, stride = 0, count = 0;
};

template <class T>
struct SortedSumsKernels {
    // sums[row] += sign * tile[input] for every nonzero, a row's inputs ascending. Null at levels
    // without registers of 32 bytes.
    void (*add)(const SortedChunk& chunk, const T* tile, T* sums, FetchAhead fetch);
};
struct SortedSumsTable {
    SortedSumsKernels<float> f32;
    SortedSumsKernels<double> f64;
    // Cache lines a row from which A by rows, or by columns, is faster sorted than by panels.
    index_t lines_of_rows, lines_of_columns;
};
RANDNLA_DECLARE_KERNELS(SortedSumsTable, sorted_sums_table)

template <class T>
const SortedSumsKernels<T>& sorted_sums_kernels() {
    if constexpr (sizeof(T) == 4)
        return sorted_sums_table().f32;
    else
        return sorted_sums_table().f64;
}

}  // namespace randnla
