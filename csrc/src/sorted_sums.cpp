// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/sorted_sums.hpp"

#include <algorithm>

#include "randnla/sketch_sparse.hpp"

namespace randnla {
namespace {

using u16 = std::uint16_t;
using u32 = std::uint32_t;
constexpr u32 row_bytes = static_cast<u32>(sorted_lines * panel_bytes);
constexpr u16 no_input = static_cast<u16>(sorted_inputs * panel_bytes);
static_assert(sorted_inputs * panel_bytes < 1 << 16);

// Where the nonzeros of a row go: the first `limit` from `whole` on, the others from `rest` on.
struct Place {
    u32 seen, limit, whole, rest;
};
static_assert(sizeof(Place) == 4 * sizeof(u32));

// The next free places for the rows of one kind: of their nonzeros, of themselves, and how many
// the batch still takes.
struct Kind {
    u32 at = 0, left = 0, together = 0;
    index_t row = 0;
};

}  // namespace

void sort_chunk(const u32* codes, index_t inputs, index_t nnz, index_t d, u32* scratch,
                SortedChunk& chunk) {
    auto* places = reinterpret_cast<Place*>(scratch);
    const auto height = static_cast<u32>(d);
    for (index_t r = 0; r < d; ++r) places[r].seen = 0;
    for (index_t e = 0; e < inputs * nnz; ++e)
        if (codes[e] >> 1 < height) ++places[codes[e] >> 1].seen;

    index_t rows_of_kind[batch_size + 1] = {};
    for (index_t r = 0; r < d; ++r) {
        rows_of_kind[batch_size] += places[r].seen / batch_size;
        ++rows_of_kind[places[r].seen % batch_size];
    }
    Kind kinds[batch_size + 1];
    index_t batches = 0, rows = 0;
    for (index_t c = batch_size; c >= 1; --c) {
        const index_t together = rows_of_batch(c);
        kinds[c].at = static_cast<u32>(batches * batch_size);
        kinds[c].left = kinds[c].together = static_cast<u32>(together);
        kinds[c].row = rows;
        chunk.batches[c] = (rows_of_kind[c] + together - 1) / together;
        batches += chunk.batches[c];
        rows += chunk.batches[c] * together;
    }
    std::fill(chunk.codes, chunk.codes + batches * batch_size, no_input);
    std::fill(chunk.signs, chunk.signs + batches, u16{0});
    std::fill(chunk.rows, chunk.rows + sorted_rows(inputs * nnz, d), height * row_bytes);

    constexpr u32 size = batch_size;
    Kind& full = kinds[batch_size];
    for (index_t r = 0; r < d; ++r) {
        Place& place = places[r];
        const u32 count = place.seen % size, whole = place.seen / size;
        const u32 row = static_cast<u32>(r) * row_bytes;
        place = {0, whole * size, full.at, 0};
        full.at += whole * size;
        for (u32 i = 0; i < whole; ++i) chunk.rows[full.row++] = row;
        if (count == 0) continue;
        Kind& kind = kinds[count];
        chunk.rows[kind.row++] = row;
        place.rest = kind.at - place.limit;
        const bool last = --kind.left == 0;  // without a branch, which would be mispredicted
        kind.at = last ? (kind.at + count + size - 1) / size * size : kind.at + count;
        kind.left = last ? kind.together : kind.left;
    }
    for (index_t i = 0; i < inputs; ++i)
        for (index_t z = 0; z < nnz; ++z) {
            const u32 code = codes[i * nnz + z];
            if (code >> 1 >= height) continue;
            Place& place = places[code >> 1];
            const u32 p = (place.seen < place.limit ? place.whole : place.rest) + place.seen;
            ++place.seen;
            chunk.codes[p] = static_cast<u16>(i * panel_bytes);
            chunk.signs[p / batch_size] =
                static_cast<u16>(chunk.signs[p / batch_size] | (code & 1U) << p % batch_size);
        }
}

}  // namespace randnla
