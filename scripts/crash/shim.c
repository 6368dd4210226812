// Preloaded into a process, this counts its calls that change files below a folder, and disturbs
// the one that it is told to: it kills the process before, after or in the middle of it, or lets it
// fail. shim.js compiles and controls it.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum action { NOTHING, KILL_BEFORE, KILL_AFTER, KILL_HALFWAY, FAIL, SHORT };

// The file that shim.js writes to, all but the last field, and reads that one from.
static volatile struct {
  int64_t at;       // the call that is disturbed, from 1
  int64_t action;   // an enum action
  int64_t error;    // errno, where it fails
  int64_t lasting;  // 1: later calls that take room fail as well; 2: all later calls
  int64_t copying;  // 1: every file that has its own name is copied after each change
  _Atomic int64_t count;
} * control;

static const char *folder, *copies;  // end with a slash
static int trace;

// The function that a wrapper of the same name stands before.
#define REAL(name)                                               \
  ({                                                             \
    static __typeof__(&name) real;                               \
    if (!real) real = (__typeof__(real))dlsym(RTLD_NEXT, #name); \
    real;                                                        \
  })

__attribute__((constructor)) static void start(void) {
  folder = getenv("CRASH_FOLDER");
  copies = getenv("CRASH_COPIES");
  const char *shared = getenv("CRASH_CONTROL"), *lines = getenv("CRASH_TRACE");
  if (!folder || !copies || !shared || !lines) return;
  const int file = REAL(open)(shared, O_RDWR | O_CLOEXEC);
  trace = REAL(open)(lines, O_WRONLY | O_APPEND | O_CLOEXEC);
  void* mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (trace < 0 || mapped == MAP_FAILED) abort();
  close(file);
  control = mapped;
}

static void die(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

// A call that may be disturbed. Its number is 0 where it changes nothing below the folder.
struct call {
  char path[PATH_MAX];
  char from[PATH_MAX];  // where it is renamed from, or empty
  int64_t number;
  enum action action;
};

static void path_of(char* path, int descriptor) {
  char link[32];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  const ssize_t length = readlink(link, path, PATH_MAX - 1);
  path[length < 0 ? 0 : length] = 0;
}

static void path_at(char* path, int descriptor, const char* name) {
  char base[PATH_MAX] = "";
  if (name[0] != '/') {
    if (descriptor != AT_FDCWD)
      path_of(base, descriptor);
    else if (!getcwd(base, sizeof base))
      base[0] = 0;
    strncat(base, "/", sizeof base - strlen(base) - 1);
  }
  if (snprintf(path, PATH_MAX, "%s%s", base, name) >= PATH_MAX) path[0] = 0;
}

// The part of a path below the folder, or null.
static const char* below(const char* path) {
  const size_t length = strlen(folder);
  return strncmp(path, folder, length) == 0 ? path + length : NULL;
}

// Numbers a call, writes it to the trace, and decides what becomes of it.
static void enter(struct call* call, const char* name, int takes_room) {
  call->number = 0;
  call->action = NOTHING;
  if (!control || !below(call->path)) return;
  call->number = atomic_fetch_add(&control->count, 1) + 1;
  char line[2 * PATH_MAX + 64];
  const char* from = below(call->from);
  const int length = snprintf(line, sizeof line, "%lld\t%s\t%s\t%s\n", (long long)call->number,
                              name, below(call->path), from ? from : "");
  if (REAL(write)(trace, line, length) != length) abort();
  if (control->at == 0 || call->number < control->at) return;
  const int lasts = control->lasting == 2 || (control->lasting == 1 && takes_room);
  if (call->number == control->at || lasts) call->action = control->action;
  if (call->action == KILL_BEFORE) die();
  if (call->action == FAIL) errno = control->error;
}

static void copy(const struct call* call) {
  struct stat status;
  const int from = REAL(open)(call->path, O_RDONLY | O_CLOEXEC);
  if (from < 0) return;
  if (fstat(from, &status) == 0 && S_ISREG(status.st_mode)) {
    char name[PATH_MAX];
    snprintf(name, sizeof name, "%s%lld", copies, (long long)call->number);
    const int to = REAL(open)(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    while (sendfile(to, from, NULL, 1 << 30) > 0) continue;
    close(to);
  }
  close(from);
}

static void leave(const struct call* call) {
  if (call->number == 0) return;
  if (call->action == KILL_AFTER) die();
  const int error = errno;
  if (control->copying && !strstr(call->path, "/.node-distill-")) copy(call);
  errno = error;
}

// Wraps a function. `where` finds the path, and `half` does a part of the call.
#define WRAP(type, name, parameters, arguments, where, takes_room, half) \
  type name parameters {                                                 \
    struct call call;                                                    \
    call.from[0] = 0;                                                    \
    where;                                                               \
    enter(&call, #name, takes_room);                                     \
    if (call.action == FAIL) return -1;                                  \
    if (call.action == SHORT || call.action == KILL_HALFWAY) {           \
      const type part = half;                                            \
      if (call.action == KILL_HALFWAY) die();                            \
      return part;                                                       \
    }                                                                    \
    const type result = REAL(name) arguments;                            \
    leave(&call);                                                        \
    return result;                                                       \
  }

// What cannot be done by half is done.
#define ON_PATH(name, parameters, arguments, at, named, takes_room)                 \
  WRAP(int, name, parameters, arguments, path_at(call.path, at, named), takes_room, \
       REAL(name) arguments)
#define ON_FILE(name, parameters, arguments) \
  WRAP(int, name, parameters, arguments, path_of(call.path, file), 0, REAL(name) arguments)

ON_PATH(mkdir, (const char* path, mode_t mode), (path, mode), AT_FDCWD, path, 1)
ON_PATH(mkdirat, (int at, const char* path, mode_t mode), (at, path, mode), at, path, 1)
ON_PATH(rmdir, (const char* path), (path), AT_FDCWD, path, 0)
ON_PATH(unlink, (const char* path), (path), AT_FDCWD, path, 0)
ON_PATH(remove, (const char* path), (path), AT_FDCWD, path, 0)
ON_PATH(unlinkat, (int at, const char* path, int flags), (at, path, flags), at, path, 0)
ON_PATH(link, (const char* from, const char* to), (from, to), AT_FDCWD, to, 1)
ON_PATH(symlink, (const char* from, const char* to), (from, to), AT_FDCWD, to, 1)
ON_PATH(chmod, (const char* path, mode_t mode), (path, mode), AT_FDCWD, path, 0)
ON_FILE(fsync, (int file), (file))
ON_FILE(fdatasync, (int file), (file))
ON_FILE(fchmod, (int file, mode_t mode), (file, mode))
ON_FILE(fchown, (int file, uid_t user, gid_t group), (file, user, group))
ON_FILE(ftruncate, (int file, off_t size), (file, size))
ON_FILE(ftruncate64, (int file, off64_t size), (file, size))

#define RENAME(name, parameters, arguments, from_at, to_at)                   \
  WRAP(int, name, parameters, arguments,                                      \
       (path_at(call.from, from_at, from), path_at(call.path, to_at, to)), 0, \
       REAL(name) arguments)

RENAME(rename, (const char* from, const char* to), (from, to), AT_FDCWD, AT_FDCWD)
RENAME(renameat, (int at, const char* from, int to_at, const char* to), (at, from, to_at, to), at,
       to_at)
RENAME(renameat2, (int at, const char* from, int to_at, const char* to, unsigned flags),
       (at, from, to_at, to, flags), at, to_at)

// Opening changes something where it makes or empties a file.
#define OPEN(name, parameters, at, arguments)                                     \
  int name parameters {                                                           \
    va_list more;                                                                 \
    va_start(more, flags);                                                        \
    const mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
    va_end(more);                                                                 \
    struct call call;                                                             \
    call.path[0] = call.from[0] = 0;                                              \
    if (flags & (O_CREAT | O_TRUNC)) path_at(call.path, at, path);                \
    enter(&call, #name, 1);                                                       \
    if (call.action == FAIL) return -1;                                           \
    const int result = REAL(name) arguments;                                      \
    leave(&call);                                                                 \
    return result;                                                                \
  }

OPEN(open, (const char* path, int flags, ...), AT_FDCWD, (path, flags, mode))
OPEN(open64, (const char* path, int flags, ...), AT_FDCWD, (path, flags, mode))
OPEN(openat, (int at, const char* path, int flags, ...), at, (at, path, flags, mode))
OPEN(openat64, (int at, const char* path, int flags, ...), at, (at, path, flags, mode))

// A part of a write is the first half of its (first) bytes, one of them at least.
static size_t half_of(size_t bytes) {
  return bytes > 1 ? bytes / 2 : bytes;
}

#define WRITE(name, parameters, arguments, half) \
  WRAP(ssize_t, name, parameters, arguments, path_of(call.path, file), 1, half)

WRITE(write, (int file, const void* bytes, size_t size), (file, bytes, size),
      REAL(write)(file, bytes, half_of(size)))
WRITE(pwrite, (int file, const void* bytes, size_t size, off_t to), (file, bytes, size, to),
      REAL(pwrite)(file, bytes, half_of(size), to))
WRITE(pwrite64, (int file, const void* bytes, size_t size, off64_t to), (file, bytes, size, to),
      REAL(pwrite64)(file, bytes, half_of(size), to))
WRITE(writev, (int file, const struct iovec* list, int count), (file, list, count),
      REAL(write)(file, list->iov_base, half_of(list->iov_len)))
WRITE(pwritev64, (int file, const struct iovec* list, int count, off64_t to),
      (file, list, count, to), REAL(pwrite64)(file, list->iov_base, half_of(list->iov_len), to))
WRAP(int, fallocate, (int file, int mode, off_t from, off_t size), (file, mode, from, size),
     path_of(call.path, file), 1, REAL(fallocate)(file, mode, from, half_of(size)))

// Alone in returning its error.
int posix_fallocate(int file, off_t from, off_t size) {
  return fallocate(file, 0, from, size) == 0 ? 0 : errno;
}

int posix_fallocate64(int file, off64_t from, off64_t size) {
  return posix_fallocate(file, from, size);
}

// libuv finds no io_uring, and does its work by the functions above.
long syscall(long number, ...) {
  long given[6];
  va_list more;
  va_start(more, number);
  for (int i = 0; i < 6; ++i) given[i] = va_arg(more, long);
  va_end(more);
  if (number == SYS_io_uring_setup) {
    errno = ENOSYS;
    return -1;
  }
  return REAL(syscall)(number, given[0], given[1], given[2], given[3], given[4], given[5]);
}
