#pragma once

namespace distill {

// Makes LibTorch keep large blocks of memory for the next tensor rather than give them back to the
// system at once: with its own allocator the page faults of a training step cost more than its
// arithmetic. Called once, before the first tensor is made.
void keep_freed_memory();

// Gives the memory that no tensor uses back to the system.
void release_freed_memory();

// Bounds the memory that tensors of the CPU may take on this thread while it lives, besides what is
// in use when it begins. A tensor for which it does not suffice throws std::bad_alloc.
class AllocationLimit {
 public:
  explicit AllocationLimit(size_t bytes);
  ~AllocationLimit();
  AllocationLimit(const AllocationLimit&) = delete;
  AllocationLimit& operator=(const AllocationLimit&) = delete;

 private:
  size_t before_;
};

}  // namespace distill
