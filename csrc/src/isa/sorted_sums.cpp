// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/sorted_sums.hpp"

#if defined(__AVX512F__) || (defined(__AVX2__) && defined(__FMA__))
// GCC bug 105593: the "undefined" operands of its own header raise these warnings here.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop

// The loop is bound by memory operations, of any width (two a cycle on Zen 5). So a nonzero costs
// little more than its two lines of the tile: the signs of a batch are one mask, and the sums of a
// row stay in registers. Signs are factors +-1: products are exact, so that a fused multiply-add
// has the bits of the plain sum.
namespace randnla::RANDNLA_ISA {
namespace {

using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
constexpr index_t line_bytes = 64;
constexpr index_t fetch_ahead = 8;  // rows of sums

#ifdef __AVX512F__
constexpr index_t lines_of_rows = 24, lines_of_columns = 48;
// The codes of a batch, four to a word.
template <int N>
struct Codes {
    u64 words[(N + 3) / 4];
    explicit Codes(const u16* codes) { __builtin_memcpy(words, codes, sizeof words); }
    index_t operator[](int b) const {
        return static_cast<index_t>(words[b / 4] >> b % 4 * 16 & 0xFFFFU);
    }
};
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
#else
constexpr index_t lines_of_rows = 8, lines_of_columns = index_t{1} << 62;  // never by columns
template <int N>
struct Codes {
    const u16* codes;
    index_t operator[](int b) const { return codes[b]; }
};
// A line is two vectors. Sixteen registers have no room for lane numbers: the signs of a batch are
// read back one by one, each once for four vectors.
struct SignsF {
    struct Vector {
        __m256 low, high;
    };
    alignas(line_bytes) float signs[16] = {};
    void load(u16 mask) {
        const __m256i bits = _mm256_set1_epi32(mask);
        spread(bits, _mm256_setr_epi32(31, 30, 29, 28, 27, 26, 25, 24), signs);
        spread(bits, _mm256_setr_epi32(23, 22, 21, 20, 19, 18, 17, 16), signs + 8);
    }
    __m256 get(int b) const { return _mm256_set1_ps(signs[b]); }
    static void read(Vector& x, const char* p) { x = {at(p), at(p + 32)}; }
    static void write(char* p, const Vector& x) {
        _mm256_store_ps(reinterpret_cast<float*>(p), x.low);
        _mm256_store_ps(reinterpret_cast<float*>(p + 32), x.high);
    }
    static void add(Vector& sum, const char* x, const __m256& sign) {
        sum.low = _mm256_fmadd_ps(at(x), sign, sum.low);
        sum.high = _mm256_fmadd_ps(at(x + 32), sign, sum.high);
    }

  private:
    static __m256 at(const char* p) { return _mm256_load_ps(reinterpret_cast<const float*>(p)); }
    static void spread(__m256i bits, __m256i left, float* to) {
        const __m256i minus =
            _mm256_slli_epi32(_mm256_srli_epi32(_mm256_sllv_epi32(bits, left), 31), 31);
        _mm256_store_ps(to, _mm256_or_ps(_mm256_castsi256_ps(minus), _mm256_set1_ps(1.0F)));
    }
};
struct SignsD {
    struct Vector {
        __m256d low, high;
    };
    alignas(line_bytes) double signs[16] = {};
    void load(u16 mask) {
        __m256i left = _mm256_setr_epi64x(63, 62, 61, 60);
        for (int b = 0; b < 16; b += 4) {
            const __m256i shifted = _mm256_sllv_epi64(_mm256_set1_epi64x(mask), left),
                          minus = _mm256_slli_epi64(_mm256_srli_epi64(shifted, 63), 63);
            _mm256_store_pd(signs + b,
                            _mm256_or_pd(_mm256_castsi256_pd(minus), _mm256_set1_pd(1.0)));
            left = _mm256_sub_epi64(left, _mm256_set1_epi64x(4));
        }
    }
    __m256d get(int b) const { return _mm256_set1_pd(signs[b]); }
    static void read(Vector& x, const char* p) { x = {at(p), at(p + 32)}; }
    static void write(char* p, const Vector& x) {
        _mm256_store_pd(reinterpret_cast<double*>(p), x.low);
        _mm256_store_pd(reinterpret_cast<double*>(p + 32), x.high);
    }
    static void add(Vector& sum, const char* x, const __m256d& sign) {
        sum.low = _mm256_fmadd_pd(at(x), sign, sum.low);
        sum.high = _mm256_fmadd_pd(at(x + 32), sign, sum.high);
    }

  private:
    static __m256d at(const char* p) { return _mm256_load_pd(reinterpret_cast<const double*>(p)); }
};
#endif
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
    constexpr int rows = static_cast<int>(rows_of_batch(C));
    for (; batches > 0; --batches) {
        const Codes<rows * C> codes{at.codes};
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
                const char* x = tile + codes[b] * sorted_lines;
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
const SortedSumsTable sorted_sums_table = {
    {add<float>}, {add<double>}, lines_of_rows, lines_of_columns};

}  // namespace randnla::RANDNLA_ISA

#else  // registers of 16 bytes: sixteen of them for the sums of a row alone

namespace randnla::RANDNLA_ISA {

extern const SortedSumsTable sorted_sums_table;
const SortedSumsTable sorted_sums_table = {{nullptr}, {nullptr}, 0, 0};

}  // namespace randnla::RANDNLA_ISA

#endif
