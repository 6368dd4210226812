#pragma once

#include <cstddef>
#include <new>

namespace distill {

// Makes LibTorch keep large blocks of memory for the next tensor rather than give them back to the
// system at once: with its own allocator the page faults of a training step cost more than its
// arithmetic. Called once, before the first tensor is made.
void keep_freed_memory();

// Gives the memory that no tensor uses back to the system.
void release_freed_memory();

// Thrown where memory would be taken beyond a limit.
struct OverLimit final : std::bad_alloc {};

// Bounds the memory that tensors of the CPU may take on this thread while it lives, besides what is
// in use when it begins. Blocks too small to be kept count as if none of them was
// given back. A tensor for which it does not suffice throws OverLimit.
class AllocationLimit {
 public:
  explicit AllocationLimit(size_t bytes);
  ~AllocationLimit();
  AllocationLimit(const AllocationLimit&) = delete;
  AllocationLimit& operator=(const AllocationLimit&) = delete;

 private:
  size_t before_, small_before_;
};

}  // namespace distill
