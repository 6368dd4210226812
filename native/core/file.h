#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace distill {

// The reason for not reading a file; what() is a phrase such as "it is a folder".
struct FileError : std::runtime_error {
  enum class Kind { missing, folder, special, other };
  FileError(Kind kind, const std::string& phrase) : std::runtime_error(phrase), kind(kind) {}
  Kind kind;
};

// An open regular file, and the only way in which one is opened for reading here. A pipe or a
// device is refused unopened: it could wait for ever, never end, or do something.
class File {
 public:
  // Follows links unless `flags` holds O_NOFOLLOW; O_RDWR may be asked for as well. Throws
  // FileError, also where the path holds a NUL, which would cut it.
  explicit File(const std::string& path, int flags = O_RDONLY);
  File(File&& other) noexcept;
  File& operator=(File&&) = delete;
  ~File();

  int descriptor() const { return descriptor_; }
  // The size, owner and mode at the time of opening.
  const struct stat& status() const { return status_; }
  uint64_t size() const { return static_cast<uint64_t>(status_.st_size); }

  // Reads `count` bytes from `at` on; false if the file ends before that. Throws FileError.
  bool read(void* to, size_t count, uint64_t at) const;

 private:
  int descriptor_ = -1;
  struct stat status_ {};
};

}  // namespace distill
