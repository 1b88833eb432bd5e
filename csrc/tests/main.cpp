// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include <cstring>
#include <exception>

#include "check.hpp"
#include "randnla/blas.hpp"

// Runs the cases whose name holds the first argument, all without one.
int main(int argc, char** argv) {
    using namespace randnla::testing;
    randnla::blas::use_one_thread();
    int run = 0;
    for (const Case& c : cases()) {
        if (argc > 1 && std::strstr(c.name, argv[1]) == nullptr) continue;
        ++run;
        try {
            c.body();
        } catch (const std::exception& e) {
            ++failures();
            std::fprintf(stderr, "%s: unexpected exception: %s\n", c.name, e.what());
        }
    }
    std::printf("%d cases, %ld checks, %ld failures\n", run, checks(), failures());
    return failures() == 0 && run > 0 ? 0 : 1;
}
