#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace distill {

// Two sums for each channel over the pieces of a batch. Those of some pieces are taken in float,
// their sums in double: as accurate as summing all in double, at float's speed. The same for the
// same number of threads.
struct ChannelSums {
  explicit ChannelSums(int64_t channels) : first(channels), second(channels) {}
  std::vector<double> first, second;  // (channels)
};

// add(piece, float* first, float* second) adds a piece's, on any thread.
template <typename Add>
ChannelSums sum_pieces(int64_t pieces, int64_t pieces_in_float, int64_t channels, const Add& add) {
  std::vector<ChannelSums> of_thread(at::get_num_threads(), ChannelSums(0));
  at::parallel_for(0, pieces, 1, [&](int64_t begin, int64_t end) {
    ChannelSums sums(channels);
    std::vector<float> first(channels), second(channels);
    for (int64_t piece = begin; piece < end;) {
      std::fill(first.begin(), first.end(), 0);
      std::fill(second.begin(), second.end(), 0);
      const int64_t last = std::min(piece + pieces_in_float, end);
      for (; piece < last; ++piece) add(piece, first.data(), second.data());
      for (int64_t c = 0; c < channels; ++c) {
        sums.first[c] += first[c];
        sums.second[c] += second[c];
      }
    }
    of_thread[at::get_thread_num()] = std::move(sums);
  });
  ChannelSums total(channels);
  for (const ChannelSums& sums : of_thread) {
    for (size_t c = 0; c < sums.first.size(); ++c) {
      total.first[c] += sums.first[c];
      total.second[c] += sums.second[c];
    }
  }
  return total;
}

}  // namespace distill
