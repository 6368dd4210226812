#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace distill {

// Sums `size` values over the pieces of a batch. Within `pieces_in_float` pieces they are summed in
// float, and the sums of these in double: as accurate as double throughout, at float's speed. Gives
// the same for the same number of threads.
//
// add(piece, float* sums, float* scratch) adds the values of a piece, on any thread. scratch holds
// scratch_size floats.
template <typename Add>
std::vector<double> sum_pieces(int64_t pieces, int64_t pieces_in_float, int64_t size,
                               int64_t scratch_size, const Add& add) {
  std::vector<std::vector<double>> of_thread(at::get_num_threads());
  at::parallel_for(0, pieces, 1, [&](int64_t begin, int64_t end) {
    std::vector<double> total(size);
    std::vector<float> sums(size), scratch(scratch_size);
    for (int64_t piece = begin; piece < end;) {
      std::fill(sums.begin(), sums.end(), 0);
      const int64_t last = std::min(piece + pieces_in_float, end);
      for (; piece < last; ++piece) add(piece, sums.data(), scratch.data());
      for (int64_t i = 0; i < size; ++i) total[i] += sums[i];
    }
    of_thread[at::get_thread_num()] = std::move(total);
  });
  std::vector<double> total(size);
  for (const std::vector<double>& part : of_thread) {
    for (size_t i = 0; i < part.size(); ++i) total[i] += part[i];
  }
  return total;
}

// Two sums for each channel. (C)
struct ChannelSums {
  std::vector<double> first, second;
};

// add(piece, float* first, float* second) adds the values of a piece, on any thread.
template <typename Add>
ChannelSums sum_channels(int64_t pieces, int64_t pieces_in_float, int64_t channels,
                         const Add& add) {
  const std::vector<double> sums = sum_pieces(
      pieces, pieces_in_float, 2 * channels, /*scratch_size=*/0,
      [&](int64_t piece, float* sums, float* /*scratch*/) { add(piece, sums, sums + channels); });
  return {{sums.begin(), sums.begin() + channels}, {sums.begin() + channels, sums.end()}};
}

// (C) float32
inline at::Tensor to_tensor(const std::vector<double>& values) {
  at::Tensor tensor = at::empty({static_cast<int64_t>(values.size())});
  std::copy(values.begin(), values.end(), tensor.mutable_data_ptr<float>());
  return tensor;
}

}  // namespace distill
