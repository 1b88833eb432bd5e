// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/isa.hpp"

#include <cstdlib>

#include "randnla/error.hpp"

#if defined(RANDNLA_X86_LEVELS) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace randnla {
namespace {

Isa parse_isa(const std::string& name) {
    for (const Isa isa : {Isa::baseline, Isa::v2, Isa::v3, Isa::v4, Isa::amx})
        if (name == isa_name(isa)) return isa;
    throw Error(ErrorKind::input, "RANDNLA_ISA must be v2, v3, v4 or amx, got '" + name + "'");
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

#if defined(RANDNLA_X86_LEVELS) && defined(__linux__)
// Tile registers need permission of the kernel, once for all threads of the process and its
// children. It is refused where a thread's signal stack would be too small for them.
bool request_tiles() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    constexpr unsigned tile_and_int8 = 3U << 24;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d & tile_and_int8) != tile_and_int8)
        return false;
    constexpr long request_permission = 0x1023, tile_data = 18;  // arch_prctl(2)
    return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}
#else
[[maybe_unused]] bool request_tiles() {
    return false;
}
#endif

Isa detect_isa() {
#ifdef RANDNLA_X86_LEVELS
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        return request_tiles() ? Isa::amx : Isa::v4;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
        __builtin_cpu_supports("bmi2"))
        return Isa::v3;
    return Isa::v2;
#else
    return Isa::baseline;
#endif
}

}  // namespace

Isa best_isa() {
    static const Isa best = detect_isa();
    return best;
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
        case Isa::amx:
            return "amx";
        default:
            return "baseline";
    }
}

}  // namespace randnla
