// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/sketch_sparse.hpp"

#ifdef __AVX2__
// GCC bug 105593: the "undefined" operands of its own header raise these warnings here.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#endif

// Inner loops of the sparse maps over panels of one cache line a row. Signs enter as factors +-1:
// the product is exact, so a fused multiply-add has the bits of the plain sum and every level
// agrees.
namespace randnla::RANDNLA_ISA {
namespace {

using u32 = std::uint32_t;

template <class T>
struct Line {
    static constexpr index_t size = panel_bytes / static_cast<index_t>(sizeof(T));
    typedef T type __attribute__((vector_size(64)));
    typedef T unaligned __attribute__((vector_size(64), aligned(alignof(T)), may_alias));
};

template <class T>
void expand(const u32* codes, index_t n, u32* offsets, T* signs) {
    for (index_t k = 0; k < n; ++k) offsets[k] = codes[k] >> 1 << 3;
    for (index_t k = 0; k < n; ++k)
        signs[k] = static_cast<T>(1 - 2 * static_cast<std::int32_t>(codes[k] & 1U));
}

template <class T>
inline T* at(T* base, u32 offset) {
    return base + index_t{offset} * (8 / static_cast<index_t>(sizeof(T)));
}

#ifdef __AVX512F__
inline void add_signed(const __m512& x, float sign, float* sum) {
    _mm512_store_ps(sum, _mm512_fmadd_ps(x, _mm512_set1_ps(sign), _mm512_load_ps(sum)));
}
inline void add_signed(const __m512d& x, double sign, double* sum) {
    _mm512_store_pd(sum, _mm512_fmadd_pd(x, _mm512_set1_pd(sign), _mm512_load_pd(sum)));
}
#else
template <class V, class T>
inline void add_signed(const V& x, T sign, T* sum) {
    V* s = reinterpret_cast<V*>(sum);
    *s += x * sign;
}
#endif

// NNZ = 0: any number.
template <class T, int NNZ>
void scatter_nnz(const T* tile, index_t rows, index_t nnz, const u32* offsets, const T* signs,
                 T* sums, const char* fetch, index_t fetch_lines, index_t fetch_stride) {
    using V = typename Line<T>::type;
    const index_t count = NNZ > 0 ? NNZ : nnz;
    index_t line = 0;
    for (index_t i = 0; i < rows; ++i) {
        if (fetch != nullptr) {
            __builtin_prefetch(fetch + line * panel_bytes, 0, 2);
            if (++line == fetch_lines) {
                line = 0;
                fetch += fetch_stride;
            }
        }
        const V x = *reinterpret_cast<const V*>(tile + i * Line<T>::size);
        const u32* offset = offsets + i * count;
        const T* sign = signs + i * count;
#pragma GCC unroll 8
        for (index_t z = 0; z < count; ++z) add_signed(x, sign[z], at(sums, offset[z]));
    }
}

template <class T>
void scatter(const T* tile, index_t rows, index_t nnz, const u32* offsets, const T* signs, T* sums,
             const char* fetch, index_t fetch_lines, index_t fetch_stride) {
    const auto kernel = nnz == 8   ? scatter_nnz<T, 8>
                        : nnz == 1 ? scatter_nnz<T, 1>
                        : nnz == 4 ? scatter_nnz<T, 4>
                                   : scatter_nnz<T, 0>;
    kernel(tile, rows, nnz, offsets, signs, sums, fetch, fetch_lines, fetch_stride);
}

template <class T>
void gather(const T* panel, index_t rows, index_t nnz, const u32* offsets, const T* signs, T scale,
            T* tile) {
    using V = typename Line<T>::type;
    for (index_t i = 0; i < rows; ++i) {
        V sum = {};
        for (index_t z = 0; z < nnz; ++z)
            sum +=
                *reinterpret_cast<const V*>(at(panel, offsets[i * nnz + z])) * signs[i * nnz + z];
        *reinterpret_cast<V*>(tile + i * Line<T>::size) = sum * scale;
    }
}

// Panels of `lines` cache lines a row: line p of row i.
template <class T>
inline T* line_at(T* panels, index_t lines, index_t panel_stride, index_t i, index_t p) {
    return panels + p / lines * panel_stride + (i * lines + p % lines) * Line<T>::size;
}

// n elements, fewer than a line's, and zeros.
#ifdef __AVX512F__
inline void copy_part(const float* from, index_t n, float* to) {
    _mm512_store_ps(to, _mm512_maskz_loadu_ps(static_cast<__mmask16>((1U << n) - 1), from));
}
inline void copy_part(const double* from, index_t n, double* to) {
    _mm512_store_pd(to, _mm512_maskz_loadu_pd(static_cast<__mmask8>((1U << n) - 1), from));
}
#else
template <class T>
inline void copy_part(const T* from, index_t n, T* to) {
    for (index_t j = 0; j < n; ++j) to[j] = from[j];
    for (index_t j = n; j < Line<T>::size; ++j) to[j] = T(0);
}
#endif

template <class T, int Lines>
void pack_row_lines(const T* a, index_t stride, index_t rows, index_t cols, T* panels,
                    index_t panel_stride) {
    using V = typename Line<T>::type;
    constexpr index_t W = Line<T>::size, width = Lines * W, ahead = 8;
    for (index_t i = 0; i < rows; ++i, a += stride) {
        // Whole rows the processor fetches by itself. Of parts of rows it would also fetch what
        // follows them; a request for L2, one for each line copied, does not make it (DevNotes).
        const T* next = cols != stride && i + ahead < rows ? a + ahead * stride : a;
        T* to = panels + i * width;
        index_t j = 0;
        for (; j + width <= cols; j += width, to += panel_stride)
#pragma GCC unroll 2
            for (int l = 0; l < Lines; ++l) {
                __builtin_prefetch(next + j + l * W, 0, 2);
                *reinterpret_cast<V*>(to + l * W) =
                    *reinterpret_cast<const typename Line<T>::unaligned*>(a + j + l * W);
            }
        if (j == cols) continue;
        for (int l = 0; l < Lines; ++l, j += W)
            if (j + W <= cols)
                *reinterpret_cast<V*>(to + l * W) =
                    *reinterpret_cast<const typename Line<T>::unaligned*>(a + j);
            else
                copy_part(a + j, j < cols ? cols - j : 0, to + l * W);
    }
}

template <class T>
void pack_rows(const T* a, index_t stride, index_t rows, index_t cols, T* panels, index_t lines,
               index_t panel_stride) {
    const auto kernel = lines == 2 ? pack_row_lines<T, 2> : pack_row_lines<T, 1>;
    kernel(a, stride, rows, cols, panels, panel_stride);
}

#ifdef __AVX512F__
// W columns of W contiguous elements to W rows.
inline void transpose_tile(const float* a, index_t stride, float* b, index_t to) {
    __m512 r[16], t[16];
    for (int i = 0; i < 16; ++i) r[i] = _mm512_loadu_ps(a + i * stride);
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    const auto pd = [](__m512 x) { return _mm512_castps_pd(x); };
    const auto ps = [](__m512d x) { return _mm512_castpd_ps(x); };
    for (int i = 0; i < 16; i += 4) {
        r[i] = ps(_mm512_unpacklo_pd(pd(t[i]), pd(t[i + 2])));
        r[i + 1] = ps(_mm512_unpackhi_pd(pd(t[i]), pd(t[i + 2])));
        r[i + 2] = ps(_mm512_unpacklo_pd(pd(t[i + 1]), pd(t[i + 3])));
        r[i + 3] = ps(_mm512_unpackhi_pd(pd(t[i + 1]), pd(t[i + 3])));
    }
    for (int i = 0; i < 4; ++i) {
        t[i] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xDD);
        t[i + 8] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xDD);
    }
    for (int i = 0; i < 4; ++i) {
        _mm512_store_ps(b + i * to, _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88));
        _mm512_store_ps(b + (i + 8) * to, _mm512_shuffle_f32x4(t[i], t[i + 8], 0xDD));
        _mm512_store_ps(b + (i + 4) * to, _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0x88));
        _mm512_store_ps(b + (i + 12) * to, _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0xDD));
    }
}
inline void transpose_tile(const double* a, index_t stride, double* b, index_t to) {
    __m512d r[8], t[8];
    for (int i = 0; i < 8; ++i) r[i] = _mm512_loadu_pd(a + i * stride);
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm512_unpacklo_pd(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_pd(r[i], r[i + 1]);
    }
    for (int i = 0; i < 2; ++i) {
        r[i] = _mm512_shuffle_f64x2(t[i], t[i + 2], 0x88);
        r[i + 2] = _mm512_shuffle_f64x2(t[i], t[i + 2], 0xDD);
        r[i + 4] = _mm512_shuffle_f64x2(t[i + 4], t[i + 6], 0x88);
        r[i + 6] = _mm512_shuffle_f64x2(t[i + 4], t[i + 6], 0xDD);
    }
    for (int i = 0; i < 2; ++i) {
        _mm512_store_pd(b + i * to, _mm512_shuffle_f64x2(r[i], r[i + 4], 0x88));
        _mm512_store_pd(b + (i + 4) * to, _mm512_shuffle_f64x2(r[i], r[i + 4], 0xDD));
        _mm512_store_pd(b + (i + 2) * to, _mm512_shuffle_f64x2(r[i + 2], r[i + 6], 0x88));
        _mm512_store_pd(b + (i + 6) * to, _mm512_shuffle_f64x2(r[i + 2], r[i + 6], 0xDD));
    }
}
#elif defined(__AVX2__)
// The same by blocks of 8 by 8 or 4 by 4, whose halves are loaded side by side.
inline void transpose_tile(const float* a, index_t stride, float* b, index_t to) {
    for (int j = 0; j < 16; j += 8)
        for (int i = 0; i < 16; i += 4) {
            const float* from = a + j * stride + i;
            __m256 r[4], t[4];
            for (int k = 0; k < 4; ++k)
                r[k] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(from + k * stride)),
                                            _mm_loadu_ps(from + (k + 4) * stride), 1);
            for (int k = 0; k < 4; k += 2) {
                t[k] = _mm256_unpacklo_ps(r[k], r[k + 1]);
                t[k + 1] = _mm256_unpackhi_ps(r[k], r[k + 1]);
            }
            float* row = b + i * to + j;
            for (int k = 0; k < 2; ++k, row += 2 * to) {
                _mm256_store_ps(row, _mm256_shuffle_ps(t[k], t[k + 2], 0x44));
                _mm256_store_ps(row + to, _mm256_shuffle_ps(t[k], t[k + 2], 0xEE));
            }
        }
}
inline void transpose_tile(const double* a, index_t stride, double* b, index_t to) {
    for (int j = 0; j < 8; j += 4)
        for (int i = 0; i < 8; i += 2) {
            const double* from = a + j * stride + i;
            __m256d r[2];
            for (int k = 0; k < 2; ++k)
                r[k] = _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(from + k * stride)),
                                            _mm_loadu_pd(from + (k + 2) * stride), 1);
            _mm256_store_pd(b + i * to + j, _mm256_unpacklo_pd(r[0], r[1]));
            _mm256_store_pd(b + (i + 1) * to + j, _mm256_unpackhi_pd(r[0], r[1]));
        }
}
#else
template <class T>
inline void transpose_tile(const T* a, index_t stride, T* b, index_t to) {
    constexpr index_t W = Line<T>::size;
    for (index_t j = 0; j < W; ++j)
        for (index_t i = 0; i < W; ++i) b[i * to + j] = a[j * stride + i];
}
#endif

template <class T>
void pack_cols(const T* a, index_t stride, index_t rows, index_t cols, T* panels, index_t lines,
               index_t panel_stride) {
    constexpr index_t W = Line<T>::size, ahead = 4 * W;
    const index_t apart = lines * W;
    for (index_t p = 0; p % lines != 0 || p * W < cols; ++p) {
        const T* from = a + p * W * stride;
        T* to = line_at(panels, lines, panel_stride, 0, p);
        const index_t left = cols - p * W, width = left < 0 ? 0 : left < W ? left : W;
        index_t i = 0;
        if (width == W)
            for (; i + W <= rows; i += W) {
                if (i + ahead < rows)
                    for (index_t j = 0; j < W; ++j)
                        __builtin_prefetch(from + j * stride + i + ahead);
                transpose_tile(from + i, stride, to + i * apart, apart);
            }
        for (; i < rows; ++i)
            for (index_t j = 0; j < W; ++j)
                to[i * apart + j] = j < width ? from[j * stride + i] : T(0);
    }
}

template <class T, int Bytes>
struct Unaligned {
    typedef T type __attribute__((vector_size(Bytes), aligned(alignof(T)), may_alias));
    static constexpr index_t size = Bytes / static_cast<index_t>(sizeof(T));
};

// to[j] += sign from[j] from j on, as far as whole vectors reach.
template <class T, int Bytes>
inline index_t add_vectors(const T* from, T sign, T* to, index_t j, index_t cols) {
    using U = Unaligned<T, Bytes>;
    for (; j + U::size <= cols; j += U::size) {
        auto* sum = reinterpret_cast<typename U::type*>(to + j);
        *sum += *reinterpret_cast<const typename U::type*>(from + j) * sign;
    }
    return j;
}

// Straight between rows of A and C, both fetched ahead: rows of A as far as a memory access takes,
// and to L2, for which the processor asks for no lines beyond them (DevNotes); rows of C, which
// come from a nearer cache, less.
template <class T>
void add_rows(const T* a, index_t a_stride, index_t cols, index_t n, const u32* inputs,
              const u32* codes, T* c, index_t c_stride) {
    constexpr index_t ahead_a = 8, ahead_c = 4, line = Line<T>::size;
    const auto input = [inputs](index_t k) { return index_t{inputs[k]}; };
    for (index_t k = 0; k < n; ++k) {
        if (k + ahead_c < n) {
            const T* next = c + index_t{codes[k + ahead_c] >> 1} * c_stride;
            for (index_t j = 0; j < cols; j += line) __builtin_prefetch(next + j, 1);
        }
        if (k + ahead_a < n) {
            const T* next = a + input(k + ahead_a) * a_stride;
            for (index_t j = 0; j < cols; j += line) __builtin_prefetch(next + j, 0, 2);
        }
        const T sign = (codes[k] & 1U) != 0 ? T(-1) : T(1);
        const T* from = a + input(k) * a_stride;
        T* to = c + index_t{codes[k] >> 1} * c_stride;
        index_t j = add_vectors<T, 64>(from, sign, to, 0, cols);
        j = add_vectors<T, 32>(from, sign, to, j, cols);
        j = add_vectors<T, 16>(from, sign, to, j, cols);
        for (; j < cols; ++j) to[j] += sign * from[j];
    }
}

// Vectors of sums that stay in registers, beside what is added and its sign. The compiler would
// spill vectors wider than a register.
#if defined(__AVX512F__)
constexpr int sum_bytes = 64, most_sums = 26;
#elif defined(__AVX2__)
constexpr int sum_bytes = 32, most_sums = 13;
#else
constexpr int sum_bytes = 16, most_sums = 13;
#endif

// Whole rows of A one behind the other, which the processor fetches by itself.
template <class T>
void add_in_turn(const T* a, index_t a_stride, index_t cols, index_t n, const u32* codes, T* c,
                 index_t c_stride, index_t rows) {
    using U = typename Unaligned<T, sum_bytes>::type;
    constexpr index_t W = Unaligned<T, sum_bytes>::size, group = 4;
    for (index_t k = 0; k < n; ++k, a += a_stride) {
        const index_t row = codes[k] >> 1;
        if (row >= rows) continue;
        // Without a branch, which would be mispredicted.
        const T sign = static_cast<T>(1 - 2 * static_cast<std::int32_t>(codes[k] & 1U));
        T* to = c + row * c_stride;
        index_t j = 0;
        for (; j + group * W <= cols; j += group * W)
#pragma GCC unroll 4
            for (index_t v = 0; v < group; ++v)
                *reinterpret_cast<U*>(to + j + v * W) +=
                    *reinterpret_cast<const U*>(a + j + v * W) * sign;
        j = add_vectors<T, sum_bytes>(a, sign, to, j, cols);
        j = add_vectors<T, 16>(a, sign, to, j, cols);
        for (; j < cols; ++j) to[j] += sign * a[j];
    }
}

// A strip of sum_rows of `Vectors` vectors, the last of which may overlap the one before.
template <class T, int Vectors>
void sum_strip(const SumOfRows<T>& sum, index_t begin, index_t cols) {
    using U = typename Unaligned<T, sum_bytes>::type;
    typedef T V __attribute__((vector_size(sum_bytes)));
    constexpr index_t W = Unaligned<T, sum_bytes>::size;
    const index_t last = cols - W;
    const auto at = [last](int v) { return v + 1 < Vectors ? v * W : last; };
    for (index_t i = 0; i < sum.rows; ++i) {
        T* to = sum.out + i * sum.out_stride + begin;
        V sums[Vectors];
#pragma GCC unroll 32
        for (int v = 0; v < Vectors; ++v)
            sums[v] = sum.onto == Onto::begin ? *reinterpret_cast<const U*>(to + at(v)) : V{};
        for (u32 k = sum.starts[i]; k < sum.starts[i + 1]; ++k) {
            const T* next =
                sum.a + index_t{sum.inputs[k + sum_rows_ahead] >> 1} * sum.a_stride + begin;
            constexpr int step = static_cast<int>(panel_bytes) / sum_bytes;
#pragma GCC unroll 32
            for (int v = 0; v < Vectors; v += step) __builtin_prefetch(next + at(v), 0, 2);
            __builtin_prefetch(next + cols - 1, 0, 2);
            const T* from = sum.a + index_t{sum.inputs[k] >> 1} * sum.a_stride + begin;
            const T sign = (sum.inputs[k] & 1U) != 0 ? T(-1) : T(1);
#pragma GCC unroll 32
            for (int v = 0; v < Vectors; ++v)
                sums[v] += *reinterpret_cast<const U*>(from + at(v)) * sign;
        }
        if (sum.onto == Onto::add)
#pragma GCC unroll 32
            for (int v = 0; v < Vectors; ++v) sums[v] += *reinterpret_cast<const U*>(to + at(v));
#pragma GCC unroll 32
        for (int v = 0; v < Vectors; ++v) *reinterpret_cast<U*>(to + at(v)) = sums[v];
    }
}

template <class T, int Vectors>
void sum_strip_of(index_t vectors, const SumOfRows<T>& sum, index_t begin, index_t cols) {
    if (vectors == Vectors) return sum_strip<T, Vectors>(sum, begin, cols);
    if constexpr (Vectors > 1) sum_strip_of<T, Vectors - 1>(vectors, sum, begin, cols);
}

template <class T>
void sum_rows(const SumOfRows<T>& sum) {
    constexpr index_t W = Unaligned<T, sum_bytes>::size;
    // A last vector that is not full counts as one: no strip may have more than the most.
    const index_t vectors = (sum.cols + W - 1) / W, strips = (vectors + most_sums - 1) / most_sums;
    for (index_t s = 0; s < strips; ++s) {
        const index_t begin = vectors * s / strips * W,
                      end = s + 1 < strips ? vectors * (s + 1) / strips * W : sum.cols;
        sum_strip_of<T, most_sums>((end - begin + W - 1) / W, sum, begin, end - begin);
    }
}

template <class T>
constexpr SparseApplyKernels<T> kernels_of() {
    return {expand<T>, pack_rows<T>, pack_cols<T>,   scatter<T>,
            gather<T>, add_rows<T>,  add_in_turn<T>, sum_rows<T>};
}

}  // namespace

extern const SparseApplyTable sparse_apply_table;
const SparseApplyTable sparse_apply_table = {kernels_of<float>(), kernels_of<double>()};

}  // namespace randnla::RANDNLA_ISA
