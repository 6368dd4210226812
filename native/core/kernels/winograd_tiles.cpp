#include "core/kernels/winograd_tiles.h"

#include <cstring>

namespace distill::winograd {
namespace {

template <int Lanes, int Vectors, int Rows>
struct Registers {
  typedef float Vector __attribute__((vector_size(Lanes * sizeof(float))));
  static constexpr int lanes = Lanes;
  static constexpr int vectors = Vectors;
  static constexpr int rows = Rows;
  static constexpr int64_t panel = Lanes * Vectors;
};
using Avx512 = Registers<16, 2, 12>;
using Avx2 = Registers<8, 2, 6>;
#if defined(__aarch64__)
using Baseline = Registers<4, 4, 6>;
#else
using Baseline = Registers<4, 2, 6>;
#endif

// Position strides would be powers of two, and all positions of a tile share a set of the cache.
constexpr int64_t stagger = 16;

// points 0, ±a, ±b and infinity with a = √½, b = √2.
struct Filter {
  static constexpr int tile = 4, patch = 6;
  static constexpr float a = 0.70710678118654752f, b = 1.4142135623730950f;
  template <typename V>
  [[gnu::always_inline]] static inline void input(const V (&d)[6], V (&v)[6]) {
    const V even_a = d[4] - d[2] * 2.0f, odd_a = (d[3] - d[1] * 2.0f) * a;
    const V even_b = d[4] - d[2] * 0.5f, odd_b = (d[3] - d[1] * 0.5f) * b;
    v[0] = d[0] - d[2] * 2.5f + d[4];
    v[1] = even_a + odd_a;
    v[2] = even_a - odd_a;
    v[3] = even_b + odd_b;
    v[4] = even_b - odd_b;
    v[5] = d[1] - d[3] * 2.5f + d[5];
  }
  template <typename V>
  [[gnu::always_inline]] static inline void output(const V (&m)[6], V (&y)[4]) {
    const V sum_a = m[1] + m[2], difference_a = m[1] - m[2];
    const V sum_b = m[3] + m[4], difference_b = m[3] - m[4];
    y[0] = m[0] + sum_a + sum_b;
    y[1] = difference_a * a + difference_b * b;
    y[2] = sum_a * 0.5f + sum_b * 2.0f;
    y[3] = difference_a * (a / 2) + difference_b * (b * 2) + m[5];
  }
  template <typename V>
  [[gnu::always_inline]] static inline void output_gradient(const V (&y)[4], V (&m)[6]) {
    const V even_a = y[0] + y[2] * 0.5f, odd_a = (y[1] + y[3] * 0.5f) * a;
    const V even_b = y[0] + y[2] * 2.0f, odd_b = (y[1] + y[3] * 2.0f) * b;
    m[0] = y[0];
    m[1] = even_a + odd_a;
    m[2] = even_a - odd_a;
    m[3] = even_b + odd_b;
    m[4] = even_b - odd_b;
    m[5] = y[3];
  }
  template <typename V>
  [[gnu::always_inline]] static inline void weight(const V (&g)[3], V (&u)[6]) {
    const V even_a = (g[0] + g[2] * 0.5f) * (-2.0f / 3), odd_a = g[1] * (a * -2.0f / 3);
    const V even_b = (g[0] + g[2] * 2.0f) * (1.0f / 6), odd_b = g[1] * (b / 6);
    u[0] = g[0];
    u[1] = even_a + odd_a;
    u[2] = even_a - odd_a;
    u[3] = even_b + odd_b;
    u[4] = even_b - odd_b;
    u[5] = g[2];
  }
  template <typename V>
  [[gnu::always_inline]] static inline void weight_gradient(const V (&u)[6], V (&g)[3]) {
    const V sum_a = u[1] + u[2], difference_a = u[1] - u[2];
    const V sum_b = u[3] + u[4], difference_b = u[3] - u[4];
    g[0] = u[0] - sum_a * (2.0f / 3) + sum_b * (1.0f / 6);
    g[1] = difference_b * (b / 6) - difference_a * (a * 2.0f / 3);
    g[2] = (sum_b - sum_a) * (1.0f / 3) + u[5];
  }
};
constexpr int tile = Filter::tile, patch = Filter::patch;

template <typename V>
[[gnu::always_inline]] inline V load(const float* from) {
  V value;
  std::memcpy(&value, from, sizeof(V));
  return value;
}
template <typename V>
[[gnu::always_inline]] inline void store(float* to, const V& value) {
  std::memcpy(to, &value, sizeof(V));
}

// out = F in Fᵀ
template <typename V, int From, int To, typename Load, typename Store>
[[gnu::always_inline]] inline void both_sides(void (*one)(const V (&)[From], V (&)[To]),
                                              const Load& load, const Store& store) {
  V half[To][From];
#pragma GCC unroll 8
  for (int j = 0; j < From; ++j) {
    V column[From], result[To];
#pragma GCC unroll 8
    for (int i = 0; i < From; ++i) load(i, j, column[i]);
    one(column, result);
#pragma GCC unroll 8
    for (int i = 0; i < To; ++i) half[i][j] = result[i];
  }
#pragma GCC unroll 8
  for (int i = 0; i < To; ++i) {
    V result[To];
    one(half[i], result);
#pragma GCC unroll 8
    for (int j = 0; j < To; ++j) store(i, j, result[j]);
  }
}

// Where the pixels of a tile lie, `outside` for those beyond the picture.
template <int size, typename T>
struct Pixels {
  [[gnu::always_inline]] Pixels(const Convolution& c, T* picture, int64_t channels, int64_t index,
                                int64_t border, T* outside) {
    const int64_t columns = c.tile_columns(), rows = c.tile_rows();
    const int64_t left = index % columns * tile - border,
                  top = index / columns % rows * tile - border;
    T* const first = picture + index / (columns * rows) * c.height * c.width * channels;
    for (int i = 0; i < size; ++i) {
      const bool row_inside = static_cast<uint64_t>(top + i) < static_cast<uint64_t>(c.height);
      T* const row = first + ((top + i) * c.width + left) * channels;
      for (int j = 0; j < size; ++j) {
        const bool inside =
            row_inside & (static_cast<uint64_t>(left + j) < static_cast<uint64_t>(c.width));
        at[i][j] = inside ? row + j * channels : outside;
      }
    }
  }
  T* at[size][size];
};

struct Operand {
  const float* data;
  int64_t row_step, depth_step;
};

// c (+)= a b for `rows` rows and one panel of columns.
template <typename R, int rows, bool add>
[[gnu::always_inline]] inline void multiply_rows(Operand a, const float* b, int64_t depth,
                                                 float* c) {
  using V = typename R::Vector;
  V sum[rows][R::vectors];
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < R::vectors; ++j) sum[i][j] = V{};
  }
  for (int64_t k = 0; k < depth; ++k) {
    V line[R::vectors];
    for (int j = 0; j < R::vectors; ++j) line[j] = load<V>(b + j * R::lanes);
    for (int i = 0; i < rows; ++i) {
      const float factor = a.data[i * a.row_step];
      for (int j = 0; j < R::vectors; ++j) sum[i][j] += line[j] * factor;
    }
    a.data += a.depth_step;
    b += R::panel;
  }
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < R::vectors; ++j) {
      float* to = c + i * R::panel + j * R::lanes;
      store<V>(to, add ? load<V>(to) + sum[i][j] : sum[i][j]);
    }
  }
}

template <typename R, bool add, int rows = R::rows>
[[gnu::always_inline]] inline void multiply_group(int64_t count, Operand a, const float* b,
                                                  int64_t depth, float* c) {
  if constexpr (rows > 0) {
    if (count == rows) return multiply_rows<R, rows, add>(a, b, depth, c);
    multiply_group<R, add, rows - 1>(count, a, b, depth, c);
  }
}

template <typename R, bool add>
[[gnu::always_inline]] inline void multiply(int64_t rows, Operand a, const float* b, int64_t depth,
                                            float* c) {
  const int64_t groups = (rows + R::rows - 1) / R::rows;
  for (int64_t i = 0; i < groups; ++i) {
    const int64_t first = i * rows / groups, last = (i + 1) * rows / groups;
    multiply_group<R, add>(last - first, {a.data + first * a.row_step, a.row_step, a.depth_step}, b,
                           depth, c + first * R::panel);
  }
}

template <typename R>
[[gnu::always_inline]] inline void transform_input(const Pixels<patch, const float>& pixels,
                                                   int64_t c, float* v, int64_t position_step) {
  using V = typename R::Vector;
  both_sides<V, patch, patch>(
      Filter::input<V>, [&](int i, int j, V& value) { value = load<V>(pixels.at[i][j] + c); },
      [&](int i, int j, const V& value) { store(v + (i * patch + j) * position_step, value); });
}

template <typename R>
[[gnu::always_inline]] inline int64_t weight_size(int64_t in, int64_t out) {
  return out / R::panel * positions * (in * R::panel + stagger);
}

template <typename R, bool turned>
[[gnu::always_inline]] inline void transform_weight_lines(const float* weight, int64_t in,
                                                          int64_t out, int64_t first, int64_t last,
                                                          float* transformed) {
  using V = typename R::Vector;
  const int64_t step = in * R::panel + stagger;
  for (int64_t line = first; line < last; ++line) {
    const int64_t panel = line / in, k = line % in;
    for (int64_t c = 0; c < R::panel; c += R::lanes) {
      const int64_t o = panel * R::panel + c;
      float* to = transformed + panel * positions * step + k * R::panel + c;
      both_sides<V, 3, patch>(
          Filter::weight<V>,
          [&](int i, int j, V& value) {
            if constexpr (turned) {
              value = load<V>(weight + (k * 9 + 8 - (i * 3 + j)) * out + o);
            } else {
              float lanes[R::lanes];
              for (int l = 0; l < R::lanes; ++l)
                lanes[l] = weight[((o + l) * 9 + i * 3 + j) * in + k];
              value = load<V>(lanes);
            }
          },
          [&](int i, int j, const V& value) { store(to + (i * patch + j) * step, value); });
    }
  }
}

template <typename R>
[[gnu::always_inline]] inline void convolve_tiles(const Convolution& c, const float* x,
                                                  const float* transformed, const float* bias,
                                                  float* y, TileRange tiles, float* scratch) {
  using V = typename R::Vector;
  const int64_t v_step = tiles.count * c.in + stagger, m_step = tiles.count * R::panel + stagger;
  const int64_t w_step = c.in * R::panel + stagger;
  float* const outside = scratch;
  float* const v = outside + (c.in > c.out ? c.in : c.out);
  float* const m = v + positions * v_step;
  std::memset(outside, 0, c.in * sizeof(float));
  for (int64_t t = 0; t < tiles.count; ++t) {
    const Pixels<patch, const float> pixels(c, x, c.in, tiles.first + t, 1, outside);
    for (int64_t k = 0; k < c.in; k += R::lanes)
      transform_input<R>(pixels, k, v + t * c.in + k, v_step);
  }
  for (int64_t o = 0; o < c.out; o += R::panel) {
    for (int64_t p = 0; p < positions; ++p, transformed += w_step) {
      multiply<R, false>(tiles.count, {v + p * v_step, c.in, 1}, transformed, c.in, m + p * m_step);
    }
    for (int64_t t = 0; t < tiles.count; ++t) {
      const Pixels<tile, float> pixels(c, y, c.out, tiles.first + t, 0, outside);
      for (int64_t l = 0; l < R::panel; l += R::lanes) {
        const float* from = m + t * R::panel + l;
        const V offset = load<V>(bias + o + l);
        both_sides<V, patch, tile>(
            Filter::output<V>,
            [&](int i, int j, V& value) { value = load<V>(from + (i * patch + j) * m_step); },
            [&](int i, int j, const V& value) {
              store<V>(pixels.at[i][j] + o + l, value + offset);
            });
      }
    }
  }
}

template <typename R>
[[gnu::always_inline]] inline void add_gradient(const Convolution& c, const float* x,
                                                const float* dy, TileRange tiles, ChannelRange out,
                                                bool first, float* sums, float* scratch) {
  using V = typename R::Vector;
  const int64_t v_step = tiles.count * c.in + stagger,
                d_step = tiles.count * channel_step + stagger;
  float* const outside = scratch;
  float* const v = outside + (c.in > c.out ? c.in : c.out);
  float* const d = v + positions * v_step;
  std::memset(outside, 0, (c.in > c.out ? c.in : c.out) * sizeof(float));
  for (int64_t t = 0; t < tiles.count; ++t) {
    const Pixels<patch, const float> pixels(c, x, c.in, tiles.first + t, 1, outside);
    for (int64_t k = 0; k < c.in; k += R::lanes) {
      transform_input<R>(pixels, k, v + (k / R::panel * tiles.count + t) * R::panel + k % R::panel,
                         v_step);
    }
  }
  for (int64_t o = out.first; o < out.first + out.count; o += channel_step) {
    for (int64_t t = 0; t < tiles.count; ++t) {
      const Pixels<tile, const float> pixels(c, dy, c.out, tiles.first + t, 0, outside);
      for (int64_t l = 0; l < channel_step; l += R::lanes) {
        float* to = d + t * channel_step + l;
        both_sides<V, tile, patch>(
            Filter::output_gradient<V>,
            [&](int i, int j, V& value) { value = load<V>(pixels.at[i][j] + o + l); },
            [&](int i, int j, const V& value) { store<V>(to + (i * patch + j) * d_step, value); });
      }
    }
    for (int64_t p = 0; p < positions; ++p) {
      const Operand a{d + p * d_step, 1, channel_step};
      for (int64_t k = 0; k < c.in; k += R::panel, sums += channel_step * R::panel) {
        const float* b = v + p * v_step + k * tiles.count;
        if (first)
          multiply<R, false>(channel_step, a, b, tiles.count, sums);
        else
          multiply<R, true>(channel_step, a, b, tiles.count, sums);
      }
    }
  }
}

template <typename R>
[[gnu::always_inline]] inline void finish_gradient(int64_t in, const float* sums, int64_t parts,
                                                   int64_t part_size, int64_t channel,
                                                   float* dweight) {
  using V = typename R::Vector;
  const int64_t step = channel_step * in;
  const float* const row =
      sums + channel / channel_step * positions * step + channel % channel_step * R::panel;
  for (int64_t k = 0; k < in; k += R::lanes) {
    const float* const from = row + k / R::panel * channel_step * R::panel + k % R::panel;
    both_sides<V, patch, 3>(
        Filter::weight_gradient<V>,
        [&](int i, int j, V& value) {
          const float* at = from + (i * patch + j) * step;
          value = load<V>(at);
          for (int64_t part = 1; part < parts; ++part) value += load<V>(at + part * part_size);
        },
        [&](int i, int j, const V& value) { store<V>(dweight + (i * 3 + j) * in + k, value); });
  }
}

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
template <typename Body>
__attribute__((target("arch=x86-64-v4"))) void with_avx512(const Body& body) {
  body(Avx512());
}
template <typename Body>
__attribute__((target("arch=x86-64-v3"))) void with_avx2(const Body& body) {
  body(Avx2());
}
template <typename Body>
void for_processor(const Body& body) {
  if (__builtin_cpu_supports("x86-64-v4")) return with_avx512(body);
  if (__builtin_cpu_supports("x86-64-v3")) return with_avx2(body);
  body(Baseline());
}
#else
template <typename Body>
void for_processor(const Body& body) {
  body(Baseline());
}
#endif
#define BODY [&]<typename R>(R) __attribute__((always_inline))

}  // namespace

int64_t transformed_weight_size(int64_t in, int64_t out) {
  return out / 8 * positions * (in * 8 + stagger);
}
int64_t weight_lines(int64_t in, int64_t out) {
  int64_t lines = 0;
  for_processor(BODY { lines = out / R::panel * in; });
  return lines;
}
void transform_weight(const float* weight, int64_t in, int64_t out, int64_t first, int64_t last,
                      float* transformed) {
  for_processor(
      BODY { transform_weight_lines<R, false>(weight, in, out, first, last, transformed); });
}
void transform_turned_weight(const float* weight, int64_t in, int64_t out, int64_t first,
                             int64_t last, float* transformed) {
  for_processor(
      BODY { transform_weight_lines<R, true>(weight, in, out, first, last, transformed); });
}
void convolve(const Convolution& c, const float* x, const float* transformed, const float* bias,
              float* y, TileRange tiles, float* scratch) {
  for_processor(BODY { convolve_tiles<R>(c, x, transformed, bias, y, tiles, scratch); });
}
void add_weight_gradient(const Convolution& c, const float* x, const float* dy, TileRange tiles,
                         ChannelRange out, bool first, float* sums, float* scratch) {
  for_processor(BODY { add_gradient<R>(c, x, dy, tiles, out, first, sums, scratch); });
}
void finish_weight_gradient(int64_t in, const float* sums, int64_t parts, int64_t part_size,
                            int64_t channel, float* dweight) {
  for_processor(BODY { finish_gradient<R>(in, sums, parts, part_size, channel, dweight); });
}

int64_t convolve_scratch_size(const Convolution& c, int64_t count) {
  return (c.in > c.out ? c.in : c.out) + positions * (count * (c.in + 64) + 2 * stagger);
}
int64_t weight_gradient_scratch_size(const Convolution& c, int64_t count) {
  return (c.in > c.out ? c.in : c.out) + positions * (count * (c.in + channel_step) + 2 * stagger);
}

}  // namespace distill::winograd
