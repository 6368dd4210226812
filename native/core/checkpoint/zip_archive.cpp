#include "core/checkpoint/zip_archive.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "core/checkpoint/byte_reader.h"
#include "core/checkpoint/text.h"

namespace distill {
namespace {

// https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
constexpr std::string_view local_header("PK\x03\x04", 4);
constexpr std::string_view central_header("PK\x01\x02", 4);
constexpr std::string_view end_of_directory("PK\x05\x06", 4);
constexpr std::string_view zip64_end_of_directory("PK\x06\x06", 4);
constexpr std::string_view zip64_locator("PK\x06\x07", 4);
constexpr size_t end_of_directory_size = 22;
constexpr size_t zip64_end_of_directory_size = 56;
constexpr size_t zip64_locator_size = 20;
constexpr size_t local_header_size = 30;
constexpr size_t longest_comment = 0xFFFF;
// Room for more than 100,000 records; a DenseNet201 has 700.
constexpr uint64_t largest_directory = uint64_t{16} << 20;
constexpr uint32_t in_zip64_extra = 0xFFFFFFFF;
constexpr uint16_t zip64_extra_id = 1;
constexpr uint16_t flag_encrypted = 1 << 0;
// The local header leaves sizes and CRC to a descriptor behind the data, and to the directory.
constexpr uint16_t flag_descriptor = 1 << 3;

// The bytes of a file that are the archive.
struct Part {
  const File& file;
  const std::string& name;
  Extent extent;

  uint64_t size() const { return extent.size; }
  std::string read(uint64_t at, uint64_t count) const {
    if (at > size() || count > size() - at) {
      throw_damaged(name, "it announces more bytes than it holds");
    }
    return read_part(file, name, extent.begin + at, count);
  }
};

struct Directory {
  uint64_t offset;
  uint64_t size;
};

struct DirectoryEntry {
  std::string_view name;
  uint16_t flags;
  uint16_t method;  // 0: stored
  uint32_t crc;
  uint64_t stored_size;
  uint64_t size;
  uint64_t header_offset;
};

void expect_signature(ByteReader& reader, std::string_view signature, const std::string& file) {
  if (reader.take(signature.size()) != signature) {
    throw_damaged(file, "a zip header is not where the directory says");
  }
}

// Zip is read from its end, where a comment of at most 64 KiB may follow the last header.
size_t find_end_of_directory(std::string_view tail, const std::string& file) {
  for (auto end = tail.size(); end-- > 0;) {
    if (!tail.substr(end).starts_with(end_of_directory)) continue;
    const auto after = tail.size() - end;
    if (after < end_of_directory_size) continue;
    ByteReader comment_size(tail, file, end + end_of_directory_size - 2);
    if (comment_size.integer<uint16_t>() == after - end_of_directory_size) return end;
  }
  throw_damaged(file, "the directory at the end of the zip archive is missing");
}

Directory find_directory(const Part& archive) {
  const auto& name = archive.name;
  const auto size = std::min<uint64_t>(
      archive.size(), zip64_locator_size + end_of_directory_size + longest_comment);
  const auto tail = archive.read(archive.size() - size, size);
  const std::string_view bytes = tail;
  const auto in_tail = find_end_of_directory(bytes, name);
  const auto end = archive.size() - size + in_tail;
  Directory directory;
  if (in_tail >= zip64_locator_size &&
      bytes.substr(in_tail - zip64_locator_size, 4) == zip64_locator) {
    ByteReader locator(bytes, name, in_tail - zip64_locator_size + 8);
    const auto header = archive.read(locator.integer<uint64_t>(), zip64_end_of_directory_size);
    ByteReader reader(header, name);
    expect_signature(reader, zip64_end_of_directory, name);
    reader.take(36);  // its own size, versions, disks, counts
    directory.size = reader.integer<uint64_t>();
    directory.offset = reader.integer<uint64_t>();
  } else {
    ByteReader reader(bytes, name, in_tail + 12);
    directory.size = reader.integer<uint32_t>();
    directory.offset = reader.integer<uint32_t>();
  }
  if (directory.offset > end || directory.size > end - directory.offset) {
    throw_damaged(name, "the zip directory lies outside the file");
  }
  if (directory.size > largest_directory) {
    throw_damaged(name, "the zip directory is larger than 16 MiB");
  }
  return directory;
}

DirectoryEntry read_entry(ByteReader& reader, const std::string& file) {
  expect_signature(reader, central_header, file);
  reader.take(4);  // versions
  DirectoryEntry entry;
  entry.flags = reader.integer<uint16_t>();
  entry.method = reader.integer<uint16_t>();
  reader.take(4);  // time and date
  entry.crc = reader.integer<uint32_t>();
  entry.stored_size = reader.integer<uint32_t>();
  entry.size = reader.integer<uint32_t>();
  const auto name_size = reader.integer<uint16_t>();
  const auto extra_size = reader.integer<uint16_t>();
  const auto comment_size = reader.integer<uint16_t>();
  reader.take(8);  // disk and attributes
  entry.header_offset = reader.integer<uint32_t>();
  entry.name = reader.take(name_size);
  ByteReader extras(reader.take(extra_size), file);
  reader.take(comment_size);

  while (extras.remaining() > 0) {
    const auto id = extras.integer<uint16_t>();
    ByteReader extra(extras.take(extras.integer<uint16_t>()), file);
    if (id != zip64_extra_id) continue;
    // Only the fields that did not fit, in this order.
    for (auto* field : {&entry.size, &entry.stored_size, &entry.header_offset}) {
      if (*field == in_zip64_extra) *field = extra.integer<uint64_t>();
    }
  }
  return entry;
}

// Returns the place of the record's data, which lies before `end` and is found through its local
// header; that must agree with the directory.
Extent find_record(const Part& archive, uint64_t end, const DirectoryEntry& entry) {
  const auto& file_name = archive.name;
  const auto part = [&](uint64_t at, uint64_t count) {
    if (at > end || count > end - at) {
      throw_damaged(file_name, "a zip record lies outside the file");
    }
    return archive.read(at, count);
  };
  const auto header = part(entry.header_offset, local_header_size);
  ByteReader reader(header, file_name);
  expect_signature(reader, local_header, file_name);
  reader.take(2);  // version
  const auto flags = reader.integer<uint16_t>();
  const auto method = reader.integer<uint16_t>();
  reader.take(4);  // time and date
  const auto crc = reader.integer<uint32_t>();
  const auto stored_size = reader.integer<uint32_t>();
  const auto size = reader.integer<uint32_t>();
  const auto name_size = reader.integer<uint16_t>();
  const auto extra_size = reader.integer<uint16_t>();
  const auto name = part(entry.header_offset + local_header_size, name_size);
  const auto begin = entry.header_offset + local_header_size + name_size + extra_size;

  const bool has_descriptor = flags & flag_descriptor;
  const auto agrees = [&](uint32_t local, uint64_t central) {
    return local == central || local == in_zip64_extra || has_descriptor;
  };
  if (method != entry.method || name != entry.name || (crc != entry.crc && !has_descriptor) ||
      !agrees(stored_size, entry.stored_size) || !agrees(size, entry.size)) {
    throw_damaged(file_name, "a zip header contradicts the directory");
  }
  if (begin > end || entry.stored_size > end - begin) {
    throw_damaged(file_name, "it announces more bytes than it holds");
  }
  return {archive.extent.begin + begin, entry.stored_size, entry.crc};
}

// Eight tables, so that a step consumes eight bytes ("slicing by eight", Intel 2006).
constexpr auto crc_tables = [] {
  std::array<std::array<uint32_t, 256>, 8> tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? 0xEDB88320u : 0);
    tables[0][byte] = crc;
  }
  for (size_t t = 1; t < 8; ++t) {
    for (size_t byte = 0; byte < 256; ++byte) {
      const auto previous = tables[t - 1][byte];
      tables[t][byte] = (previous >> 8) ^ tables[0][previous & 0xFF];
    }
  }
  return tables;
}();

}  // namespace

uint32_t crc32(std::string_view bytes, uint32_t before) {
  const auto& t = crc_tables;
  uint32_t crc = ~before;
  const char* data = bytes.data();
  size_t left = bytes.size();
  for (; left >= 8; data += 8, left -= 8) {
    uint64_t word;
    std::memcpy(&word, data, 8);
    word ^= crc;
    crc = t[7][word & 0xFF] ^ t[6][word >> 8 & 0xFF] ^ t[5][word >> 16 & 0xFF] ^
          t[4][word >> 24 & 0xFF] ^ t[3][word >> 32 & 0xFF] ^ t[2][word >> 40 & 0xFF] ^
          t[1][word >> 48 & 0xFF] ^ t[0][word >> 56];
  }
  for (; left > 0; ++data, --left) {
    crc = (crc >> 8) ^ t[0][(crc ^ static_cast<uint8_t>(*data)) & 0xFF];
  }
  return ~crc;
}

ZipArchive::ZipArchive(const File& file, const std::string& name)
    : ZipArchive(file, name, Extent{0, file.size(), std::nullopt}) {}

ZipArchive::ZipArchive(const File& file, const std::string& name, const Extent& extent)
    : name_(name) {
  const Part archive{file, name, extent};
  const auto directory = find_directory(archive);
  const auto headers = archive.read(directory.offset, directory.size);
  ByteReader reader(headers, name);
  std::string_view top;
  uint64_t total = 0;
  bool has_crcs = false;
  while (reader.remaining() > 0) {
    const auto entry = read_entry(reader, name);
    const auto extent = find_record(archive, directory.offset, entry);
    // Records that overlap would let a small file ask for endless checking.
    total += extent.size;
    if (total > archive.size()) throw_damaged(name, "its zip records overlap");
    has_crcs |= entry.crc != 0;

    // PyTorch takes the folder of the first record for the archive's top folder.
    if (records_.empty()) top = entry.name.substr(0, entry.name.find('/') + 1);
    if (!entry.name.starts_with(top)) continue;
    const bool is_stored = entry.method == 0 && !(entry.flags & flag_encrypted);
    if (!records_.emplace(entry.name.substr(top.size()), Record{extent, is_stored}).second) {
      throw_damaged(name, "two zip records have one name");
    }
  }
  // torch.serialization.set_crc32_options(False) writes 0 as the CRC of every record.
  if (has_crcs) return;
  for (auto& [_, record] : records_) record.extent.crc.reset();
}

std::vector<std::string> ZipArchive::names_in(std::string_view folder) const {
  std::vector<std::string> names;
  for (auto at = records_.lower_bound(folder); at != records_.end(); ++at) {
    if (!at->first.starts_with(folder)) break;
    names.push_back(at->first.substr(folder.size()));
  }
  return names;
}

Extent ZipArchive::find(std::string_view name) const {
  const auto found = records_.find(name);
  if (found == records_.end()) {
    throw_damaged(name_, "its record '" + printable(name) + "' is missing");
  }
  if (!found->second.is_stored) {
    throw Error("ERR_CHECKPOINT_FORMAT",
                "'" + name_ +
                    "' is a compressed or encrypted zip archive, which torch.save does not write: "
                    "load it in PyTorch and torch.save it again, or unpack it and zip it with -0");
  }
  return found->second.extent;
}

std::string ZipArchive::name_at(uint64_t begin) const {
  for (const auto& [name, record] : records_) {
    if (record.extent.begin == begin) return name;
  }
  return {};
}

std::string ZipArchive::read(const File& file, std::string_view name, uint64_t most) const {
  const auto extent = find(name);
  if (extent.size > most) {
    throw_damaged(name_, "its record '" + printable(name) + "' is larger than " +
                             std::to_string(most >> 20) + " MiB");
  }
  const auto bytes = read_part(file, name_, extent.begin, extent.size);
  if (extent.crc && crc32(bytes) != *extent.crc) {
    throw_damaged(name_, "the CRC-32 of its record '" + printable(name) + "' does not match");
  }
  return bytes;
}

}  // namespace distill
