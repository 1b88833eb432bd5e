// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/skinny.hpp"

#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#endif

namespace randnla::RANDNLA_ISA {
namespace {

#if defined(__AVX512F__)

template <class T>
struct Vec;
template <>
struct Vec<float> {
    using Reg = __m512;
    static constexpr int lanes = 16;
    static Reg zero() { return _mm512_setzero_ps(); }
    static Reg load(const float* p) { return _mm512_loadu_ps(p); }
    static void store(float* p, Reg v) { _mm512_storeu_ps(p, v); }
    static Reg load_first(const float* p, int n) { return _mm512_maskz_loadu_ps(mask(n), p); }
    static void store_first(float* p, Reg v, int n) { _mm512_mask_storeu_ps(p, mask(n), v); }
    static Reg broadcast(float x) { return _mm512_set1_ps(x); }
    static Reg multiply_add(Reg a, Reg b, Reg c) { return _mm512_fmadd_ps(a, b, c); }
    static Reg multiply(Reg a, Reg b) { return _mm512_mul_ps(a, b); }
    static __mmask16 mask(int n) { return static_cast<__mmask16>((1U << n) - 1U); }
};
template <>
struct Vec<double> {
    using Reg = __m512d;
    static constexpr int lanes = 8;
    static Reg zero() { return _mm512_setzero_pd(); }
    static Reg load(const double* p) { return _mm512_loadu_pd(p); }
    static void store(double* p, Reg v) { _mm512_storeu_pd(p, v); }
    static Reg load_first(const double* p, int n) { return _mm512_maskz_loadu_pd(mask(n), p); }
    static void store_first(double* p, Reg v, int n) { _mm512_mask_storeu_pd(p, mask(n), v); }
    static Reg broadcast(double x) { return _mm512_set1_pd(x); }
    static Reg multiply_add(Reg a, Reg b, Reg c) { return _mm512_fmadd_pd(a, b, c); }
    static Reg multiply(Reg a, Reg b) { return _mm512_mul_pd(a, b); }
    static __mmask8 mask(int n) { return static_cast<__mmask8>((1U << n) - 1U); }
};
// 32 registers: rows x vectors accumulators, one row of B, one broadcast of A.
constexpr int max_vectors = 6;
constexpr int tile_rows(int vectors) {
    return vectors <= 2 ? 12 : vectors == 3 ? 8 : vectors == 4 ? 6 : vectors == 5 ? 5 : 4;
}
#define RANDNLA_SKINNY 1

#elif defined(__AVX2__) && defined(__FMA__)

template <class T>
struct Vec;
template <>
struct Vec<float> {
    using Reg = __m256;
    static constexpr int lanes = 8;
    static Reg zero() { return _mm256_setzero_ps(); }
    static Reg load(const float* p) { return _mm256_loadu_ps(p); }
    static void store(float* p, Reg v) { _mm256_storeu_ps(p, v); }
    static Reg load_first(const float* p, int n) { return _mm256_maskload_ps(p, mask(n)); }
    static void store_first(float* p, Reg v, int n) { _mm256_maskstore_ps(p, mask(n), v); }
    static Reg broadcast(float x) { return _mm256_set1_ps(x); }
    static Reg multiply_add(Reg a, Reg b, Reg c) { return _mm256_fmadd_ps(a, b, c); }
    static Reg multiply(Reg a, Reg b) { return _mm256_mul_ps(a, b); }
    static __m256i mask(int n) {
        return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    }
};
template <>
struct Vec<double> {
    using Reg = __m256d;
    static constexpr int lanes = 4;
    static Reg zero() { return _mm256_setzero_pd(); }
    static Reg load(const double* p) { return _mm256_loadu_pd(p); }
    static void store(double* p, Reg v) { _mm256_storeu_pd(p, v); }
    static Reg load_first(const double* p, int n) { return _mm256_maskload_pd(p, mask(n)); }
    static void store_first(double* p, Reg v, int n) { _mm256_maskstore_pd(p, mask(n), v); }
    static Reg broadcast(double x) { return _mm256_set1_pd(x); }
    static Reg multiply_add(Reg a, Reg b, Reg c) { return _mm256_fmadd_pd(a, b, c); }
    static Reg multiply(Reg a, Reg b) { return _mm256_mul_pd(a, b); }
    static __m256i mask(int n) {
        return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
    }
};
// 16 registers.
constexpr int max_vectors = 3;
constexpr int tile_rows(int vectors) {
    return vectors == 1 ? 8 : vectors == 2 ? 6 : 4;
}
#define RANDNLA_SKINNY 1

#endif

#ifdef RANDNLA_SKINNY

// Where a tile's result goes: rows x columns of C, the last vector of a row holding `tail` of them.
template <class T>
struct Target {
    MatrixView<T> c;
    T alpha, beta;
};

template <class T, int rows, int vectors>
void write_tile(const typename Vec<T>::Reg (&acc)[rows][vectors], const Target<T>& to) {
    using V = Vec<T>;
    const auto& c = to.c;
    if (c.col_stride != 1) {
        alignas(64) T row[vectors * V::lanes];
        for (int r = 0; r < rows && r < c.rows; ++r) {
            for (int v = 0; v < vectors; ++v) V::store(row + v * V::lanes, acc[r][v]);
            for (index_t j = 0; j < c.cols; ++j) {
                T& x = c(r, j);
                x = to.beta == T(0) ? to.alpha * row[j] : to.alpha * row[j] + to.beta * x;
            }
        }
        return;
    }
    const auto alpha = V::broadcast(to.alpha), beta = V::broadcast(to.beta);
    const int tail = static_cast<int>(c.cols) - (vectors - 1) * V::lanes;
    for (int r = 0; r < rows && r < c.rows; ++r) {
        T* p = &c(r, 0);
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) {
            auto x = V::multiply(alpha, acc[r][v]);
            if (v + 1 < vectors) {
                if (to.beta != T(0)) x = V::multiply_add(beta, V::load(p + v * V::lanes), x);
                V::store(p + v * V::lanes, x);
            } else {
                if (to.beta != T(0))
                    x = V::multiply_add(beta, V::load_first(p + v * V::lanes, tail), x);
                V::store_first(p + v * V::lanes, x, tail);
            }
        }
    }
}

// Lines to be asked for meanwhile, one every so many steps: a burst of them would stop the loads
// behind it.
template <class T>
struct Ahead {
    const T* start = nullptr;
    index_t stride = 0, every = 0;
};

// rows x (vectors * lanes) outer products over k. A is packed (k * rows + r) or read in place
// (r * row_stride + k); row k of B starts at b + k * b_stride.
template <class T, int rows, int vectors, bool packed, bool fetching = false>
void tile(index_t inner, const T* a, index_t row_stride, const T* b, index_t b_stride,
          const Target<T>& to, Ahead<T> ahead = {}) {
    using V = Vec<T>;
    typename V::Reg acc[rows][vectors];
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) acc[r][v] = V::zero();
    index_t left = 1;
    for (index_t k = 0; k < inner; ++k) {
        if constexpr (fetching) {
            if (--left == 0) {
                __builtin_prefetch(ahead.start, 0, 2);
                ahead.start += ahead.stride;
                left = ahead.every;
            }
        }
        typename V::Reg bk[vectors];
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) bk[v] = V::load(b + k * b_stride + v * V::lanes);
#pragma GCC unroll 16
        for (int r = 0; r < rows; ++r) {
            const auto x = V::broadcast(packed ? a[k * rows + r] : a[r * row_stride + k]);
#pragma GCC unroll 8
            for (int v = 0; v < vectors; ++v) acc[r][v] = V::multiply_add(x, bk[v], acc[r][v]);
        }
    }
    write_tile<T, rows, vectors>(acc, to);
}

// The next stretch of a row-major tile, one line per row: the tiles of an inner block are short
// runs that the hardware prefetcher does not see coming.
template <class T, int rows>
void prefetch_rows(const T* a, index_t row_stride, index_t count) {
    constexpr index_t line = 64 / sizeof(T);
    for (int r = 0; r < rows; ++r)
        for (index_t k = 0; k < count; k += line) __builtin_prefetch(a + r * row_stride + k, 0, 2);
}

// Elements from one packed tile to the next: off the powers of two, which would put the tiles'
// heads into one cache set.
constexpr index_t tile_stride(index_t inner, int rows) {
    return inner * rows + 16;
}

// A as tiles of `rows` rows, each interleaved: tile t holds packed[t * tile_stride + k * rows + r],
// rows beyond A's are zero. A column-major A is read along its columns, in long runs.
template <class T, int rows>
void pack_a(MatrixView<const T> a, T* packed) {
    const index_t tiles = (a.rows + rows - 1) / rows, whole = a.rows / rows;
    const index_t stride = tile_stride(a.cols, rows);
    const index_t runs = a.row_stride == 1 ? whole : 0;
    for (index_t k = 0; k < a.cols; ++k) {
        const T* column = &a(0, k);
        for (index_t t = 0; t < runs; ++t)
            __builtin_memcpy(packed + t * stride + k * rows, column + t * rows, rows * sizeof(T));
    }
    for (index_t t = runs; t < tiles; ++t)
        for (index_t k = 0; k < a.cols; ++k)
            for (index_t r = 0; r < rows; ++r)
                packed[t * stride + k * rows + r] =
                    t * rows + r < a.rows ? a(t * rows + r, k) : T(0);
}

// B's columns as panels of at most `widest` vectors, the narrower ones (by one vector) last.
struct Panels {
    int widest, wide_count, count;
    index_t vectors;

    Panels(index_t vectors_, int most) : vectors(vectors_) {
        count = static_cast<int>((vectors + most - 1) / most);
        widest = static_cast<int>((vectors + count - 1) / count);
        wide_count = count - (widest * count - static_cast<int>(vectors));
    }
    int width(int p) const { return p < wide_count ? widest : widest - 1; }
    index_t first(int p) const {
        return p <= wide_count ? p * widest : wide_count * widest + (p - wide_count) * (widest - 1);
    }
};

// Stretch by stretch of skinny_inner_block rows of B, panel by panel, padded with zeros to whole
// vectors.
template <class T>
void pack_b(MatrixView<const T> b, const Panels& panels, T* out) {
    constexpr int lanes = Vec<T>::lanes;
    for (index_t k0 = 0; k0 < b.rows; k0 += skinny_inner_block) {
        const index_t inner = b.rows - k0 < skinny_inner_block ? b.rows - k0 : skinny_inner_block;
        for (int p = 0; p < panels.count; ++p) {
            const index_t j0 = panels.first(p) * lanes, width = panels.width(p) * lanes;
            const index_t valid = b.cols - j0 < width ? b.cols - j0 : width;
            for (index_t k = 0; k < inner; ++k, out += width) {
                for (index_t j = 0; j < valid; ++j) out[j] = b(k0 + k, j0 + j);
                for (index_t j = valid; j < width; ++j) out[j] = T(0);
            }
        }
    }
}

// One tile of A, in place (packed = false) or packed, against all panels of a stretch of B.
template <class T, int widest, bool packed>
void tile_row(index_t inner, const T* a, index_t row_stride, const T* b, const Panels& panels,
              const Target<T>& to) {
    constexpr int rows = tile_rows(widest), lanes = Vec<T>::lanes;
    for (int p = 0; p < panels.count; ++p) {
        const int width = panels.width(p) * lanes;
        const index_t j0 = panels.first(p) * lanes,
                      j1 = to.c.cols - j0 < width ? to.c.cols : j0 + width;
        const Target<T> part{to.c.block(0, to.c.rows, j0, j1), to.alpha, to.beta};
        if (panels.width(p) == widest)
            tile<T, rows, widest, packed>(inner, a, row_stride, b, width, part);
        else if constexpr (widest > 1)
            tile<T, rows, widest - 1, packed>(inner, a, row_stride, b, width, part);
        b += inner * width;
    }
}

// All tiles of A's rows against the packed B. A row-major A is read in place, but for its last
// rows.
template <class T, int widest>
void multiply(MatrixView<const T> a, const T* packed_b, const Panels& panels, Target<T> to,
              T* packed_a) {
    constexpr int rows = tile_rows(widest);
    constexpr index_t row_block = skinny_row_block / rows * rows;
    const MatrixView<T> c = to.c;
    const T beta = to.beta;
    for (index_t i0 = 0; i0 < a.rows; i0 += row_block) {
        const index_t i1 = a.rows - i0 < row_block ? a.rows : i0 + row_block;
        const index_t in_place = a.col_stride == 1 ? i0 + (i1 - i0) / rows * rows : i0;
        for (index_t k0 = 0; k0 < a.cols; k0 += skinny_inner_block) {
            const index_t k1 = a.cols - k0 < skinny_inner_block ? a.cols : k0 + skinny_inner_block,
                          inner = k1 - k0;
            const index_t ahead =
                a.cols - k1 < skinny_inner_block ? a.cols - k1 : skinny_inner_block;
            const T* b = packed_b + k0 * panels.vectors * Vec<T>::lanes;
            to.beta = k0 == 0 ? beta : T(1);
            if (in_place < i1) pack_a<T, rows>(a.block(in_place, i1, k0, k1), packed_a);
            for (index_t i = i0; i < in_place; i += rows) {
                if (const index_t next = i + 2 * rows; next < in_place)
                    prefetch_rows<T, rows>(&a(next, k0), a.row_stride, inner);
                else if (ahead > 0)
                    prefetch_rows<T, rows>(&a(i0 + next - in_place, k1), a.row_stride, ahead);
                to.c = c.block(i, i + rows, 0, c.cols);
                tile_row<T, widest, false>(inner, &a(i, k0), a.row_stride, b, panels, to);
            }
            for (index_t i = in_place; i < i1; i += rows) {
                to.c = c.block(i, i1 - i < rows ? i1 : i + rows, 0, c.cols);
                tile_row<T, widest, true>(
                    inner, packed_a + (i - in_place) / rows * tile_stride(inner, rows), 0, b,
                    panels, to);
            }
        }
    }
}

template <class T, int widest>
void dispatch(int wanted, MatrixView<const T> a, const T* packed_b, const Panels& panels,
              const Target<T>& to, T* packed_a) {
    if (wanted == widest) return multiply<T, widest>(a, packed_b, panels, to, packed_a);
    if constexpr (widest > 1) dispatch<T, widest - 1>(wanted, a, packed_b, panels, to, packed_a);
}

template <class T>
void product(T alpha, MatrixView<const T> a, MatrixView<const T> b, T beta, MatrixView<T> c,
             T* workspace) {
    constexpr int lanes = Vec<T>::lanes;
    const Panels panels((b.cols + lanes - 1) / lanes, max_vectors);
    const index_t padded = panels.vectors * lanes;
    const index_t fits = static_cast<index_t>(skinny_packed_bytes / sizeof(T)) / padded;
    const index_t inner_step = fits / skinny_inner_block * skinny_inner_block;
    T* packed_a = workspace + skinny_packed_bytes / sizeof(T);
    for (index_t k0 = 0; k0 < b.rows; k0 += inner_step) {
        const index_t k1 = b.rows - k0 < inner_step ? b.rows : k0 + inner_step;
        pack_b(b.block(k0, k1, 0, b.cols), panels, workspace);
        const Target<T> to{c, alpha, k0 == 0 ? beta : T(1)};
        dispatch<T, max_vectors>(panels.widest, a.block(0, a.rows, k0, k1), workspace, panels, to,
                                 packed_a);
    }
}

// A strip of B, copied to where its rows lie side by side: rows of B would each cost an entry of
// the address cache, and those of a power of two share few sets of L1.
template <class T, int vectors>
void copy_strip(MatrixView<const T> b, T* strip) {
    using V = Vec<T>;
    for (index_t k = 0; k < b.rows; ++k, strip += vectors * V::lanes)
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v)
            V::store(strip + v * V::lanes, V::load(&b(k, 0) + v * V::lanes));
}

// The transposed problem, C = A B with an A of few rows and a row-major B: B is the vector operand,
// A the packed one. B goes by in strips of `vectors` vectors. While the tiles of a strip are
// multiplied they fetch the lines of the next one, which are runs too short for the hardware
// prefetcher.
template <class T, int rows, int vectors>
void wide_strips(index_t inner, const T* packed_a, index_t tiles, MatrixView<const T> b,
                 const Target<T>& to) {
    using V = Vec<T>;
    constexpr index_t width = vectors * V::lanes;
    alignas(64) T strip[skinny_inner_block * width];
    const index_t stride = tile_stride(inner, rows);
    index_t j = 0;
    for (; j + width <= b.cols; j += width) {
        copy_strip<T, vectors>(b.block(0, inner, j, j + width), strip);
        // Each tile asks for one line of each `every`-th row of the next strip.
        const index_t every = tiles < vectors ? 1 : tiles / vectors,
                      fetched = j + 2 * width <= b.cols ? every * vectors : 0;
        for (index_t t = 0; t < tiles; ++t) {
            const index_t i0 = t * rows, i1 = to.c.rows - i0 < rows ? to.c.rows : i0 + rows;
            const Target<T> part{to.c.block(i0, i1, j, j + width), to.alpha, to.beta};
            const T* packed = packed_a + t * stride;
            if (t < fetched)
                tile<T, rows, vectors, true, true>(
                    inner, packed, 0, strip, width, part,
                    {&b(t % every, j + width) + t / every * V::lanes, b.row_stride * every, every});
            else
                tile<T, rows, vectors, true>(inner, packed, 0, strip, width, part);
        }
    }
    for (; j < b.cols; j += V::lanes) {
        const index_t end = b.cols - j < V::lanes ? b.cols : j + V::lanes;
        for (index_t k = 0; k < inner; ++k)
            V::store(strip + k * V::lanes, V::load_first(&b(k, j), static_cast<int>(end - j)));
        for (index_t t = 0; t < tiles; ++t) {
            const index_t i0 = t * rows, i1 = to.c.rows - i0 < rows ? to.c.rows : i0 + rows;
            tile<T, rows, 1, true>(inner, packed_a + t * stride, 0, strip, V::lanes,
                                   {to.c.block(i0, i1, j, end), to.alpha, to.beta});
        }
    }
}

template <class T, int vectors>
void multiply_wide(MatrixView<const T> a, MatrixView<const T> b, Target<T> to, T* packed_a) {
    constexpr int rows = tile_rows(vectors);
    const index_t tiles = (a.rows + rows - 1) / rows;
    const T beta = to.beta;
    for (index_t k0 = 0; k0 < a.cols; k0 += skinny_inner_block) {
        const index_t k1 = a.cols - k0 < skinny_inner_block ? a.cols : k0 + skinny_inner_block;
        pack_a<T, rows>(a.block(0, a.rows, k0, k1), packed_a);
        to.beta = k0 == 0 ? beta : T(1);
        wide_strips<T, rows, vectors>(k1 - k0, packed_a, tiles, b.block(k0, k1, 0, b.cols), to);
    }
}

// Square tiles, but for those that compute at least a twentieth less for nothing.
template <class T>
void wide_product(T alpha, MatrixView<const T> a, MatrixView<const T> b, T beta, MatrixView<T> c,
                  T* workspace) {
    const Target<T> to{c, alpha, beta};
    constexpr int tall = max_vectors > 3 ? 3 : 2, square = tall + 1, flat = max_vectors > 3 ? 5 : 3;
    const auto computed = [&](int vectors) {
        const index_t rows = tile_rows(vectors);
        return (a.rows + rows - 1) / rows * rows;
    };
    const index_t most = computed(square) - computed(square) / 20;
    if (computed(flat) < most && computed(flat) <= computed(tall))
        return multiply_wide<T, flat>(a, b, to, workspace);
    if (computed(tall) < most) return multiply_wide<T, tall>(a, b, to, workspace);
    multiply_wide<T, square>(a, b, to, workspace);
}

constexpr SkinnyProduct<float> product_f32 = product<float>, wide_f32 = wide_product<float>;
constexpr SkinnyProduct<double> product_f64 = product<double>, wide_f64 = wide_product<double>;

#else

constexpr SkinnyProduct<float> product_f32 = nullptr, wide_f32 = nullptr;
constexpr SkinnyProduct<double> product_f64 = nullptr, wide_f64 = nullptr;

#endif

}  // namespace

extern const SkinnyKernels skinny_kernels;
const SkinnyKernels skinny_kernels = {product_f32, product_f64, wide_f32, wide_f64};

}  // namespace randnla::RANDNLA_ISA
