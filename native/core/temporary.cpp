#include "core/temporary.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <random>
#include <system_error>
#include <utility>

namespace distill {
namespace {

constexpr std::string_view prefix = ".node-distill-", suffix = ".part";
constexpr std::string_view letters =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr size_t drawn = 6;  // letters in a name

[[noreturn]] void fail(int error) {
  throw std::system_error(error, std::generic_category());
}

std::string draw_name() {
  std::random_device random;
  std::uniform_int_distribution<size_t> any(0, letters.size() - 1);
  std::string name(prefix);
  for (size_t i = 0; i < drawn; ++i) name += letters[any(random)];
  return name.append(suffix);
}

bool is_temporary(std::string_view name) {
  return name.size() == prefix.size() + drawn + suffix.size() && name.starts_with(prefix) &&
         name.ends_with(suffix) &&
         name.substr(prefix.size(), drawn).find_first_not_of(letters) == std::string_view::npos;
}

// Makes something under a new name and locks it. `make` returns its descriptor, or -1 and errno.
template <typename Make>
std::pair<std::string, int> make_locked(const std::string& folder, const Make& make) {
  while (true) {
    const std::string path = folder + "/" + draw_name();
    const int descriptor = make(path.c_str());
    if (descriptor < 0) {
      if (errno == EEXIST) continue;
      fail(errno);
    }
    // A file system without locks has no leftovers either: nobody gets hold of one.
    ::flock(descriptor, LOCK_EX);
    // Gone where another run took it for a leftover before it was locked.
    struct stat named = {}, opened = {};
    if (::fstat(descriptor, &opened) == 0 && ::lstat(path.c_str(), &named) == 0 &&
        opened.st_ino == named.st_ino) {
      return {path, descriptor};
    }
    ::close(descriptor);
  }
}

// Opens what may be a leftover, without following a link or waiting for a pipe's other end.
int open_leftover(const std::string& path) {
  constexpr int flags = O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  // A network's file system locks only what may be written.
  const int descriptor = ::open(path.c_str(), O_RDWR | flags);
  if (descriptor >= 0 || (errno != EISDIR && errno != EACCES)) return descriptor;
  return ::open(path.c_str(), O_RDONLY | flags);
}

}  // namespace

void remove_leftovers(const std::string& folder) {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(folder.c_str()), ::closedir);
  if (!directory) return;
  while (const dirent* entry = ::readdir(directory.get())) {
    if (!is_temporary(entry->d_name)) continue;
    const std::string path = folder + "/" + entry->d_name;
    struct stat status = {};
    // Before it is opened as well: opening a device can do something.
    const auto is_ours = [&status] {
      return status.st_uid == ::geteuid() && (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode));
    };
    if (::lstat(path.c_str(), &status) != 0 || !is_ours()) continue;
    const int descriptor = open_leftover(path);
    if (descriptor < 0) continue;
    if (::fstat(descriptor, &status) == 0 && is_ours() &&
        ::flock(descriptor, LOCK_EX | LOCK_NB) == 0) {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
    ::close(descriptor);
  }
}

TemporaryFile::TemporaryFile(const std::string& folder, mode_t mode) {
  std::tie(path_, descriptor_) = make_locked(folder, [mode](const char* path) {
    return ::open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  });
}

TemporaryFile::~TemporaryFile() {
  remove_name();
  ::close(descriptor_);
}

void TemporaryFile::allocate(int64_t bytes) {
  if (const int error = ::posix_fallocate(descriptor_, 0, bytes); error != 0) fail(error);
}

void TemporaryFile::write(std::string_view bytes, int64_t offset) {
  while (!bytes.empty()) {
    const auto written = ::pwrite(descriptor_, bytes.data(), bytes.size(), offset);
    if (written >= 0) {
      bytes.remove_prefix(static_cast<size_t>(written));
      offset += written;
    } else if (errno != EINTR) {
      fail(errno);
    }
  }
}

void TemporaryFile::remove_name() {
  if (!path_.empty()) ::unlink(std::exchange(path_, "").c_str());
}

void TemporaryFile::rename(const std::string& target) {
  // Synced before it is renamed, or a power failure may leave the new name on an empty file.
  if (::fsync(descriptor_) != 0) fail(errno);
  // While it is locked: nobody may take it for a leftover.
  if (::rename(path_.c_str(), target.c_str()) != 0) fail(errno);
  path_.clear();
  // Makes the new name itself durable. Some file systems cannot; the file is whole either way.
  const auto parent = std::filesystem::path(target).parent_path();
  const int folder = ::open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_CLOEXEC);
  if (folder >= 0) {
    ::fsync(folder);
    ::close(folder);
  }
}

std::pair<std::string, int> make_temporary_folder(const std::string& parent) {
  return make_locked(parent, [](const char* path) {
    if (::mkdir(path, 0700) != 0) return -1;
    const int descriptor = ::open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    // Removed by another run that took it for a leftover: the same as a name that is not free.
    if (descriptor < 0 && errno == ENOENT) errno = EEXIST;
    return descriptor;
  });
}

std::optional<int> lock_folder(const std::string& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) fail(errno);
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    ::close(descriptor);
    return std::nullopt;
  }
  return descriptor;
}

}  // namespace distill
