#include "core/file.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace distill {
namespace {

using Kind = FileError::Kind;

[[noreturn]] void throw_system(int error) {
  if (error == ENOENT) throw FileError(Kind::missing, "no such file");
  throw FileError(error == ENXIO ? Kind::special : Kind::other, std::strerror(error));
}

void expect_regular(const struct stat& status) {
  if (S_ISDIR(status.st_mode)) throw FileError(Kind::folder, "it is a folder");
  if (!S_ISREG(status.st_mode)) throw FileError(Kind::special, "it is a device or a pipe");
}

}  // namespace

File::File(const std::string& path, int flags) {
  if (path.find('\0') != std::string::npos) {
    throw FileError(Kind::other, "its name holds a NUL byte");
  }
  // Looked at before it is opened, which may be an action in itself, and again behind the
  // descriptor.
  if (::stat(path.c_str(), &status_) != 0) throw_system(errno);
  expect_regular(status_);
  descriptor_ = ::open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (descriptor_ < 0) throw_system(errno);
  try {
    if (::fstat(descriptor_, &status_) != 0) throw_system(errno);
    expect_regular(status_);
    // Asked for only so that opening cannot wait.
    const int set = ::fcntl(descriptor_, F_GETFL);
    if (set < 0 || ::fcntl(descriptor_, F_SETFL, set & ~O_NONBLOCK) != 0) throw_system(errno);
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

File::File(File&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), status_(other.status_) {}

File::~File() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

bool File::read(void* to, size_t count, uint64_t at) const {
  // The system reads at most 2 GiB at once.
  constexpr size_t most = size_t{1} << 30;
  for (auto* data = static_cast<char*>(to); count > 0;) {
    const ssize_t got = ::pread(descriptor_, data, std::min(count, most), static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_system(errno);
    if (got == 0) return false;
    data += got;
    at += static_cast<uint64_t>(got);
    count -= static_cast<size_t>(got);
  }
  return true;
}

}  // namespace distill
