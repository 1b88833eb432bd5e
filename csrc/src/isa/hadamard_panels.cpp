// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "hadamard_lanes.hpp"

// Transforms down the columns of panels whose rows are contiguous.
namespace randnla::RANDNLA_ISA {
namespace {

constexpr index_t rows_ahead = 32;       // how far rows are fetched ahead
constexpr std::int32_t picks_ahead = 8;  // how far rows of the result are

// Asks for row i of the panel, or of what follows it.
template <class T>
RANDNLA_INLINE void fetch_row(const PanelRows<T>& a, index_t i, index_t width) {
    const T* p = i < a.rows ? a.data + i * a.row_stride
                 : a.next   ? a.next + (i - a.rows) * a.row_stride
                            : nullptr;
    if (p != nullptr) fetch_run(p, width);
}

template <class T>
RANDNLA_INLINE F<T> load_part(const T* p, index_t count) {
    T part[Vec<T>::lanes] = {};
    for (index_t l = 0; l < count; ++l) part[l] = p[l];
    return load(part);
}
template <class T>
RANDNLA_INLINE void store_part(T* p, F<T> v, index_t count) {
    T part[Vec<T>::lanes];
    store(part, v);
    for (index_t l = 0; l < count; ++l) p[l] = part[l];
}

// The first levels of `radix` rows; beyond column `cols` they are zero.
template <class T>
RANDNLA_INLINE void panel_block(const PanelRows<T>& a, index_t row, Signs<T> signs, T* x,
                                index_t width) {
    constexpr int lanes = Vec<T>::lanes;
    const T* from = a.data + row * a.row_stride;
    for (index_t j = 0; j < width; j += lanes) {
        F<T> v[radix];
        if (j + lanes <= a.cols) {
            unrolled<radix>([&](auto i)
                                RANDNLA_LAMBDA { v[i] = load(from + i * a.row_stride + j); });
        } else {
            unrolled<radix>([&](auto i) RANDNLA_LAMBDA {
                v[i] = load_part(from + i * a.row_stride + j, a.cols - j);
            });
        }
        if (signs.words != nullptr)
            unrolled<radix>([&](auto i) RANDNLA_LAMBDA {
                v[i] = flip<T>(v[i], signs.words[i] - typename Vec<T>::Int{});
            });
        across(v);
        unrolled<radix>([&](auto i) RANDNLA_LAMBDA { store(x + i * width + j, v[i]); });
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
        if (first == radix && i + radix <= a.rows) {
            panel_block(a, i, s, to, width);
            continue;
        }
        copy_padded(a, i, s, to, first, width);
        if (i < a.rows) levels_from(to, first * width, width);
    }
    levels_from(x, rows * width, first * width);
}

// Group g of the last log2 R levels: the picked rows among g, g + q, .., at column j.
template <class T, int R, class Sink>
RANDNLA_INLINE void finish_group(const T* x, index_t q, index_t width, const std::int32_t* slots,
                                 std::int32_t begin, std::int32_t end, const Sink& sink) {
    constexpr int lanes = Vec<T>::lanes;
    alignas(vector_bytes) T group[R * lanes];
    butterfly<T, R>(x, q * width, group, lanes);
    for (std::int32_t k = begin; k < end; ++k) sink(k, load(group + slots[k] * lanes));
}

template <class T>
RANDNLA_INLINE F<T> add_lefts(F<T> v, const PanelSums<T>& sums, std::int32_t part, index_t at) {
    using Word = typename Vec<T>::Word;
    for (int c = 0; c < sums.count; ++c) {
        const Word minus = static_cast<Word>(part >> sums.level[c] & 1) << (8 * sizeof(T) - 1);
        v = load(sums.left[c] + at) + flip<T>(v, minus - typename Vec<T>::Int{});
    }
    return v;
}

template <class T, int R>
void finish_part(const T* x, index_t q, index_t width, const PanelPicks& picks,
                 const PanelSums<T>& sums, const PanelRows<T>& next) {
    for (index_t g = 0; g < q; ++g) {
        fetch_row(next, g, width);
        const std::int32_t begin = picks.starts[g], end = picks.starts[g + 1];
        if (begin == end) continue;
        for (index_t j = 0; j < width; j += Vec<T>::lanes)
            finish_group<T, R>(x + g * width + j, q, width, picks.slots, begin, end,
                               [&](std::int32_t k, F<T> v) {
                                   const index_t at = k * width + j;
                                   store(sums.to + at, add_lefts(v, sums, picks.parts[k], at));
                               });
    }
}

template <class T, int R>
void finish_panel(const T* x, index_t q, index_t width, const PanelPicks& picks,
                  const PanelSums<T>& sums, const PanelRows<T>& next) {
    constexpr int lanes = Vec<T>::lanes;
    const F<T> factor = sums.scale - F<T>{};
    const std::int32_t count = picks.starts[q];
    for (index_t g = 0; g < q; ++g) {
        fetch_row(next, g, width);
        const std::int32_t begin = picks.starts[g], end = picks.starts[g + 1];
        if (begin == end) continue;
        for (std::int32_t k = begin; k < end && k + picks_ahead < count; ++k)
            fetch_run(sums.to + picks.rows[k + picks_ahead] * sums.to_stride, width);
        for (index_t j = 0; j < sums.cols; j += lanes)
            finish_group<T, R>(x + g * width + j, q, width, picks.slots, begin, end,
                               [&](std::int32_t k, F<T> v) {
                                   v = add_lefts(v, sums, picks.parts[k], k * width + j);
                                   v = v * factor + F<T>{};
                                   T* to = sums.to + picks.rows[k] * sums.to_stride + j;
                                   if (j + lanes <= sums.cols)
                                       store(to, v);
                                   else
                                       store_part(to, v, sums.cols - j);
                               });
    }
}

// Stores past the caches; p is aligned.
template <class T>
RANDNLA_INLINE void stream(T* p, F<T> v) {
#if defined(__AVX512F__)
    _mm512_stream_si512(reinterpret_cast<__m512i*>(p), reinterpret_cast<__m512i>(v));
#elif defined(__AVX2__)
    _mm256_stream_si256(reinterpret_cast<__m256i*>(p), reinterpret_cast<__m256i>(v));
#elif defined(__SSE2__)
    _mm_stream_si128(reinterpret_cast<__m128i*>(p), reinterpret_cast<__m128i>(v));
#else
    store(p, v);
#endif
}
RANDNLA_INLINE void order_streams() {
#if defined(__SSE2__)
    _mm_sfence();
#endif
}

// The last levels for all rows, with the signs of the map.
template <class T, int R, class Store>
RANDNLA_INLINE void spread_group(const T* x, index_t g, index_t q, index_t width, Signs<T> signs,
                                 const PanelOut<T>& out, const Store& put) {
    constexpr int lanes = Vec<T>::lanes;
    const F<T> factor = out.scale - F<T>{};
    for (index_t j = 0; j < out.cols; j += lanes) {
        F<T> v[R];
        unrolled<R>([&](auto i) RANDNLA_LAMBDA { v[i] = load(x + (g + i * q) * width + j); });
        across(v);
        unrolled<R>([&](auto i) RANDNLA_LAMBDA {
            const index_t row = g + i * q;
            if (row >= out.rows) return;
            const auto sign = signs.words[row] - typename Vec<T>::Int{};
            const F<T> y = flip<T>(v[i], sign) * factor + F<T>{};
            T* to = out.data + row * out.row_stride + j;
            if (j + lanes <= out.cols)
                put(to, y);
            else
                store_part(to, y, out.cols - j);
        });
    }
}

template <class T, int R>
void spread_radix(const T* x, index_t q, index_t width, Signs<T> signs, const PanelOut<T>& out) {
    if (out.streamed && reinterpret_cast<std::uintptr_t>(out.data) % vector_bytes == 0) {
        for (index_t g = 0; g < q; ++g)
            spread_group<T, R>(x, g, q, width, signs, out,
                               [](T* p, F<T> v) RANDNLA_LAMBDA { stream(p, v); });
        return order_streams();
    }
    for (index_t g = 0; g < q; ++g) {
        for (index_t row = g + 1; row < out.rows && g + 1 < q; row += q)
            fetch_run(out.data + row * out.row_stride, out.cols);
        spread_group<T, R>(x, g, q, width, signs, out,
                           [](T* p, F<T> v) RANDNLA_LAMBDA { store(p, v); });
    }
}

template <class T, class Call>
void with_radix(int levels, const Call& call) {
    switch (levels) {
        case 0:
            return call(std::integral_constant<int, 1>{});
        case 1:
            return call(std::integral_constant<int, 2>{});
        case 2:
            return call(std::integral_constant<int, 4>{});
        case 3:
            return call(std::integral_constant<int, 8>{});
#if defined(__AVX512F__)
        case 4:
            return call(std::integral_constant<int, 16>{});
        case 5:
            return call(std::integral_constant<int, 32>{});
#endif
        default:
            return;
    }
}

template <class T>
void finish(const T* x, index_t q, int levels, index_t width, const PanelPicks& picks,
            const PanelSums<T>& sums, const PanelRows<T>& next) {
    with_radix<T>(levels, [&](auto r) {
        if (sums.last)
            finish_panel<T, r.value>(x, q, width, picks, sums, next);
        else
            finish_part<T, r.value>(x, q, width, picks, sums, next);
    });
}

template <class T>
void spread(const T* x, index_t q, int levels, index_t width, Signs<T> signs,
            const PanelOut<T>& out) {
    with_radix<T>(levels, [&](auto r) { spread_radix<T, r.value>(x, q, width, signs, out); });
}

template <class T>
constexpr HadamardPanelKernels<T> table() {
    return {panel_chunk<T>, finish<T>, spread<T>};
}

}  // namespace

extern const HadamardPanelTables hadamard_panel_kernels;
const HadamardPanelTables hadamard_panel_kernels = {table<float>(), table<double>()};

}  // namespace randnla::RANDNLA_ISA
