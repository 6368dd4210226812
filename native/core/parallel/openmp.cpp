#include "core/parallel/openmp.h"

#include <ATen/Parallel.h>
#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "core/parallel/imports.h"
#include "core/parallel/processors.h"
#include "core/parallel/thread_limits.h"

// The functions of libgomp that compilers make of OpenMP's pragmas, as GCC's libgomp_g.h declares
// them, over a team.
namespace distill {
namespace {

// Work that the shares of a region divide among themselves as they go: the iterations of a loop, or
// sections of code.
struct Division {
  long next, end, step, chunk;
  long ordered;  // where the chunk begins whose turn it is
};

// Above the number of any machine's processors, and small enough for a team to number the shares.
constexpr int most_shares = 4096;

struct Region {
  void (*function)(void*);
  void* data;
  Team* team;  // none where a region has one share
  int shares;
  bool is_parallel;  // it, or one around it
  int max_threads;   // that the leader's regions may have

  // The work that the shares divide, in the order in which each share reaches it. Rarely used.
  std::mutex mutex;
  std::condition_variable turn;
  std::deque<Division> divisions;
};

// The place of a thread in a region.
struct Place {
  Region* region;
  int share;
  size_t divisions = 0;  // that it has come upon
  long chunk_begin = 0, chunk_end = 0;
};
thread_local Place* here = nullptr;
thread_local Team* led = nullptr;  // by the calling thread
bool is_replaced = false;          // OpenMP, by teams

// Returns a function of libgomp itself.
template <typename Function>
Function* real(const char* name) {
  static void* const libtorch = [] {
    Dl_info info = {};
    ::dladdr(reinterpret_cast<const void*>(&at::get_num_threads), &info);
    return ::dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
  }();
  return reinterpret_cast<Function*>(libtorch ? ::dlsym(libtorch, name) : nullptr);
}

// Moves the calling share on to its next division, which the first share to arrive makes from
// `fresh`. Returns whether this is the first one.
bool come_upon(const Division& fresh) {
  Region& region = *here->region;
  const std::lock_guard lock(region.mutex);
  if (region.divisions.size() > here->divisions++) return false;
  region.divisions.push_back(fresh);
  return true;
}

Division& division() {
  return here->region->divisions[here->divisions - 1];
}

bool is_over(const Division& loop, long at) {
  return loop.step > 0 ? at >= loop.end : at <= loop.end;
}

bool take_chunk(Division& loop, long* begin, long* end) {
  if (is_over(loop, loop.next)) return false;
  *begin = loop.next;
  loop.next += loop.chunk * loop.step;
  *end = is_over(loop, loop.next) ? loop.end : loop.next;
  here->chunk_begin = *begin;
  here->chunk_end = *end;
  return true;
}

bool loop_dynamic_next(long* begin, long* end) {
  if (!here) return real<bool(long*, long*)>("GOMP_loop_dynamic_next")(begin, end);
  const std::lock_guard lock(here->region->mutex);
  return take_chunk(division(), begin, end);
}

bool loop_dynamic_start(long first, long last, long step, long chunk, long* begin, long* end) {
  if (!here) {
    return real<bool(long, long, long, long, long*, long*)>("GOMP_loop_dynamic_start")(
        first, last, step, chunk, begin, end);
  }
  come_upon({first, last, step, chunk, first});
  return loop_dynamic_next(begin, end);
}

// Waits until all chunks before the calling share's are done.
void wait_for_turn(std::unique_lock<std::mutex>& lock) {
  here->region->turn.wait(lock, [] { return division().ordered == here->chunk_begin; });
}

void ordered_start() {
  if (!here) return real<void()>("GOMP_ordered_start")();
  std::unique_lock lock(here->region->mutex);
  wait_for_turn(lock);
}

void ordered_end() {
  if (!here) real<void()>("GOMP_ordered_end")();
}

bool loop_ordered_dynamic_next(long* begin, long* end) {
  if (!here) return real<bool(long*, long*)>("GOMP_loop_ordered_dynamic_next")(begin, end);
  std::unique_lock lock(here->region->mutex);
  wait_for_turn(lock);
  division().ordered = here->chunk_end;
  here->region->turn.notify_all();
  return take_chunk(division(), begin, end);
}

bool loop_ordered_dynamic_start(long first, long last, long step, long chunk, long* begin,
                                long* end) {
  if (!here) {
    return real<bool(long, long, long, long, long*, long*)>("GOMP_loop_ordered_dynamic_start")(
        first, last, step, chunk, begin, end);
  }
  come_upon({first, last, step, chunk, first});
  const std::lock_guard lock(here->region->mutex);
  return take_chunk(division(), begin, end);
}

void barrier() {
  if (!here) return real<void()>("GOMP_barrier")();
  if (here->region->team) here->region->team->barrier(here->region->shares);
}

void loop_end() {
  if (!here) return real<void()>("GOMP_loop_end")();
  barrier();
}

void loop_end_nowait() {
  if (!here) real<void()>("GOMP_loop_end_nowait")();
}

unsigned sections_next() {
  if (!here) return real<unsigned()>("GOMP_sections_next")();
  const std::lock_guard lock(here->region->mutex);
  long begin = 0, end = 0;
  return take_chunk(division(), &begin, &end) ? static_cast<unsigned>(begin) : 0;
}

unsigned sections_start(unsigned count) {
  if (!here) return real<unsigned(unsigned)>("GOMP_sections_start")(count);
  come_upon({1, static_cast<long>(count) + 1, 1, 1, 1});
  return sections_next();
}

void sections_end_nowait() {
  if (!here) real<void()>("GOMP_sections_end_nowait")();
}

bool single_start() {
  return here ? come_upon({}) : real<bool()>("GOMP_single_start")();
}

int get_thread_num() {
  static auto* const others = real<int()>("omp_get_thread_num");
  return here ? here->share : others();
}

int get_num_threads() {
  static auto* const others = real<int()>("omp_get_num_threads");
  return here ? here->region->shares : others();
}

int in_parallel() {
  static auto* const others = real<int()>("omp_in_parallel");
  return here ? here->region->is_parallel : others();
}

void do_share(void* data, int share) {
  auto& region = *static_cast<Region*>(data);
  // Threads of a team have a setting of their own, which theirs does not follow.
  if (!led) {
    static auto* const set_num_threads = real<void(int)>("omp_set_num_threads");
    static thread_local int max_threads = 0;
    if (std::exchange(max_threads, region.max_threads) != region.max_threads) {
      set_num_threads(region.max_threads);
    }
  }
  Place place{&region, share};
  Place* const outer = std::exchange(here, &place);
  region.function(region.data);
  here = outer;
}

void parallel(void (*function)(void*), void* data, unsigned num_threads, unsigned flags) {
  static auto* const others =
      real<void(void (*)(void*), void*, unsigned, unsigned)>("GOMP_parallel");
  static auto* const get_max_threads = real<int()>("omp_get_max_threads");
  if (!led && !here) return others(function, data, num_threads, flags);
  const int max_threads = get_max_threads();
  // Regions inside of parallel ones have one share, as OpenMP's have by default.
  const bool is_inside = here && here->region->is_parallel;
  const int asked = is_inside ? 1 : num_threads > 0 ? static_cast<int>(num_threads) : max_threads;
  const int shares = asked > 1 ? led->enlarge(std::min(asked, most_shares)) : 1;
  Region region{function,   data, shares > 1 ? led : nullptr, shares, shares > 1 || is_inside,
                max_threads};
  if (shares > 1) {
    led->run(do_share, &region, shares, reinterpret_cast<const void*>(function));
  } else {
    do_share(&region, 0);
  }
}

template <typename Function>
void* address(Function* function) {
  return reinterpret_cast<void*>(function);
}

const Functions& replacements() {
  static const Functions functions = {
      {"GOMP_barrier", address(barrier)},
      {"GOMP_single_start", address(single_start)},
      {"GOMP_loop_dynamic_start", address(loop_dynamic_start)},
      {"GOMP_loop_dynamic_next", address(loop_dynamic_next)},
      {"GOMP_loop_ordered_dynamic_start", address(loop_ordered_dynamic_start)},
      {"GOMP_loop_ordered_dynamic_next", address(loop_ordered_dynamic_next)},
      {"GOMP_loop_end", address(loop_end)},
      {"GOMP_loop_end_nowait", address(loop_end_nowait)},
      {"GOMP_ordered_start", address(ordered_start)},
      {"GOMP_ordered_end", address(ordered_end)},
      {"GOMP_sections_start", address(sections_start)},
      {"GOMP_sections_next", address(sections_next)},
      {"GOMP_sections_end_nowait", address(sections_end_nowait)},
      {"omp_get_thread_num", address(get_thread_num)},
      {"omp_get_num_threads", address(get_num_threads)},
      {"omp_in_parallel", address(in_parallel)},
  };
  return functions;
}

// Imports that need no replacement, beside the one that begins a region: they do not depend on
// which threads there are.
const std::set<std::string> known = {
    "GOMP_parallel",          "GOMP_atomic_start",   "GOMP_atomic_end",
    "GOMP_critical_start",    "GOMP_critical_end",   "GOMP_critical_name_start",
    "GOMP_critical_name_end", "omp_get_max_threads", "omp_set_num_threads",
    "omp_get_num_procs",      "omp_get_wtime"};

// Returns the number of threads that the control groups allow; 0 if they do not limit it or if the
// user says how many.
int limit_of_threads() {
  if (std::getenv("OMP_NUM_THREADS") || std::getenv("MKL_NUM_THREADS")) return 0;
  try {
    return static_cast<int>(std::ceil(allowed_processors().value_or(0)));
  } catch (const std::exception&) {
    return 0;  // what cannot be read does not limit
  }
}

bool are_known(const Imports& imports) {
  return std::all_of(imports.slots().begin(), imports.slots().end(), [](const auto& slot) {
    return replacements().contains(slot.first) || known.contains(slot.first);
  });
}

}  // namespace

bool replace_openmp() {
  if (std::getenv("DISTILL_OPENMP")) return false;
  const std::vector<std::string> prefixes = {"GOMP_", "omp_"};
  const Imports libtorch(reinterpret_cast<const void*>(&at::get_num_threads), prefixes);
  const Imports addon(reinterpret_cast<const void*>(&replacements), prefixes);
  if (!are_known(libtorch) || !are_known(addon) || !real<void()>("GOMP_parallel")) return false;
  // GOMP_parallel comes last: until it is replaced, the others behave as OpenMP's.
  const Functions beginning = {{"GOMP_parallel", address(parallel)}};
  is_replaced = libtorch.redirect(replacements()) && addon.redirect(replacements()) &&
                libtorch.redirect(beginning) && addon.redirect(beginning);
  return is_replaced;
}

TeamLeader::TeamLeader() {
  if (is_replaced) led = &team_;
  // LibTorch takes a thread for each processor, also where it may not use them.
  static const int processors = limit_of_threads();
  if (processors > 0 && processors < at::get_num_threads()) at::set_num_threads(processors);
}

TeamLeader::~TeamLeader() {
  led = nullptr;
}

void use_threads(int64_t threads) {
  if (threads > 0) at::set_num_threads(static_cast<int>(threads));
  const int shares = at::get_num_threads();
  if (led && led->enlarge(shares) < shares) throw no_more_threads();
}

}  // namespace distill
