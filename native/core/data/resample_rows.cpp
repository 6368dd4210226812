#include "core/data/resample_rows.h"

#include <algorithm>
#include <cstring>

#include "core/versions.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define HAS_AVX2_VERSION 1
#else
#define HAS_AVX2_VERSION 0
#endif

namespace distill {
namespace {

// Sums are of unsigned type so that they may overflow: what is cut off in the end is the same.
constexpr uint32_t half = uint32_t{1} << (weight_bits - 1);

inline uint8_t rounded(uint32_t sum) {
  return static_cast<uint8_t>(std::clamp(static_cast<int32_t>(sum) >> weight_bits, 0, 255));
}

void weigh_pixels(const uint8_t* from, const int32_t* weights, int32_t count, uint8_t* to) {
  uint32_t red = half, green = half, blue = half;
  for (int32_t i = 0; i < count; ++i, from += 3) {
    const auto weight = static_cast<uint32_t>(weights[i]);
    red += weight * from[0];
    green += weight * from[1];
    blue += weight * from[2];
  }
  to[0] = rounded(red);
  to[1] = rounded(green);
  to[2] = rounded(blue);
}

#if HAS_AVX2_VERSION

// Four pixels are weighed at once. A weight is high * 2^11 + low, so that instructions which
// multiply 16 bits are exact. Of each four, packed weights are the high parts of the first two and
// of the last two, then the low ones.
constexpr int group = 4, low_bits = 11;

int32_t groups_of(const Output& output) {
  return (output.count + group - 1) / group;
}

std::vector<int16_t> pack(const Axis& axis) {
  std::vector<int16_t> packed;
  for (const Output& output : axis.outputs) {
    for (int32_t i = 0; i < output.count; i += group) {
      int16_t parts[2 * group] = {};
      for (int32_t j = 0; j < std::min(group, output.count - i); ++j) {
        const int32_t weight = axis.weights[output.weights + i + j];
        parts[j] = static_cast<int16_t>(weight >> low_bits);
        parts[group + j] = static_cast<int16_t>(weight & ((1 << low_bits) - 1));
      }
      packed.insert(packed.end(), parts, parts + 2 * group);
    }
  }
  return packed;
}

#define AVX2 __attribute__((target("avx2"), always_inline)) inline

struct Sums {
  __m256i high, low;
};

// Adds four weighted pixels of 12 bytes, of which 16 are read.
AVX2 void add_group(Sums& sums, const uint8_t* from, __m256i high, __m256i low) {
  // Red, green and blue of two neighbours side by side, in each half.
  const __m256i neighbours =
      _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1,  //
                       6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  const __m256i pairs = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(bytes), neighbours);
  sums.high = _mm256_add_epi32(sums.high, _mm256_madd_epi16(pairs, high));
  sums.low = _mm256_add_epi32(sums.low, _mm256_madd_epi16(pairs, low));
}

AVX2 void finish(const Sums& sums, uint8_t* to) {
  const __m256i both = _mm256_add_epi32(_mm256_slli_epi32(sums.high, low_bits), sums.low);
  __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
  sum = _mm_srai_epi32(_mm_add_epi32(sum, _mm_set1_epi32(half)), weight_bits);
  sum = _mm_packus_epi16(_mm_packs_epi32(sum, sum), sum);
  const int pixel = _mm_cvtsi128_si32(sum);
  std::memcpy(to, &pixel, 3);
}

template <int Count>
__attribute__((target("avx2"))) void weigh_groups(const Axis& axis, const int16_t* packed,
                                                  const uint8_t* const* rows, uint8_t* const* outs,
                                                  int64_t step) {
  const int64_t readable = 3 * (axis.end - axis.from);
  const __m256i first = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
  const __m256i second = _mm256_setr_epi32(2, 2, 2, 2, 3, 3, 3, 3);
  for (const Output& output : axis.outputs) {
    const int64_t from = 3 * (output.from - axis.from);
    const int32_t groups = groups_of(output);
    if (from + 3 * group * int64_t{groups} + group > readable) {
      for (int i = 0; i < Count; ++i) {
        weigh_pixels(rows[i] + from, axis.weights.data() + output.weights, output.count,
                     outs[i] + output.to * step);
      }
      packed += 2 * group * groups;
      continue;
    }
    Sums sums[Count];
#pragma GCC unroll 2
    for (Sums& sum : sums) sum = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    for (int32_t g = 0; g < groups; ++g, packed += 2 * group) {
      const __m256i weights =
          _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(packed)));
      const __m256i high = _mm256_permutevar8x32_epi32(weights, first);
      const __m256i low = _mm256_permutevar8x32_epi32(weights, second);
#pragma GCC unroll 2
      for (int i = 0; i < Count; ++i) {
        add_group(sums[i], rows[i] + from + 3 * group * int64_t{g}, high, low);
      }
    }
#pragma GCC unroll 2
    for (int i = 0; i < Count; ++i) finish(sums[i], outs[i] + output.to * step);
  }
}

#endif

}  // namespace

AlongRows::AlongRows(const Axis& axis) : axis_(axis) {
#if HAS_AVX2_VERSION
  if (__builtin_cpu_supports("avx2")) packed_ = pack(axis);
#endif
}

void AlongRows::operator()(const uint8_t* const* rows, uint8_t* const* outs, int count,
                           int64_t step) const {
#if HAS_AVX2_VERSION
  if (!packed_.empty()) {
    const auto weigh = count == 2 ? weigh_groups<2> : weigh_groups<1>;
    return weigh(axis_, packed_.data(), rows, outs, step);
  }
#endif
  for (int i = 0; i < count; ++i) {
    for (const Output& output : axis_.outputs) {
      weigh_pixels(rows[i] + 3 * (output.from - axis_.from), axis_.weights.data() + output.weights,
                   output.count, outs[i] + output.to * step);
    }
  }
}

VERSIONS void resample_across(const uint8_t* const* rows, const int32_t* weights, int64_t count,
                              uint8_t* out, int64_t bytes) {
  constexpr int64_t most = 256;  // sums that stay in the nearest memory
  uint32_t sums[most];
  for (int64_t first = 0; first < bytes; first += most) {
    const int64_t length = std::min(most, bytes - first);
    std::fill_n(sums, length, half);
    for (int64_t i = 0; i < count; ++i) {
      const uint8_t* row = rows[i] + first;
      const auto weight = static_cast<uint32_t>(weights[i]);
      for (int64_t j = 0; j < length; ++j) sums[j] += weight * row[j];
    }
    for (int64_t j = 0; j < length; ++j) out[first + j] = rounded(sums[j]);
  }
}

}  // namespace distill
