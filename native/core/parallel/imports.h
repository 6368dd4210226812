#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace distill {

// Addresses of functions by name.
using Functions = std::map<std::string, void*>;

// The functions that a loaded library or addon imports, with the words in memory that its calls go
// through.
class Imports {
 public:
  // Finds the imports of the library that holds this address whose names begin with one of the
  // prefixes.
  Imports(const void* address, const std::vector<std::string>& prefixes);

  const std::multimap<std::string, void**>& slots() const { return slots_; }
  // Makes the library's calls of these functions go to others. Returns whether the system lets it.
  bool redirect(const Functions& functions) const;

 private:
  std::multimap<std::string, void**> slots_;
  // The range of addresses that the loader has made read-only.
  uintptr_t closed_begin_ = 0, closed_end_ = 0;
};

}  // namespace distill
