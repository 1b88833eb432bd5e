// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include "check.hpp"
#include "randnla/error.hpp"
#include "randnla/threads.hpp"

using namespace randnla;

namespace {

class TeamOf {
  public:
    explicit TeamOf(int n) { set_num_threads(n); }
    ~TeamOf() { set_num_threads(0); }
    TeamOf(const TeamOf&) = delete;
    TeamOf& operator=(const TeamOf&) = delete;
};

// How often each index of [0, n) was visited.
std::vector<int> visits(index_t n, index_t grain) {
    std::vector<std::atomic<int>> count(static_cast<std::size_t>(n));
    parallel_for(n, grain, [&](index_t begin, index_t end) {
        for (index_t i = begin; i < end; ++i) ++count[static_cast<std::size_t>(i)];
    });
    return {count.begin(), count.end()};
}

std::atomic<int> polls{0};

}  // namespace

TEST(parallel_for_visits_each_index_once) {
    for (const int threads : {1, 2, 3, 4}) {
        const TeamOf team(threads);
        for (const index_t n : {0, 1, 7, 1000})
            for (const index_t grain : {1, 3, 5000})
                CHECK(visits(n, grain) == std::vector<int>(static_cast<std::size_t>(n), 1));
    }
}

TEST(shares_cover_the_range_at_multiples) {
    const TeamOf three(3);
    for (const index_t n : {0, 1, 15, 16, 17, 100, 1000}) {
        std::vector<Team::Range> shares(3);
        parallel_team(
            [&](Team& team) { shares[static_cast<std::size_t>(team.rank())] = team.share(n, 16); });
        CHECK(shares[0].begin == 0 && shares[2].end == n);
        CHECK(shares[0].end == shares[1].begin && shares[1].end == shares[2].begin);
        CHECK(shares[0].end % 16 == 0 || shares[0].end == n);
    }
}

TEST(exception_leaves_a_region_with_barriers) {
    for (const int threads : {1, 2, 4})
        for (int thrower = 0; thrower < threads; ++thrower) {
            const TeamOf team(threads);
            std::atomic<int> passed{0};
            const auto body = [&](Team& member) {
                member.barrier();
                if (member.rank() == thrower) throw std::out_of_range("planted");
                member.barrier();  // never completed: the others must be let go
                ++passed;
            };
            CHECK_THROWS(parallel_team(body), std::out_of_range);
            CHECK(passed == 0);
            CHECK(visits(100, 1) == std::vector<int>(100, 1));  // the team is usable again
        }
}

TEST(exception_stops_the_other_members_at_checkpoints) {
    const TeamOf team(2);
    const auto body = [](Team& member) {
        if (member.rank() == 1) throw Error(ErrorKind::breakdown, "planted");
        for (;;) member.checkpoint();
    };
    CHECK_THROWS(parallel_team(body), Error);
}

TEST(barrier_orders_writes) {
    const TeamOf team(4);
    std::vector<int> values(4);
    bool ordered = true;
    parallel_team([&](Team& member) {
        for (int step = 0; step < 200; ++step) {
            values[static_cast<std::size_t>(member.rank())] = step;
            member.barrier();
            if (member.rank() == 0)
                for (int r = 0; r < member.size(); ++r)
                    ordered = ordered && values[static_cast<std::size_t>(r)] == step;
            member.barrier();
        }
    });
    CHECK(ordered);
}

TEST(regions_do_not_nest) {
    const TeamOf team(3);
    std::atomic<int> members{0}, inner_members{0}, inner_size{0};
    parallel_team([&](Team&) {
        ++members;
        parallel_team([&](Team& inner) {
            ++inner_members;
            inner_size += inner.size();
            inner.barrier();
        });
    });
    CHECK(members == 3 && inner_members == 3 && inner_size == 3);
}

TEST(exception_leaves_nested_regions) {
    const TeamOf team(2);
    const auto body = [](Team& member) {
        parallel_team([&](Team&) {
            if (member.rank() == 1) throw std::out_of_range("planted");
        });
        member.barrier();
    };
    CHECK_THROWS(parallel_team(body), std::out_of_range);
}

TEST(host_can_interrupt) {
    set_interrupt_poll([] { return ++polls >= 3; });
    const TeamOf team(2);
    CHECK_THROWS(parallel_team([](Team& member) {
                     for (;;) member.checkpoint();
                 }),
                 Interrupted);
    set_interrupt_poll(nullptr);
    CHECK(polls == 3);
}

TEST(regions_of_several_host_threads) {
    const TeamOf team(2);
    std::atomic<bool> all{true};
    std::vector<std::thread> hosts;
    for (int h = 0; h < 4; ++h)
        hosts.emplace_back([&] {
            for (int r = 0; r < 20; ++r)
                if (visits(50, 3) != std::vector<int>(50, 1)) all = false;
        });
    for (auto& host : hosts) host.join();
    CHECK(all);
}

TEST(negative_team_is_refused) {
    CHECK_THROWS(set_num_threads(-1), Error);
}

// A child forked after a region has no idle workers to wake: it must run alone, not hang.
TEST(forked_child_runs_alone) {
    const TeamOf team(2);
    CHECK(visits(100, 1) == std::vector<int>(100, 1));
    const pid_t child = fork();
    if (child == 0) {
        alarm(20);  // a hang ends as a signal
        const bool ok = num_threads() == 1 && visits(100, 1) == std::vector<int>(100, 1);
        _exit(ok ? 0 : 1);
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(visits(100, 1) == std::vector<int>(100, 1));  // and the parent's team lives on
}
