// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include <cstring>
#include <type_traits>
#include <utility>

#include "randnla/sketch_hadamard.hpp"

#if defined(__AVX512F__) || defined(__FMA__)
#include <immintrin.h>
#endif

// Fast Walsh-Hadamard transforms in registers of `lanes` elements. A level of stride h replaces the
// pair (a, b) = (x[i], x[i + h]) by (a + b, a - b); levels run in ascending order of h everywhere.
namespace randnla::RANDNLA_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int vector_bytes = 64, log_radix = 4, log_last_radix = 5;
#elif defined(__AVX2__)
constexpr int vector_bytes = 32, log_radix = 3, log_last_radix = 3;
#else
constexpr int vector_bytes = 16, log_radix = 3, log_last_radix = 3;
#endif
constexpr int radix = 1 << log_radix;
constexpr index_t line_bytes = 64;
constexpr index_t rows_ahead = 32;  // how far panels are fetched ahead

template <class T>
struct Vec {
    using Word = typename SignWord<T>::type;
    static constexpr int lanes = vector_bytes / static_cast<int>(sizeof(T));
    typedef T Float __attribute__((vector_size(vector_bytes)));
    typedef Word Int __attribute__((vector_size(vector_bytes)));
};
template <class T>
using F = typename Vec<T>::Float;

#define RANDNLA_INLINE inline __attribute__((always_inline))

template <class T>
RANDNLA_INLINE F<T> load(const T* p) {
    F<T> v;
    std::memcpy(&v, p, sizeof v);
    return v;
}
template <class T>
RANDNLA_INLINE void store(T* p, F<T> v) {
    std::memcpy(p, &v, sizeof v);
}
template <class T>
RANDNLA_INLINE F<T> flip(F<T> v, typename Vec<T>::Int signs) {
    return reinterpret_cast<F<T>>(reinterpret_cast<typename Vec<T>::Int>(v) ^ signs);
}

// a * b + c where a is +-1 in every lane: the product is exact, so fused or not the bits agree.
#if defined(__AVX512F__)
RANDNLA_INLINE F<float> signed_add(F<float> a, F<float> b, F<float> c) {
    return _mm512_fmadd_ps(a, b, c);
}
RANDNLA_INLINE F<double> signed_add(F<double> a, F<double> b, F<double> c) {
    return _mm512_fmadd_pd(a, b, c);
}
#elif defined(__FMA__)
RANDNLA_INLINE F<float> signed_add(F<float> a, F<float> b, F<float> c) {
    return _mm256_fmadd_ps(a, b, c);
}
RANDNLA_INLINE F<double> signed_add(F<double> a, F<double> b, F<double> c) {
    return _mm256_fmadd_pd(a, b, c);
}
#else
template <class V>
RANDNLA_INLINE V signed_add(V a, V b, V c) {
    return a * b + c;
}
#endif

// One level within a register: lane l meets lane l ^ H.
template <class T, int H, int... L>
RANDNLA_INLINE F<T> lane_level(F<T> x, std::integer_sequence<int, L...>) {
    const F<T> partner = __builtin_shufflevector(x, x, (L ^ H)...);
    const F<T> sign = {((L & H) != 0 ? T(-1) : T(1))...};
    return signed_add(sign, x, partner);
}
template <class T, int H = 1>
RANDNLA_INLINE F<T> lane_levels(F<T> x) {
    if constexpr (H < Vec<T>::lanes) {
        x = lane_level<T, H>(x, std::make_integer_sequence<int, Vec<T>::lanes>{});
        return lane_levels<T, 2 * H>(x);
    } else {
        return x;
    }
}

// All levels across R registers.
template <class V, int R>
RANDNLA_INLINE void across(V (&x)[R]) {
#pragma GCC unroll 8
    for (int h = 1; h < R; h *= 2)
#pragma GCC unroll 32
        for (int i = 0; i < R; ++i)
            if ((i & h) == 0) {
                const V a = x[i], b = x[i + h];
                x[i] = a + b;
                x[i + h] = a - b;
            }
}

// ---- levels at a stride of whole registers ----

template <class T, int R>
RANDNLA_INLINE void butterfly(const T* from, index_t from_stride, T* to, index_t to_stride) {
    F<T> v[R];
#pragma GCC unroll 32
    for (int i = 0; i < R; ++i) v[i] = load(from + i * from_stride);
    across(v);
#pragma GCC unroll 32
    for (int i = 0; i < R; ++i) store(to + i * to_stride, v[i]);
}

template <class T, int R>
void pass_of(T* x, index_t stride, index_t count) {
    for (index_t j = 0; j < count; j += Vec<T>::lanes)
        butterfly<T, R>(x + j, stride, x + j, stride);
}

template <class T>
void pass(T* x, index_t stride, int levels, index_t count) {
    switch (levels) {
        case 1:
            return pass_of<T, 2>(x, stride, count);
        case 2:
            return pass_of<T, 4>(x, stride, count);
        case 3:
            return pass_of<T, 8>(x, stride, count);
#if defined(__AVX512F__)
        case 4:
            return pass_of<T, 16>(x, stride, count);
        case 5:
            return pass_of<T, 32>(x, stride, count);
#endif
        default:
            return;
    }
}

// The levels of stride `stride` .. size / 2, in as few passes as the registers allow.
template <class T>
void levels_from(T* x, index_t size, index_t stride) {
    int left = 0;
    while ((stride << left) < size) ++left;
    while (left > 0) {
        const int passes = (left + log_last_radix - 1) / log_last_radix;
        const int n = (left + passes - 1) / passes;
        for (index_t base = 0; base < size; base += stride << n) pass(x + base, stride, n, stride);
        stride <<= n;
        left -= n;
    }
}

// ---- contiguous vectors ----

template <class T>
RANDNLA_INLINE F<T> load_signed(const T* a, Signs<T> signs, index_t i) {
    const F<T> v = load(a + i);
    if (signs.bits == nullptr) return v;
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4) {
        __mmask16 mask;
        std::memcpy(&mask, reinterpret_cast<const char*>(signs.bits) + i / 8, sizeof mask);
        const __m512i w = reinterpret_cast<__m512i>(v);
        return reinterpret_cast<F<T>>(
            _mm512_mask_xor_epi32(w, mask, w, _mm512_set1_epi32(INT32_MIN)));
    } else {
        __mmask8 mask;
        std::memcpy(&mask, reinterpret_cast<const char*>(signs.bits) + i / 8, sizeof mask);
        const __m512i w = reinterpret_cast<__m512i>(v);
        return reinterpret_cast<F<T>>(
            _mm512_mask_xor_epi64(w, mask, w, _mm512_set1_epi64(INT64_MIN)));
    }
#else
    typename Vec<T>::Int word;
    std::memcpy(&word, signs.words + i, sizeof word);
    return flip<T>(v, word);
#endif
}

template <class T>
RANDNLA_INLINE T flip_scalar(T value, Signs<T> signs, index_t i) {
    if (signs.words == nullptr) return value;
    typename SignWord<T>::type word;
    std::memcpy(&word, &value, sizeof word);
    word ^= signs.words[i];
    std::memcpy(&value, &word, sizeof word);
    return value;
}

// Vectors too short for the register kernel.
template <class T>
void short_vector(const T* a, index_t valid, Signs<T> signs, T* x, index_t size) {
    for (index_t i = 0; i < size; ++i) x[i] = i < valid ? flip_scalar(a[i], signs, i) : T(0);
    for (index_t h = 1; h < size; h *= 2)
        for (index_t base = 0; base < size; base += 2 * h)
            for (index_t i = base; i < base + h; ++i) {
                const T p = x[i], q = x[i + h];
                x[i] = p + q;
                x[i + h] = p - q;
            }
}

template <class T>
RANDNLA_INLINE void vector_block(const T* a, Signs<T> signs, index_t offset, T* x) {
    constexpr int lanes = Vec<T>::lanes;
    F<T> v[radix];
#pragma GCC unroll 16
    for (int i = 0; i < radix; ++i)
        v[i] = lane_levels<T>(load_signed(a, signs, offset + i * lanes));
    across(v);
#pragma GCC unroll 16
    for (int i = 0; i < radix; ++i) store(x + offset + i * lanes, v[i]);
}

RANDNLA_INLINE void prefetch(const void* p) {
    __builtin_prefetch(p, 0, 2);
}

template <class T>
RANDNLA_INLINE void fetch_run(const T* p, index_t count) {
    for (index_t j = 0; j < count; j += line_bytes / static_cast<index_t>(sizeof(T)))
        prefetch(p + j);
}

// The levels from `stride` on, fetching the run `ahead` evenly over the first pass.
template <class T>
void levels_fetching(T* x, index_t size, index_t stride, const T* ahead, index_t count) {
    constexpr index_t piece = 512 / static_cast<index_t>(sizeof(T));
    index_t fetched = 0;
    const auto body = [&](auto tag) {
        constexpr int R = decltype(tag)::value;
        for (index_t base = 0; base < size; base += R * stride)
            for (index_t j = base; j < base + stride; j += Vec<T>::lanes) {
                if (fetched < count) {
                    fetch_run(ahead + fetched, piece);
                    fetched += piece;
                }
                butterfly<T, R>(x + j, stride, x + j, stride);
            }
        levels_from(x, size, R * stride);
    };
#if defined(__AVX512F__)
    if (stride * 32 == size) return body(std::integral_constant<int, 32>{});
    if (stride * 16 == size) return body(std::integral_constant<int, 16>{});
#endif
    if (stride * 8 <= size) return body(std::integral_constant<int, 8>{});
    levels_from(x, size, stride);
}

template <class T>
void vector_chunk(const T* a, index_t valid, Signs<T> signs, T* x, index_t size, const T* next) {
    constexpr index_t block = radix * Vec<T>::lanes;
    if (size < block) return short_vector(a, valid, signs, x, size);
    const index_t full = valid / block * block;
    const index_t early = next == nullptr ? 0 : valid / 2;  // fetched while loading
    for (index_t i = 0; i < full; i += block) {
        if (next != nullptr) fetch_run(next + i / 2, block / 2);
        vector_block(a, signs, i, x);
    }
    if (full < size) {
        // The tail is set out with its zeros; what follows it is zero already.
        for (index_t i = full; i < size; ++i) x[i] = i < valid ? a[i] : T(0);
        if (full < valid) vector_block(x, signs, full, x);
    }
    if (next != nullptr)
        levels_fetching(x, size, block, next + early, valid - early);
    else
        levels_from(x, size, block);
}

template <class T>
void pick(const T* x, const std::int32_t* positions, index_t count, T scale, T* out,
          index_t stride) {
    // Adding zero makes every zero +0: which levels met padding must not show.
    for (index_t i = 0; i < count; ++i) out[i * stride] = x[positions[i]] * scale + T(0);
}

template <class T>
void store_signed(const T* x, Signs<T> signs, index_t count, T scale, T* out) {
    for (index_t i = 0; i < count; ++i) out[i] = flip_scalar(x[i], signs, i) * scale + T(0);
}

// ---- panels of a matrix whose rows are contiguous ----

// Asks for row i of the panel, or of what follows it.
template <class T>
RANDNLA_INLINE void fetch_row(const PanelRows<T>& a, index_t i, index_t width) {
    const T* p = i < a.rows ? a.data + i * a.row_stride
                 : a.next   ? a.next + (i - a.rows) * a.row_stride
                            : nullptr;
    if (p == nullptr) return;
    for (index_t j = 0; j < width; j += line_bytes / static_cast<index_t>(sizeof(T)))
        prefetch(p + j);
}

template <class T>
RANDNLA_INLINE void panel_block(const T* a, index_t a_stride, Signs<T> signs, T* x, index_t width) {
    for (index_t j = 0; j < width; j += Vec<T>::lanes) {
        F<T> v[radix];
#pragma GCC unroll 16
        for (int i = 0; i < radix; ++i) {
            v[i] = load(a + i * a_stride + j);
            if (signs.words != nullptr)
                v[i] = flip<T>(v[i], signs.words[i] - typename Vec<T>::Int{});
        }
        across(v);
#pragma GCC unroll 16
        for (int i = 0; i < radix; ++i) store(x + i * width + j, v[i]);
    }
}

// Sets out `rows` rows with zeros where the source has none.
template <class T>
void copy_padded(const PanelRows<T>& a, index_t begin, Signs<T> signs, T* x, index_t rows,
                 index_t width) {
    for (index_t i = 0; i < rows; ++i)
        for (index_t j = 0; j < width; ++j)
            x[i * width + j] = begin + i < a.rows && j < a.cols
                                   ? flip_scalar(a.data[(begin + i) * a.row_stride + j], signs, i)
                                   : T(0);
}

template <class T>
void panel_chunk(const PanelRows<T>& a, Signs<T> signs, T* x, index_t rows, index_t width) {
    const index_t first = rows < radix ? rows : radix;
    for (index_t i = 0; i < rows; i += first) {
        T* to = x + i * width;
        const Signs<T> s = signs.words == nullptr ? signs : Signs<T>{signs.bits, signs.words + i};
        for (index_t r = 0; r < first; ++r) fetch_row(a, i + rows_ahead + r, width);
        if (first == radix && i + radix <= a.rows && a.cols == width) {
            panel_block(a.data + i * a.row_stride, a.row_stride, s, to, width);
            continue;
        }
        copy_padded(a, i, s, to, first, width);
        if (i < a.rows) levels_from(to, first * width, width);
    }
    levels_from(x, rows * width, first * width);
}

template <class T, int R>
void finish(const T* x, index_t q, index_t width, const PanelPicks& picks, T scale, T* out,
            index_t row_stride, index_t cols, const PanelRows<T>& next) {
    constexpr int lanes = Vec<T>::lanes;
    const F<T> factor = scale - F<T>{};
    alignas(vector_bytes) T group[R * lanes];
    for (index_t g = 0; g < q; ++g) {
        fetch_row(next, g, width);
        const std::int32_t begin = picks.starts[g], end = picks.starts[g + 1];
        if (begin == end) continue;
        for (index_t j = 0; j < cols; j += lanes) {
            butterfly<T, R>(x + g * width + j, q * width, group, lanes);
            for (std::int32_t k = begin; k < end; ++k) {
                const F<T> v = load(group + picks.slots[k] * lanes) * factor + F<T>{};
                T* to = out + picks.rows[k] * row_stride + j;
                if (j + lanes <= cols)
                    store(to, v);
                else
                    for (index_t l = 0; l < cols - j; ++l) to[l] = v[l];
            }
        }
    }
}

template <class T>
void finish_panel(const T* x, index_t q, int levels, index_t width, const PanelPicks& picks,
                  T scale, T* out, index_t row_stride, index_t cols, const PanelRows<T>& next) {
    switch (levels) {
        case 0:
            return finish<T, 1>(x, q, width, picks, scale, out, row_stride, cols, next);
        case 1:
            return finish<T, 2>(x, q, width, picks, scale, out, row_stride, cols, next);
        case 2:
            return finish<T, 4>(x, q, width, picks, scale, out, row_stride, cols, next);
        case 3:
            return finish<T, 8>(x, q, width, picks, scale, out, row_stride, cols, next);
#if defined(__AVX512F__)
        case 4:
            return finish<T, 16>(x, q, width, picks, scale, out, row_stride, cols, next);
        case 5:
            return finish<T, 32>(x, q, width, picks, scale, out, row_stride, cols, next);
#endif
        default:
            return;
    }
}

template <class T>
void combine(const T* left, T* x, const std::int32_t* parts, int level, index_t rows,
             index_t width) {
    using Word = typename Vec<T>::Word;
    for (index_t i = 0; i < rows; ++i) {
        const Word minus = static_cast<Word>(parts[i] >> level & 1) << (8 * sizeof(T) - 1);
        const typename Vec<T>::Int signs = minus - typename Vec<T>::Int{};
        for (index_t j = i * width; j < (i + 1) * width; j += Vec<T>::lanes)
            store(x + j, load(left + j) + flip<T>(load(x + j), signs));
    }
}

template <class T>
void store_rows(const T* x, index_t rows, index_t width, index_t cols, T scale, T* out,
                index_t row_stride) {
    for (index_t i = 0; i < rows; ++i)
        for (index_t j = 0; j < cols; ++j)
            out[i * row_stride + j] = x[i * width + j] * scale + T(0);
}

template <class T>
constexpr HadamardKernels<T> table() {
    return {log_last_radix,  vector_chunk<T>, panel_chunk<T>, pass<T>,        pick<T>,
            finish_panel<T>, combine<T>,      store_rows<T>,  store_signed<T>};
}

}  // namespace

extern const HadamardTables hadamard_kernels;
const HadamardTables hadamard_kernels = {table<float>(), table<double>()};

}  // namespace randnla::RANDNLA_ISA
