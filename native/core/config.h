#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace distill {

// How a picture becomes a network's input.
struct Preprocessing {
  int64_t image_size = 224;                // pixels a side of the centre crop
  std::array<double, 3> mean = {0, 0, 0};  // R, G, B, of values in 0..1
  std::array<double, 3> std = {1, 1, 1};
};

// Defaults are the reference's.
struct TrainConfig {
  int64_t epochs = 500;
  double learning_rate = 1e-4;
  double drop_rate = 0.2;
  double temperature = 2.0;
  double alpha = 0.7;  // the weight of the teacher's (soft) term
  int64_t batch_size = 4;
  bool shuffle = true;
  uint64_t seed = 0;            // of the initial weights, the order and the dropout
  std::string student_path;     // where the best student goes
  std::string initial_student;  // a checkpoint to start from; empty: fresh weights
  std::string metadata;         // a JSON object kept in the student's file
};

}  // namespace distill
