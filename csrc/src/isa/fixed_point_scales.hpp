// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "randnla/fixed_point.hpp"

// What all fixed-point kernels share: the unit of a column, and requests for the data to come.
namespace randnla::RANDNLA_ISA {
namespace {

using fixed_point::step_rows;

inline void fetch_ahead(FetchAhead& ahead, index_t units) {
    for (ahead.due += units * ahead.share; ahead.due >= 16; ahead.due -= 16) {
        if (ahead.runs == 0) return;
        __builtin_prefetch(ahead.data + 16 * ahead.line, 0, 2);
        if (++ahead.line == ahead.lines) {
            ahead.line = 0;
            --ahead.runs;
            ahead.data += ahead.stride;
        }
    }
}

inline float float_of_bits(std::int32_t bits) {
    float x;
    __builtin_memcpy(&x, &bits, 4);
    return x;
}

// Of 16 columns whose largest magnitudes have the bits `top`; false if all were there already.
inline bool set_exponents(const std::int32_t* top, std::int32_t* exponents) {
    std::int32_t changed = 0;
    for (int c = 0; c < 16; ++c) {
        std::int32_t e =
            static_cast<std::int32_t>((static_cast<std::uint32_t>(top[c]) + 0x10101U) >> 23);
        e = top[c] >= 0x7F800000 ? fixed_point::not_finite : (e < 1 ? 1 : e) - 127;
        changed |= e ^ exponents[c];
        exponents[c] = e;
    }
    return changed != 0;
}

// What 16 columns are multiplied by. The largest magnitude of a column times it is below
// 0x7F7F7F + 1/2, the largest that three balanced bytes hold. The factor's exponent passes that of
// float32 for columns below 2^-105: hence two of them.
struct Scales {
    alignas(64) float first[16], second[16];
    bool tiny;

    void set(const std::int32_t* exponents) {
        std::int32_t extra = 0;
        for (int c = 0; c < 16; ++c) {
            const std::int32_t e = exponents[c] == fixed_point::not_finite ? 0 : exponents[c],
                               wanted = 127 + fixed_point::fraction_bits - e,
                               held = wanted < 254 ? wanted : 254;
            first[c] = float_of_bits(held << 23);
            second[c] = float_of_bits((wanted - held + 127) << 23);
            extra |= wanted - held;
        }
        tiny = extra != 0;
    }
};

}  // namespace
}  // namespace randnla::RANDNLA_ISA
