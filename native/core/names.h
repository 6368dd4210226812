#pragma once

#include <cstddef>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

namespace distill {

// A value beside the name that it has outside of C++: in JavaScript, in files and in messages. One
// table of these for each set of choices serves reading, writing and error messages.
template <typename Value>
struct Named {
  std::string_view name;
  Value value;
};

template <typename Table>
using NamedValue = std::remove_cvref_t<decltype(std::begin(std::declval<const Table&>())->value)>;

// The value of this name; none where the table lacks it.
template <typename Table>
std::optional<NamedValue<Table>> find_named(const Table& table, std::string_view name) {
  for (const auto& row : table) {
    if (row.name == name) return row.value;
  }
  return std::nullopt;
}

// The name of a value that is in the table.
template <typename Table>
std::string name_of(const Table& table, const NamedValue<Table>& value) {
  for (const auto& row : table) {
    if (row.value == value) return std::string(row.name);
  }
  return {};
}

// All names for a message: "'a', 'b' or 'c'".
template <typename Table>
std::string list_names(const Table& table) {
  std::string list;
  for (size_t i = 0; i < std::size(table); ++i) {
    if (i > 0) list += i + 1 == std::size(table) ? " or " : ", ";
    list += '\'';
    list += table[i].name;
    list += '\'';
  }
  return list;
}

}  // namespace distill
