#pragma once

#include <concepts>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace distill {

// Appends a number as its bytes in memory, little-endian.
template <std::integral T>
void append_integer(std::string& out, T value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out.append(bytes, sizeof value);
}

// Writes stored records into a zip archive in memory, the counterpart of ZipArchive. Equal records
// give equal bytes.
class ZipWriter {
 public:
  // Adds a record to the archive's top folder. Throws ERR_WRITE where the archive would exceed 4
  // GiB or 65,535 records.
  void add(const std::string& relative_name, std::string_view bytes);
  // Ends the archive and returns its bytes.
  std::string finish();

 private:
  std::string out_;
  std::string directory_;
  uint16_t records_ = 0;
};

}  // namespace distill
