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
    if (blocks_.empty() || blocks_.back().size - blocks_.back().used < bytes) {
        // Room for what the kernel will take next as well, so that its loops find a warm block. An
        // empty last block that is too small is replaced, not kept below a larger one.
        const std::size_t size =
            std::max(bytes, std::min(retained, std::max(4 * bytes, std::size_t{1} << 18)));
        if (!blocks_.empty() && blocks_.back().used == 0) blocks_.pop_back();
        blocks_.reserve(blocks_.size() + 1);
        blocks_.push_back(allocate(bytes, size));
    }
    Block& block = blocks_.back();
    std::byte* p = block.memory.get() + block.used;
    block.used += bytes;
    return p;
}

void Workspace::give_back(std::size_t bytes) noexcept {
    if (bytes == 0) return;
    // An empty block stays on top, for the next turn of a loop, until the one below gives back.
    while (blocks_.back().used == 0) blocks_.pop_back();
    Block& block = blocks_.back();
    block.used -= bytes;
    if (block.used == 0 && block.size > retained) blocks_.pop_back();
}

}  // namespace randnla
