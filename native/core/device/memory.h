#pragma once

namespace distill {

// Makes LibTorch keep large blocks of memory for the next tensor rather than give them back to the
// system at once: with its own allocator the page faults of a training step cost more than its
// arithmetic. Called once, before the first tensor is made.
void keep_freed_memory();

// Gives the memory that no tensor uses back to the system.
void release_freed_memory();

}  // namespace distill
