#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "core/checkpoint/byte_reader.h"

namespace distill {

// The contents of a pickle as plain data. A call that the pickle asks for is recorded, never made.
//
// Values refer to one another by index into one arena: nothing is owned by nesting, so a file that
// nests deeply, or refers to itself, costs no recursion, neither here nor at destruction.
class Pickle {
 public:
  using Ref = uint32_t;

  enum class Kind : uint8_t {
    none,
    boolean,      // integer
    integer,      // integer
    big_integer,  // text: little-endian two's complement, longer than eight bytes
    real,         // not kept: no weight is a Python float
    text,         // text: a str or bytes
    tuple,        // items
    list,         // items; a set too
    dict,         // items: key, value, key, value, …
    global,       // text: 'torch.FloatStorage'
    call,         // text: what is called, one of the globals that are data; items: its arguments
    object,       // text: its class; an instance or a call's result that is passed over
    persistent,   // items: the tuple that stands for a storage
  };

  struct Value {
    Kind kind = Kind::none;
    int64_t integer = 0;
    std::string_view text = {};  // into the pickled bytes or names_, or static
    std::vector<Ref> items = {};
  };

  // Reads one pickle from the reader's position. Throws ERR_CHECKPOINT_UNSAFE for a global that
  // stands for code to run (pickle_globals.h says which) and for a whole module,
  // ERR_CHECKPOINT_CORRUPT for anything malformed. The bytes must outlive the pickle.
  Pickle(ByteReader& reader, const std::string& file);

  const Value& root() const { return values_[root_]; }
  const Value& operator[](Ref ref) const { return values_[ref]; }
  // All values, in the order of their making.
  const std::vector<Value>& values() const { return values_; }

 private:
  std::vector<Value> values_;
  std::unordered_set<std::string> names_;
  Ref root_ = 0;
};

}  // namespace distill
