// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "randnla/fixed_point.hpp"

// What all fixed-point kernels share: the unit of a column, and requests for the data to come.
namespace randnla::RANDNLA_ISA {
namespace {

using fixed_point::step_rows;

inline void fetch_ahead(FetchAhead& ahead) {
    for (index_t n = 0; n < ahead.share && ahead.run < ahead.runs; ++n) {
        __builtin_prefetch(ahead.data + 16 * ahead.line, 0, 2);
        if (++ahead.line == ahead.lines) {
            ahead.line = 0;
            ++ahead.run;
            ahead.data += ahead.stride;
        }
    }
}

inline float float_of_bits(std::int32_t bits) {
    float x;
    __builtin_memcpy(&x, &bits, 4);
    return x;
}

// What 16 columns are multiplied by. The largest magnitude of a column times it is below
// 0x7F7F7F + 1/2, the largest that three balanced bytes hold; `top` are its bits as an integer.
// The factor's exponent passes that of float32 for columns below 2^-105: hence two of them.
struct Scales {
    alignas(64) float first[16], second[16];
    bool tiny = false;

    void set(const std::int32_t* top, std::int32_t* exponents) {
        for (int c = 0; c < 16; ++c) {
            std::int32_t e =
                static_cast<std::int32_t>((static_cast<std::uint32_t>(top[c]) + 0x10101U) >> 23);
            e = e < 1 ? 1 : e;
            const std::int32_t wanted = 2 * 127 + fixed_point::fraction_bits - e,
                               held = wanted < 254 ? wanted : 254;
            first[c] = float_of_bits(held << 23);
            second[c] = float_of_bits((wanted - held + 127) << 23);
            tiny = tiny || wanted > held;
            exponents[c] = top[c] >= 0x7F800000 ? fixed_point::not_finite : e - 127;
        }
    }
};

}  // namespace
}  // namespace randnla::RANDNLA_ISA
