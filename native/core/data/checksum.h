#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace distill {

// XXH64 (seed 0) of bytes that come in whole stripes of 32, as pages do: it shows that bytes have
// changed by accident, at the speed of memory, and is no proof against who means to deceive.
class Checksum {
 public:
  void add(std::string_view stripes) {
    for (size_t at = 0; at < stripes.size(); at += sizeof lanes_) {
      uint64_t words[4];
      std::memcpy(words, stripes.data() + at, sizeof words);
      for (int i = 0; i < 4; ++i) lanes_[i] = mixed(lanes_[i], words[i]);
    }
    length_ += stripes.size();
  }

  uint64_t value() const {
    uint64_t hash = 0;
    for (int i = 0; i < 4; ++i) hash += std::rotl(lanes_[i], rotations[i]);
    for (const uint64_t lane : lanes_) hash = (hash ^ mixed(0, lane)) * prime1 + prime4;
    hash += length_;
    hash = (hash ^ (hash >> 33)) * prime2;
    hash = (hash ^ (hash >> 29)) * prime3;
    return hash ^ (hash >> 32);
  }

 private:
  static constexpr uint64_t prime1 = 0x9E3779B185EBCA87, prime2 = 0xC2B2AE3D27D4EB4F,
                            prime3 = 0x165667B19E3779F9, prime4 = 0x85EBCA77C2B2AE63;
  static constexpr std::array<int, 4> rotations = {1, 7, 12, 18};

  static uint64_t mixed(uint64_t lane, uint64_t word) {
    return std::rotl(lane + word * prime2, 31) * prime1;
  }

  uint64_t lanes_[4] = {prime1 + prime2, prime2, 0, 0 - prime1};
  uint64_t length_ = 0;
};

}  // namespace distill
