// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

// The scalar definitions shared by every CPU level and the GPU. Internal linkage and forced
// inlining: the linker must never merge copies that were compiled for different CPUs.
#ifdef __CUDACC__
#define RANDNLA_SCALAR static __host__ __device__ __forceinline__
#else
#define RANDNLA_SCALAR static inline __attribute__((always_inline))
#endif

// Philox4x32-10 (Salmon, Moraes, Dror, Shaw, SC 2011), the only source of randomness. The layout of
// counters is the stream contract of DevNotes.md; its version is part of every key.
namespace randnla {

constexpr std::uint32_t stream_version = 1;

struct Key {
    std::uint32_t k0 = 0, k1 = 0;
};

// What a stream of numbers is for. Part of the contract: numbers are never reused or changed.
enum class StreamKind : std::uint32_t {
    bits = 0,
    gaussian = 1,
    sign = 2,
    sparse_sign = 3,
    countsketch = 4,
    trig_signs = 5,
    trig_rows = 6,
    row_sampling = 7,
    leverage = 8,
    pivots = 9,
    entries = 10,
    khatri_rao = 11,
    tensor_sketch = 12,
};

constexpr int lanes_per_block = 16;
constexpr int words_per_block = 4 * lanes_per_block;

// One counter: x becomes its four random words.
RANDNLA_SCALAR void philox_counter(std::uint32_t x[4], Key key) {
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t p = std::uint64_t{0xD2511F53U} * x[0],
                            q = std::uint64_t{0xCD9E8D57U} * x[2];
        x[0] = static_cast<std::uint32_t>(q >> 32) ^ x[1] ^ key.k0;
        x[1] = static_cast<std::uint32_t>(q);
        x[2] = static_cast<std::uint32_t>(p >> 32) ^ x[3] ^ key.k1;
        x[3] = static_cast<std::uint32_t>(p);
        key.k0 += 0x9E3779B9U;
        key.k1 += 0xBB67AE85U;
    }
}

// The key of a stream. element_bits (32 or 64) keeps float32 and float64 maps of one seed apart.
RANDNLA_SCALAR Key stream_key(std::uint64_t seed, std::uint64_t stream, StreamKind kind,
                              std::uint32_t element_bits) {
    std::uint32_t x[4] = {static_cast<std::uint32_t>(stream),
                          static_cast<std::uint32_t>(stream >> 32),
                          static_cast<std::uint32_t>(kind) | element_bits << 16, stream_version};
    philox_counter(x, {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
    return {x[0], x[1]};
}

// Block `block` of row `row`: counters (16 block + lane, row) for lane = 0..15, their words stored
// word by word, words[16 w + lane].
RANDNLA_SCALAR void philox_block(std::uint64_t block, std::uint64_t row, Key key,
                                 std::uint32_t* words) {
    for (int lane = 0; lane < lanes_per_block; ++lane) {
        const std::uint64_t low = lanes_per_block * block + static_cast<std::uint64_t>(lane);
        std::uint32_t x[4] = {
            static_cast<std::uint32_t>(low), static_cast<std::uint32_t>(low >> 32),
            static_cast<std::uint32_t>(row), static_cast<std::uint32_t>(row >> 32)};
        philox_counter(x, key);
        for (int w = 0; w < 4; ++w) words[lanes_per_block * w + lane] = x[w];
    }
}

}  // namespace randnla
