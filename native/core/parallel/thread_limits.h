#pragma once

#include "core/error.h"

namespace distill {

// Makes the error ERR_THREADS, for a system that refuses to make a thread: it names the limits that
// may be reached.
Error no_more_threads();

}  // namespace distill
