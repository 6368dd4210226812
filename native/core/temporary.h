#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace distill {

// A file or folder that is being made has a temporary name beside its place,
// `.node-distill-XXXXXX.part`, and a lock while its process works on it. The lock ends with the
// process, however that ends, even in another container: one without a lock is a killed run's.

// Removes what killed runs of this user have left in a folder: nothing that has another name, is a
// link, belongs to another user or is being made. Failures to remove are ignored.
void remove_leftovers(const std::string& folder);

// A file under a temporary name, removed again unless it is renamed. Throws std::system_error.
class TemporaryFile {
 public:
  TemporaryFile(const std::string& folder, mode_t mode);
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile();

  int descriptor() const { return descriptor_; }
  // Takes every block now: a disk that fills up later would end a process that has mapped them.
  void allocate(int64_t bytes);
  // Writes all of the bytes, from `offset` on.
  void write(std::string_view bytes, int64_t offset);
  // Takes the name away. The contents stay until the file is closed, and mapped ones until then.
  void remove_name();
  // Gives it the name of `target`, with the contents synced before and the name after.
  void rename(const std::string& target);

 private:
  std::string path_;  // empty where it has no name of its own
  int descriptor_ = -1;
};

// Makes a folder under a temporary name. Returns its path and the descriptor that holds its lock,
// which the caller closes once the folder is removed. Throws std::system_error.
std::pair<std::string, int> make_temporary_folder(const std::string& parent);

// Locks a folder for this process, until the descriptor that it returns is closed; nothing where
// another holds the lock. A file system without locks lets everyone in. Throws std::system_error.
std::optional<int> lock_folder(const std::string& folder);

}  // namespace distill
