#include "core/device/memory.h"

#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <map>
#include <mutex>
#include <new>
#include <unordered_map>
#include <utility>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(data, bytes) (void(data), void(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(data, bytes) (void(data), void(bytes))
#endif

namespace distill {
namespace {

constexpr size_t alignment = 64;               // a cache line, and the widest vector
constexpr size_t huge_page = size_t{2} << 20;  // of x86-64, and of arm64 with pages of 4 KiB
constexpr size_t smallest_kept = 64 << 10;     // malloc serves smaller blocks without the system
// Bytes of idle memory that are tolerated when more is taken, besides the most used at once.
constexpr size_t idle_allowance = 64 << 20;

// Rounds up to one of a few sizes for each power of two, so that a slightly smaller tensor finds a
// block, too.
size_t rounded(size_t bytes) {
  size_t step = smallest_kept;
  while (step * 8 < bytes) step *= 2;
  return (bytes + step - 1) / step * step;
}

// A block of whole pages straight from the system. Large ones begin where a huge page does: one
// page fault for 2 MiB instead of 512, and fewer misses of the TLB.
void* map_block(size_t bytes) {
  const bool huge = bytes >= huge_page;
  const size_t slack = huge ? huge_page : 0;
  void* mapped = ::mmap(nullptr, bytes + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                        /*fd=*/-1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  if (!huge) return mapped;
  auto* const first = static_cast<char*>(mapped);
  const size_t before = (huge_page - reinterpret_cast<uintptr_t>(first) % huge_page) % huge_page;
  if (before > 0) ::munmap(first, before);
  if (before < slack) ::munmap(first + before + bytes, slack - before);
#ifdef MADV_HUGEPAGE
  ::madvise(first + before, bytes, MADV_HUGEPAGE);
#endif
  return first + before;
}

constexpr size_t unlimited = std::numeric_limits<size_t>::max();
// The most bytes that may be in use when this thread takes more.
thread_local size_t most_in_use = unlimited;
// The bytes that this thread may take in small blocks.
thread_local size_t small_left = unlimited;

class KeepingAllocator final : public c10::Allocator {
 public:
  // Never destroyed: tensors may outlive every other object.
  static KeepingAllocator& instance() {
    static auto* const allocator = new KeepingAllocator;
    return *allocator;
  }

  c10::DataPtr allocate(size_t bytes) override {
    void* data = take(bytes);
    return {data, data, raw_deleter(), c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override {
    return [](void* data) { instance().give_back(data); };
  }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }

  size_t used_bytes() {
    const std::lock_guard lock(mutex_);
    return used_bytes_;
  }

  void release() {
    const std::lock_guard lock(mutex_);
    unmap_idle();
    most_used_bytes_ = used_bytes_;
  }

 private:
  void unmap_idle() {
    for (const auto& [size, data] : idle_) {
      ASAN_UNPOISON_MEMORY_REGION(data, size);
      ::munmap(data, size);
    }
    idle_.clear();
    idle_bytes_ = 0;
  }

  void* take(size_t bytes) {
    if (bytes == 0) return nullptr;
    if (bytes < smallest_kept) {
      if (bytes > small_left) throw OverLimit();
      if (most_in_use != unlimited) small_left -= bytes;
      void* data = nullptr;
      if (::posix_memalign(&data, alignment, bytes) != 0) throw std::bad_alloc();
      return data;
    }
    const std::lock_guard lock(mutex_);
    if (bytes > most_in_use || used_bytes_ > most_in_use - bytes) throw OverLimit();
    auto idle = idle_.lower_bound(rounded(bytes));
    if (idle == idle_.end() || idle->first > 2 * rounded(bytes)) {
      if (idle_bytes_ > most_used_bytes_ + idle_allowance) unmap_idle();
      idle = idle_.emplace(rounded(bytes), map_block(rounded(bytes)));
      idle_bytes_ += idle->first;
    }
    const auto [size, data] = *idle;
    idle_.erase(idle);
    idle_bytes_ -= size;
    used_.emplace(data, size);
    used_bytes_ += size;
    most_used_bytes_ = std::max(most_used_bytes_, used_bytes_);
    // AddressSanitizer is to find who goes beyond a block, or comes back to an idle one.
    ASAN_POISON_MEMORY_REGION(data, size);
    ASAN_UNPOISON_MEMORY_REGION(data, bytes);
    return data;
  }

  void give_back(void* data) {
    if (data == nullptr) return;
    {
      const std::lock_guard lock(mutex_);
      if (const auto used = used_.find(data); used != used_.end()) {
        ASAN_POISON_MEMORY_REGION(data, used->second);
        idle_.emplace(used->second, data);
        idle_bytes_ += used->second;
        used_bytes_ -= used->second;
        used_.erase(used);
        return;
      }
    }
    std::free(data);  // a small one, or LibTorch's from before this allocator was in place
  }

  std::mutex mutex_;
  std::multimap<size_t, void*> idle_;  // by size
  std::unordered_map<void*, size_t> used_;
  size_t idle_bytes_ = 0, used_bytes_ = 0, most_used_bytes_ = 0;
};

}  // namespace

void keep_freed_memory() {
  c10::SetCPUAllocator(&KeepingAllocator::instance());
}

void release_freed_memory() {
  KeepingAllocator::instance().release();
#ifdef __GLIBC__
  // Each thread that has been at work leaves pages of small blocks behind, which glibc keeps.
  ::malloc_trim(0);
#endif
}

AllocationLimit::AllocationLimit(size_t bytes)
    : before_(std::exchange(most_in_use, KeepingAllocator::instance().used_bytes() + bytes)),
      small_before_(std::exchange(small_left, bytes)) {}

AllocationLimit::~AllocationLimit() {
  most_in_use = before_;
  small_left = small_before_;
}

}  // namespace distill
