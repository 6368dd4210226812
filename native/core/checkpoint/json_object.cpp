#include "core/checkpoint/json_object.h"

#include <charconv>
#include <utility>

#include "core/checkpoint/json.h"

namespace distill {

JsonObject JsonObject::parse(std::string_view text, const std::string& source) {
  JsonObject object;
  JsonReader reader(text, source);
  reader.object([&](const std::string& name) { object.members_.emplace_back(name, reader.any()); });
  reader.end();
  return object;
}

const std::string* JsonObject::find(std::string_view name) const {
  for (const auto& [known, value] : members_) {
    if (known == name) return &value;
  }
  return nullptr;
}

void JsonObject::set(std::string_view name, std::string json) {
  for (auto& [known, value] : members_) {
    if (known != name) continue;
    value = std::move(json);
    return;
  }
  members_.emplace_back(name, std::move(json));
}

JsonObject& JsonObject::add(std::string_view name, int64_t value) {
  members_.emplace_back(name, std::to_string(value));
  return *this;
}

JsonObject& JsonObject::add(std::string_view name, double value) {
  char digits[32];
  const auto end = std::to_chars(digits, std::end(digits), value, std::chars_format::general, 17);
  members_.emplace_back(name, std::string(digits, end.ptr));
  return *this;
}

JsonObject& JsonObject::add(std::string_view name, const JsonObject& value) {
  members_.emplace_back(name, value.text());
  return *this;
}

std::string JsonObject::text() const {
  std::string text = "{";
  for (const auto& [name, value] : members_) {
    if (text.size() > 1) text += ',';
    text += json_string(name) + ':' + value;
  }
  return text + '}';
}

}  // namespace distill
