#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace distill {

// A failure with a stable code. The message says what was expected, what was there, what to do.
struct Error : std::runtime_error {
  Error(std::string code, const std::string& message)
      : std::runtime_error(message), code(std::move(code)) {}
  std::string code;
};

}  // namespace distill
