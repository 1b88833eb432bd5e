// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/sketch_sparse.hpp"

#include "philox_lanes.hpp"

// Positions and signs of the sparse maps. Lanes are columns; everything is integers, so every level
// has the same bits.
namespace randnla::RANDNLA_ISA {
namespace {

using u32 = std::uint32_t;
using u64 = std::uint64_t;
constexpr int L = lanes_per_block;

// Floyd's step for 16 columns at once: nonzero z draws r uniform on 0..t, t = d - nnz + z, and
// takes t itself if r stands among the z positions before.
//
// floor(v T / 2^31), T = t + 1 <= 2^16, in 32-bit products: with v = 2^16 h + l it is
// floor((h T + floor(l T / 2^16)) / 2^15), and h T < 2^31, l T < 2^32.
inline void floyd(const u32* words, index_t d, index_t nnz, index_t z, u32* positions) {
    const u32 t = static_cast<u32>(d - nnz + z), bound = t + 1;
    u32 r[L];
    for (int l = 0; l < L; ++l) {
        const u32 v = words[l] >> 1;
        r[l] = ((v >> 16) * bound + (((v & 0xFFFFU) * bound) >> 16)) >> 15;
    }
    u32 taken[L] = {};
    for (index_t y = 0; y < z; ++y)
        for (int l = 0; l < L; ++l) taken[l] |= positions[y * L + l] == r[l] ? ~0U : 0U;
    for (int l = 0; l < L; ++l) positions[z * L + l] = (r[l] & ~taken[l]) | (t & taken[l]);
}

void sample(Key key, index_t d, index_t nnz, index_t lanes, u64 block, u32* scratch, u32* codes) {
    u32 words[words_per_block];
    if (lanes == words_per_block) {  // CountSketch: word w of lane l belongs to column 16 w + l
        philox_block_lanes(block, 0, key, words);
        for (int w = 0; w < 4; ++w) {
            floyd(words + w * L, d, 1, 0, scratch + w * L);
            for (int l = w * L; l < (w + 1) * L; ++l) codes[l] = scratch[l] << 1 | (words[l] & 1U);
        }
        return;
    }
    for (index_t z = 0; z < nnz; ++z) {
        u32* word = words + z % 4 * L;
        if (z % 4 == 0) philox_block_lanes(block, static_cast<u64>(z / 4), key, words);
        floyd(word, d, nnz, z, scratch);
        for (int l = 0; l < L; ++l) codes[l * nnz + z] = scratch[z * L + l] << 1 | (word[l] & 1U);
    }
}

void sample_wide(Key key, index_t d, index_t nnz, index_t lanes, u64 block, u64* scratch,
                 u64* codes) {
    constexpr u64 low_rows = u64{1} << 32;
    u32 high[words_per_block], low[words_per_block];
    const bool whole_block = lanes == words_per_block;
    for (index_t z = 0; z < nnz; ++z) {
        if (z % 4 == 0) {
            philox_block_lanes(block, static_cast<u64>(z / 4), key, high);
            philox_block_lanes(block, low_rows + static_cast<u64>(z / 4), key, low);
        }
        const u64 t = static_cast<u64>(d - nnz + z);
        for (index_t l = 0; l < lanes; ++l) {
            const index_t w = whole_block ? l : z % 4 * L + l;
            const u64 v = u64{high[w] >> 1} << 32 | low[w];
            u64 r = static_cast<u64>((static_cast<unsigned __int128>(v) * (t + 1)) >> 63);
            for (index_t y = 0; y < z; ++y)
                if (scratch[l * nnz + y] == r) r = t;
            scratch[l * nnz + z] = r;
            codes[l * nnz + z] = r << 1 | (high[w] & 1U);
        }
    }
}

}  // namespace

extern const SparseMapKernels sparse_map_kernels;
const SparseMapKernels sparse_map_kernels = {sample, sample_wide};

}  // namespace randnla::RANDNLA_ISA
