#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace distill {

// A forward cursor over JSON that came from a file. Who reads says what must come next, so that
// nothing in the text decides how deep or how large what is built from it becomes.
//
// Everything that RFC 8259 does not allow is refused: throws ERR_CHECKPOINT_CORRUPT. `file` names
// the file in messages and must outlive the reader.
class JsonReader {
 public:
  // The text must be UTF-8.
  JsonReader(std::string_view text, const std::string& file);

  // {"name": …, …}: `member(name)` is called behind each colon and must read the value.
  template <typename Member>
  void object(Member member) {
    expect('{');
    if (accept('}')) return;
    do {
      const std::string name = string();
      expect(':');
      member(name);
    } while (accept(','));
    expect('}');
  }

  // […, …]: `item()` must read an item.
  template <typename Item>
  void array(Item item) {
    expect('[');
    if (accept(']')) return;
    do {
      item();
    } while (accept(','));
    expect(']');
  }

  std::string string();
  // A whole number from 0 to 2^63 - 1, written with digits alone.
  int64_t count();
  // A whole number that fits int64.
  int64_t integer();
  // Any number; also the words that Python writes for numbers that JSON has no way to write:
  // Infinity, -Infinity and NaN, bare or as a string.
  double number();
  bool boolean();
  // Passes over a null; false where another value comes next.
  bool null();
  // Passes over a value of any kind, at most 64 levels deep.
  void skip();
  // A value of any kind, at most 64 levels deep, as it is written.
  std::string any();
  // The bytes that are not read yet.
  size_t left() const { return rest_.size(); }
  // Nothing but white space is left.
  void end();

 private:
  [[noreturn]] void refuse(const std::string& reason) const;
  void skip_space();
  void skip_any(int levels);
  void skip_number();
  void skip_digits();
  bool accept(char token);
  bool accept_word(std::string_view word);
  void expect(char token);
  uint32_t hex4();
  void escape(std::string& text);

  std::string_view rest_;
  const std::string& file_;
};

// The text as a JSON string, quotes included.
std::string json_string(std::string_view text);

}  // namespace distill
