#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace distill {

// Text from a file made fit for a message: control characters escaped, long text cut.
inline std::string printable(std::string_view text) {
  constexpr std::size_t kLongest = 120;
  std::string shown;
  for (const char c : text.substr(0, kLongest)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7F) {
      shown += c;
    } else {
      constexpr char kHex[] = "0123456789abcdef";
      shown += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return text.size() > kLongest ? shown + "…" : shown;
}

// "a, b and 12 more": ten at most are named.
inline std::string first_ten(const std::vector<std::string>& items) {
  constexpr std::size_t kNamed = 10;
  std::string text;
  for (std::size_t i = 0; i < items.size() && i < kNamed; ++i) text += (i ? ", " : "") + items[i];
  return items.size() > kNamed ? text + " and " + std::to_string(items.size() - kNamed) + " more"
                               : text;
}

}  // namespace distill
