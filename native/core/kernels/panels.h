#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "core/kernels/bf16.h"

// Matrix products for kernels that make their operands in the caches. Written with the compiler's
// vectors, whose width depends on the processor; the version is chosen when called.
//
// The product itself reaches 94 to 98 % of a Zen 4 core's peak. Blocks of 6 rows x 4 vectors
// instead of 12 x 2 are within 1 % of that, but need channels in multiples of 64.

#define INLINE [[gnu::always_inline]] inline
// For lambdas: where one is not inlined, its code is compiled for the baseline.
#define INLINED __attribute__((always_inline))

namespace distill::panels {

// The operands of a product are words as long as a float. Floats: each holds one factor.
struct Floats {
  static constexpr int64_t depth = 1;  // factors a word

  template <typename V>
  INLINE static void add_product(V& sum, const V& line, const float& factor) {
    sum += line * factor;
  }
};
// Each word holds two bfloat16, neighbours in depth: AVX-512's BF16 instructions multiply both and
// add them to a float32. Written as assembly, since the compilers' names for them differ from
// version to version.
struct PairsOfBf16 {
  static constexpr int64_t depth = 2;

  template <typename V>
  INLINE static void add_product(V& sum, const V& line, const float& factor) {
#if defined(__x86_64__)
    asm("vdpbf16ps %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(line), "m"(factor));
#endif
  }
};

// The registers of a kind of processor hold a block of Rows x Vectors sums, a line of Vectors
// factors and one more factor. AVX-512 has 32 registers, AVX2 and SSE 16, NEON 32.
template <int Lanes, int Vectors, int Rows, typename Words = Floats>
struct Registers : Words {
  typedef float Vector __attribute__((vector_size(Lanes * sizeof(float))));
  typedef uint32_t Bits __attribute__((vector_size(Lanes * sizeof(float))));
  typedef uint16_t Halves __attribute__((vector_size(Lanes * sizeof(uint16_t))));
  static constexpr int64_t lanes = Lanes, vectors = Vectors, rows = Rows, panel = Lanes * Vectors;
};
using Avx512Bf16 = Registers<16, 2, 12, PairsOfBf16>;
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

// Activations of type T, float or Bf16, as floats.
template <typename R>
INLINE void load_values(typename R::Vector& to, const float* from) {
  load(to, from);
}
template <typename R>
INLINE void load_values(typename R::Vector& to, const Bf16* from) {
  typename R::Halves halves;
  std::memcpy(&halves, from, sizeof(halves));
  typename R::Bits bits;
  if constexpr (R::depth == 2) {  // the compiler would do it in two halves
    asm("vpmovzxwd %1, %0" : "=v"(bits) : "vm"(halves));
  } else {
    bits = __builtin_convertvector(halves, typename R::Bits);
  }
  to = (typename R::Vector)(bits << 16);
}
template <typename R>
INLINE void store_values(float* to, const typename R::Vector& values) {
  store(to, values);
}
template <typename R>
INLINE void store_values(Bf16* to, const typename R::Vector& values) {
  typename R::Halves halves;
  if constexpr (R::depth == 2) {
    asm("vcvtneps2bf16 %1, %0" : "=v"(halves) : "v"(values));
  } else {  // as in bf16.h
    const auto bits = (typename R::Bits)values;
    const auto nearest = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    halves = __builtin_convertvector(values == values ? nearest : nearest * 0 + 0x7fc0,
                                     typename R::Halves);
  }
  std::memcpy(to, &halves, sizeof(halves));
}

// Stores factors as words: those of one vector, which are neighbours in depth …
template <typename R>
INLINE void store_neighbours(float* to, const typename R::Vector& values) {
  if constexpr (R::depth == 2) {
    store_values<R>(reinterpret_cast<Bf16*>(to), values);
  } else {
    store(to, values);
  }
}
// … or those of R::depth vectors, whose lanes are, given in turn: `first` keeps the first till
// then.
template <typename R>
INLINE void store_in_turn(float* to, int turn, typename R::Vector& first,
                          const typename R::Vector& values) {
  if constexpr (R::depth == 1) {
    store(to, values);
  } else if (turn == 0) {
    first = values;
  } else {
    typedef uint16_t Pairs __attribute__((vector_size(64)));
    Pairs halves;  // all of the first, then all of the second
    asm("vcvtne2ps2bf16 %1, %2, %0" : "=v"(halves) : "v"(first), "v"(values));
    const Pairs pairs = __builtin_shuffle(
        halves, Pairs{0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                      8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31});
    std::memcpy(to, &pairs, sizeof(pairs));
  }
}

// A matrix of words, or the transpose of one. Steps are in words.
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

// c = or += x y for `rows` rows of x and one panel of columns; depth in words. Added at the end:
// sums of sums err less than one long sum.
template <typename R, int rows, bool add>
INLINE void multiply_rows(Operand x, Lines<const float> y, int64_t depth, Lines<float> c) {
  using V = typename R::Vector;
  V sum[rows][R::vectors] = {};
  for (int64_t k = 0; k < depth; ++k, x.data += x.depth_step, y.data += y.step) {
    V line[R::vectors];
    for (int j = 0; j < R::vectors; ++j) load(line[j], y.data + j * R::lanes);
    for (int i = 0; i < rows; ++i) {
      for (int j = 0; j < R::vectors; ++j)
        R::add_product(sum[i][j], line[j], x.data[i * x.row_step]);
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

// Multiplies any number of rows, in groups as equal as can be: small ones leave the processor
// waiting.
template <typename R, bool add>
INLINE void multiply(int64_t rows, Operand x, Lines<const float> y, int64_t depth, Lines<float> c) {
  const int64_t groups = (rows + R::rows - 1) / R::rows;
  for (int64_t i = 0; i < groups; ++i) {
    const int64_t first = i * rows / groups, last = (i + 1) * rows / groups;
    multiply_group<R, add>(last - first, {x.data + first * x.row_step, x.row_step, x.depth_step}, y,
                           depth, {c.data + first * c.step, c.step});
  }
}

// Calls `kernel` with the processor's Registers, compiled for it. T: the type that activations are
// stored as; where the processor multiplies bfloat16, products of Bf16 use it.
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
template <typename R, typename Kernel>
__attribute__((target("arch=x86-64-v4"))) void with_avx512(const Kernel& kernel) {
  kernel(R());
}
template <typename Kernel>
__attribute__((target("arch=x86-64-v3"))) void with_avx2(const Kernel& kernel) {
  kernel(Avx2());
}
template <typename T, typename Kernel>
void for_processor(const Kernel& kernel) {
  if (__builtin_cpu_supports("x86-64-v4")) {
    if constexpr (std::is_same_v<T, Bf16>) {
      if (__builtin_cpu_supports("avx512bf16")) return with_avx512<Avx512Bf16>(kernel);
    }
    return with_avx512<Avx512>(kernel);
  }
  if (__builtin_cpu_supports("x86-64-v3")) return with_avx2(kernel);
  kernel(Baseline());
}
#else
template <typename T, typename Kernel>
void for_processor(const Kernel& kernel) {
  kernel(Baseline());
}
#endif

}  // namespace distill::panels
