// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdio>
#include <vector>

// A minimal test harness. TEST(name) { CHECK(condition); ... } registers a case; a failed check is
// printed and counted, and the run goes on.
namespace randnla::testing {

struct Case {
    const char* name;
    void (*body)();
};

inline std::vector<Case>& cases() {
    static std::vector<Case> all;
    return all;
}
inline long& checks() {
    static long count = 0;
    return count;
}
inline long& failures() {
    static long count = 0;
    return count;
}

struct Registration {
    Registration(const char* name, void (*body)()) { cases().push_back({name, body}); }
};

inline void check(bool ok, const char* condition, const char* file, int line) {
    ++checks();
    if (ok) return;
    ++failures();
    std::fprintf(stderr, "%s:%d: failed: %s\n", file, line, condition);
}

}  // namespace randnla::testing

#define TEST(name)                                                                       \
    static void test_##name();                                                           \
    static const ::randnla::testing::Registration registered_##name(#name, test_##name); \
    static void test_##name()

// From the thread that runs the test only; members of a team hand their findings to it.
#define CHECK(condition) ::randnla::testing::check((condition), #condition, __FILE__, __LINE__)

#define CHECK_THROWS(expression, Type)                                                       \
    do {                                                                                     \
        bool thrown = false;                                                                 \
        try {                                                                                \
            expression;                                                                      \
        } catch (const Type&) {                                                              \
            thrown = true;                                                                   \
        }                                                                                    \
        ::randnla::testing::check(thrown, #expression " throws " #Type, __FILE__, __LINE__); \
    } while (false)
