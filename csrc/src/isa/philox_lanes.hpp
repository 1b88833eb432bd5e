// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "randnla/philox.hpp"

#if defined(__SSE4_1__)
#include <immintrin.h>
#endif

// One block of Philox in vector registers, for the files of this folder only (see DevNotes.md).
//
// Each 32-bit word sits in a 64-bit lane: the widening multiply ignores the upper half, so whatever
// is left there is harmless, and a round costs two multiplies, two shifts and two three-way xors
// for eight counters of AVX-512. Even counters travel in one set of registers, odd ones in another;
// at the end one shift and one blend put them in order.
namespace randnla::RANDNLA_ISA {
namespace {

#if defined(__SSE4_1__)

#if defined(__AVX512F__)
using Lanes = __m512i;
constexpr int counters_per_pass = 16;
// The maskz forms are the plain instructions; g++ 12 warns of an uninitialised operand in the
// others.
constexpr __mmask8 every_lane = 0xFF;
inline Lanes all_lanes(std::uint64_t x) {
    return _mm512_set1_epi64(static_cast<long long>(x));
}
inline Lanes even_counters(std::uint64_t first) {
    return _mm512_add_epi64(all_lanes(first), _mm512_set_epi64(14, 12, 10, 8, 6, 4, 2, 0));
}
inline Lanes multiply(Lanes a, Lanes b) {
    return _mm512_maskz_mul_epu32(every_lane, a, b);
}
inline Lanes upper(Lanes a) {
    return _mm512_maskz_srli_epi64(every_lane, a, 32);
}
inline Lanes xor3(Lanes a, Lanes b, Lanes c) {
    return _mm512_ternarylogic_epi64(a, b, c, 0x96);
}
inline void store_interleaved(std::uint32_t* out, Lanes even, Lanes odd) {
    _mm512_storeu_si512(
        out, _mm512_mask_blend_epi32(0xAAAA, even, _mm512_maskz_slli_epi64(every_lane, odd, 32)));
}
#elif defined(__AVX2__)
using Lanes = __m256i;
constexpr int counters_per_pass = 8;
inline Lanes all_lanes(std::uint64_t x) {
    return _mm256_set1_epi64x(static_cast<long long>(x));
}
inline Lanes even_counters(std::uint64_t first) {
    return _mm256_add_epi64(all_lanes(first), _mm256_set_epi64x(6, 4, 2, 0));
}
inline Lanes multiply(Lanes a, Lanes b) {
    return _mm256_mul_epu32(a, b);
}
inline Lanes upper(Lanes a) {
    return _mm256_srli_epi64(a, 32);
}
inline Lanes xor3(Lanes a, Lanes b, Lanes c) {
    return _mm256_xor_si256(_mm256_xor_si256(a, b), c);
}
inline void store_interleaved(std::uint32_t* out, Lanes even, Lanes odd) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out),
                        _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA));
}
#else
using Lanes = __m128i;
constexpr int counters_per_pass = 4;
inline Lanes all_lanes(std::uint64_t x) {
    return _mm_set1_epi64x(static_cast<long long>(x));
}
inline Lanes even_counters(std::uint64_t first) {
    return _mm_add_epi64(all_lanes(first), _mm_set_epi64x(2, 0));
}
inline Lanes multiply(Lanes a, Lanes b) {
    return _mm_mul_epu32(a, b);
}
inline Lanes upper(Lanes a) {
    return _mm_srli_epi64(a, 32);
}
inline Lanes xor3(Lanes a, Lanes b, Lanes c) {
    return _mm_xor_si128(_mm_xor_si128(a, b), c);
}
inline void store_interleaved(std::uint32_t* out, Lanes even, Lanes odd) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out),
                     _mm_blend_epi16(even, _mm_slli_epi64(odd, 32), 0xCC));
}
#endif

struct PhiloxState {
    Lanes x0, x1, x2, x3;

    void round(Lanes m0, Lanes m1, Lanes k0, Lanes k1) {
        const Lanes p = multiply(x0, m0), q = multiply(x2, m1);
        x0 = xor3(upper(q), x1, k0);
        x1 = q;
        x2 = xor3(upper(p), x3, k1);
        x3 = p;
    }
};

// Counters first .. first + counters_per_pass - 1 of a row; all in one block, so only the lowest
// word of the counter differs between lanes.
__attribute__((always_inline)) inline void philox_pass(std::uint64_t first, std::uint64_t row,
                                                       Key key, std::uint32_t* words) {
    const Lanes m0 = all_lanes(0xD2511F53U), m1 = all_lanes(0xCD9E8D57U);
    const Lanes high = all_lanes(first >> 32), row_low = all_lanes(row),
                row_high = all_lanes(row >> 32);
    PhiloxState even{even_counters(first), high, row_low, row_high};
    PhiloxState odd{even_counters(first + 1), high, row_low, row_high};
#pragma GCC unroll 10
    for (int i = 0; i < 10; ++i) {
        const Lanes k0 = all_lanes(key.k0), k1 = all_lanes(key.k1);
        even.round(m0, m1, k0, k1);
        odd.round(m0, m1, k0, k1);
        key.k0 += 0x9E3779B9U;
        key.k1 += 0xBB67AE85U;
    }
    store_interleaved(words, even.x0, odd.x0);
    store_interleaved(words + lanes_per_block, even.x1, odd.x1);
    store_interleaved(words + 2 * lanes_per_block, even.x2, odd.x2);
    store_interleaved(words + 3 * lanes_per_block, even.x3, odd.x3);
}

// The same words as philox_block.
__attribute__((always_inline)) inline void philox_block_lanes(std::uint64_t block,
                                                              std::uint64_t row, Key key,
                                                              std::uint32_t* words) {
#pragma GCC unroll 4
    for (int lane = 0; lane < lanes_per_block; lane += counters_per_pass)
        philox_pass(lanes_per_block * block + static_cast<std::uint64_t>(lane), row, key,
                    words + lane);
}

#else

inline void philox_block_lanes(std::uint64_t block, std::uint64_t row, Key key,
                               std::uint32_t* words) {
    philox_block(block, row, key, words);
}

#endif

}  // namespace
}  // namespace randnla::RANDNLA_ISA
