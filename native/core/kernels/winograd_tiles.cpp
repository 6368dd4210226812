#include "core/kernels/winograd_tiles.h"

#include <algorithm>
#include <cstring>

#include "core/kernels/panels.h"

namespace distill::winograd {
namespace {

using namespace panels;

// One-dimensional transforms: Toom-Cook's with the points 0, ±a, ±b and infinity. Any a and b are
// right; a = √½, b = √2 halve the rounding error of Lavin & Gray's 1 and 2, and a b = 1 saves
// multiplications.
constexpr float a = 0.70710678f, b = 1.41421356f;

struct Input {  // Bᵀ
  static constexpr int from = 6, to = 6;
  template <typename V>
  INLINE static void apply(const V (&d)[from], V (&v)[to]) {
    const V even_a = d[4] - 2.0f * d[2], odd_a = d[3] - 2.0f * d[1];
    const V even_b = d[4] - 0.5f * d[2], odd_b = d[3] - 0.5f * d[1];
    v[0] = d[0] - 2.5f * d[2] + d[4];
    v[1] = even_a + a * odd_a;
    v[2] = even_a - a * odd_a;
    v[3] = even_b + b * odd_b;
    v[4] = even_b - b * odd_b;
    v[5] = d[1] - 2.5f * d[3] + d[5];
  }
};
struct Weight {  // G
  static constexpr int from = 3, to = 6;
  template <typename V>
  INLINE static void apply(const V (&g)[from], V (&u)[to]) {
    const V even_a = (g[0] + 0.5f * g[2]) * (-2.0f / 3), odd_a = g[1] * (-2.0f / 3 * a);
    const V even_b = (g[0] + 2.0f * g[2]) * (1.0f / 6), odd_b = g[1] * (1.0f / 6 * b);
    u[0] = g[0];
    u[1] = even_a + odd_a;
    u[2] = even_a - odd_a;
    u[3] = even_b + odd_b;
    u[4] = even_b - odd_b;
    u[5] = g[2];
  }
};
struct Output {  // Aᵀ
  static constexpr int from = 6, to = 4;
  template <typename V>
  INLINE static void apply(const V (&m)[from], V (&y)[to]) {
    const V even_a = m[1] + m[2], odd_a = a * (m[1] - m[2]);
    const V even_b = m[3] + m[4], odd_b = b * (m[3] - m[4]);
    y[0] = m[0] + even_a + even_b;
    y[1] = odd_a + odd_b;
    y[2] = 0.5f * even_a + 2.0f * even_b;
    y[3] = 0.5f * odd_a + 2.0f * odd_b + m[5];
  }
};
// Gradients go through the transposed matrices.
struct OutputGradient {  // A
  static constexpr int from = 4, to = 6;
  template <typename V>
  INLINE static void apply(const V (&y)[from], V (&m)[to]) {
    const V even_a = y[0] + 0.5f * y[2], odd_a = y[1] + 0.5f * y[3];
    const V even_b = y[0] + 2.0f * y[2], odd_b = y[1] + 2.0f * y[3];
    m[0] = y[0];
    m[1] = even_a + a * odd_a;
    m[2] = even_a - a * odd_a;
    m[3] = even_b + b * odd_b;
    m[4] = even_b - b * odd_b;
    m[5] = y[3];
  }
};
struct WeightGradient {  // Gᵀ
  static constexpr int from = 6, to = 3;
  template <typename V>
  INLINE static void apply(const V (&u)[from], V (&g)[to]) {
    const V even_a = u[1] + u[2], odd_a = u[1] - u[2];
    const V even_b = u[3] + u[4], odd_b = u[3] - u[4];
    g[0] = u[0] - 2.0f / 3 * even_a + 1.0f / 6 * even_b;
    g[1] = 1.0f / 6 * b * odd_b - 2.0f / 3 * a * odd_a;
    g[2] = 1.0f / 3 * (even_b - even_a) + u[5];
  }
};

// M X Mᵀ. Load: (i, j, V&), Store: (i, j, const V&).
template <typename V, typename Matrix, typename Load, typename Store>
INLINE void both_sides(const Load& load_value, const Store& store_value) {
  V half[Matrix::to][Matrix::from];
#pragma GCC unroll 6
  for (int j = 0; j < Matrix::from; ++j) {
    V column[Matrix::from], result[Matrix::to];
#pragma GCC unroll 6
    for (int i = 0; i < Matrix::from; ++i) load_value(i, j, column[i]);
    Matrix::apply(column, result);
#pragma GCC unroll 6
    for (int i = 0; i < Matrix::to; ++i) half[i][j] = result[i];
  }
#pragma GCC unroll 6
  for (int i = 0; i < Matrix::to; ++i) {
    V result[Matrix::to];
    Matrix::apply(half[i], result);
#pragma GCC unroll 6
    for (int j = 0; j < Matrix::to; ++j) store_value(i, j, result[j]);
  }
}

// Calls `use` with where the pixels of a tile lie, as a function of row and column; `outside`
// stands for those beyond the picture, and for all of a tile that does not exist.
template <int size, typename T, typename Use>
INLINE void with_pixels(const Convolution& c, T* pictures, int64_t channels, int64_t tile,
                        T* outside, bool exists, const Use& use) {
  constexpr int64_t border = (size - 4) / 2;
  const int64_t tile_row = tile / c.tile_columns();
  const int64_t left = tile % c.tile_columns() * 4 - border;
  const int64_t top = tile_row % c.tile_rows() * 4 - border;
  T* const first =
      pictures + ((tile_row / c.tile_rows() * c.height + top) * c.width + left) * channels;
  const auto within = [&](int64_t row, int64_t column)
                          INLINED { return first + (row * c.width + column) * channels; };
  if (exists && top >= 0 && left >= 0 && top + size <= c.height && left + size <= c.width) {
    return use(within);
  }
  T* at[size][size];
  for (int64_t i = 0; i < size; ++i) {
    const bool row_outside = !exists || top + i < 0 || top + i >= c.height;
    for (int64_t j = 0; j < size; ++j) {
      at[i][j] = row_outside || left + j < 0 || left + j >= c.width ? outside : within(i, j);
    }
  }
  use([&](int64_t row, int64_t column) INLINED { return at[row][column]; });
}

// Words that hold `count` factors side by side.
template <typename R>
INLINE int64_t words(int64_t count) {
  return (count + R::depth - 1) / R::depth;
}

// The parts of a thread's scratch, for some tiles.
template <typename R, typename T>
struct Scratch {
  INLINE Scratch(const Convolution& c, int64_t tiles, float* scratch)
      : zeros(reinterpret_cast<T*>(scratch)),
        input(scratch + std::max(c.in, c.out)),
        output(input + positions * words<R>(tiles) * c.in) {
    std::memset(zeros, 0, std::max(c.in, c.out) * sizeof(T));
  }
  T* zeros;       // a pixel outside the picture
  float* input;   // Bᵀ x B of all in channels, as words
  float* output;  // what Aᵀ·A is applied to, or A dy Aᵀ as words, of a block of out channels
};

template <typename R, bool turned>
INLINE void transform_weight_lines(const float* weight, int64_t in, int64_t out, Range lines,
                                   float* transformed) {
  using V = typename R::Vector;
  const int64_t step = words<R>(in) * R::panel;
  for (int64_t line = lines.first * (2 / R::depth); line < lines.last * (2 / R::depth); ++line) {
    const int64_t i = line * R::depth % in, first = line * R::depth / in * channel_step;
    for (int64_t o = first; o < first + channel_step; o += R::lanes) {
      float* const to = transformed +
                        (o / R::panel * positions * words<R>(in) + words<R>(i)) * R::panel +
                        o % R::panel;
      V of_first[positions];
#pragma GCC unroll 2
      for (int d = 0; d < R::depth; ++d) {
        both_sides<V, Weight>(
            [&](int row, int column, V& value) INLINED {
              const int64_t tap = row * 3 + column;
              if constexpr (turned) {
                load(value, weight + ((i + d) * 9 + 8 - tap) * out + o);
              } else {
                float values[R::lanes];
                for (int l = 0; l < R::lanes; ++l) {
                  values[l] = weight[((o + l) * 9 + tap) * in + i + d];
                }
                load(value, values);
              }
            },
            [&](int row, int column, const V& value) INLINED {
              const int p = row * 6 + column;
              store_in_turn<R>(to + p * step, d, of_first[p], value);
            });
      }
    }
  }
}

// Bᵀ x B as (positions, tiles, in), words of neighbouring channels.
template <typename R, typename T>
INLINE void transform_input(const Convolution& c, const T* x, Range tiles,
                            const Scratch<R, T>& scratch) {
  using V = typename R::Vector;
  const int64_t line = words<R>(c.in), step = tiles.count() * line;
  for (int64_t t = 0; t < tiles.count(); ++t) {
    const auto transform = [&](const auto& pixel) INLINED {
      for (int64_t i = 0; i < c.in; i += R::lanes) {
        float* const to = scratch.input + t * line + words<R>(i);
        both_sides<V, Input>([&](int row, int column, V& value)
                                 INLINED { load_values<R>(value, pixel(row, column) + i); },
                             [&](int row, int column, const V& value) INLINED {
                               store_neighbours<R>(to + (row * 6 + column) * step, value);
                             });
      }
    };
    with_pixels<6>(c, x, c.in, tiles.first + t, static_cast<const T*>(scratch.zeros), true,
                   transform);
  }
}

// Aᵀ m A for a block of channels. products: (block / panel, positions, tiles, panel).
template <typename R, typename T>
INLINE void transform_output(const Convolution& c, const float* products, T* y, Range tiles,
                             Range block) {
  using V = typename R::Vector;
  const int64_t step = tiles.count() * R::panel;
  for (int64_t t = 0; t < tiles.count(); ++t) {
    const auto transform = [&](const auto& pixel) INLINED {
      for (int64_t o = block.first; o < block.last; o += R::lanes) {
        const int64_t panel = (o - block.first) / R::panel;
        const float* const m = products + panel * positions * step + t * R::panel + o % R::panel;
        both_sides<V, Output>([&](int row, int column, V& value)
                                  INLINED { load(value, m + (row * 6 + column) * step); },
                              [&](int row, int column, const V& value) INLINED {
                                T* const to = pixel(row, column);
                                if (to) store_values<R>(to + o, value);
                              });
      }
    };
    with_pixels<4>(c, y, c.out, tiles.first + t, static_cast<T*>(nullptr), true, transform);
  }
}

template <typename R, typename T>
INLINE void convolve_tiles(const Convolution& c, const T* x, const float* transformed, T* y,
                           Range tiles, float* memory) {
  const Scratch<R, T> scratch(c, tiles.count(), memory);
  transform_input<R>(c, x, tiles, scratch);
  const int64_t depth = words<R>(c.in);
  for (int64_t first = 0; first < c.out; first += channel_block) {
    const Range block{first, std::min(first + channel_block, c.out)};
    float* product = scratch.output;
    for (int64_t o = block.first; o < block.last; o += R::panel) {
      for (int64_t p = 0; p < positions; ++p) {
        const Operand input{scratch.input + p * tiles.count() * depth, depth, 1};
        multiply<R, false>(tiles.count(), input, {transformed, R::panel}, depth,
                           {product, R::panel});
        transformed += depth * R::panel;
        product += tiles.count() * R::panel;
      }
    }
    transform_output<R>(c, scratch.output, y, tiles, block);
  }
}

// M X Mᵀ of some channels of a batch of pictures, as (positions, channels / width, tiles, width),
// words of neighbouring tiles.
template <typename R, typename Matrix, typename T>
INLINE void transform_tiles(const Convolution& c, const T* pictures, int64_t in_picture,
                            Range channels, Range tiles, int64_t width, const T* zeros, float* to) {
  using V = typename R::Vector;
  const int64_t lines = words<R>(tiles.count()), step = lines * channels.count();
  for (int64_t line = 0; line < lines; ++line) {
    for (int64_t i = 0; i < channels.count(); i += R::lanes) {
      float* const lane = to + (i / width * lines + line) * width + i % width;
      V of_first[positions];
#pragma GCC unroll 2
      for (int d = 0; d < R::depth; ++d) {
        const int64_t tile = tiles.first + line * R::depth + d;
        const auto transform = [&](const auto& pixel) INLINED {
          both_sides<V, Matrix>(
              [&](int row, int column, V& value)
                  INLINED { load_values<R>(value, pixel(row, column) + channels.first + i); },
              [&](int row, int column, const V& value) INLINED {
                const int p = row * 6 + column;
                store_in_turn<R>(lane + p * step, d, of_first[p], value);
              });
        };
        with_pixels<Matrix::from>(c, pictures, in_picture, tile, zeros, tile < tiles.last,
                                  transform);
      }
    }
  }
}

// sums: for each block of channels (positions, in / panel, block, panel), in the order of writing.
template <typename R, bool add, typename T>
INLINE void add_products(const Convolution& c, const T* x, const T* dy, Range tiles, Range channels,
                         float* sums, float* memory) {
  const Scratch<R, T> scratch(c, tiles.count(), memory);
  const int64_t depth = words<R>(tiles.count());
  transform_tiles<R, Input>(c, x, c.in, {0, c.in}, tiles, R::panel,
                            static_cast<const T*>(scratch.zeros), scratch.input);
  for (int64_t first = channels.first; first < channels.last; first += channel_block) {
    const Range block{first, std::min(first + channel_block, channels.last)};
    transform_tiles<R, OutputGradient>(c, dy, c.out, block, tiles, block.count(), scratch.zeros,
                                       scratch.output);
    for (int64_t p = 0; p < positions; ++p) {
      const float* input = scratch.input + p * depth * c.in;
      const float* const output = scratch.output + p * depth * block.count();
      const Operand gradient{output, 1, block.count()};
      for (int64_t i = 0; i < c.in; i += R::panel) {
        multiply<R, add>(block.count(), gradient, {input, R::panel}, depth, {sums, R::panel});
        input += depth * R::panel;
        sums += block.count() * R::panel;
      }
    }
  }
}

template <typename R>
INLINE void sum_weight_gradient(int64_t in, int64_t out, const float* sums, int64_t parts,
                                int64_t channel, float* dweight) {
  using V = typename R::Vector;
  const int64_t first = channel / channel_block * channel_block;
  const int64_t block = std::min(channel_block, out - first);
  for (int64_t i = 0; i < in; i += R::lanes) {
    const float* const from = sums + first * positions * in +
                              (i / R::panel * block + channel - first) * R::panel + i % R::panel;
    both_sides<V, WeightGradient>(
        [&](int row, int column, V& value) INLINED {
          const float* part = from + (row * 6 + column) * in * block;
          load(value, part);
          for (int64_t n = 1; n < parts; ++n) {
            part += positions * in * out;
            V more;
            load(more, part);
            value += more;
          }
        },
        [&](int row, int column, const V& value)
            INLINED { store(dweight + (row * 3 + column) * in + i, value); });
  }
}

}  // namespace

template <typename T>
void transform_weight(const float* weight, int64_t in, int64_t out, Range lines,
                      float* transformed) {
  for_processor<T>([&]<typename R>(R) INLINED {
    transform_weight_lines<R, false>(weight, in, out, lines, transformed);
  });
}

template <typename T>
void transform_turned_weight(const float* weight, int64_t in, int64_t out, Range lines,
                             float* transformed) {
  for_processor<T>([&]<typename R>(R) INLINED {
    transform_weight_lines<R, true>(weight, in, out, lines, transformed);
  });
}

int64_t weight_lines(int64_t in, int64_t out) {
  return in * out / (2 * channel_step);
}

int64_t scratch_size(const Convolution& c, int64_t tiles) {
  return std::max(c.in, c.out) + positions * (tiles + 1) * (c.in + channel_block);
}

template <typename T>
void convolve(const Convolution& convolution, const T* x, const float* transformed, T* y,
              Range tiles, float* scratch) {
  for_processor<T>([&]<typename R>(R) INLINED {
    convolve_tiles<R>(convolution, x, transformed, y, tiles, scratch);
  });
}

template <typename T>
void add_weight_gradient(const Convolution& convolution, const T* x, const T* dy, Range tiles,
                         Range channels, bool start, float* sums, float* scratch) {
  for_processor<T>([&]<typename R>(R) INLINED {
    if (start) {
      add_products<R, false>(convolution, x, dy, tiles, channels, sums, scratch);
    } else {
      add_products<R, true>(convolution, x, dy, tiles, channels, sums, scratch);
    }
  });
}

template <typename T>
void finish_weight_gradient(int64_t in, int64_t out, const float* sums, int64_t parts,
                            int64_t channel, float* dweight) {
  for_processor<T>([&]<typename R>(R)
                       INLINED { sum_weight_gradient<R>(in, out, sums, parts, channel, dweight); });
}

#define INSTANTIATE(T)                                                                          \
  template void transform_weight<T>(const float*, int64_t, int64_t, Range, float*);             \
  template void transform_turned_weight<T>(const float*, int64_t, int64_t, Range, float*);      \
  template void convolve(const Convolution&, const T*, const float*, T*, Range, float*);        \
  template void add_weight_gradient(const Convolution&, const T*, const T*, Range, Range, bool, \
                                    float*, float*);                                            \
  template void finish_weight_gradient<T>(int64_t, int64_t, const float*, int64_t, int64_t, float*);

INSTANTIATE(float)
INSTANTIATE(Bf16)

}  // namespace distill::winograd
