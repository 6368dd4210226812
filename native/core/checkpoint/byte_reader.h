#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/file.h"

namespace distill {

// Every format read here is little-endian, and so is every machine LibTorch is shipped for.
static_assert(std::endian::native == std::endian::little);

[[noreturn]] inline void throw_damaged(const std::string& file, const std::string& reason) {
  throw Error("ERR_CHECKPOINT_CORRUPT", "'" + file + "' is cut short or damaged (" + reason +
                                            "): copy, download or save it again");
}

// A part of a file that its own header tells of; `name` names the file in messages. Who asks says
// how much it may be, as the header may lie: the file's size alone is no bound.
inline std::string read_part(const File& file, const std::string& name, uint64_t at,
                             uint64_t count) {
  if (at > file.size() || count > file.size() - at) {
    throw_damaged(name, "it announces more bytes than it holds");
  }
  std::string bytes(count, '\0');
  if (!file.read(bytes.data(), count, at)) throw_damaged(name, "it became shorter meanwhile");
  return bytes;
}

// A forward cursor over bytes that came from a file: no read passes the end, whatever a length
// field says. `file` names the file in messages and must outlive the reader.
class ByteReader {
 public:
  ByteReader(std::string_view bytes, const std::string& file, uint64_t position = 0)
      : bytes_(bytes), file_(file) {
    take(position);
  }

  size_t position() const { return position_; }
  size_t remaining() const { return bytes_.size() - position_; }

  std::string_view take(uint64_t count) {
    if (count > remaining()) {
      throw_damaged(file_, "it announces more bytes than it holds");
    }
    const auto taken = bytes_.substr(position_, count);
    position_ += count;
    return taken;
  }

  template <std::integral T>
  T integer() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }

  // The text up to the next newline; the newline is passed over.
  std::string_view line() {
    const auto rest = bytes_.substr(position_);
    const auto text = take(uint64_t{rest.find('\n')});
    take(1);
    return text;
  }

 private:
  std::string_view bytes_;
  const std::string& file_;
  size_t position_ = 0;
};

}  // namespace distill
