#pragma once

#include "core/graph/program.h"

namespace distill {

// Leaves out calls whose results nobody reads, and the tensors that only they read.
void drop_unused(Program& program);

// The same numbers by calls that cost less, in training as well: a linear layer that is spread over
// two calls becomes one, activations in place get results of their own, and convolutions are told
// apart that have a faster way.
void simplify(Program& program);

}  // namespace distill
