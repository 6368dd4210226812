#include "core/parallel/team.h"

#include <pthread.h>

#include <algorithm>
#include <system_error>
#include <utility>

namespace distill {
namespace {

// Time for which a region is left to fewer threads than shares, which may be waiting for each
// other.
constexpr std::chrono::milliseconds rescue_time{1};
// Number of such times that the last thread looks for a region before it sleeps until it is woken.
constexpr int most_looks = 100;

}  // namespace

Team::~Team() {
  end_threads();
}

void Team::end_threads() {
  is_ending_ = true;
  for (size_t own = 1; own <= threads_.size(); ++own) members_[own].for_call.ring();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  size_ = 0;
  is_ending_ = false;
}

int Team::enlarge(int shares) {
  if (static_cast<int>(threads_.size()) + 1 < shares) {
    end_threads();  // they look at the members
    members_ = std::make_unique<Member[]>(shares);
    try {
      for (int own = 1; own < shares; ++own) {
        threads_.emplace_back([this, own, last = region_.load()] { work(own, last); });
        ::pthread_setname_np(threads_.back().native_handle(), "distill-team");
      }
    } catch (const std::system_error&) {
      // The threads made so far have to do.
    }
    size_ = static_cast<int>(threads_.size());
    // The last of them may have looked for its place before it was one.
    if (!threads_.empty()) members_[threads_.size()].for_call.ring();
  }
  return std::min(shares, static_cast<int>(threads_.size()) + 1);
}

void Team::run(Function* function, void* data, int shares, const void* code) {
  const auto now = Clock::now();
  function_ = function;
  data_ = data;
  untaken_.store(shares, std::memory_order_relaxed);
  unfinished_.store(shares, std::memory_order_relaxed);
  called_.store(0);
  const Region region{region_.load(std::memory_order_relaxed).number + 1,
                      static_cast<uint64_t>(shares)};
  region_.store(region);
  const int allowed = allowed_threads(shares, now);
  contention_.measure(allowed, now);
  const bool is_short_handed = allowed < shares;
  if (is_short_handed_ != is_short_handed) {
    is_short_handed_ = is_short_handed;
    members_[threads_.size()].for_call.ring();
  }
  call(joint_.contains(code) ? shares : allowed);
  take_shares(region, /*own=*/0, contention_);
  for_end_.until([this] { return unfinished_.load() == 0; }, shares, contention_);
  if (was_rescued_.load(std::memory_order_relaxed)) {
    was_rescued_ = false;
    joint_.insert(code);
  }
}

void Team::call(int threads) {
  int before = called_;
  while (before < threads && !called_.compare_exchange_weak(before, threads)) {
  }
  for (int own = std::max(1, before); own < threads; ++own) members_[own].for_call.ring();
}

void Team::take_shares(const Region& region, int own, Contention& contention) {
  const int shares = static_cast<int>(region.shares);
  for (int i = 0; i < shares && untaken_ > 0; ++i) {
    const int share = own + i < shares ? own + i : own + i - shares;
    // A late thread finds a later region's number here, since a region ends only when all its
    // shares are taken.
    std::atomic<uint64_t>& taken = members_[share].taken;
    uint64_t last = taken.load();
    if (last >= region.number || !taken.compare_exchange_strong(last, region.number)) continue;
    untaken_.fetch_sub(1);
    function_(data_, share);
    if (unfinished_.fetch_sub(1) == 1) for_end_.ring();
  }
}

void Team::work(int own, Region region) {
  Contention contention;
  uint64_t seen = region.number, watched = 0;
  int looks = 0;
  while (true) {
    // The last thread, which is called last, looks after regions that have not called all.
    const auto has_to_watch = [&] { return own == size_ && is_short_handed_; };
    const bool is_watching = has_to_watch();
    const auto is_called = [&] {
      region = region_.load();
      return region.number != seen && called_ > own;
    };
    const auto is_wanted = [&] {
      return is_called() || is_ending_ || is_watching != has_to_watch();
    };
    const bool is_awake =
        members_[own].for_call.until(is_wanted, static_cast<int>(region.shares), contention,
                                     is_watching ? rescue_time : std::chrono::nanoseconds());
    if (is_ending_) return;
    if (is_called()) {
      take_shares(region, own, contention);
      contention.measure(called_, Clock::now());
      seen = region.number;
    } else if (!is_awake) {
      const bool is_new = std::exchange(watched, uint64_t{region.number}) != region.number;
      if (!is_new && unfinished_ > 0) {
        was_rescued_ = true;
        call(static_cast<int>(region.shares));
      }
      looks = is_new ? 0 : looks + 1;
      // The leader, who may have begun a region just now, says again that it is short-handed.
      if (looks > most_looks) {
        is_short_handed_ = false;
        looks = 0;
        if (region_.load().number != watched) is_short_handed_ = true;
      }
    }
  }
}

void Team::barrier(int shares) {
  const uint64_t passed = passed_.load();
  if (arrived_.fetch_add(1) + 1 < shares) {
    call(shares);
    Contention contention;
    for_others_.until([&] { return passed_.load() != passed; }, shares, contention);
    return;
  }
  arrived_.store(0);
  passed_.store(passed + 1);
  for_others_.ring();
}

}  // namespace distill
