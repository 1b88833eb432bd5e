// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <type_traits>
#include <vector>

#include "randnla/error.hpp"
#include "randnla/matrix_view.hpp"

namespace randnla {

// A stack of 64-byte aligned scratch memory, one per thread, in large pages where it is large.
// Kernels take what they need on entry and give it back in reverse order by leaving scope, so
// nothing is allocated once the arena is warm. At most `retained` bytes stay with a thread between
// calls.
class Workspace {
  public:
    static constexpr std::size_t alignment = 64;
    static constexpr std::size_t retained = std::size_t{20} << 20;

    static Workspace& of_this_thread();

  private:
    template <class T>
    friend class Scratch;
    struct Free {
        std::size_t alignment = Workspace::alignment;
        void operator()(std::byte* p) const { ::operator delete[](p, std::align_val_t{alignment}); }
    };
    struct Block {
        std::unique_ptr<std::byte[], Free> memory;
        std::size_t size = 0, used = 0;
    };

    static constexpr std::size_t grown = std::size_t{4} << 20;

    // A block of `size` bytes, of which `bytes` are known to be needed.
    static Block allocate(std::size_t bytes, std::size_t size);
    std::byte* take(std::size_t bytes);
    void give_back(std::size_t bytes) noexcept;

    std::vector<Block> blocks_;
    std::size_t used_ = 0, most_used_ = 0;
};

// `count` uninitialised elements of this thread's workspace, for the life of the object.
template <class T>
class Scratch {
    static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

  public:
    explicit Scratch(index_t count)
        : workspace_(Workspace::of_this_thread()), bytes_(round_up(count)) {
        data_ = reinterpret_cast<T*>(workspace_.take(bytes_));
    }
    ~Scratch() { workspace_.give_back(bytes_); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

    T* data() const { return data_; }
    T& operator[](index_t i) const { return data_[i]; }

  private:
    static std::size_t round_up(index_t count) {
        constexpr auto limit =
            static_cast<std::uint64_t>(std::numeric_limits<std::ptrdiff_t>::max()) / sizeof(T) - 64;
        if (count < 0 || static_cast<std::uint64_t>(count) > limit)
            throw Error(ErrorKind::capacity, "workspace request exceeds the address space");
        const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(T);
        return (bytes + Workspace::alignment - 1) / Workspace::alignment * Workspace::alignment;
    }

    Workspace& workspace_;
    std::size_t bytes_;
    T* data_ = nullptr;
};

}  // namespace randnla
