#include "core/parallel/waiting.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <limits>

namespace distill {

static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t), "a futex is a bare word");

void Waiting::sleep(uint32_t heard, std::chrono::nanoseconds most) {
  const timespec time = {0, static_cast<long>(most.count())};
  ::syscall(SYS_futex, &rings_, FUTEX_WAIT_PRIVATE, heard, most.count() > 0 ? &time : nullptr,
            nullptr, 0);
}

void Waiting::wake() {
  rings_.fetch_add(1);
  ::syscall(SYS_futex, &rings_, FUTEX_WAKE_PRIVATE, std::numeric_limits<int>::max(), nullptr,
            nullptr, 0);
}

}  // namespace distill
