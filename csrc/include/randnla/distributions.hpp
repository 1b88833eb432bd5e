// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

#include "randnla/philox.hpp"

// From random words to Gaussian numbers (Box and Muller, 1958). Every operation is an IEEE basic
// one in a fixed order (compile with -ffp-contract=off; CUDA: -fmad=false -ftz=false), so that
// NumPy, every instruction set and the GPU give the same bits. The constants are minimax fits
// (Remez); the formulas are part of the stream contract of DevNotes.md.
namespace randnla {

RANDNLA_SCALAR float float_of_bits(std::int32_t bits) {
#ifdef __CUDA_ARCH__
    return __int_as_float(bits);
#else
    float value;
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
#endif
}

RANDNLA_SCALAR std::int32_t bits_of(float value) {
#ifdef __CUDA_ARCH__
    return __float_as_int(value);
#else
    std::int32_t bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    return bits;
#endif
}

RANDNLA_SCALAR double float_of_bits(std::int64_t bits) {
#ifdef __CUDA_ARCH__
    return __longlong_as_double(bits);
#else
    double value;
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
#endif
}

RANDNLA_SCALAR std::int64_t bits_of(double value) {
#ifdef __CUDA_ARCH__
    return __double_as_longlong(value);
#else
    std::int64_t bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    return bits;
#endif
}

RANDNLA_SCALAR float square_root(float x) {
#ifdef __CUDA_ARCH__
    return __fsqrt_rn(x);
#else
    return __builtin_sqrtf(x);
#endif
}

RANDNLA_SCALAR double square_root(double x) {
#ifdef __CUDA_ARCH__
    return __dsqrt_rn(x);
#else
    return __builtin_sqrt(x);
#endif
}

// sqrt(-2 log u), u = fl(fl(v) 2^-31 + 2^-32) in [2^-32, 1], v the upper 31 bits of the word: up to
// 6.66. With u = 2^e (1 + x), 1 + x in [sqrt 1/2, sqrt 2):
//   -2 log u = -2 e log 2 - 2 x + x^2 + x^3 P(x), P of degree 6, |relative error| < 3.2e-8;
// 2 log 2 = hi + lo with e hi exact.
RANDNLA_SCALAR float gaussian_radius(std::uint32_t word) {
    const float u = static_cast<float>(static_cast<std::int32_t>(word >> 1)) * 0x1p-31F + 0x1p-32F;
    constexpr std::int32_t root_half = 0x3f3504f3;  // bits of sqrt 1/2
    const std::int32_t t = bits_of(u) - root_half;
    const float e = static_cast<float>(t >> 23);
    const float x = float_of_bits((t & 0x7fffff) + root_half) - 1.0F;
    const float z = x * x;
    float y = -0x1.645ecap-3F;
    y = y * x + 0x1.2432bcp-2F;
    y = y * x + -0x1.317454p-2F;
    y = y * x + 0x1.53824ap-2F;
    y = y * x + -0x1.98d7f2p-2F;
    y = y * x + 0x1.000382p-1F;
    y = y * x + -0x1.5556d8p-1F;
    y = (y * x) * z;
    y = y + e * -0x1.7f7d1cp-19F;
    y = y + z;
    y = y - (x + x);
    y = y + e * -0x1.62e4p+0F;
    return square_root(y);
}

// cos and sin of 2 pi word / 2^32. With q the nearest quarter turn and r the rest, a signed 30-bit
// integer: x = fl(r) 2 pi / 2^32 in [-pi/4, pi/4], then sin x = x + x^3 S(x^2),
// cos x = 1 - x^2 / 2 + x^4 C(x^2), exchanged and negated by q.
RANDNLA_SCALAR void gaussian_angle(std::uint32_t word, float& cosine, float& sine) {
    const std::uint32_t q = (word + 0x20000000U) >> 30;
    const float x =
        static_cast<float>(static_cast<std::int32_t>(word - (q << 30))) * 0x1.921fb6p-30F;
    const float z = x * x;
    float s = -0x1.9943e2p-13F;
    s = s * z + 0x1.11073ap-7F;
    s = s * z + -0x1.555546p-3F;
    s = (s * z) * x + x;
    float c = 0x1.99eb9cp-16F;
    c = c * z + -0x1.6c0c34p-10F;
    c = c * z + 0x1.55554ap-5F;
    c = ((c * z) * z - 0.5F * z) + 1.0F;
    const std::int32_t odd = -static_cast<std::int32_t>(q & 1U);
    const std::int32_t sb = bits_of(s), cb = bits_of(c);
    cosine = float_of_bits(((cb & ~odd) | (sb & odd)) ^
                           static_cast<std::int32_t>(((q + 1U) & 2U) << 30));
    sine = float_of_bits(((sb & ~odd) | (cb & odd)) ^ static_cast<std::int32_t>((q & 2U) << 30));
}

// sqrt(-2 log u), u = (v + 1) 2^-53 exactly, v = the upper 27 bits of `high` above the upper 26 of
// `low`: up to 8.57. With 1 + f in [sqrt 1/2, sqrt 2) and s = f / (2 + f),
//   -2 log(1 + f) = -2 f + f^2 - s (f^2 + s^2 R(s^2)), R of degree 6, |relative error| < 1.3e-18
// (the arrangement of fdlibm, whose rounding errors stay below one ulp).
RANDNLA_SCALAR double gaussian_radius(std::uint32_t high, std::uint32_t low) {
    const double u = static_cast<double>(static_cast<std::int32_t>(high >> 5)) * 0x1p-27 +
                     static_cast<double>(static_cast<std::int32_t>(low >> 6) + 1) * 0x1p-53;
    constexpr std::int64_t root_half = 0x3fe6a09e667f3bcdLL;
    const std::int64_t t = bits_of(u) - root_half;
    // The exponent from the upper word: 64-bit arithmetic shifts are slow before AVX-512.
    const double e =
        static_cast<double>(static_cast<std::int32_t>(static_cast<std::uint64_t>(t) >> 32) >> 20);
    constexpr std::int64_t mantissa = 0xfffffffffffffLL;
    const double f = float_of_bits((t & mantissa) + root_half) - 1.0;
    const double s = f / (2.0 + f), z = s * s, ff = f * f;
    double r = 0x1.2f0632cb74c93p-2;
    r = r * z + 0x1.39a1a71ff0a49p-2;
    r = r * z + 0x1.74663fa0bb0f1p-2;
    r = r * z + 0x1.c71c52060dda4p-2;
    r = r * z + 0x1.24924941f4f5fp-1;
    r = r * z + 0x1.999999997fd77p-1;
    r = r * z + 0x1.5555555555592p+0;
    const double rest = (ff - (s * (ff + r * z) + e * 0x1.ef35793c76730p-44)) - (f + f);
    return square_root(rest + e * -0x1.62e42fefa38p+0);
}

// As for float, the angle (high + (low >> 11) 2^-21) 2 pi / 2^32 of 53 bits; the sum is exact.
RANDNLA_SCALAR void gaussian_angle(std::uint32_t high, std::uint32_t low, double& cosine,
                                   double& sine) {
    const std::uint32_t q = (high + 0x20000000U) >> 30;
    const double x = (static_cast<double>(static_cast<std::int32_t>(high - (q << 30))) +
                      static_cast<double>(static_cast<std::int32_t>(low >> 11)) * 0x1p-21) *
                     0x1.921fb54442d18p-30;
    const double z = x * x;
    double s = 0x1.5d8fd20b993ecp-33;
    s = s * z + -0x1.ae5e5a92c9522p-26;
    s = s * z + 0x1.71de3567d4d89p-19;
    s = s * z + -0x1.a01a019bfdf09p-13;
    s = s * z + 0x1.111111110f7dp-7;
    s = s * z + -0x1.5555555555548p-3;
    s = (s * z) * x + x;
    double c = -0x1.8fa49a0746f26p-37;
    c = c * z + 0x1.1ee9d7b4dd5b2p-29;
    c = c * z + -0x1.27e4f7eac4a99p-22;
    c = c * z + 0x1.a01a019c844f2p-16;
    c = c * z + -0x1.6c16c16c14f91p-10;
    c = c * z + 0x1.555555555554bp-5;
    const double half = 0.5 * z, w = 1.0 - half;
    c = w + (((1.0 - w) - half) + (c * z) * z);
    const std::int64_t odd = -static_cast<std::int64_t>(q & 1U);
    const std::int64_t sb = bits_of(s), cb = bits_of(c);
    cosine = float_of_bits(((cb & ~odd) | (sb & odd)) ^
                           static_cast<std::int64_t>(std::uint64_t{(q + 1U) & 2U} << 62));
    sine = float_of_bits(((sb & ~odd) | (cb & odd)) ^
                         static_cast<std::int64_t>(std::uint64_t{q & 2U} << 62));
}

}  // namespace randnla
