#pragma once

#include <cstdint>

// The opcodes that the picklers of Python 2 and 3 use, at protocols 2 to 5, for dicts of tensors
// and plain data. Names and meanings as in Python's pickletools.
namespace distill::op {
constexpr uint8_t proto = 0x80;
constexpr uint8_t frame = 0x95;
constexpr uint8_t stop = '.';
constexpr uint8_t mark = '(';
// Plain values.
constexpr uint8_t none = 'N';
constexpr uint8_t new_true = 0x88;
constexpr uint8_t new_false = 0x89;
constexpr uint8_t bin_int = 'J';
constexpr uint8_t bin_int1 = 'K';
constexpr uint8_t bin_int2 = 'M';
constexpr uint8_t long1 = 0x8A;
constexpr uint8_t long4 = 0x8B;
constexpr uint8_t bin_float = 'G';
constexpr uint8_t string = 'S';
constexpr uint8_t bin_string = 'T';
constexpr uint8_t short_bin_string = 'U';
constexpr uint8_t bin_unicode = 'X';
constexpr uint8_t short_bin_unicode = 0x8C;
constexpr uint8_t bin_unicode8 = 0x8D;
constexpr uint8_t bin_bytes = 'B';
constexpr uint8_t short_bin_bytes = 'C';
constexpr uint8_t bin_bytes8 = 0x8E;
constexpr uint8_t byte_array8 = 0x96;
// Containers.
constexpr uint8_t empty_tuple = ')';
constexpr uint8_t tuple = 't';
constexpr uint8_t tuple1 = 0x85;
constexpr uint8_t tuple2 = 0x86;
constexpr uint8_t tuple3 = 0x87;
constexpr uint8_t empty_list = ']';
constexpr uint8_t append = 'a';
constexpr uint8_t appends = 'e';
constexpr uint8_t empty_set = 0x8F;
constexpr uint8_t add_items = 0x90;
constexpr uint8_t frozen_set = 0x91;
constexpr uint8_t empty_dict = '}';
constexpr uint8_t set_item = 's';
constexpr uint8_t set_items = 'u';
// The stack, which picklers clear of what refers to itself.
constexpr uint8_t pop = '0';
constexpr uint8_t pop_mark = '1';
// The memo.
constexpr uint8_t bin_put = 'q';
constexpr uint8_t long_bin_put = 'r';
constexpr uint8_t memoize = 0x94;
constexpr uint8_t bin_get = 'h';
constexpr uint8_t long_bin_get = 'j';
// Names, and what is asked of them.
constexpr uint8_t global = 'c';
constexpr uint8_t stack_global = 0x93;
constexpr uint8_t inst = 'i';
constexpr uint8_t reduce = 'R';
constexpr uint8_t new_object = 0x81;
constexpr uint8_t new_object_ex = 0x92;
constexpr uint8_t build = 'b';
constexpr uint8_t bin_pers_id = 'Q';
}  // namespace distill::op
