#include "core/checkpoint/zip_writer.h"

#include <cstddef>
#include <limits>
#include <utility>

#include "core/checkpoint/zip_archive.h"
#include "core/error.h"

namespace distill {
namespace {

constexpr size_t alignment = 64;  // of every record, as PyTorch's own: torch.load(mmap=True)

// The fields that the local header and the directory share, from versions to sizes.
std::string common_header(std::string_view bytes) {
  std::string header;
  append_integer<uint16_t>(header, 10);       // version needed: 1.0
  append_integer<uint16_t>(header, 1 << 11);  // names are UTF-8
  append_integer<uint16_t>(header, 0);        // stored
  append_integer<uint16_t>(header, 0);        // midnight
  append_integer<uint16_t>(header, 0x21);     // 1 January 1980: equal tensors, equal bytes
  append_integer<uint32_t>(header, crc32(bytes));
  append_integer(header, static_cast<uint32_t>(bytes.size()));
  append_integer(header, static_cast<uint32_t>(bytes.size()));
  return header;
}

}  // namespace

void ZipWriter::add(const std::string& relative_name, std::string_view bytes) {
  const auto name = "archive/" + relative_name;
  const auto header_offset = out_.size();
  const auto header = common_header(bytes);
  // An extra field of zeros, 'FB' as PyTorch's, moves the data to a multiple of the alignment.
  const auto unpadded = header_offset + 4 + header.size() + 4 + name.size() + 4;
  const auto padding = (alignment - unpadded % alignment) % alignment;
  out_ += "PK\x03\x04" + header;
  append_integer(out_, static_cast<uint16_t>(name.size()));
  append_integer(out_, static_cast<uint16_t>(4 + padding));
  out_ += name + "FB";
  append_integer(out_, static_cast<uint16_t>(padding));
  out_.append(padding, '\0');
  out_ += bytes;
  if (out_.size() > std::numeric_limits<uint32_t>::max() ||
      records_ == std::numeric_limits<uint16_t>::max()) {
    throw Error("ERR_WRITE", "a checkpoint of more than 4 GiB or 65,535 tensors cannot be written");
  }

  directory_ += "PK\x01\x02";
  append_integer<uint16_t>(directory_, 10);  // made by version 1.0
  directory_ += header;
  append_integer(directory_, static_cast<uint16_t>(name.size()));
  directory_.append(12, '\0');  // no extra, no comment, disk 0, no attributes
  append_integer(directory_, static_cast<uint32_t>(header_offset));
  directory_ += name;
  ++records_;
}

std::string ZipWriter::finish() {
  const auto offset = static_cast<uint32_t>(out_.size());
  out_ += directory_;
  out_ += "PK\x05\x06";
  append_integer<uint32_t>(out_, 0);  // disks
  append_integer(out_, records_);
  append_integer(out_, records_);
  append_integer(out_, static_cast<uint32_t>(directory_.size()));
  append_integer(out_, offset);
  append_integer<uint16_t>(out_, 0);  // no comment
  return std::move(out_);
}

}  // namespace distill
