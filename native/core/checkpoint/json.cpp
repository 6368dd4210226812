#include "core/checkpoint/json.h"

#include <algorithm>
#include <cstdlib>
#include <limits>

#include "core/checkpoint/byte_reader.h"

namespace distill {
namespace {

constexpr uint32_t first_surrogate = 0xD800, first_low_surrogate = 0xDC00, last_surrogate = 0xDFFF;

// Tells whether the text is UTF-8 by RFC 3629: without overlong forms, surrogates and code points
// beyond Unicode.
bool is_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto first = static_cast<unsigned char>(text[i++]);
    if (first < 0x80) continue;
    const int further = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
    if (first < 0xC0 || first >= 0xF8) return false;
    uint32_t code = first & (0x3F >> further);
    for (int k = 0; k < further; ++k, ++i) {
      if (i == text.size() || (text[i] & 0xC0) != 0x80) return false;
      code = code << 6 | (text[i] & 0x3F);
    }
    constexpr uint32_t smallest[] = {0x80, 0x800, 0x10000};
    if (code < smallest[further - 1] || code > 0x10FFFF ||
        (code >= first_surrogate && code <= last_surrogate)) {
      return false;
    }
  }
  return true;
}

void append_utf8(std::string& text, uint32_t code) {
  const auto trail = [&](int shift) { text += static_cast<char>(0x80 | (code >> shift & 0x3F)); };
  if (code < 0x80) {
    text += static_cast<char>(code);
  } else if (code < 0x800) {
    text += static_cast<char>(0xC0 | code >> 6);
    trail(0);
  } else if (code < 0x10000) {
    text += static_cast<char>(0xE0 | code >> 12);
    trail(6);
    trail(0);
  } else {
    text += static_cast<char>(0xF0 | code >> 18);
    trail(12);
    trail(6);
    trail(0);
  }
}

}  // namespace

JsonReader::JsonReader(std::string_view text, const std::string& file) : rest_(text), file_(file) {
  if (!is_utf8(text)) refuse("is not UTF-8");
}

void JsonReader::refuse(const std::string& reason) const {
  throw_damaged(file_, "the JSON in it " + reason);
}

void JsonReader::skip_space() {
  rest_.remove_prefix(std::min(rest_.size(), rest_.find_first_not_of(" \t\r\n")));
}

bool JsonReader::accept(char token) {
  skip_space();
  if (!rest_.starts_with(token)) return false;
  rest_.remove_prefix(1);
  return true;
}

void JsonReader::expect(char token) {
  if (!accept(token)) refuse(std::string("lacks a '") + token + "'");
}

void JsonReader::end() {
  skip_space();
  if (!rest_.empty()) refuse("goes on behind its end");
}

int64_t JsonReader::count() {
  skip_space();
  const auto digits =
      rest_.substr(0, std::min(rest_.size(), rest_.find_first_not_of("0123456789")));
  rest_.remove_prefix(digits.size());
  if (digits.empty() || (digits.size() > 1 && digits.front() == '0')) {
    refuse("lacks a whole number");
  }
  constexpr int64_t largest = std::numeric_limits<int64_t>::max();
  int64_t value = 0;
  for (const char digit : digits) {
    if (value > (largest - (digit - '0')) / 10) refuse("holds too large a number");
    value = value * 10 + (digit - '0');
  }
  return value;
}

int64_t JsonReader::integer() {
  return accept('-') ? -count() : count();
}

double JsonReader::number() {
  skip_space();
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (rest_.starts_with('"')) {
    const std::string word = string();
    if (word == "Infinity") return infinity;
    if (word == "-Infinity") return -infinity;
    if (word == "NaN") return std::numeric_limits<double>::quiet_NaN();
    refuse("lacks a number");
  }
  if (accept_word("Infinity")) return infinity;
  if (accept_word("-Infinity")) return -infinity;
  if (accept_word("NaN")) return std::numeric_limits<double>::quiet_NaN();
  const std::string_view before = rest_;
  skip_number();
  const std::string text(before.substr(0, before.size() - rest_.size()));
  return std::strtod(text.c_str(), nullptr);
}

bool JsonReader::accept_word(std::string_view word) {
  skip_space();
  if (!rest_.starts_with(word)) return false;
  rest_.remove_prefix(word.size());
  return true;
}

bool JsonReader::boolean() {
  if (accept_word("true")) return true;
  if (!accept_word("false")) refuse("lacks a true or false");
  return false;
}

bool JsonReader::null() {
  return accept_word("null");
}

void JsonReader::skip() {
  skip_any(/*levels=*/64);
}

std::string JsonReader::any() {
  skip_space();
  const std::string_view before = rest_;
  skip();
  return std::string(before.substr(0, before.size() - rest_.size()));
}

void JsonReader::skip_any(int levels) {
  if (levels == 0) refuse("is nested too deeply");
  skip_space();
  if (rest_.starts_with('{')) return object([&](const std::string&) { skip_any(levels - 1); });
  if (rest_.starts_with('[')) return array([&] { skip_any(levels - 1); });
  if (rest_.starts_with('"')) {
    string();
    return;
  }
  for (const std::string_view word : {"true", "false", "null"}) {
    if (accept_word(word)) return;
  }
  skip_number();
}

void JsonReader::skip_number() {
  if (rest_.starts_with('-')) rest_.remove_prefix(1);
  if (rest_.starts_with('0')) {
    rest_.remove_prefix(1);
  } else {
    skip_digits();
  }
  if (rest_.starts_with('.')) {
    rest_.remove_prefix(1);
    skip_digits();
  }
  if (rest_.starts_with('e') || rest_.starts_with('E')) {
    rest_.remove_prefix(1);
    if (rest_.starts_with('+') || rest_.starts_with('-')) rest_.remove_prefix(1);
    skip_digits();
  }
}

// One digit at least.
void JsonReader::skip_digits() {
  const size_t count = std::min(rest_.size(), rest_.find_first_not_of("0123456789"));
  if (count == 0) refuse("lacks a value");
  rest_.remove_prefix(count);
}

std::string JsonReader::string() {
  expect('"');
  std::string text;
  while (true) {
    if (rest_.empty()) refuse("ends within a string");
    const char c = rest_.front();
    rest_.remove_prefix(1);
    if (c == '"') return text;
    if (static_cast<unsigned char>(c) < 0x20) refuse("has a control character in a string");
    if (c == '\\') {
      escape(text);
    } else {
      text += c;
    }
  }
}

void JsonReader::escape(std::string& text) {
  constexpr std::string_view names = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
  const char name = rest_.empty() ? '\0' : rest_.front();
  if (const auto known = names.find(name); known != std::string_view::npos) {
    rest_.remove_prefix(1);
    text += meanings[known];
    return;
  }
  if (name != 'u') refuse("has an unknown escape in a string");
  uint32_t code = hex4();
  if (code >= first_surrogate && code < first_low_surrogate && rest_.starts_with("\\u")) {
    rest_.remove_prefix(1);
    const uint32_t low = hex4();
    if (low < first_low_surrogate || low > last_surrogate) refuse("has half a surrogate pair");
    code = 0x10000 + ((code - first_surrogate) << 10) + (low - first_low_surrogate);
  } else if (code >= first_surrogate && code <= last_surrogate) {
    refuse("has half a surrogate pair");
  }
  append_utf8(text, code);
}

// Returns the code unit of "uXXXX".
uint32_t JsonReader::hex4() {
  uint32_t code = 0;
  const auto digits = rest_.substr(1, 4);
  if (digits.size() < 4) refuse("ends within a string");
  for (const char digit : digits) {
    const auto value = std::string_view("0123456789abcdefABCDEF").find(digit);
    if (value == std::string_view::npos) refuse("has an unknown escape in a string");
    code = code << 4 | static_cast<uint32_t>(value < 16 ? value : value - 6);
  }
  rest_.remove_prefix(5);
  return code;
}

std::string json_string(std::string_view text) {
  constexpr char hex[] = "0123456789abcdef";
  std::string json = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      json += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20) {
      json += std::string("\\u00") + hex[c >> 4] + hex[c & 15];
    } else {
      json += c;
    }
  }
  return json + '"';
}

}  // namespace distill
