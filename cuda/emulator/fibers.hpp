// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>

// Stacks that are switched by hand. A switch takes about ten instructions on x86-64; elsewhere it
// is a swapcontext.
namespace randnla::emulator {

class Fiber {
  public:
    // Will run entry(), which never returns, on a stack of its own.
    void prepare(void (*entry)());
    void switch_from(Fiber& current);  // saves the caller in `current` and goes on here
    void release();

  private:
    void* state_ = nullptr;
    void* sanitizer_ = nullptr;  // what ThreadSanitizer knows it by (RANDNLA_TSAN)
    char* stack_ = nullptr;
};

// What was done before a release is seen after an acquire of the same address: barriers and warp
// operations as ThreadSanitizer is told of them, which is not told that fibers share a thread.
void tell_release(void* address);
void tell_acquire(void* address);

}  // namespace randnla::emulator
