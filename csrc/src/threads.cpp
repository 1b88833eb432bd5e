// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/threads.hpp"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <thread>
#include <vector>

#include "randnla/error.hpp"

#ifndef RANDNLA_PARALLEL_STD
#include <omp.h>
#endif

namespace randnla {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto poll_interval = std::chrono::milliseconds(10);

// The thread team's state, the only mutable globals of the core.
std::atomic<int> requested_threads{0};
std::atomic<bool> forked_child{false};
std::atomic<InterruptPoll> interrupt_poll{nullptr};
thread_local bool inside_region = false;

struct Stopped {};  // leaves a region in which another member failed

// libgomp's idle workers do not exist in a forked child, which would wait for them for ever:
// release them before the fork, and run the child with a team of one.
void before_fork() {
#ifndef RANDNLA_PARALLEL_STD
    if (!omp_in_parallel()) omp_pause_resource_all(omp_pause_hard);
#endif
}
void in_forked_child() {
    forked_child.store(true);
}
const int fork_guard = pthread_atfork(before_fork, nullptr, in_forked_child);

}  // namespace

class Region {
  public:
    explicit Region(int size) : size_(size) {}

    void run(const std::function<void(Team&)>& body, int rank) {
        Team team(*this, rank, size_);
        const bool outer = inside_region;
        inside_region = true;
        try {
            if (rank == 0) last_poll_ = Clock::now();
            body(team);
        } catch (const Stopped&) {
        } catch (...) {
            const std::lock_guard<std::mutex> lock(mutex_);
            if (!error_) error_ = std::current_exception();
            stop_.store(true, std::memory_order_release);
        }
        inside_region = outer;
    }

    void rethrow() const {
        if (error_) std::rethrow_exception(error_);
    }

    void checkpoint(int rank) {
        if (stop_.load(std::memory_order_relaxed)) throw Stopped{};
        if (rank != 0) return;
        const InterruptPoll poll = interrupt_poll.load(std::memory_order_relaxed);
        if (poll == nullptr) return;
        const auto now = Clock::now();
        if (now - last_poll_ < poll_interval) return;
        last_poll_ = now;
        if (poll()) throw Interrupted();
    }

    // Generation-counting barrier whose waiters also watch for failure, so that one member's
    // exception never leaves the others waiting.
    void barrier() {
        const unsigned generation = generation_.load(std::memory_order_acquire);
        if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == size_) {
            arrived_.store(0, std::memory_order_relaxed);
            generation_.store(generation + 1, std::memory_order_release);
            return;
        }
        for (int spins = 0; generation_.load(std::memory_order_acquire) == generation; ++spins) {
            if (stop_.load(std::memory_order_acquire)) throw Stopped{};
            if (spins > 1000) std::this_thread::yield();
        }
    }

  private:
    const int size_;
    std::atomic<bool> stop_{false};
    std::atomic<int> arrived_{0};
    std::atomic<unsigned> generation_{0};
    std::mutex mutex_;
    std::exception_ptr error_;
    Clock::time_point last_poll_;
};

int num_threads() {
    if (inside_region || forked_child.load()) return 1;
    const int requested = requested_threads.load();
#ifdef RANDNLA_PARALLEL_STD
    return requested > 0 ? requested
                         : static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
#else
    if (omp_in_parallel()) return 1;
    return requested > 0 ? requested : omp_get_max_threads();
#endif
}

void set_num_threads(int n) {
    require(n >= 0, "the number of threads must not be negative");
    requested_threads.store(n);
}

void set_interrupt_poll(InterruptPoll poll) {
    interrupt_poll.store(poll);
}

void Team::barrier() {
    region_.barrier();
}
void Team::checkpoint() {
    region_.checkpoint(rank_);
}

Team::Range Team::share(index_t n, index_t unit) const {
    const index_t units = (n + unit - 1) / unit;
    const auto cut = [&](index_t r) { return std::min(n, units * r / size_ * unit); };
    return {cut(rank_), cut(rank_ + 1)};
}

void parallel_team(const std::function<void(Team&)>& body, int max_threads) {
    const int available = num_threads();
    const int size = max_threads > 0 ? std::min(max_threads, available) : available;
    Region region(size);
    if (size == 1) {
        region.run(body, 0);
    } else {
#ifdef RANDNLA_PARALLEL_STD
        std::vector<std::thread> members;
        for (int rank = 1; rank < size; ++rank)
            members.emplace_back([&, rank] { region.run(body, rank); });
        region.run(body, 0);
        for (auto& member : members) member.join();
#else
        // The runtime may give fewer threads than asked for (thread limits); shares and barriers
        // need the true size, so ask again for what it gives.
        int given = 0;
#pragma omp parallel num_threads(size)
        {
            // Each asks for itself: to be told would be a barrier more in every call.
            const int members = omp_get_num_threads(), rank = omp_get_thread_num();
            if (rank == 0) given = members;
            if (members == size) region.run(body, rank);
        }
        if (given != size) return parallel_team(body, given);
#endif
    }
    region.rethrow();
}

void parallel_for(index_t n, index_t grain, const std::function<void(index_t, index_t)>& body) {
    if (n <= 0) return;
    const index_t chunks = (n + grain - 1) / grain;
    std::atomic<index_t> next{0};
    const auto work = [&](Team& team) {
        for (index_t c = next.fetch_add(1); c < chunks; c = next.fetch_add(1)) {
            team.checkpoint();
            body(c * grain, std::min(n, (c + 1) * grain));
        }
    };
    parallel_team(work, static_cast<int>(std::min<index_t>(chunks, num_threads())));
}

}  // namespace randnla
