#pragma once

#include <cstdint>

namespace distill {

// A float32 matrix in memory; the transpose of one has its steps exchanged.
struct Matrix {
  const float* data;
  int64_t row_step, column_step;
};
// One whose rows lie side by side in memory.
template <typename T>
struct Rows {
  T* data;
  int64_t step;
};

// z = x y, or z += x y, of small matrices that lie in the caches: x is rows x depth, y and z have
// `columns` columns, a multiple of product_step. On one thread.
inline constexpr int64_t product_step = 32;
void product(Matrix x, Rows<const float> y, Rows<float> z, int64_t rows, int64_t depth,
             int64_t columns, bool add);

}  // namespace distill
