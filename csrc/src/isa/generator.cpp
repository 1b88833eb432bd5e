// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#if defined(__GNUC__) && !defined(__clang__) && !defined(__AVX512F__)
// Chains of dependent operations side by side: the schedulers of processors see too short a stretch
// of one (1.4 times as many numbers; with 32 registers, not tried).
#pragma GCC optimize("schedule-insns", "sched-pressure")
#endif
#include "randnla/generator.hpp"

#include "philox_lanes.hpp"
#include "randnla/distributions.hpp"

namespace randnla::RANDNLA_ISA {
namespace {

constexpr int lanes = lanes_per_block;

struct Words {
    using Element = std::uint32_t;
    static constexpr index_t columns = words_per_block;
    static void block(std::uint64_t b, std::uint64_t row, Key key, Element, Element* out) {
        philox_block_lanes(b, row, key, out);
    }
};

#if defined(__SSE4_1__)
constexpr int lanes_together = counters_per_pass;
#else
constexpr int lanes_together = lanes;
#endif

// The numbers of a block: Stream::box for parts of its lanes, one after the other without a loop
// around them, so that the compiler may arrange all of it.
template <class Stream, class T>
__attribute__((always_inline)) inline void gaussian_block(std::uint64_t b, std::uint64_t row,
                                                          Key key, T scale, T* __restrict out) {
    alignas(64) std::uint32_t w[words_per_block];
    philox_block_lanes(b, row, key, w);
#pragma GCC unroll 4
    for (int l = 0; l < lanes; l += lanes_together) Stream::box(w + l, scale, out + l);
}

struct GaussianF32 {
    using Element = float;
    static constexpr index_t columns = words_per_block;
    __attribute__((always_inline)) static void box(const std::uint32_t* w, float scale,
                                                   float* __restrict out) {
        for (int pair = 0; pair < 2; ++pair) {
            const std::uint32_t *radius = w + 2 * pair * lanes, *angle = radius + lanes;
            float* first = out + 2 * pair * lanes;
            for (int l = 0; l < lanes_together; ++l) {
                const float r = gaussian_radius(radius[l]);
                float c, s;
                gaussian_angle(angle[l], c, s);
                first[l] = scale * (r * c);
                first[lanes + l] = scale * (r * s);
            }
        }
    }
    static void block(std::uint64_t b, std::uint64_t row, Key key, float scale, float* out) {
        gaussian_block<GaussianF32>(b, row, key, scale, out);
    }
};

struct GaussianF64 {
    using Element = double;
    static constexpr index_t columns = 2 * lanes;
    __attribute__((always_inline)) static void box(const std::uint32_t* w, double scale,
                                                   double* __restrict out) {
        for (int l = 0; l < lanes_together; ++l) {
            const double r = gaussian_radius(w[l], w[lanes + l]);
            double c, s;
            gaussian_angle(w[2 * lanes + l], w[3 * lanes + l], c, s);
            out[l] = scale * (r * c);
            out[lanes + l] = scale * (r * s);
        }
    }
    static void block(std::uint64_t b, std::uint64_t row, Key key, double scale, double* out) {
        gaussian_block<GaussianF64>(b, row, key, scale, out);
    }
};

// By mask and compare: SSE has no shifts by lane.
struct BitMasks {
    std::uint32_t bit[32];
};
constexpr BitMasks bit_masks() {
    BitMasks masks{};
    for (int t = 0; t < 32; ++t) masks.bit[t] = 1U << t;
    return masks;
}
constexpr BitMasks masks = bit_masks();

template <class T>
void expand_signs(std::uint32_t word, T scale, T* out) {
    for (int t = 0; t < 32; ++t) out[t] = (word & masks.bit[t]) != 0 ? -scale : scale;
}

// Blocks of signs are wide, so that a cut one must not cost as much as a whole one: only the words
// that are asked for are expanded.
template <class T>
void sign_run(Key key, std::uint64_t row, std::uint64_t start, index_t count, T scale,
              T* __restrict out) {
    constexpr std::uint64_t columns = 32 * words_per_block;
    alignas(64) std::uint32_t w[words_per_block];
    for (std::uint64_t b = start / columns, skip = start % columns; count > 0; ++b, skip = 0) {
        philox_block_lanes(b, row, key, w);
        std::uint64_t i = skip / 32;
        if (skip % 32 != 0) {
            T head[32];
            expand_signs(w[i++], scale, head);
            for (std::uint64_t t = skip % 32; t < 32 && count > 0; ++t, --count) *out++ = head[t];
        }
        for (; i < words_per_block && count >= 32; ++i, out += 32, count -= 32)
            expand_signs(w[i], scale, out);
        if (i < words_per_block && count > 0) {
            T tail[32];
            expand_signs(w[i], scale, tail);
            for (int t = 0; count > 0; ++t, --count) *out++ = tail[t];
        }
    }
}

// Columns start .. start + count - 1 of a row: whole blocks go straight to `out`, the cut ones at
// the ends through a buffer.
template <class Stream>
void run(Key key, std::uint64_t row, std::uint64_t start, index_t count,
         typename Stream::Element scale, typename Stream::Element* out) {
    constexpr auto columns = static_cast<std::uint64_t>(Stream::columns);
    std::uint64_t b = start / columns;
    index_t skip = static_cast<index_t>(start % columns);
    while (count > 0) {
        if (skip == 0 && count >= Stream::columns) {
            Stream::block(b, row, key, scale, out);
            out += Stream::columns;
            count -= Stream::columns;
        } else {
            alignas(64) typename Stream::Element buffer[columns];
            Stream::block(b, row, key, scale, buffer);
            const index_t end = Stream::columns - skip < count ? Stream::columns : skip + count;
            for (index_t i = skip; i < end; ++i) out[i - skip] = buffer[i];
            out += end - skip;
            count -= end - skip;
            skip = 0;
        }
        ++b;
    }
}

void words(Key key, std::uint64_t row, std::uint64_t start, index_t count, std::uint32_t* out) {
    run<Words>(key, row, start, count, 0, out);
}

}  // namespace

extern const GeneratorKernels generator_kernels;
const GeneratorKernels generator_kernels = {words, run<GaussianF32>, run<GaussianF64>,
                                            sign_run<float>, sign_run<double>};

}  // namespace randnla::RANDNLA_ISA
