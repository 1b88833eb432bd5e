// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/sorted_sums.hpp"

#ifdef __AVX512F__
// GCC bug 105593: the "undefined" operands of its own header raise these warnings here.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop

// The loop is bound by memory operations, of any width (two a cycle on Zen 5). So a nonzero costs
// no more than its two lines of the tile: the codes of a batch are four words, its signs one mask,
// and the sums of a row stay in registers. Signs are factors +-1: products are exact, so that a
// fused multiply-add has the bits of the plain sum.
namespace randnla::RANDNLA_ISA {
namespace {

using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
constexpr index_t line_bytes = 64;
constexpr index_t fetch_ahead = 8;  // rows of sums

// Lane numbers, one vector each; opaque, lest the compiler load them at each use.
struct SignsF {
    typedef __m512 Vector;
    __m512i lane[16];
    __m512 signs = _mm512_setzero_ps();
    SignsF() {
#pragma GCC unroll 16
        for (int b = 0; b < 16; ++b) {
            lane[b] = _mm512_set1_epi32(b);
            asm("" : "+v"(lane[b]));
        }
    }
    void load(u16 mask) {
        signs = _mm512_mask_blend_ps(mask, _mm512_set1_ps(1.0F), _mm512_set1_ps(-1.0F));
    }
    __m512 get(int b) const { return _mm512_permutexvar_ps(lane[b], signs); }
    static void read(__m512& x, const char* p) { x = _mm512_load_ps(p); }
    static void write(char* p, const __m512& x) { _mm512_store_ps(p, x); }
    static void add(__m512& sum, const char* x, const __m512& sign) {
        sum = _mm512_fmadd_ps(_mm512_load_ps(x), sign, sum);
    }
};
struct SignsD {
    typedef __m512d Vector;
    __m512i lane[8];
    __m512d low = _mm512_setzero_pd(), high = _mm512_setzero_pd();
    SignsD() {
#pragma GCC unroll 8
        for (int b = 0; b < 8; ++b) {
            lane[b] = _mm512_set1_epi64(b);
            asm("" : "+v"(lane[b]));
        }
    }
    void load(u16 mask) {
        const __m512d plus = _mm512_set1_pd(1.0), minus = _mm512_set1_pd(-1.0);
        low = _mm512_mask_blend_pd(static_cast<__mmask8>(mask), plus, minus);
        high = _mm512_mask_blend_pd(static_cast<__mmask8>(mask >> 8), plus, minus);
    }
    __m512d get(int b) const { return _mm512_permutexvar_pd(lane[b % 8], b < 8 ? low : high); }
    static void read(__m512d& x, const char* p) { x = _mm512_load_pd(p); }
    static void write(char* p, const __m512d& x) { _mm512_store_pd(p, x); }
    static void add(__m512d& sum, const char* x, const __m512d& sign) {
        sum = _mm512_fmadd_pd(_mm512_load_pd(x), sign, sum);
    }
};
inline SignsF signs_of(float) {
    return {};
}
inline SignsD signs_of(double) {
    return {};
}
struct Cursor {
    const u16* codes;
    const u16* signs;
    const u32* rows;
};

// Asks for the lines of a FetchAhead, spread evenly over the batches: a processor drops requests
// that come faster than memory answers.
class Fetcher {
  public:
    Fetcher(FetchAhead fetch, index_t batches)
        : left_(fetch), each_(batches > 0 ? (fetch.count + batches - 1) / batches : 0) {}
    void step() {
        index_t n = left_.count < each_ ? left_.count : each_;
        left_.count -= n;
        for (; n > 0; --n) {
            __builtin_prefetch(left_.start + line_ * line_bytes, 0, 2);
            if (++line_ < left_.lines) continue;
            line_ = 0;
            left_.start += left_.stride;
        }
    }

  private:
    FetchAhead left_;
    index_t each_, line_ = 0;
};

// All batches of rows with C nonzeros.
template <int C, class S>
inline void add_batches(index_t batches, Cursor& at, S& signs, Fetcher& fetcher, const char* tile,
                        char* sums) {
    using V = typename S::Vector;
    constexpr int rows = static_cast<int>(rows_of_batch(C)), words = (rows * C + 3) / 4;
    for (; batches > 0; --batches) {
        u64 codes[words];
        __builtin_memcpy(codes, at.codes, sizeof codes);
        fetcher.step();
        signs.load(*at.signs);
#pragma GCC unroll 16
        for (int r = 0; r < rows; ++r) {
            char* sum = sums + at.rows[r];
            const char* next = sums + at.rows[r + fetch_ahead];
            __builtin_prefetch(next, 1);
            __builtin_prefetch(next + line_bytes, 1);
            V first, second;
            S::read(first, sum);
            S::read(second, sum + line_bytes);
#pragma GCC unroll 16
            for (int c = 0; c < C; ++c) {
                const int b = r * C + c;
                const char* x = tile + (codes[b / 4] >> b % 4 * 16 & 0xFFFFU) * sorted_lines;
                const auto sign = signs.get(b);
                S::add(first, x, sign);
                S::add(second, x + line_bytes, sign);
            }
            S::write(sum, first);
            S::write(sum + line_bytes, second);
        }
        at.codes += batch_size;
        ++at.signs;
        at.rows += rows;
    }
}

template <int C, class S>
inline void add_kinds(const SortedChunk& chunk, Cursor& at, S& signs, Fetcher& fetcher,
                      const char* tile, char* sums) {
    add_batches<C>(chunk.batches[C], at, signs, fetcher, tile, sums);
    if constexpr (C > 1) add_kinds<C - 1>(chunk, at, signs, fetcher, tile, sums);
}

template <class T>
void add(const SortedChunk& chunk, const T* tile, T* sums, FetchAhead fetch) {
    Cursor at = {chunk.codes, chunk.signs, chunk.rows};
    auto signs = signs_of(T());
    index_t batches = 0;
    for (index_t c = 1; c <= batch_size; ++c) batches += chunk.batches[c];
    Fetcher fetcher(fetch, batches);
    add_kinds<static_cast<int>(batch_size)>(chunk, at, signs, fetcher,
                                            reinterpret_cast<const char*>(tile),
                                            reinterpret_cast<char*>(sums));
}

}  // namespace

extern const SortedSumsTable sorted_sums_table;
const SortedSumsTable sorted_sums_table = {{add<float>}, {add<double>}};

}  // namespace randnla::RANDNLA_ISA

#else  // 16 registers of 32 bytes cannot hold the sums, the signs and their lanes

namespace randnla::RANDNLA_ISA {

extern const SortedSumsTable sorted_sums_table;
const SortedSumsTable sorted_sums_table = {{nullptr}, {nullptr}};

}  // namespace randnla::RANDNLA_ISA

#endif
