#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "core/checkpoint/tensor_entry.h"
#include "core/file.h"

namespace distill {

// CRC-32 as zip defines it, of bytes that follow others whose CRC is `before`.
uint32_t crc32(std::string_view bytes, uint32_t before = 0);

// The records of a zip archive. Only stored ones can be read, and PyTorch writes no others: a
// record is a part of the file, and no length in it can ask for more.
class ZipArchive {
 public:
  // Reads and verifies the directory and the records' headers; `name` names the file in messages.
  // Throws ERR_CHECKPOINT_CORRUPT.
  ZipArchive(const File& file, const std::string& name);

  // Names are relative to the archive's top folder, which PyTorch names after the file.
  bool contains(std::string_view name) const { return records_.contains(name); }

  // Where the record's bytes are. Throws ERR_CHECKPOINT_CORRUPT where there is no such record, and
  // ERR_CHECKPOINT_FORMAT for a compressed or encrypted one.
  Extent find(std::string_view name) const;
  // The name of the record whose bytes begin there; empty where none does.
  std::string name_at(uint64_t begin) const;
  // A record of at most so many bytes, its CRC-32 verified. `file` is what the archive was made of.
  std::string read(const File& file, std::string_view name, uint64_t most) const;

 private:
  struct Record {
    Extent extent;
    bool is_stored;
  };

  std::string name_;
  std::map<std::string, Record, std::less<>> records_;
};

}  // namespace distill
