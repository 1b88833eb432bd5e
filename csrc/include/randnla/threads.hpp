// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>
#include <exception>
#include <functional>
#include <memory>

#include "randnla/matrix_view.hpp"

// The one thread team. Every parallel loop of the library goes through parallel_team or
// parallel_for, which
//   - never nest (inside another parallel region they run on the calling thread alone),
//   - carry exceptions out to the caller, the other members stopping at their next checkpoint,
//   - answer Ctrl-C: the calling thread polls the host at checkpoints,
//   - survive fork (the child runs with a team of one).
namespace randnla {

// Members of the next team: set_num_threads if it was called, else what OpenMP says
// (OMP_NUM_THREADS, threadpoolctl); 1 inside a parallel region and in a forked child.
int num_threads();
void set_num_threads(int n);  // n >= 1; 0 returns the choice to OpenMP

// True from the host's poll means "stop": the bindings install one that asks Python for signals.
using InterruptPoll = bool (*)();
void set_interrupt_poll(InterruptPoll poll);

class Team {
  public:
    int rank() const { return rank_; }
    int size() const { return size_; }

    // Waits for all members. If one has failed, leaves the region instead.
    void barrier();
    // To be called between blocks of at most a few milliseconds: leaves the region if a member
    // failed or the host wants to stop. Costs a relaxed load, on rank 0 a clock reading too.
    void checkpoint();

    // The share of [0, n) of this member, cut at multiples of `unit`: contiguous, in rank order.
    struct Range {
        index_t begin, end;
    };
    Range share(index_t n, index_t unit = 1) const;

  private:
    friend class Region;
    Team(class Region& region, int rank, int size) : region_(region), rank_(rank), size_(size) {}
    class Region& region_;
    int rank_, size_;
};

// Runs body(team) on every member of a team of at most max_threads (0: num_threads()).
void parallel_team(const std::function<void(Team&)>& body, int max_threads = 0);

// Runs body(begin, end) over [0, n) in chunks of `grain`, handed out dynamically, with a checkpoint
// before each chunk. The chunks do not depend on the number of threads.
void parallel_for(index_t n, index_t grain, const std::function<void(index_t, index_t)>& body);

}  // namespace randnla
