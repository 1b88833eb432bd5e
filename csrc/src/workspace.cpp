// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/workspace.hpp"

#include <sys/mman.h>

#include <algorithm>

namespace randnla {

Workspace& Workspace::of_this_thread() {
    static thread_local Workspace workspace;
    return workspace;
}

Workspace::Block Workspace::allocate(std::size_t bytes, std::size_t size) {
    constexpr std::size_t large_page = std::size_t{2} << 20;
    const std::size_t align = bytes >= large_page ? large_page : alignment;
    auto* memory = static_cast<std::byte*>(
        ::operator new[](std::max(size, alignment), std::align_val_t{align}));
    Block block{{memory, Free{align}}, size, 0};
#ifdef MADV_HUGEPAGE
    // Advice only: without it random access to megabytes waits for page tables.
    if (align == large_page) (void)madvise(memory, size / large_page * large_page, MADV_HUGEPAGE);
#endif
    return block;
}

std::byte* Workspace::take(std::size_t bytes) {
    if (bytes == 0) return nullptr;
    const std::size_t used = used_ + bytes, most_used = std::max(most_used_, used);
    // An idle block that proved too small gives way to one for all that was once used together:
    // blocks allocated anew at every call cost page faults (DevNotes).
    const std::size_t expected = std::min(most_used, retained);
    if (used_ == 0 && !blocks_.empty() && blocks_.back().size < expected) blocks_.clear();
    if (blocks_.empty() || blocks_.back().size - blocks_.back().used < bytes) {
        // Room for what the kernel will take next as well, so that its loops find a warm block. An
        // empty last block that is too small is replaced, not kept below a larger one.
        const std::size_t ahead = std::max(std::min(4 * bytes, grown), std::size_t{1} << 18);
        const std::size_t known = blocks_.empty() ? expected : 0;
        if (!blocks_.empty() && blocks_.back().used == 0) blocks_.pop_back();
        blocks_.reserve(blocks_.size() + 1);
        blocks_.push_back(allocate(std::max(bytes, known), std::max({bytes, known, ahead})));
    }
    Block& block = blocks_.back();
    std::byte* p = block.memory.get() + block.used;
    block.used += bytes;
    used_ = used;
    most_used_ = most_used;
    return p;
}

void Workspace::give_back(std::size_t bytes) noexcept {
    if (bytes == 0) return;
    used_ -= bytes;
    // An empty block stays on top, for the next turn of a loop, until the one below gives back.
    while (blocks_.back().used == 0) blocks_.pop_back();
    Block& block = blocks_.back();
    block.used -= bytes;
    if (block.used == 0 && block.size > retained) blocks_.pop_back();
}

}  // namespace randnla
