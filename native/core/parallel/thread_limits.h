#pragma once

#include "core/error.h"

namespace distill {

// ERR_THREADS, for where the system refuses to make a thread: names the limits that it may be at.
Error no_more_threads();

}  // namespace distill
