#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "core/parallel/waiting.h"

namespace distill {

// A team of threads that share the work of one other thread, their leader.
//
// A region's work is cut into shares, which are what OpenMP calls its threads. Each thread begins
// with the share of its own number and then takes shares that no thread has begun. If other
// programs keep a thread from running, the others do its share instead of waiting for it. Results
// depend on how the work is cut, not on which thread does a share.
//
// While other programs compete for the processors, fewer threads are called: two programs that take
// turns on each core, some microseconds each, are slower than two that have a core each.
//
// Shares may wait for each other (OpenMP's barriers): there is a thread for each, and all of them
// are called once that shows.
class Team {
 public:
  using Function = void(void* data, int share);

  Team() = default;
  ~Team();  // ends its threads
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  // Makes threads for regions of so many shares, unless it has them. Returns how many shares there
  // are threads for: fewer where the system refuses more. Called by the leader, outside of regions.
  int enlarge(int shares);

  // Does function(data, share) once for each share, on the leader's thread and the team's. Called
  // by the leader, outside of regions. The function must not throw. `code` tells regions that do
  // the same from others.
  void run(Function* function, void* data, int shares, const void* code);

  // Waits until all shares of the region have come here. Called by each of them.
  void barrier(int shares);

 private:
  // One word, so that a thread never sees one region's number with another's shares.
  struct Region {
    uint64_t number : 48;  // never comes round
    uint64_t shares : 16;
  };
  // A share and the thread that begins with it.
  struct alignas(64) Member {
    std::atomic<uint64_t> taken = 0;  // the last region in which somebody took the share
    Waiting for_call;
  };

  // region: the last one before the thread was made.
  void work(int own, Region region);
  void take_shares(const Region& region, int own, Contention& contention);
  // Calls the first so many threads to the region, but for those that have been called.
  void call(int threads);
  void end_threads();

  // Written by the leader, while no share is left to do.
  Function* function_ = nullptr;
  void* data_ = nullptr;

  std::atomic<bool> is_ending_ = false;
  std::vector<std::thread> threads_;
  std::atomic<int> size_ = 0;  // of the threads; the last of them has this number
  std::unique_ptr<Member[]> members_;

  alignas(64) std::atomic<Region> region_ = Region{0, 0};
  std::atomic<int> called_ = 0;                // threads that the region is for
  std::atomic<bool> was_rescued_ = false;      // it turned out to need them all
  std::atomic<bool> is_short_handed_ = false;  // regions have fewer threads than shares
  alignas(64) std::atomic<int> untaken_ = 0;   // shares
  alignas(64) std::atomic<int> unfinished_ = 0;
  Waiting for_end_;
  alignas(64) std::atomic<int> arrived_ = 0;  // shares, at the barrier
  std::atomic<uint64_t> passed_ = 0;          // barriers
  Waiting for_others_;

  // The state of the leader.
  Contention contention_;
  std::set<const void*> joint_;  // code whose shares wait for each other, or take long
};

}  // namespace distill
