// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

#include "randnla/matrix_view.hpp"
#include "randnla/philox.hpp"

// Indices drawn from a stream (DevNotes.md, "Trigonometric maps" and "RowSampling"). Draw i has 63
// bits: words 2i (its upper 31 bits, high) and 2i + 1 (low) of row 0.
namespace randnla {

struct SampleStream {
    std::uint64_t seed = 0, stream = 0;
    StreamKind kind = StreamKind::trig_rows;
};

// out[i] = draw i, in [0, 2^63).
void draw_63_bits(const SampleStream& source, index_t count, std::uint64_t* out);

// Distinct indices in [0, population): the first `count` steps of a Fisher-Yates shuffle, so that a
// longer sample begins with the shorter one. O(count) time and memory.
void sample_coordinates(const SampleStream& source, index_t population, index_t count,
                        index_t* out);

// Independent uniform indices: floor(draw population / 2^63).
void sample_uniform(const SampleStream& source, index_t population, index_t count, index_t* out);

// Signs of the trigonometric maps, one bit an element: words[i / 32] bit i % 32, for i < count,
// rounded up to whole blocks of 2048.
constexpr index_t signs_per_block = 32 * words_per_block;
void trig_sign_bits(std::uint64_t seed, std::uint64_t stream, index_t count, std::uint32_t* words);

}  // namespace randnla
