#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace distill {

// Functions by name.
using Functions = std::map<std::string, void*>;

// Functions that a loaded library or addon imports, and for each the words that its calls go
// through.
class Imports {
 public:
  // Those of the library that holds this address whose names begin with one of the prefixes.
  Imports(const void* address, const std::vector<std::string>& prefixes);

  const std::multimap<std::string, void**>& slots() const { return slots_; }
  // Makes the library's calls of these functions go to others. Returns whether the system lets it.
  bool redirect(const Functions& functions) const;

 private:
  std::multimap<std::string, void**> slots_;
  // What the loader has closed to writing.
  uintptr_t closed_begin_ = 0, closed_end_ = 0;
};

}  // namespace distill
