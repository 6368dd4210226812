#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace distill {

// CRC-32 as zip defines it.
uint32_t crc32(std::string_view bytes);

// The records of a zip archive held in memory. Only stored ones can be read, and PyTorch writes no
// others: a record is a view of the archive, and no length in it can ask for memory.
class ZipArchive {
 public:
  // Reads and verifies the directory. `bytes` must outlive the archive; `file` names it in
  // messages. Throws ERR_CHECKPOINT_CORRUPT.
  ZipArchive(std::string_view bytes, const std::string& file);

  // Names are relative to the archive's top folder, which PyTorch names after the file.
  bool contains(std::string_view name) const { return records_.contains(name); }

  // The record's bytes, its CRC-32 verified. Throws ERR_CHECKPOINT_CORRUPT, also where there is
  // none, and ERR_CHECKPOINT_FORMAT for a compressed or encrypted one.
  std::string_view read(std::string_view name) const;

 private:
  struct Record {
    std::string_view bytes;
    uint32_t crc;
    bool is_stored;
  };

  std::string file_;
  std::map<std::string, Record, std::less<>> records_;
  // torch.serialization.set_crc32_options(False) writes 0 as the CRC of every record.
  bool has_crcs_ = false;
};

}  // namespace distill
