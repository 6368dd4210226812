#pragma once

#include <ATen/core/function_schema.h>

#include <functional>
#include <string>

#include "core/graph/program.h"

namespace distill {

// Finds the value of a name; `is_tensor` tells which kind of value is wanted.
using FindValue = std::function<ValueId(const std::string& name, bool is_tensor)>;

// Binds arguments by name to the schema of an operator, in its order, with its defaults. Throws
// std::invalid_argument, with a phrase for a message, where an argument is unknown, missing or of
// another type, and what `find` throws.
std::vector<Operand> bind_arguments(
    const std::vector<std::pair<std::string, GraphArgument>>& arguments,
    const c10::FunctionSchema& schema, const FindValue& find);

}  // namespace distill
