// SPDX-FileCopyrightText: 2026 the randnla developers
// SPDX-License-Identifier: BSD-3-Clause
#include "randnla/sampling.hpp"

#include <numeric>
#include <vector>

#include "randnla/error.hpp"

namespace randnla {
namespace {

// floor(draw n / 2^63), exact.
index_t scaled(std::uint64_t draw, index_t n) {
    __extension__ using Wide = unsigned __int128;
    return static_cast<index_t>(static_cast<Wide>(draw) * static_cast<Wide>(n) >> 63);
}

class Draws {
  public:
    explicit Draws(const SampleStream& source)
        : key_(stream_key(source.seed, source.stream, source.kind, 32)) {}

    std::uint64_t next() {
        if (used_ == words_per_block) {
            philox_block(block_++, 0, key_, words_);
            used_ = 0;
        }
        const std::uint64_t high = words_[used_] >> 1, low = words_[used_ + 1];
        used_ += 2;
        return high << 32 | low;
    }

  private:
    Key key_;
    std::uint64_t block_ = 0;
    int used_ = words_per_block;
    std::uint32_t words_[words_per_block];
};

// The entries of the shuffled array that differ from their index: open addressing, at most half
// full.
class Moved {
  public:
    explicit Moved(index_t count) {
        std::size_t size = 16;
        while (size < 2 * static_cast<std::size_t>(count)) size *= 2;
        slots_.resize(size, Slot{-1, 0});
    }
    index_t get(index_t i) const {
        const Slot& slot = slots_[find(i)];
        return slot.key == i ? slot.value : i;
    }
    void set(index_t i, index_t value) { slots_[find(i)] = {i, value}; }

  private:
    struct Slot {
        index_t key, value;
    };
    std::size_t find(index_t i) const {
        const std::size_t mask = slots_.size() - 1;
        std::size_t at =
            static_cast<std::size_t>((static_cast<std::uint64_t>(i) * 0x9E3779B97F4A7C15U) >> 20);
        for (at &= mask; slots_[at].key != i && slots_[at].key != -1; at = (at + 1) & mask) {
        }
        return at;
    }
    std::vector<Slot> slots_;
};

}  // namespace

void draw_63_bits(const SampleStream& source, index_t count, std::uint64_t* out) {
    Draws draws(source);
    for (index_t i = 0; i < count; ++i) out[i] = draws.next();
}

void sample_uniform(const SampleStream& source, index_t population, index_t count, index_t* out) {
    require(count == 0 || population > 0, "population must be positive");
    Draws draws(source);
    for (index_t i = 0; i < count; ++i) out[i] = scaled(draws.next(), population);
}

void sample_coordinates(const SampleStream& source, index_t population, index_t count,
                        index_t* out) {
    require(count >= 0 && count <= population, "count must lie in [0, population]");
    Draws draws(source);
    if (count > population / 4) {
        std::vector<index_t> order(static_cast<std::size_t>(population));
        std::iota(order.begin(), order.end(), index_t{0});
        for (index_t i = 0; i < count; ++i) {
            const auto a = static_cast<std::size_t>(i),
                       b = static_cast<std::size_t>(i + scaled(draws.next(), population - i));
            std::swap(order[a], order[b]);
            out[i] = order[a];
        }
        return;
    }
    Moved moved(count);
    for (index_t i = 0; i < count; ++i) {
        const index_t j = i + scaled(draws.next(), population - i);
        out[i] = moved.get(j);
        if (j != i) moved.set(j, moved.get(i));  // position i is never looked at again
    }
}

void trig_sign_bits(std::uint64_t seed, std::uint64_t stream, index_t count, std::uint32_t* words) {
    const Key key = stream_key(seed, stream, StreamKind::trig_signs, 32);
    for (index_t block = 0; block * signs_per_block < count; ++block)
        philox_block(static_cast<std::uint64_t>(block), 0, key, words + block * words_per_block);
}

}  // namespace randnla
