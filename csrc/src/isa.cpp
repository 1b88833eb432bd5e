// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/isa.hpp"

#include <cstdlib>

#include "randnla/error.hpp"

namespace randnla {
namespace {

Isa parse_isa(const std::string& name) {
    for (const Isa isa : {Isa::baseline, Isa::v2, Isa::v3, Isa::v4})
        if (name == isa_name(isa)) return isa;
    throw Error(ErrorKind::input, "RANDNLA_ISA must be v2, v3 or v4, got '" + name + "'");
}

Isa choose_isa() {
    const Isa best = best_isa();
    const char* forced = std::getenv("RANDNLA_ISA");
    if (forced == nullptr || *forced == '\0') return best;
    const Isa isa = parse_isa(forced);
    if (isa > best || (isa == Isa::baseline) != (best == Isa::baseline))
        throw Error(ErrorKind::input, "RANDNLA_ISA=" + isa_name(isa) +
                                          " is not available here: this CPU has " + isa_name(best));
    return isa;
}

}  // namespace

Isa best_isa() {
#ifdef RANDNLA_X86_LEVELS
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        return Isa::v4;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
        __builtin_cpu_supports("bmi2"))
        return Isa::v3;
    return Isa::v2;
#else
    return Isa::baseline;
#endif
}

bool is_intel() {
#ifdef RANDNLA_X86_LEVELS
    static const bool intel = (__builtin_cpu_init(), __builtin_cpu_is("intel") != 0);
    return intel;
#else
    return false;
#endif
}

Isa active_isa() {
    static const Isa chosen = choose_isa();
    return chosen;
}

std::string isa_name(Isa isa) {
    switch (isa) {
        case Isa::v2:
            return "v2";
        case Isa::v3:
            return "v3";
        case Isa::v4:
            return "v4";
        default:
            return "baseline";
    }
}

}  // namespace randnla
