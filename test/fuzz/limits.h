#pragma once

#include <sanitizer/allocator_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sys/time.h>

#include <atomic>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace distill::fuzz {

// Ends the process where an input takes more than a reader may:
//   memory: four times the file, and 64 MiB (or DISTILL_FUZZ_SLACK of them, to search for what
//   small
//     files multiply). Counted are the bytes that are asked of malloc and new, in LibTorch and
//     other libraries too, and not given back yet; what was there before the input is not.
//   time: DISTILL_FUZZ_SECONDS of the processor's, which a busy machine does not change.
class Limits {
 public:
  explicit Limits(size_t file_size) {
    static const int installed = __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
    if (installed == 0) std::abort();
    std::signal(SIGPROF, [](int) { stop("timeout"); });
    set_timer(seconds());
    in_use = 0;
    most = static_cast<int64_t>(4 * file_size + slack());
  }
  ~Limits() {
    most = unlimited;
    set_timer(0);
  }
  Limits(const Limits&) = delete;
  Limits& operator=(const Limits&) = delete;

 private:
  static constexpr int64_t unlimited = INT64_MAX;

  static size_t number(const char* variable, size_t otherwise) {
    const char* text = std::getenv(variable);
    return text ? std::strtoull(text, nullptr, 10) : otherwise;
  }
  static size_t slack() {
    static const size_t mebibytes = number("DISTILL_FUZZ_SLACK", 64);
    return mebibytes << 20;
  }
  static time_t seconds() {
    static const size_t seconds = number("DISTILL_FUZZ_SECONDS", 5);
    return static_cast<time_t>(seconds);
  }
  static void set_timer(time_t seconds) {
    const itimerval timer{.it_interval = {}, .it_value = {.tv_sec = seconds}};
    ::setitimer(ITIMER_PROF, &timer, nullptr);
  }

  [[noreturn]] static void stop(const char* reason) {
    most = unlimited;  // what follows allocates as well
    std::fprintf(stderr, "==ERROR: %s\n", reason);
    __sanitizer_print_stack_trace();
    std::abort();
  }

  static void on_malloc(const volatile void*, size_t size) {
    if ((in_use += static_cast<int64_t>(size)) > most) stop("memory beyond the limit");
  }
  static void on_free(const volatile void* memory) {
    in_use -= static_cast<int64_t>(__sanitizer_get_allocated_size(const_cast<const void*>(memory)));
  }

  static inline std::atomic<int64_t> in_use = 0, most = unlimited;
};

}  // namespace distill::fuzz
