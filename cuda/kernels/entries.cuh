// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "randnla/cuda/gpu.hpp"
#include "randnla/distributions.hpp"
#include "randnla/philox.hpp"
#include "tiles.cuh"

// Entries of the random maps, the same bits as in the core (csrc/DevNotes.md, "Random streams").
namespace randnla::cuda {

// The four words of one lane of a block; `position` is 16 block + lane.
struct LaneWords {
    std::uint32_t x[4];
};
GPU_INLINE LaneWords lane_words(std::uint64_t position, std::uint64_t row, Key key) {
    LaneWords words{{static_cast<std::uint32_t>(position),
                     static_cast<std::uint32_t>(position >> 32), static_cast<std::uint32_t>(row),
                     static_cast<std::uint32_t>(row >> 32)}};
    philox_counter(words.x, key);
    return words;
}

// Signs come 32 a word, word i of block b in lane i mod 16: columns 2048 b + 32 i + t.
GPU_INLINE std::uint32_t sign_word(std::uint64_t column, std::uint64_t row, Key key) {
    const auto i = static_cast<std::uint32_t>(column / 32 % words_per_block);
    const LaneWords words = lane_words(
        column / (32 * words_per_block) * lanes_per_block + i % lanes_per_block, row, key);
    const std::uint32_t w = i / lanes_per_block;
    return w == 0 ? words.x[0] : w == 1 ? words.x[1] : w == 2 ? words.x[2] : words.x[3];
}

// A square of 64 rows by 64 columns of a dense map, its first column a multiple of 64, made by the
// 256 threads of a block: put(row, column, value) for every entry, each by one thread.
template <class T, StreamKind kind>
struct SquareOfEntries;

template <class T>
struct SquareOfEntries<T, StreamKind::sign> {
    template <class Put>
    static __device__ __forceinline__ void make(Key key, std::uint64_t row, std::uint64_t column,
                                                T scale, int thread, const Put& put) {
        const int i = thread % square, part = thread / square;  // 16 columns each
        const std::uint32_t bits = sign_word(column + static_cast<std::uint64_t>(part / 2 * 32),
                                             row + static_cast<std::uint64_t>(i), key) >>
                                   (part % 2 * 16);
#pragma unroll
        for (int t = 0; t < 16; ++t) put(i, part * 16 + t, (bits >> t & 1U) != 0 ? -scale : scale);
    }
};

template <>
struct SquareOfEntries<float, StreamKind::gaussian> {
    template <class Put>
    static __device__ __forceinline__ void make(Key key, std::uint64_t row, std::uint64_t column,
                                                float scale, int thread, const Put& put) {
        const int i = thread % square;
#pragma unroll 1
        for (int lane = thread / square; lane < lanes_per_block; lane += square_threads / square) {
            const LaneWords w =
                lane_words(column / 64 * lanes_per_block + static_cast<std::uint64_t>(lane),
                           row + static_cast<std::uint64_t>(i), key);
#pragma unroll
            for (int pair = 0; pair < 4; pair += 2) {
                const float r = gaussian_radius(w.x[pair]);
                float c, s;
                gaussian_angle(w.x[pair + 1], c, s);
                put(i, 16 * pair + lane, scale * (r * c));
                put(i, 16 * pair + 16 + lane, scale * (r * s));
            }
        }
    }
};

template <>
struct SquareOfEntries<double, StreamKind::gaussian> {
    template <class Put>
    static __device__ __forceinline__ void make(Key key, std::uint64_t row, std::uint64_t column,
                                                double scale, int thread, const Put& put) {
        const int i = thread % square;
#pragma unroll 1
        for (int p = thread / square; p < 2 * lanes_per_block; p += square_threads / square) {
            const int half = p / lanes_per_block, lane = p % lanes_per_block;
            const LaneWords w =
                lane_words((column / 32 + static_cast<std::uint64_t>(half)) * lanes_per_block +
                               static_cast<std::uint64_t>(lane),
                           row + static_cast<std::uint64_t>(i), key);
            const double r = gaussian_radius(w.x[0], w.x[1]);
            double c, s;
            gaussian_angle(w.x[2], w.x[3], c, s);
            put(i, 32 * half + lane, scale * (r * c));
            put(i, 32 * half + 16 + lane, scale * (r * s));
        }
    }
};

// Nonzero z of a column of a sparse map by Floyd's step; taken(position) tells whether an earlier
// nonzero of the column stands there. high and low are its words, low 0 and unused for narrow maps.
template <class Taken>
static __device__ __forceinline__ std::int64_t floyd_step(std::uint32_t high, std::uint32_t low,
                                                          std::int64_t rows, std::int64_t nnz,
                                                          std::int64_t z, const Taken& taken) {
    const auto t = static_cast<std::uint64_t>(rows - nnz + z);
    std::uint64_t r;
    if (rows <= std::int64_t{1} << 16) {
        r = (std::uint64_t{high >> 1} * (t + 1)) >> 31;
    } else {
        const std::uint64_t v = std::uint64_t{high >> 1} << 32 | low;
        r = __umul64hi(v, t + 1) << 1 | (v * (t + 1)) >> 63;
    }
    return static_cast<std::int64_t>(taken(static_cast<std::int64_t>(r)) ? t : r);
}

// The nonzeros of column j, in turn: use(z, position, minus).
template <class Taken, class Use>
static __device__ __forceinline__ void sparse_column(Key key, bool countsketch, std::int64_t rows,
                                                     std::int64_t nnz, std::uint64_t j,
                                                     const Taken& taken, const Use& use) {
    const bool wide = rows > std::int64_t{1} << 16;
    constexpr std::uint64_t low_rows = std::uint64_t{1} << 32;
    const std::uint64_t position =
        countsketch ? j / words_per_block * lanes_per_block + j % lanes_per_block : j;
    const auto word = static_cast<int>(j % words_per_block / lanes_per_block);
    for (std::int64_t z0 = 0; z0 < nnz; z0 += 4) {
        const auto row = static_cast<std::uint64_t>(z0 / 4);
        const LaneWords high = lane_words(position, row, key);
        const LaneWords low = wide ? lane_words(position, low_rows + row, key) : LaneWords{};
#pragma unroll
        for (int w = 0; w < 4; ++w) {
            const std::int64_t z = z0 + (countsketch ? 0 : w);
            if (countsketch ? w != word : z >= nnz) continue;
            use(z,
                floyd_step(high.x[w], low.x[w], rows, nnz, z,
                           [&](std::int64_t p) { return taken(z, p); }),
                (high.x[w] & 1U) != 0);
        }
    }
}

}  // namespace randnla::cuda
