#pragma once

#include <string_view>

#include "core/graph/program.h"

namespace distill {

// What a graph computes with sizes: Python's operators on whole numbers, floats and booleans, and
// a tensor's sizes. nullptr for an unknown name. The functions throw std::invalid_argument, with a
// phrase for a message, on a wrong number or type of arguments, on overflow and on division by 0.
ScalarFunction* find_scalar_function(std::string_view name);

}  // namespace distill
