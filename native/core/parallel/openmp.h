#pragma once

#include <cstdint>

#include "core/parallel/team.h"

namespace distill {

// Lets parallel regions, LibTorch's and our own, run on our teams instead of OpenMP's where a
// TeamLeader asks for it. What other threads of the process do with LibTorch stays as it is, also
// where it was loaded before this addon. Called once. Returns false, and does nothing, where
// LibTorch asks OpenMP for something that is not known here, or the variable DISTILL_OPENMP is set.
//
// OpenMP's own threads spin for milliseconds for one that has no processor. On a machine where
// anything else runs, a training step of thousands of small regions takes many times as long.
bool replace_openmp();

// Makes parallel regions of the calling thread run on a team of its own, for as long as it lives.
// They have a share for each processor that the process may use, unless LibTorch is told otherwise.
class TeamLeader {
 public:
  TeamLeader();
  ~TeamLeader();

 private:
  Team team_;
};

// Lets the calling thread's regions have so many shares; 0: as many as they have. Makes the threads
// for them, where it is a TeamLeader's, so that the lack of them is told before the work begins.
// Throws ERR_THREADS.
void use_threads(int64_t threads);

}  // namespace distill
