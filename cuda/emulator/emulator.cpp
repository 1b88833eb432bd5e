// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "emulator.hpp"

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <map>
#include <numeric>
#include <random>

#include "fibers.hpp"

namespace randnla::emulator {
namespace {

constexpr std::size_t static_limit = 48 * 1024, dynamic_limit = 227 * 1024;

enum class State { ready, at_barrier, at_warp, done };

struct Thread {
    Fiber fiber;
    uint3 index{};
    int number = 0;
    State state = State::ready;
    const char* file = "start of the kernel";
    int line = 0;
};

// Lanes that meet under one mask. Values of two meetings in turn: a fast lane may come again while
// a slow one still reads.
struct Meeting {
    unsigned mask = 0, arrived = 0, count = 0;
    Words values[2][32] = {};
};

struct Warp {
    std::map<unsigned, Meeting> meetings;  // by their lowest lane
    unsigned interval = 0;                 // whole meetings so far
};

struct Block {
    std::vector<Thread> threads;
    std::vector<Warp> warps;
    Fiber scheduler;
    Thread* current = nullptr;
    void (*body)(void*) = nullptr;
    void* argument = nullptr;
    int waiting = 0, done = 0;
    unsigned interval = 0;
    const char* file = "";
    int line = 0;
    std::exception_ptr error;
    std::size_t dynamic_bytes = 0, static_bytes = 0;
    std::map<const void*, SharedArray> static_arrays;
    std::map<std::size_t, SharedArray> dynamic_arrays;
};
thread_local Block* block = nullptr;

struct Range {
    std::uintptr_t begin, end;
};
std::vector<Range>& ranges() {
    static std::vector<Range> list;
    return list;
}

std::string place(const Thread& t) {
    return "thread (" + std::to_string(t.index.x) + "," + std::to_string(t.index.y) + "," +
           std::to_string(t.index.z) + ") at " + t.file + ":" + std::to_string(t.line);
}

void yield() {
    Thread& me = *block->current;
    block->scheduler.switch_from(me.fiber);
}

void entry() {
    try {
        block->body(block->argument);
    } catch (...) {
        if (!block->error) block->error = std::current_exception();
    }
    tell_release(&block->done);
    block->current->state = State::done;
    ++block->done;
    yield();
    std::abort();
}

bool ordered(const Moment& before, int thread) {
    return before.thread == thread || before.interval != block->interval ||
           (before.thread / 32 == thread / 32 &&
            before.warp_interval != block->warps[static_cast<std::size_t>(thread / 32)].interval);
}

Moment now(int thread) {
    return {thread, block->interval, block->warps[static_cast<std::size_t>(thread / 32)].interval};
}

[[noreturn]] void report_race(const SharedArray& array, std::int64_t index, const char* what,
                              int other) {
    fail(std::string("race on shared ") + array.name + "[" + std::to_string(index) + "]: " + what +
         " by threads " + std::to_string(other) + " and " + std::to_string(block->current->number) +
         " without a barrier between them, the last " + place(*block->current));
}

void note_read(const SharedArray& array, std::int64_t index, Cell& cell) {
    const int me = block->current->number;
    if (!cell.written)
        fail(std::string("read of shared ") + array.name + "[" + std::to_string(index) +
             "], which no thread has written: " + place(*block->current));
    if (!ordered(cell.write, me)) report_race(array, index, "write and read", cell.write.thread);
    const bool fresh = cell.read.thread < 0 || cell.read.interval != block->interval;
    if (fresh) cell.several_readers = cell.several_warps = false;
    if (!fresh && cell.read.thread != me) {
        cell.several_readers = true;
        cell.several_warps = cell.several_warps || cell.read.thread / 32 != me / 32;
    }
    cell.read = now(me);
}

void note_write(const SharedArray& array, std::int64_t index, Cell& cell) {
    const int me = block->current->number;
    if (cell.written && !ordered(cell.write, me))
        report_race(array, index, "two writes", cell.write.thread);
    if (cell.read.thread >= 0 && cell.read.interval == block->interval) {
        Moment last = cell.read;
        if (cell.several_readers && last.thread == me) last.thread = me ^ 1;  // some other lane
        if (cell.several_warps || !ordered(last, me))
            report_race(array, index, "read and write", last.thread);
    }
    cell.write = now(me);
    cell.written = true;
}

void fill_shared(SharedArray& array, const char* name, std::size_t count, std::size_t size) {
    array.data.assign(count * size, 0xFF);
    array.cells.assign(count, Cell{});
    array.count = count;
    array.size = size;
    array.name = name;
    tell_release(&array);  // the first thread that comes by makes it for all
}

Meeting& arrive(unsigned mask, const Words* value, const char* file, int line, unsigned& which) {
    Thread& me = *block->current;
    me.file = file;
    me.line = line;
    const int first = me.number & ~31, my_lane = me.number & 31;
    if ((mask >> my_lane & 1U) == 0) fail("warp mask lacks the calling lane: " + place(me));
    Warp& warp = block->warps[static_cast<std::size_t>(me.number / 32)];
    Meeting& meeting = warp.meetings[static_cast<unsigned>(__builtin_ctz(mask))];
    if (meeting.arrived != 0 && meeting.mask != mask) fail("warp masks differ: " + place(me));
    for (int l = 0; l < 32; ++l) {
        if ((mask >> l & 1U) == 0) continue;
        const auto other = static_cast<std::size_t>(first + l);
        if (other >= block->threads.size())
            fail("warp mask names a lane outside of the block: " + place(me));
        if (block->threads[other].state == State::done)
            fail("warp operation waits for a lane that has returned: " + place(me));
    }
    tell_release(&meeting);
    meeting.mask = mask;
    meeting.arrived |= 1U << my_lane;
    which = meeting.count & 1U;
    if (value != nullptr) meeting.values[which][my_lane] = *value;
    if (meeting.arrived != mask) {
        me.state = State::at_warp;
        yield();
        tell_acquire(&meeting);
        return meeting;
    }
    meeting.arrived = 0;
    ++meeting.count;
    ++counters().warp_operations;
    if (mask == 0xFFFFFFFFU) ++warp.interval;
    for (int l = 0; l < 32; ++l)
        if ((mask >> l & 1U) != 0)
            block->threads[static_cast<std::size_t>(first + l)].state = State::ready;
    tell_acquire(&meeting);
    return meeting;
}

void prepare_threads(Block& b, dim3 shape) {
    const auto n = static_cast<std::size_t>(shape.x) * shape.y * shape.z;
    b.threads.resize(n);
    b.warps.resize((n + 31) / 32);
    for (std::size_t i = 0; i < n; ++i) {
        Thread& t = b.threads[i];
        t.number = static_cast<int>(i);
        const auto k = static_cast<unsigned>(i);
        t.index = {k % shape.x, k / shape.x % shape.y, k / (shape.x * shape.y)};
        t.fiber.prepare(entry);
    }
}

std::string stuck(const Block& b) {
    std::string text = "deadlock:";
    int shown = 0;
    for (const Thread& t : b.threads)
        if (t.state != State::done && shown++ < 4)
            text += (t.state == State::at_barrier ? " barrier, " : " warp operation, ") + place(t) +
                    ";";
    return text + " " + std::to_string(b.done) + " threads have returned";
}

void run_block(Block& b, std::mt19937_64& generator) {
    std::vector<std::size_t> order(b.threads.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    if (settings().order == Order::reverse) std::reverse(order.begin(), order.end());
    while (b.done < static_cast<int>(b.threads.size()) && !b.error) {
        if (settings().order == Order::random) std::shuffle(order.begin(), order.end(), generator);
        bool any = false;
        for (std::size_t i : order) {
            Thread& t = b.threads[i];
            if (t.state != State::ready) continue;
            any = true;
            b.current = &t;
            threadIdx = t.index;
            t.fiber.switch_from(b.scheduler);
            if (b.error) break;
        }
        if (!any) {
            try {
                fail(stuck(b));
            } catch (const Error&) {
                b.error = std::current_exception();
            }
        }
    }
}

void check_shape(dim3 grid, dim3 shape, std::size_t shared_bytes) {
    const auto threads = static_cast<std::uint64_t>(shape.x) * shape.y * shape.z;
    if (threads == 0 || threads > 1024 || shape.z > 64)
        throw Error("launch: expected 1 to 1024 threads a block, got " + std::to_string(threads));
    if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7FFFFFFFU || grid.y > 65535 ||
        grid.z > 65535)
        throw Error("launch: the grid is empty or too large");
    if (shared_bytes > dynamic_limit)
        throw Error("launch: at most 227 KB of shared memory, got " + std::to_string(shared_bytes));
}

}  // namespace

Settings& settings() {
    static Settings value;
    return value;
}
Counters& counters() {
    static Counters value;
    return value;
}

void register_buffer(const void* begin, std::size_t bytes) {
    const auto start = reinterpret_cast<std::uintptr_t>(begin);
    ranges().push_back({start, start + bytes});
}
void clear_buffers() {
    ranges().clear();
}

void fail(const std::string& what) {
    throw Error("block (" + std::to_string(blockIdx.x) + "," + std::to_string(blockIdx.y) + "," +
                std::to_string(blockIdx.z) + "): " + what);
}

void access_global(const void* p, std::size_t bytes, std::size_t alignment, bool read, bool write) {
    const auto start = reinterpret_cast<std::uintptr_t>(p);
    if (start % alignment != 0)
        fail("misaligned access to global memory: " + place(*block->current));
    const auto& list = ranges();
    const auto holds = [&](const Range& r) { return start >= r.begin && start + bytes <= r.end; };
    if (!list.empty() && std::none_of(list.begin(), list.end(), holds))
        fail("access outside of the registered buffers: " + place(*block->current));
    counters().bytes_read += read ? bytes : 0;
    counters().bytes_written += write ? bytes : 0;
}

SharedArray& static_shared(const void* key, const char* name, std::size_t count, std::size_t size) {
    SharedArray& array = block->static_arrays[key];
    if (array.count != 0) {
        tell_acquire(&array);
        return array;
    }
    block->static_bytes += count * size;
    if (block->static_bytes > static_limit) fail("more than 48 KB of static shared memory");
    fill_shared(array, name, count, size);
    return array;
}

SharedArray& dynamic_shared(const char* name, std::size_t offset, std::size_t count,
                            std::size_t size) {
    SharedArray& array = block->dynamic_arrays[offset];
    if (array.count != 0) {
        if (array.count != count || array.size != size)
            fail(std::string("two shapes of the dynamic shared array ") + name);
        tell_acquire(&array);
        return array;
    }
    if (offset % 16 != 0 || offset + count * size > block->dynamic_bytes)
        fail(std::string("dynamic shared array ") + name + " does not fit the launch");
    for (const auto& [begin, other] : block->dynamic_arrays)
        if (other.count != 0 && begin < offset + count * size &&
            offset < begin + other.count * other.size)
            fail(std::string("dynamic shared arrays ") + name + " and " + other.name + " overlap");
    fill_shared(array, name, count, size);
    return array;
}

void* access_shared(SharedArray& array, std::int64_t index, bool write) {
    if (index < 0 || index >= static_cast<std::int64_t>(array.count))
        fail(std::string("index ") + std::to_string(index) + " outside of shared " + array.name +
             "[" + std::to_string(array.count) + "]: " + place(*block->current));
    const auto i = static_cast<std::size_t>(index);
    if (write)
        note_write(array, index, array.cells[i]);
    else
        note_read(array, index, array.cells[i]);
    return array.data.data() + i * array.size;
}

void barrier(const char* file, int line) {
    Block& b = *block;
    Thread& me = *b.current;
    me.file = file;
    me.line = line;
    if (b.waiting == 0) {
        b.file = file;
        b.line = line;
    } else if (b.line != line || std::strcmp(b.file, file) != 0) {
        fail("divergent __syncthreads: " + place(me) + " but others wait at " + b.file + ":" +
             std::to_string(b.line));
    }
    if (b.done != 0) fail("__syncthreads after a thread of the block has returned: " + place(me));
    tell_release(&b);
    if (++b.waiting < static_cast<int>(b.threads.size())) {
        me.state = State::at_barrier;
        yield();
        tell_acquire(&b);
        return;
    }
    b.waiting = 0;
    ++b.interval;
    ++counters().barriers;
    for (Thread& t : b.threads) t.state = State::ready;
    if (settings().order != Order::forward) yield();
    tell_acquire(&b);
}

void meet_warp(unsigned mask, const char* file, int line) {
    unsigned which = 0;
    arrive(mask, nullptr, file, line, which);
}

std::uint64_t exchange(unsigned mask, std::uint64_t value, int source, const char* file, int line) {
    unsigned which = 0;
    const Words words{{value}};
    Meeting& meeting = arrive(mask, &words, file, line, which);
    if (source < 0 || source > 31) source = lane();
    if ((mask >> source & 1U) == 0)
        fail("shuffle reads a lane outside of its mask: " + place(*block->current));
    return meeting.values[which][source].w[0];
}

const Words* collect(const Words& mine, const char* file, int line) {
    unsigned which = 0;
    return arrive(0xFFFFFFFFU, &mine, file, line, which).values[which];
}

unsigned ballot(unsigned mask, bool predicate, const char* file, int line) {
    unsigned which = 0, result = 0;
    const Words value{{predicate ? 1U : 0U}};
    Meeting& meeting = arrive(mask, &value, file, line, which);
    for (int l = 0; l < 32; ++l)
        if ((mask >> l & 1U) != 0 && meeting.values[which][l].w[0] != 0) result |= 1U << l;
    return result;
}

int lane() {
    return block->current->number & 31;
}

void run(dim3 grid, dim3 shape, std::size_t shared_bytes, void (*body)(void*), void* argument) {
    check_shape(grid, shape, shared_bytes);
    std::mt19937_64 generator(settings().seed);
    blockDim = shape;
    gridDim = grid;
    ++counters().launches;
    const std::uint64_t count = std::uint64_t{grid.x} * grid.y * grid.z;
    for (std::uint64_t q = 0; q < count; ++q) {
        const std::uint64_t i = settings().order == Order::reverse ? count - 1 - q : q;
        Block b;
        block = &b;
        blockIdx = {static_cast<unsigned>(i % grid.x), static_cast<unsigned>(i / grid.x % grid.y),
                    static_cast<unsigned>(i / (std::uint64_t{grid.x} * grid.y))};
        b.body = body;
        b.argument = argument;
        b.dynamic_bytes = shared_bytes;
        ++counters().blocks;
        prepare_threads(b, shape);
        run_block(b, generator);
        tell_acquire(&b.done);
        for (Thread& t : b.threads) t.fiber.release();
        block = nullptr;
        if (b.error) std::rethrow_exception(b.error);
    }
}

}  // namespace randnla::emulator
