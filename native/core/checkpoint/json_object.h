#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace distill {

// A JSON object that is put together member by member, in order.
class JsonObject {
 public:
  // Takes over the members of an object's text, their values as they are written there. Throws
  // ERR_CHECKPOINT_CORRUPT where the text is anything but an object; `source` names it in messages.
  static JsonObject parse(std::string_view text, const std::string& source);

  // The value of the first member of this name, as JSON; nullptr without one.
  const std::string* find(std::string_view name) const;
  // Replaces the value of that member, or adds one.
  void set(std::string_view name, std::string json);

  JsonObject& add(std::string_view name, int64_t value);
  // Written with 17 digits, from which the same double is read back. It must be finite.
  JsonObject& add(std::string_view name, double value);
  JsonObject& add(std::string_view name, const JsonObject& value);

  // The object without white space between its members.
  std::string text() const;

 private:
  std::vector<std::pair<std::string, std::string>> members_;  // the value as JSON
};

}  // namespace distill
