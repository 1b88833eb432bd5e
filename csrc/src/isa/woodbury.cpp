// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/woodbury.hpp"

#include "kernel_lanes.hpp"

namespace randnla::RANDNLA_ISA {
namespace {

constexpr int lanes = kernel_vector_bytes / 8;
// Vectors of doubles, a row and step: sums of eight rows stay in the registers there are.
constexpr int vectors = kernel_vector_bytes == 64 ? 2 : 1;

// How far ahead a row is fetched: eight rows at a time are more streams than the hardware follows
// to the end. Measured on Zen 5: 13.8 ms for 400 MB, 16.0 without and 17.3 at twice the distance.
constexpr index_t ahead_bytes = 384;

typedef float Narrow __attribute__((vector_size(kernel_vector_bytes / 2), aligned(4), may_alias));
typedef double Wide __attribute__((vector_size(kernel_vector_bytes), aligned(8), may_alias));
typedef float Singles __attribute__((vector_size(kernel_vector_bytes / 2)));

// Written out: g++ 12 converts halves by way of memory.
inline Doubles widen(Singles x) {
#if defined(__AVX512F__)
    return _mm512_maskz_cvtps_pd(static_cast<__mmask8>(0xFF), x);
#elif defined(__AVX2__)
    return _mm256_cvtps_pd(x);
#else
    return __builtin_convertvector(x, Doubles);
#endif
}

inline Doubles load(const float* x) {
    return widen(*reinterpret_cast<const Narrow*>(x));
}
inline Doubles load(const double* x) {
    return *reinterpret_cast<const Wide*>(x);
}

typedef std::uint16_t Shorts
    __attribute__((vector_size(kernel_vector_bytes / 4), aligned(2), may_alias));
typedef std::uint32_t Words __attribute__((vector_size(kernel_vector_bytes / 2)));
typedef std::uint32_t Pairs
    __attribute__((vector_size(kernel_vector_bytes / 2), aligned(2), may_alias));

inline Doubles load(const Brain* x) {
    const Words bits = __builtin_convertvector(*reinterpret_cast<const Shorts*>(x), Words) << 16;
    return widen(reinterpret_cast<Singles>(bits));
}
#if defined(__AVX512F__)
inline Doubles load(const Half* x) {
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x));
    return widen(_mm256_cvtph_ps(bits));
}
#elif defined(__F16C__)
inline Doubles load(const Half* x) {
    const __m128i bits = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(x));
    return widen(_mm_cvtph_ps(bits));
}
#else
// Exponent and digits moved to their places in a float32 are 2^-112 of the number, subnormal or
// not: its bias is 127, theirs 15.
inline Doubles load(const Half* x) {
    const Words bits = __builtin_convertvector(*reinterpret_cast<const Shorts*>(x), Words);
    const Singles size = reinterpret_cast<Singles>((bits & 0x7FFFu) << 13) * 0x1p112F;
    const Words sign = (bits & 0x8000u) << 16;
    return widen(reinterpret_cast<Singles>(reinterpret_cast<Words>(size) | sign));
}
#endif

// Of narrow numbers a register of float32: their products and short sums take a third of the time.
typedef float Sixteen __attribute__((vector_size(kernel_vector_bytes), aligned(4), may_alias));
#if defined(__AVX512F__)
// The maskz forms, for the reason given in kernel_lanes.hpp.
constexpr __mmask16 whole = 0xFFFF;
inline Floats load_single(const Brain* x) {
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x));
    const __m512i wide = _mm512_maskz_cvtepu16_epi32(whole, bits);
    return reinterpret_cast<Floats>(_mm512_maskz_slli_epi32(whole, wide, 16));
}
inline Floats load_single(const Half* x) {
    return _mm512_maskz_cvtph_ps(whole, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)));
}
#elif defined(__F16C__)
inline Floats load_single(const Brain* x) {
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x));
    return reinterpret_cast<Floats>(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
inline Floats load_single(const Half* x) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)));
}
#else
template <class S>
inline Floats load_single(const S* x) {
    Floats made = {};
    const Doubles low = load(x), high = load(x + lanes);
    for (int l = 0; l < lanes; ++l) {
        made[l] = static_cast<float>(low[l]);
        made[l + lanes] = static_cast<float>(high[l]);
    }
    return made;
}
#endif

#if defined(__AVX512F__)
#define RANDNLA_LOWER 0, 1, 2, 3, 4, 5, 6, 7
#define RANDNLA_UPPER 8, 9, 10, 11, 12, 13, 14, 15
#define RANDNLA_EVEN 0, 2, 4, 6, 8, 10, 12, 14
#define RANDNLA_ODD 1, 3, 5, 7, 9, 11, 13, 15
#define RANDNLA_FIRST 0, 8, 1, 9, 2, 10, 3, 11
#define RANDNLA_LAST 4, 12, 5, 13, 6, 14, 7, 15
#elif defined(__AVX2__)
#define RANDNLA_LOWER 0, 1, 2, 3
#define RANDNLA_UPPER 4, 5, 6, 7
#define RANDNLA_EVEN 0, 2, 4, 6
#define RANDNLA_ODD 1, 3, 5, 7
#define RANDNLA_FIRST 0, 4, 1, 5
#define RANDNLA_LAST 2, 6, 3, 7
#else
#define RANDNLA_LOWER 0, 1
#define RANDNLA_UPPER 2, 3
#define RANDNLA_EVEN 0, 2
#define RANDNLA_ODD 1, 3
#define RANDNLA_FIRST 0, 2
#define RANDNLA_LAST 1, 3
#endif
inline Doubles lower(Floats a) {
    return widen(__builtin_shufflevector(a, a, RANDNLA_LOWER));
}
inline Doubles upper(Floats a) {
    return widen(__builtin_shufflevector(a, a, RANDNLA_UPPER));
}

inline double widened(float x) {
    return static_cast<double>(x);
}
inline double widened(double x) {
    return x;
}
inline double from_bits(std::uint32_t bits) {
    float x;
    __builtin_memcpy(&x, &bits, sizeof x);
    return static_cast<double>(x);
}
inline double widened(Brain x) {
    return from_bits(static_cast<std::uint32_t>(x.bits) << 16);
}
inline double widened(Half x) {
    const double size = from_bits((x.bits & 0x7FFFu) << 13) * 0x1p112;
    return x.bits & 0x8000u ? -size : size;
}

template <class T, int rows, int step>
inline void fetch(const T* g, index_t ld) {
    constexpr index_t line = 64 / sizeof(T);
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i)
#pragma GCC unroll 2
        for (index_t j = 0; j < step; j += line)
            __builtin_prefetch(g + i * ld + j + ahead_bytes / static_cast<index_t>(sizeof(T)));
}

template <class T, int rows>
void dot_rows(const T* g, index_t ld, const T* x, index_t n, double* out, index_t step) {
    Doubles sums[rows][vectors] = {};
    index_t j = 0;
    for (; j + vectors * lanes <= n; j += vectors * lanes) {
        fetch<T, rows, vectors * lanes>(g + j, ld);
#pragma GCC unroll 2
        for (int v = 0; v < vectors; ++v) {
            const Doubles xv = load(x + j + v * lanes);
#pragma GCC unroll 8
            for (int i = 0; i < rows; ++i)
                sums[i][v] = multiply_add(load(g + i * ld + j + v * lanes), xv, sums[i][v]);
        }
    }
    for (int i = 0; i < rows; ++i) {
        double sum = 0;
        for (int v = 0; v < vectors; ++v)
            for (int l = 0; l < lanes; ++l) sum += sums[i][v][l];
        for (index_t k = j; k < n; ++k) sum += widened(g[i * ld + k]) * widened(x[k]);
        out[i * step] = sum;
    }
}

// Products of narrow rows are rounded to float32 and summed there over so many steps, then in
// float64: an error of some 2^-24 of the sum of their magnitudes, and less by the root of its
// length.
constexpr index_t short_sum = 16;

template <class S, int rows>
void narrow_dot_rows(const S* g, index_t ld, const float* x, index_t n, double* out, index_t step) {
    constexpr int piece = 2 * lanes, width = 2 * piece;
    double total[rows] = {};
    index_t j = 0;
    while (j + width <= n) {
        Floats sums[rows] = {};
        const index_t end = n - j < short_sum * piece ? n : j + short_sum * piece;
        for (; j + width <= end; j += width) {
            fetch<S, rows, width>(g + j, ld);
            const Floats first = *reinterpret_cast<const Sixteen*>(x + j);
            const Floats last = *reinterpret_cast<const Sixteen*>(x + j + piece);
#pragma GCC unroll 8
            for (int i = 0; i < rows; ++i) {
                sums[i] = multiply_add(load_single(g + i * ld + j), first, sums[i]);
                sums[i] = multiply_add(load_single(g + i * ld + j + piece), last, sums[i]);
            }
        }
        for (int i = 0; i < rows; ++i) {
            const Doubles half = lower(sums[i]) + upper(sums[i]);
            for (int l = 0; l < lanes; ++l) total[i] += half[l];
        }
    }
    for (int i = 0; i < rows; ++i) {
        for (index_t k = j; k < n; ++k) total[i] += widened(g[i * ld + k]) * widened(x[k]);
        out[i * step] = total[i];
    }
}

template <class T, int rows>
void combine_rows(const T* g, index_t ld, const double* c, index_t n, double* sum) {
    Doubles factor[rows];
    for (int i = 0; i < rows; ++i) factor[i] = Doubles{} + c[i];
    index_t j = 0;
    for (; j + vectors * lanes <= n; j += vectors * lanes) {
        fetch<T, rows, vectors * lanes>(g + j, ld);
        Doubles total[vectors];
#pragma GCC unroll 2
        for (int v = 0; v < vectors; ++v) total[v] = load(sum + j + v * lanes);
#pragma GCC unroll 8
        for (int i = 0; i < rows; ++i)
#pragma GCC unroll 2
            for (int v = 0; v < vectors; ++v)
                total[v] = multiply_add(load(g + i * ld + j + v * lanes), factor[i], total[v]);
#pragma GCC unroll 2
        for (int v = 0; v < vectors; ++v) *reinterpret_cast<Wide*>(sum + j + v * lanes) = total[v];
    }
    for (; j < n; ++j)
        for (int i = 0; i < rows; ++i) sum[j] += c[i] * widened(g[i * ld + j]);
}

// bfloat16 in pairs, one in either half of a word: a shift or a mask makes a float32 of it. Sums of
// even and odd columns are apart meanwhile.
template <int rows>
void combine_pairs(const Brain* g, index_t ld, const double* c, index_t n, double* sum) {
    constexpr int piece = 2 * lanes, width = 2 * piece;
    Doubles factor[rows];
    for (int i = 0; i < rows; ++i) factor[i] = Doubles{} + c[i];
    index_t j = 0;
    for (; j + width <= n; j += width) {
        fetch<Brain, rows, width>(g + j, ld);
        Doubles even[2], odd[2];
#pragma GCC unroll 2
        for (int h = 0; h < 2; ++h) {
            const Doubles first = load(sum + j + h * piece),
                          last = load(sum + j + h * piece + lanes);
            even[h] = __builtin_shufflevector(first, last, RANDNLA_EVEN);
            odd[h] = __builtin_shufflevector(first, last, RANDNLA_ODD);
        }
#pragma GCC unroll 16
        for (int i = 0; i < rows; ++i)
#pragma GCC unroll 2
            for (int h = 0; h < 2; ++h) {
                const Words bits = *reinterpret_cast<const Pairs*>(g + i * ld + j + h * piece);
                const Doubles low = widen(reinterpret_cast<Singles>(bits << 16));
                const Doubles high = widen(reinterpret_cast<Singles>(bits & 0xFFFF0000u));
                even[h] = multiply_add(low, factor[i], even[h]);
                odd[h] = multiply_add(high, factor[i], odd[h]);
            }
#pragma GCC unroll 2
        for (int h = 0; h < 2; ++h) {
            Wide* const to = reinterpret_cast<Wide*>(sum + j + h * piece);
            to[0] = __builtin_shufflevector(even[h], odd[h], RANDNLA_FIRST);
            to[1] = __builtin_shufflevector(even[h], odd[h], RANDNLA_LAST);
        }
    }
    for (; j < n; ++j)
        for (int i = 0; i < rows; ++i) sum[j] += c[i] * widened(g[i * ld + j]);
}

// body(Rows<k>, i) for rows i, .., i + k - 1, as many as fit at a time.
template <int k>
struct Rows {
    static constexpr int count = k;
};
template <class Body>
inline void for_rows(int rows, const Body& body) {
    int i = 0;
    for (; i + 8 <= rows; i += 8) body(Rows<8>{}, i);
    if (i + 4 <= rows) body(Rows<4>{}, i), i += 4;
    if (i + 2 <= rows) body(Rows<2>{}, i), i += 2;
    if (i < rows) body(Rows<1>{}, i);
}

template <class T>
void dots(const T* g, index_t ld, int rows, const T* x, index_t n, double* out, index_t step) {
    for_rows(rows, [&](auto k, int i) {
        dot_rows<T, decltype(k)::count>(g + i * ld, ld, x, n, out + i * step, step);
    });
}

template <class S>
void narrow_dots(const S* g, index_t ld, int rows, const float* x, index_t n, double* out,
                 index_t step) {
    for_rows(rows, [&](auto k, int i) {
        narrow_dot_rows<S, decltype(k)::count>(g + i * ld, ld, x, n, out + i * step, step);
    });
}

template <class T>
void combine(const T* g, index_t ld, int rows, const double* c, index_t n, double* sum) {
    for_rows(rows, [&](auto k, int i) {
        combine_rows<T, decltype(k)::count>(g + i * ld, ld, c + i, n, sum);
    });
}

void combine_brain(const Brain* g, index_t ld, int rows, const double* c, index_t n, double* sum) {
    int i = 0;
    for (; i + 16 <= rows; i += 16) combine_pairs<16>(g + i * ld, ld, c + i, n, sum);
    for_rows(rows - i, [&](auto k, int p) {
        combine_pairs<decltype(k)::count>(g + (i + p) * ld, ld, c + i + p, n, sum);
    });
}

}  // namespace

extern const WindowKernels window_kernels;
const WindowKernels window_kernels = {
    dots<float>,    dots<double>,    narrow_dots<Half>, narrow_dots<Brain>,
    combine<float>, combine<double>, combine<Half>,     combine_brain,
};

}  // namespace randnla::RANDNLA_ISA
