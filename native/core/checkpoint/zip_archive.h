#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

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
  // The same for an archive that is itself a stored record of another: it lies within `extent`.
  // Places are the file's, as everywhere.
  ZipArchive(const File& file, const std::string& name, const Extent& extent);

  // Names are relative to the archive's top folder, which PyTorch names after the file.
  bool contains(std::string_view name) const { return records_.contains(name); }
  // Returns the names of the records in a folder of the archive ("models/"), sorted, without it.
  std::vector<std::string> names_in(std::string_view folder) const;

  // Returns the place of the record's bytes. Throws ERR_CHECKPOINT_CORRUPT if there is no such
  // record, and ERR_CHECKPOINT_FORMAT for a compressed or encrypted one.
  Extent find(std::string_view name) const;
  // Returns the name of the record whose bytes begin at `begin`; empty if none does.
  std::string name_at(uint64_t begin) const;
  // Reads a record of at most `most` bytes and verifies its CRC-32. `file` is the archive's.
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
