// Loaded before a program (LD_PRELOAD), refuses it more threads than the variable MOST_THREADS
// says, as the system does where a limit is reached: ulimit -u has none for root, and a container's
// is not everyone's to set.
#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>

#include <cerrno>
#include <cstdlib>

extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                              void* (*run)(void*), void* data) {
  using Create = int(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static auto* const create = reinterpret_cast<Create*>(dlsym(RTLD_NEXT, "pthread_create"));
  const char* most = std::getenv("MOST_THREADS");
  int threads = 0;
  if (DIR* folder = most ? opendir("/proc/self/task") : nullptr) {
    while (const dirent* entry = readdir(folder)) threads += entry->d_name[0] != '.';
    closedir(folder);
  }
  if (most && threads >= std::atoi(most)) return EAGAIN;
  return create(thread, attributes, run, data);
}
