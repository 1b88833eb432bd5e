// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

// Runs CUDA C++ on the CPU, for tests. The threads of a block are fibers of one thread; blocks run
// one after the other. Reported with the thread and its place: divergent barriers, barriers after
// an exit, warp operations whose lanes do not come, deadlocks, accesses outside of shared arrays
// and of registered buffers, misaligned packs, reads of shared memory nobody wrote, and pairs of
// accesses to it without a barrier between them. Not emulated: memory models, timing, PTX.

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define GPU_INLINE static inline

struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x, y, z;
    dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};
inline thread_local uint3 threadIdx{}, blockIdx{};
inline thread_local dim3 blockDim, gridDim;

namespace randnla::emulator {

struct Error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

enum class Order { forward, reverse, random };
struct Settings {
    Order order = Order::forward;
    std::uint64_t seed = 1;
};
Settings& settings();

struct Counters {
    std::uint64_t launches = 0, blocks = 0, barriers = 0, warp_operations = 0;
    std::uint64_t bytes_read = 0, bytes_written = 0;  // of global memory; an atomic counts as both
};
Counters& counters();

// Global memory that kernels may touch. While none is registered, nothing is checked.
void register_buffer(const void* begin, std::size_t bytes);
void clear_buffers();

[[noreturn]] void fail(const std::string& what);
void access_global(const void* p, std::size_t bytes, std::size_t alignment, bool read, bool write);

// What a shared element went through last, for the checks of races and of missing writes.
struct Moment {
    int thread = -1;
    unsigned interval = 0, warp_interval = 0;
};
struct Cell {
    Moment write, read;
    bool written = false, several_readers = false, several_warps = false;
};
struct SharedArray {
    std::vector<unsigned char> data;
    std::vector<Cell> cells;
    std::size_t count = 0, size = 0;
    const char* name = "";
};
SharedArray& static_shared(const void* key, const char* name, std::size_t count, std::size_t size);
SharedArray& dynamic_shared(const char* name, std::size_t offset, std::size_t count,
                            std::size_t size);
void* access_shared(SharedArray& array, std::int64_t index, bool write);

template <class T>
class SharedRef {
  public:
    SharedRef(SharedArray& array, std::int64_t index) : array_(array), index_(index) {}
    SharedRef(const SharedRef&) = default;
    operator T() const {
        T value;
        std::memcpy(&value, access_shared(array_, index_, false), sizeof value);
        return value;
    }
    SharedRef& operator=(T value) {
        std::memcpy(access_shared(array_, index_, true), &value, sizeof value);
        return *this;
    }
    SharedRef& operator=(const SharedRef& other) { return *this = static_cast<T>(other); }
    SharedRef& operator+=(T value) { return *this = static_cast<T>(*this) + value; }

  private:
    SharedArray& array_;
    std::int64_t index_;
};

void barrier(const char* file, int line);
void meet_warp(unsigned mask, const char* file, int line);
std::uint64_t exchange(unsigned mask, std::uint64_t value, int source, const char* file, int line);
// What a lane brings to an operation of the whole warp, and what all have brought.
struct Words {
    std::uint64_t w[3] = {};
    std::uint32_t word(int i) const { return static_cast<std::uint32_t>(w[i / 2] >> (i % 2 * 32)); }
};
const Words* collect(const Words& mine, const char* file, int line);
unsigned ballot(unsigned mask, bool predicate, const char* file, int line);
int lane();

template <class T>
T shuffle(unsigned mask, T value, int source, const char* file, int line) {
    static_assert(sizeof(T) <= 8);
    std::uint64_t word = 0;
    std::memcpy(&word, &value, sizeof value);
    word = exchange(mask, word, source, file, line);
    std::memcpy(&value, &word, sizeof value);
    return value;
}

void run(dim3 grid, dim3 block, std::size_t shared_bytes, void (*body)(void*), void* argument);

}  // namespace randnla::emulator

#define GPU_SHARED(T, name, count)                                                 \
    static const char name##_key = 0;                                              \
    const ::randnla::gpu::Shared<T> name {                                         \
        ::randnla::emulator::static_shared(&name##_key, #name, (count), sizeof(T)) \
    }
#define GPU_DYNAMIC_SHARED(T, name, offset, count)                                      \
    const ::randnla::gpu::Shared<T> name {                                              \
        ::randnla::emulator::dynamic_shared(#name, static_cast<std::size_t>(offset),    \
                                            static_cast<std::size_t>(count), sizeof(T)) \
    }
#define __syncthreads() ::randnla::emulator::barrier(__FILE__, __LINE__)
#define __syncwarp() ::randnla::emulator::meet_warp(0xFFFFFFFFU, __FILE__, __LINE__)
#define __shfl_sync(mask, value, source) \
    ::randnla::emulator::shuffle(mask, value, (source) & 31, __FILE__, __LINE__)
#define __shfl_xor_sync(mask, value, bits)                                                    \
    ::randnla::emulator::shuffle(mask, value, ::randnla::emulator::lane() ^ (bits), __FILE__, \
                                 __LINE__)
#define __shfl_down_sync(mask, value, delta)                                                   \
    ::randnla::emulator::shuffle(mask, value, ::randnla::emulator::lane() + (delta), __FILE__, \
                                 __LINE__)
#define __ballot_sync(mask, predicate) \
    ::randnla::emulator::ballot(mask, (predicate) != 0, __FILE__, __LINE__)

inline std::uint64_t __umul64hi(std::uint64_t a, std::uint64_t b) {
    __extension__ using Wide = unsigned __int128;
    return static_cast<std::uint64_t>(static_cast<Wide>(a) * b >> 64);
}

namespace randnla::gpu {

using Stream = void*;

template <class T>
class Shared {
  public:
    explicit Shared(emulator::SharedArray& array) : array_(&array) {}
    emulator::SharedRef<T> operator[](std::int64_t index) const { return {*array_, index}; }

  private:
    emulator::SharedArray* array_;
};

template <class T>
T load(const T* p) {
    emulator::access_global(p, sizeof(T), alignof(T), true, false);
    return *p;
}
template <class T>
T load_changing(const T* p) {
    return load(p);
}
template <class T>
void store(T* p, T value) {
    emulator::access_global(p, sizeof(T), alignof(T), false, true);
    *p = value;
}
template <class T>
void atomic_add(T* p, T value) {
    emulator::access_global(p, sizeof(T), alignof(T), true, true);
    *p += value;
}
template <class T, int N>
void load_pack(const T* p, T (&out)[N]) {
    static_assert(sizeof(out) == 16);
    emulator::access_global(p, 16, 16, true, false);
    std::memcpy(out, p, 16);
}
template <class T, int N>
void load_changing_packs(const T* p, T (&out)[N]) {
    static_assert(sizeof(out) % 16 == 0);
    emulator::access_global(p, sizeof(out), 16, true, false);
    std::memcpy(out, p, sizeof(out));
}
template <class T, int N>
void store_packs(T* p, const T (&in)[N]) {
    static_assert(sizeof(in) % 16 == 0);
    emulator::access_global(p, sizeof(in), 16, false, true);
    std::memcpy(p, in, sizeof(in));
}
template <class T, int N>
void load_shared(Shared<T> s, int index, T (&out)[N]) {
    static_assert(sizeof(out) % 16 == 0);
    if (index * sizeof(T) % 16 != 0) emulator::fail("misaligned pack of shared memory");
    for (int i = 0; i < N; ++i) out[i] = s[index + i];
}
template <class T, int N>
void store_shared(Shared<T> s, int index, const T (&in)[N]) {
    static_assert(sizeof(in) % 16 == 0);
    if (index * sizeof(T) % 16 != 0) emulator::fail("misaligned pack of shared memory");
    for (int i = 0; i < N; ++i) s[index + i] = in[i];
}
inline float fma(float a, float b, float c) {
    return std::fma(a, b, c);
}
inline double fma(double a, double b, double c) {
    return std::fma(a, b, c);
}

inline int round_to_int(float x) {
    return static_cast<int>(std::nearbyint(x));
}

// Eleven bits, ties away from zero.
inline float round_to_tf32(float x) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7F800000U) != 0x7F800000U) bits = (bits + 0x1000U) & 0xFFFFE000U;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

// The layouts of mma.sync m16n8 with `per` numbers a register: entry (r, k) of A lies in register
// r / 8 + 2 (k / 4per) of lane 4 (r % 8) + k % 4per / per, entry (k, c) of B in register k / 4per
// of lane 4 c + k % 4per / per; a lane has C(g, 2t), C(g, 2t + 1), C(g + 8, 2t), C(g + 8, 2t + 1)
// for g = lane / 4, t = lane % 4.
template <int per, class C, class Product>
void mma(C (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2],
         const Product& product) {
    emulator::Words mine;
    for (int i = 0; i < 6; ++i)
        mine.w[i / 2] |= std::uint64_t{i < 4 ? a[i] : b[i - 4]} << (i % 2 * 32);
    const emulator::Words* const all = emulator::collect(mine, __FILE__, __LINE__);
    const int group = emulator::lane() / 4, t = emulator::lane() % 4;
    for (int i = 0; i < 4; ++i) {
        const int r = group + i / 2 * 8, column = 2 * t + i % 2;
        auto sum = static_cast<std::conditional_t<std::is_same_v<C, float>, double, C>>(c[i]);
        for (int k = 0; k < 8 * per; ++k) {
            const int half = k / (4 * per), from = k % (4 * per) / per;
            sum += product(all[r % 8 * 4 + from].word(r / 8 + 2 * half),
                           all[column * 4 + from].word(4 + half), k % per);
        }
        c[i] = static_cast<C>(sum);
    }
}
inline void mma_s8(int (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
    mma<4>(c, a, b, [](std::uint32_t x, std::uint32_t y, int part) {
        return static_cast<int>(static_cast<std::int8_t>(x >> (8 * part))) *
               static_cast<int>(static_cast<std::int8_t>(y >> (8 * part)));
    });
}
inline double number_of_bits(std::uint32_t bits) {
    float x = 0;
    std::memcpy(&x, &bits, sizeof x);
    return static_cast<double>(x);
}
inline void mma_bf16(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
    mma<2>(c, a, b, [](std::uint32_t x, std::uint32_t y, int part) {
        return number_of_bits(x >> (16 * part) << 16) * number_of_bits(y >> (16 * part) << 16);
    });
}
inline void mma_tf32(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
    mma<1>(c, a, b, [](std::uint32_t x, std::uint32_t y, int) {
        return number_of_bits(x & 0xFFFFE000U) * number_of_bits(y & 0xFFFFE000U);
    });
}

template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, std::size_t shared_bytes, Stream,
            A... arguments) {
    auto call = std::make_pair(kernel, std::tuple<P...>(static_cast<P>(arguments)...));
    emulator::run(
        grid, block, shared_bytes,
        [](void* p) {
            const auto& pair = *static_cast<decltype(call)*>(p);
            std::apply(pair.first, pair.second);
        },
        &call);
}

}  // namespace randnla::gpu
