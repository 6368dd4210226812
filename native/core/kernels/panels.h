#pragma once

#include <cstdint>
#include <cstring>

// Matrix products for kernels that make their operands in the caches. Written with the compiler's
// vectors, whose width depends on the processor; the version is chosen when called.
//
// The product itself reaches 94 to 98 % of a Zen 4 core's peak. Blocks of 6 rows x 4 vectors
// instead of 12 x 2 are within 1 % of that, but need channels in multiples of 64.

#define INLINE [[gnu::always_inline]] inline
// For lambdas: code of theirs that is not inlined would be the baseline's.
#define INLINED __attribute__((always_inline))

namespace distill::panels {

// What a kind of processor holds in registers: a block of Rows x Vectors sums, a line of Vectors
// factors and one more. AVX-512 has 32 registers, AVX2 and SSE 16, NEON 32.
template <int Lanes, int Vectors, int Rows>
struct Registers {
  typedef float Vector __attribute__((vector_size(Lanes * sizeof(float))));
  static constexpr int64_t lanes = Lanes, vectors = Vectors, rows = Rows, panel = Lanes * Vectors;
};
using Avx512 = Registers<16, 2, 12>;
using Avx2 = Registers<8, 2, 6>;
#if defined(__aarch64__)
using Baseline = Registers<4, 4, 6>;
#else
using Baseline = Registers<4, 2, 6>;
#endif

template <typename V>
INLINE void load(V& to, const float* from) {
  std::memcpy(&to, from, sizeof(V));
}
template <typename V>
INLINE void store(float* to, const V& value) {
  std::memcpy(to, &value, sizeof(V));
}

template <typename V>
INLINE void add_to(float* to, const V& value) {
  V before;
  load(before, to);
  store(to, before + value);
}

// A matrix, or the transpose of one.
struct Operand {
  const float* data;
  int64_t row_step, depth_step;
};

// Lines of one panel of a matrix.
template <typename T>
struct Lines {
  T* data;
  int64_t step;
};

// c = or += x y for `rows` rows of x and one panel of columns. Added at the end: sums of sums err
// less than one long sum.
template <typename R, int rows, bool add>
INLINE void multiply_rows(Operand x, Lines<const float> y, int64_t depth, Lines<float> c) {
  using V = typename R::Vector;
  V sum[rows][R::vectors] = {};
  for (int64_t k = 0; k < depth; ++k, x.data += x.depth_step, y.data += y.step) {
    V line[R::vectors];
    for (int j = 0; j < R::vectors; ++j) load(line[j], y.data + j * R::lanes);
    for (int i = 0; i < rows; ++i) {
      const float factor = x.data[i * x.row_step];
      for (int j = 0; j < R::vectors; ++j) sum[i][j] += line[j] * factor;
    }
  }
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < R::vectors; ++j) {
      float* const to = c.data + j * R::lanes;
      if constexpr (add) {
        add_to(to, sum[i][j]);
      } else {
        store(to, sum[i][j]);
      }
    }
    c.data += c.step;
  }
}

template <typename R, bool add, int rows = R::rows>
INLINE void multiply_group(int64_t count, Operand x, Lines<const float> y, int64_t depth,
                           Lines<float> c) {
  if constexpr (rows > 0) {
    if (count == rows) return multiply_rows<R, rows, add>(x, y, depth, c);
    multiply_group<R, add, rows - 1>(count, x, y, depth, c);
  }
}

// For any number of rows: in groups as equal as can be, as small ones leave the processor waiting.
template <typename R, bool add>
INLINE void multiply(int64_t rows, Operand x, Lines<const float> y, int64_t depth, Lines<float> c) {
  const int64_t groups = (rows + R::rows - 1) / R::rows;
  for (int64_t i = 0; i < groups; ++i) {
    const int64_t first = i * rows / groups, last = (i + 1) * rows / groups;
    multiply_group<R, add>(last - first, {x.data + first * x.row_step, x.row_step, x.depth_step}, y,
                           depth, {c.data + first * c.step, c.step});
  }
}

// Calls `kernel` with the processor's Registers, compiled for it.
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
template <typename Kernel>
__attribute__((target("arch=x86-64-v4"))) void with_avx512(const Kernel& kernel) {
  kernel(Avx512());
}
template <typename Kernel>
__attribute__((target("arch=x86-64-v3"))) void with_avx2(const Kernel& kernel) {
  kernel(Avx2());
}
template <typename Kernel>
void for_processor(const Kernel& kernel) {
  if (__builtin_cpu_supports("x86-64-v4")) return with_avx512(kernel);
  if (__builtin_cpu_supports("x86-64-v3")) return with_avx2(kernel);
  kernel(Baseline());
}
#else
template <typename Kernel>
void for_processor(const Kernel& kernel) {
  kernel(Baseline());
}
#endif

}  // namespace distill::panels
