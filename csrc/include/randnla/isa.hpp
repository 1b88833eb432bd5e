// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string>

// Kernels that gain from wide registers are compiled once per instruction set level
// (csrc/src/isa/), each into its own namespace, as a table of function pointers. The level is
// chosen once, at the first call, from CPUID; RANDNLA_ISA=v2|v3|v4|amx in the environment forces a
// lower one. AMX adds integer matrix tiles to v4: the few kernels with an own form for them ask
// (fixed_point.hpp), all others take v4.
namespace randnla {

enum class Isa { baseline, v2, v3, v4, amx };

Isa active_isa();  // the level in use
Isa best_isa();    // the highest level this CPU has and the system lets this process use
std::string isa_name(Isa isa);

// Whether the maker of this CPU is Intel: caches differ where instruction sets do not. Only what
// leaves every bit of a map's result as it is may depend on it.
bool is_intel();

}  // namespace randnla

#ifdef RANDNLA_X86_LEVELS
#define RANDNLA_DECLARE_KERNELS(Table, name)                                     \
    namespace v2 {                                                               \
    extern const Table name;                                                     \
    }                                                                            \
    namespace v3 {                                                               \
    extern const Table name;                                                     \
    }                                                                            \
    namespace v4 {                                                               \
    extern const Table name;                                                     \
    }                                                                            \
    inline const Table& name() {                                                 \
        const Isa isa = active_isa();                                            \
        return isa >= Isa::v4 ? v4::name : isa == Isa::v3 ? v3::name : v2::name; \
    }
#else
#define RANDNLA_DECLARE_KERNELS(Table, name) \
    namespace baseline {                     \
    extern const Table name;                 \
    }                                        \
    inline const Table& name() {             \
        return baseline::name;               \
    }
#endif
