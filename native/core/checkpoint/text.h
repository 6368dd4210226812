#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace distill {

// Text from a file made fit for a message: control characters escaped, long text cut.
inline std::string printable(std::string_view text) {
  constexpr size_t longest = 120;
  std::string shown;
  for (const char c : text.substr(0, longest)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7F) {
      shown += c;
    } else {
      constexpr char hex[] = "0123456789abcdef";
      shown += {'\\', 'x', hex[byte >> 4], hex[byte & 15]};
    }
  }
  return text.size() > longest ? shown + "…" : shown;
}

// "a, b and 12 more": ten at most are named.
inline std::string first_ten(const std::vector<std::string>& items) {
  constexpr size_t named = 10;
  std::string text;
  for (size_t i = 0; i < items.size() && i < named; ++i) text += (i ? ", " : "") + items[i];
  return items.size() > named ? text + " and " + std::to_string(items.size() - named) + " more"
                              : text;
}

}  // namespace distill
