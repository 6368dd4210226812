#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <optional>

namespace distill {

// The type of a number in torch.export's files (ScalarType of torch/_export/serde/schema.py); none
// for one that no network here computes with.
inline std::optional<at::ScalarType> exported_dtype(int64_t number) {
  switch (number) {
    case 1:
      return at::kByte;
    case 2:
      return at::kChar;
    case 3:
      return at::kShort;
    case 4:
      return at::kInt;
    case 5:
      return at::kLong;
    case 6:
      return at::kHalf;
    case 7:
      return at::kFloat;
    case 8:
      return at::kDouble;
    case 12:
      return at::kBool;
    case 13:
      return at::kBFloat16;
    default:
      return std::nullopt;
  }
}

// The number of a type there; none for one that is not written.
inline std::optional<int64_t> exported_number(at::ScalarType dtype) {
  constexpr int64_t last = 13;
  for (int64_t number = 1; number <= last; ++number) {
    if (exported_dtype(number) == dtype) return number;
  }
  return std::nullopt;
}

}  // namespace distill
