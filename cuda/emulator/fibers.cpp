// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "fibers.hpp"

#include <sys/mman.h>

#include <cstdint>
#include <new>
#include <vector>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

#ifdef RANDNLA_TSAN
#include <sanitizer/tsan_interface.h>
#endif

#ifndef __x86_64__
#include <ucontext.h>
#endif

namespace randnla::emulator {
namespace {

constexpr std::size_t stack_bytes = 256 * 1024, guard_bytes = 4096;

struct StackPool {
    std::vector<char*> free;
    ~StackPool() {
        for (char* stack : free) munmap(stack - guard_bytes, stack_bytes + guard_bytes);
    }
};

StackPool& pool() {
    static thread_local StackPool stacks;
    return stacks;
}

char* take_stack() {
    auto& free = pool().free;
    if (!free.empty()) {
        char* stack = free.back();
        free.pop_back();
#ifdef __SANITIZE_ADDRESS__
        __asan_unpoison_memory_region(stack, stack_bytes);
#endif
        return stack;
    }
    void* memory = mmap(nullptr, stack_bytes + guard_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    mprotect(memory, guard_bytes, PROT_NONE);
    return static_cast<char*>(memory) + guard_bytes;
}

}  // namespace

#ifdef RANDNLA_TSAN
void tell_release(void* address) {
    __tsan_release(address);
}
void tell_acquire(void* address) {
    __tsan_acquire(address);
}
static void* new_sanitizer_fiber() {
    return __tsan_create_fiber(0);
}
static void end_sanitizer_fiber(void* fiber) {
    if (fiber != nullptr) __tsan_destroy_fiber(fiber);
}
static void switch_sanitizer(void*& from, void* to) {
    if (from == nullptr) from = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(to, __tsan_switch_to_fiber_no_sync);
}
#else
void tell_release(void*) {}
void tell_acquire(void*) {}
static void* new_sanitizer_fiber() {
    return nullptr;
}
static void end_sanitizer_fiber(void*) {}
static void switch_sanitizer(void*&, void*) {}
#endif

void Fiber::release() {
    end_sanitizer_fiber(sanitizer_);
    sanitizer_ = nullptr;
    if (stack_ != nullptr) pool().free.push_back(stack_);
    stack_ = nullptr;
#ifndef __x86_64__
    delete static_cast<ucontext_t*>(state_);
#endif
    state_ = nullptr;
}

#ifdef __x86_64__
extern "C" void randnla_switch_stack(void** save, void* to);
asm(".pushsection .text\n.hidden randnla_switch_stack\n.globl randnla_switch_stack\n"
    ".type randnla_switch_stack,@function\nrandnla_switch_stack:\n"
    "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
    "movq %rsp,(%rdi)\nmovq %rsi,%rsp\n"
    "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nret\n.popsection\n");

void Fiber::prepare(void (*entry)()) {
    stack_ = take_stack();
    // entry begins as if called: the stack pointer is 8 past a multiple of 16 and a null returns.
    void** top = reinterpret_cast<void**>(stack_ + stack_bytes) - 1;
    *top = nullptr;
    *--top = reinterpret_cast<void*>(entry);
    sanitizer_ = new_sanitizer_fiber();
    for (int saved = 0; saved < 6; ++saved) *--top = nullptr;
    state_ = top;
}

void Fiber::switch_from(Fiber& current) {
    switch_sanitizer(current.sanitizer_, sanitizer_);
    randnla_switch_stack(&current.state_, state_);
}
#else
void Fiber::prepare(void (*entry)()) {
    stack_ = take_stack();
    auto* context = new ucontext_t;
    getcontext(context);
    context->uc_stack.ss_sp = stack_;
    context->uc_stack.ss_size = stack_bytes;
    context->uc_link = nullptr;
    makecontext(context, entry, 0);
    sanitizer_ = new_sanitizer_fiber();
    state_ = context;
}

void Fiber::switch_from(Fiber& current) {
    switch_sanitizer(current.sanitizer_, sanitizer_);
    if (current.state_ == nullptr) current.state_ = new ucontext_t;
    swapcontext(static_cast<ucontext_t*>(current.state_), static_cast<ucontext_t*>(state_));
}
#endif

}  // namespace randnla::emulator
