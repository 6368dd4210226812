// Runs OpenMP's constructs on a team of the addon's own, in the place of LibTorch's OpenMP, and
// prints a line for each property: "ok …" or "FAILED …".

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <omp.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <numeric>
#include <thread>
#include <vector>

#include "core/error.h"
#include "core/parallel/contention.h"
#include "core/parallel/openmp.h"
#include "core/parallel/processors.h"

using namespace distill;

namespace {

void check(const std::string& name, bool is_so) {
  std::printf("%s %s\n", is_so ? "ok" : "FAILED", name.c_str());
  std::fflush(stdout);
}

// As others that use LibTorch in this process do it: without a team.
void elsewhere(const std::function<void()>& work) {
  std::thread(work).join();
}

std::string with(int shares) {
  return ", " + std::to_string(shares) + " shares";
}

void check_regions(int shares) {
  std::vector<int> done(shares), threads(shares);
#pragma omp parallel num_threads(shares)
  {
    ++done[omp_get_thread_num()];
    threads[omp_get_thread_num()] = omp_get_num_threads();
  }
  check("each share once" + with(shares), done == std::vector<int>(shares, 1));
  check("shares know their number" + with(shares), threads == std::vector<int>(shares, shares));

  std::atomic<int> inner = 0, deep = 0;
#pragma omp parallel num_threads(shares)
  {
#pragma omp parallel num_threads(4)
    {
      inner += omp_get_num_threads();
      deep += omp_in_parallel();
    }
  }
  const int expected = shares > 1 ? shares : 16;  // inside of a single share, all may be had
  check("regions inside of regions have one share" + with(shares), inner == expected);
  check("regions inside of regions are parallel" + with(shares), deep == (shares > 1 ? shares : 4));
}

void check_barriers(int shares, int rounds) {
  std::vector<int> step(shares);
  std::atomic<int> wrong = 0;
#pragma omp parallel num_threads(shares)
  {
    const int own = omp_get_thread_num();
    for (int round = 1; round <= rounds; ++round) {
      step[own] = round;
#pragma omp barrier
      if (step[(own + 1) % shares] != round) ++wrong;
#pragma omp barrier
    }
  }
  check("barriers" + with(shares), wrong == 0);

  // Libraries wait by themselves, so that the team is not told that shares wait for each other.
  std::atomic<int> here = 0;
#pragma omp parallel num_threads(shares)
  {
    ++here;
    while (here < shares) std::this_thread::yield();
  }
  check("shares that wait for each other" + with(shares), here == shares);
}

void check_divisions(int shares) {
  constexpr int count = 1001;
  std::vector<int> seen(count), backwards(count), order, expected(count);
  std::atomic<int> entered = 0;
#pragma omp parallel num_threads(shares)
  {
    ++entered;  // else the compiler makes one call of both pragmas
#pragma omp for schedule(monotonic : dynamic, 3)
    for (int i = 0; i < count; ++i) ++seen[i];
#pragma omp for schedule(monotonic : dynamic, 2)
    for (int i = count - 1; i >= 0; i -= 5) ++backwards[i];
#pragma omp for ordered schedule(monotonic : dynamic, 2)
    for (int i = 0; i < count; ++i) {
#pragma omp ordered
      order.push_back(i);
    }
  }
  check("dynamic loops" + with(shares), seen == std::vector<int>(count, 1));
  check(
      "dynamic loops downwards" + with(shares),
      std::accumulate(backwards.begin(), backwards.end(), 0) == count / 5 + 1 && backwards[0] == 1);
  std::iota(expected.begin(), expected.end(), 0);
  check("ordered loops" + with(shares), order == expected);

  std::atomic<int> first = 0, second = 0, third = 0, single = 0;
  int sum = 0;
#pragma omp parallel num_threads(shares)
  {
#pragma omp sections nowait
    {
#pragma omp section
      ++first;
#pragma omp section
      ++second;
#pragma omp section
      ++third;
    }
#pragma omp single nowait
    ++single;
#pragma omp single nowait
    ++single;
#pragma omp critical
    sum += omp_get_thread_num();
  }
  check("sections" + with(shares), first == 1 && second == 1 && third == 1);
  check("single" + with(shares), single == 2);
  check("critical" + with(shares), sum == shares * (shares - 1) / 2);
}

// A convolution, its gradients and sums: oneDNN's regions and ATen's.
std::vector<at::Tensor> compute(int threads) {
  at::set_num_threads(threads);
  at::manual_seed(1);
  const at::Tensor x = at::randn({4, 16, 40, 40}).requires_grad_();
  const at::Tensor w = at::randn({32, 16, 3, 3}).requires_grad_();
  const at::Tensor y = at::relu(at::conv2d(x, w, {}, 1, 1));
  (at::matmul(y.flatten(1), y.flatten(1).t()).sum() + y.pow(2).mean()).backward();
  return {y.detach(), x.grad(), w.grad(), at::randn({1000, 1000}).sum(0)};
}

void check_libtorch() {
  for (const int threads : {1, 2, 3, 7}) {
    std::vector<at::Tensor> theirs;
    elsewhere([&] { theirs = compute(threads); });
    const std::vector<at::Tensor> ours = compute(threads);
    bool same = true;
    for (size_t i = 0; i < ours.size(); ++i) same = same && ours[i].equal(theirs[i]);
    check("LibTorch's numbers are those on OpenMP's threads, to the bit" + with(threads), same);
  }
}

// Waits for what will be, and how long is the system's to say.
bool comes_true(const std::function<bool()>& condition) {
  const auto end = Clock::now() + std::chrono::seconds(60);
  while (Clock::now() < end) {
    if (condition()) return true;
#pragma omp parallel num_threads(2)
    at::randn({1000}).sum();
  }
  return false;
}

// Programs that take whatever processors there are, until they are killed.
class Others {
 public:
  explicit Others(unsigned count) : processes_(count) {
    for (pid_t& process : processes_) {
      const char* const args[] = {"timeout", "100", "sh", "-c", "while :; do :; done", nullptr};
      ::posix_spawnp(&process, args[0], nullptr, nullptr, const_cast<char* const*>(args), environ);
    }
  }
  ~Others() {
    for (const pid_t process : processes_) ::kill(process, SIGTERM);
    for (const pid_t process : processes_) ::waitpid(process, nullptr, 0);
  }

 private:
  std::vector<pid_t> processes_;
};

// The shares of a new team's first region, which wait for each other by themselves.
void check_new_teams() {
  std::atomic<int> lonely = 0;
  for (int team = 0; team < 200; ++team) {
    elsewhere([&] {
      const TeamLeader leader;
      std::atomic<int> here = 0;
      const auto end = Clock::now() + std::chrono::seconds(5);
#pragma omp parallel num_threads(2)
      {
        ++here;
        while (here < 2 && Clock::now() < end) {
        }
      }
      if (Clock::now() >= end) ++lonely;
    });
  }
  check("shares that wait for each other in a new team", lonely == 0);
}

void check_contention() {
  const auto are_fewer = [] { return allowed_threads(2, Clock::now()) < 2; };
  {
    const Others others(2 * std::thread::hardware_concurrency());
    check("fewer threads are allowed while others compete", comes_true(are_fewer));
    for (const int shares : {2, 8}) {
      check_barriers(shares, /*rounds=*/10);
      check_divisions(shares);
    }
    check_new_teams();
  }
  // Unless programs of somebody else's go on.
  double load = 0;
  check("all are allowed again afterwards",
        comes_true([&] { return !are_fewer(); }) ||
            (::getloadavg(&load, 1) == 1 && load > std::thread::hardware_concurrency()));
}

void check_limits() {
  namespace fs = std::filesystem;
  const fs::path root = fs::temp_directory_path() / ("distill-teams-" + std::to_string(::getpid()));
  const auto write = [&](const std::string& file, const std::string& text) {
    fs::create_directories((root / file).parent_path());
    std::ofstream(root / file) << text;
  };
  const auto limit = [&] { return allowed_processors(root / "proc", root / "groups").value_or(0); };
  write("proc/cgroup", "0::/a/b\n");
  check("no limit", limit() == 0);
  write("groups/a/b/cpu.max", "max 100000\n");
  check("version 2 without a limit", limit() == 0);
  write("groups/a/cpu.max", "50000 100000\n");
  check("version 2, of a group around it", limit() == 0.5);
  write("proc/cgroup", "4:cpu,cpuacct:/docker/abc\n3:cpuset:/docker/abc\n");
  write("groups/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  write("groups/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  check("version 1 without a limit", limit() == 0);
  write("groups/cpu,cpuacct/cpu.cfs_quota_us", "250000\n");
  check("version 1, seen from a container", limit() == 2.5);
  write("groups/cpu,cpuacct/cpu.cfs_quota_us", "nonsense\n");
  check("nonsense is no limit", limit() == 0);
  fs::remove_all(root);
}

void check_refusal() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return;  // a sanitizer itself does not go on without memory
#endif
  elsewhere([] {
    const TeamLeader leader;
    // Without memory for their stacks the system makes no threads.
    rlimit before = {};
    ::getrlimit(RLIMIT_AS, &before);
    const rlimit least = {1, before.rlim_max};
    ::setrlimit(RLIMIT_AS, &least);
    std::string code;
    try {
      use_threads(64);
    } catch (const Error& error) {
      code = error.code;
    }
    std::atomic<int> shares = 0;
#pragma omp parallel num_threads(64)
    ++shares;
    ::setrlimit(RLIMIT_AS, &before);
    check("a thread that cannot be made is told", code == "ERR_THREADS");
    check("regions have the shares that there are threads for", shares >= 1 && shares < 64);
    at::set_num_threads(2);
  });
}

}  // namespace

int main() {
  check("OpenMP is replaced", replace_openmp());
  check_limits();
  const TeamLeader leader;
  for (const int shares : {1, 2, 3, 8}) {
    check_regions(shares);
    check_barriers(shares, /*rounds=*/200);
    check_divisions(shares);
  }
  check_libtorch();
  check_refusal();
  elsewhere([] {
    std::atomic<int> shares = 0;
#pragma omp parallel num_threads(3)
    ++shares;
    check("OpenMP's own threads elsewhere", shares == 3 && omp_get_num_threads() == 1);
  });
  check_contention();
  return 0;
}
