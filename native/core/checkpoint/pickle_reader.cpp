#include "core/checkpoint/pickle_reader.h"

#include <algorithm>
#include <cctype>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "core/checkpoint/pickle_globals.h"
#include "core/checkpoint/pickle_opcodes.h"
#include "core/checkpoint/text.h"

namespace distill {
namespace {

// A training checkpoint of a DenseNet201 with Adam's state takes some 150,000 steps. A value takes
// sixty times the memory of the byte that makes it.
constexpr size_t most_steps = size_t{1} << 20;
constexpr size_t most_values = size_t{1} << 18;
constexpr size_t deepest_mark = 1000;

bool looks_like_python_name(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) || c == '_' || c == '.' || c >= 0x80;
  });
}

// Python's unpickler without its teeth: the same stack, marks and memo, but values only.
class PickleMachine {
 public:
  PickleMachine(ByteReader& reader, const std::string& file) : reader_(reader), file_(file) {}

  // Returns the pickled value.
  Pickle::Ref run() {
    while (true) {
      spend(1);
      const auto opcode = reader_.integer<uint8_t>();
      if (opcode == op::stop) return pop();
      step(opcode);
    }
  }

  std::vector<Pickle::Value> take_values() { return std::move(values_); }
  std::unordered_set<std::string> take_names() { return std::move(names_); }

 private:
  using Kind = Pickle::Kind;
  using Ref = Pickle::Ref;
  using Value = Pickle::Value;

  void step(uint8_t opcode);

  [[noreturn]] void fail(const std::string& reason) const {
    throw_damaged(file_,
                  reason + " near byte " + std::to_string(reader_.position()) + " of its pickle");
  }

  // Bounds time and memory: every opcode, and every item that one opcode copies, is paid for.
  void spend(size_t steps) {
    steps_ += steps;
    if (steps_ > most_steps) fail("more values than any state dict has");
  }

  void push(Value value) {
    if (values_.size() == most_values) fail("more values than any state dict has");
    stack_.push_back(static_cast<Ref>(values_.size()));
    values_.push_back(std::move(value));
  }
  void push_integer(int64_t integer) { push({.kind = Kind::integer, .integer = integer}); }
  void push_text(uint64_t size) { push({.kind = Kind::text, .text = reader_.take(size)}); }
  void push_tuple_of(size_t count) {
    std::vector<Ref> items(count);
    for (auto item = items.rbegin(); item != items.rend(); ++item) *item = pop();
    push({.kind = Kind::tuple, .items = std::move(items)});
  }

  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }

  Ref top() const {
    if (stack_.size() <= floor()) fail("a value is missing");
    return stack_.back();
  }
  Ref pop() {
    const auto ref = top();
    stack_.pop_back();
    return ref;
  }
  Value& pop(Kind kind) {
    auto& value = values_[pop()];
    if (value.kind != kind) fail("a value of another type than announced");
    return value;
  }

  // Pops the values that were pushed since the last mark.
  std::vector<Ref> pop_to_mark() {
    if (marks_.empty()) fail("a mark is missing");
    std::vector<Ref> items(stack_.begin() + static_cast<ptrdiff_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }

  void append(Kind container, const std::vector<Ref>& added) {
    if (container == Kind::dict && added.size() % 2 != 0) fail("a key without a value");
    auto& value = values_[top()];
    if (value.kind == Kind::object) {
      // An instance of a subclass of list, whose items nobody asks for, or of dict.
      if (container == Kind::list) return;
      value.kind = Kind::dict;
    }
    if (value.kind != container) fail("a value of another type than announced");
    auto& items = value.items;
    items.insert(items.end(), added.begin(), added.end());
  }

  void remember(uint32_t key) {
    if (memo_.size() == most_values) fail("more values than any state dict has");
    memo_[key] = top();
  }
  void recall(uint32_t key) {
    const auto found = memo_.find(key);
    if (found == memo_.end()) fail("a reference to nothing");
    stack_.push_back(found->second);
  }

  int64_t long_integer(std::string_view bytes) const;
  void push_global(std::string_view module, std::string_view name);
  void push_instance(Ref type);
  void call(Ref type, const std::vector<Ref>& arguments);
  void call_known(std::string_view callee, const std::vector<Ref>& arguments);
  void push_ordered_dict(const std::vector<Ref>& arguments);
  bool is_plain(Ref ref) const;
  [[noreturn]] void refuse(const std::string& asks, std::string_view name,
                           const std::string& why) const;
  [[noreturn]] void refuse_module(Ref type) const;

  ByteReader& reader_;
  const std::string& file_;
  size_t steps_ = 0;
  std::vector<Value> values_;
  std::vector<Ref> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint32_t, Ref> memo_;
  std::unordered_set<std::string> names_;  // of globals, to which values refer
};

void PickleMachine::step(uint8_t opcode) {
  switch (opcode) {
    case op::proto:
      if (reader_.integer<uint8_t>() > 5) fail("an unknown pickle protocol");
      return;
    case op::frame:
      if (reader_.integer<uint64_t>() > reader_.remaining()) fail("a frame beyond the end");
      return;
    case op::mark:
      if (marks_.size() == deepest_mark) fail("values nested too deeply");
      marks_.push_back(stack_.size());
      return;

    case op::none:
      return push({.kind = Kind::none});
    case op::new_true:
      return push({.kind = Kind::boolean, .integer = 1});
    case op::new_false:
      return push({.kind = Kind::boolean, .integer = 0});
    case op::bin_int:
      return push_integer(reader_.integer<int32_t>());
    case op::bin_int1:
      return push_integer(reader_.integer<uint8_t>());
    case op::bin_int2:
      return push_integer(reader_.integer<uint16_t>());
    case op::long1: {
      const auto bytes = reader_.take(reader_.integer<uint8_t>());
      if (bytes.size() > 8) return push({.kind = Kind::big_integer, .text = bytes});
      return push_integer(long_integer(bytes));
    }
    case op::long4:
      return push({.kind = Kind::big_integer, .text = reader_.take(reader_.integer<uint32_t>())});
    case op::bin_float:
      reader_.take(8);
      return push({.kind = Kind::real});
    case op::short_bin_string:
    case op::short_bin_unicode:
    case op::short_bin_bytes:
      return push_text(reader_.integer<uint8_t>());
    case op::bin_string:
    case op::bin_unicode:
    case op::bin_bytes:
      return push_text(reader_.integer<uint32_t>());
    case op::string:  // with its quotes: known only so that old spellings of a call are named
      return push({.kind = Kind::text, .text = reader_.line()});
    case op::bin_unicode8:
    case op::bin_bytes8:
    case op::byte_array8:
      return push_text(reader_.integer<uint64_t>());

    case op::empty_tuple:
      return push_tuple_of(0);
    case op::tuple1:
      return push_tuple_of(1);
    case op::tuple2:
      return push_tuple_of(2);
    case op::tuple3:
      return push_tuple_of(3);
    case op::tuple:
      return push({.kind = Kind::tuple, .items = pop_to_mark()});
    case op::empty_list:
    case op::empty_set:
      return push({.kind = Kind::list});
    case op::frozen_set:
      return push({.kind = Kind::list, .items = pop_to_mark()});
    case op::append:
      return append(Kind::list, {pop()});
    case op::appends:
    case op::add_items:
      return append(Kind::list, pop_to_mark());
    case op::empty_dict:
      return push({.kind = Kind::dict});
    case op::set_item: {
      const auto value = pop();
      const auto key = pop();
      return append(Kind::dict, {key, value});
    }
    case op::set_items:
      return append(Kind::dict, pop_to_mark());

    case op::pop:
      // As Python does it: a mark on top goes first.
      if (!marks_.empty() && marks_.back() == stack_.size()) return marks_.pop_back();
      pop();
      return;
    case op::pop_mark:
      pop_to_mark();
      return;

    case op::bin_put:
      return remember(reader_.integer<uint8_t>());
    case op::long_bin_put:
      return remember(reader_.integer<uint32_t>());
    case op::memoize:
      return remember(static_cast<uint32_t>(memo_.size()));
    case op::bin_get:
      return recall(reader_.integer<uint8_t>());
    case op::long_bin_get:
      return recall(reader_.integer<uint32_t>());

    case op::global:
    case op::inst: {
      const auto module = reader_.line();
      push_global(module, reader_.line());
      if (opcode == op::inst) fail("an instance of a class");
      return;
    }
    case op::stack_global: {
      const auto name = pop(Kind::text).text;
      return push_global(pop(Kind::text).text, name);
    }
    case op::reduce: {
      const auto arguments = pop(Kind::tuple).items;
      spend(arguments.size());
      return call(pop(), arguments);
    }
    case op::new_object_ex:
      pop();  // the arguments with names
      [[fallthrough]];
    case op::new_object:
      pop(Kind::tuple);
      return push_instance(pop());
    case op::build: {
      // Attributes of an object: an OrderedDict's _metadata, a NumPy dtype's details.
      pop();
      const auto kind = values_[top()].kind;
      if (kind != Kind::dict && kind != Kind::call && kind != Kind::object) {
        fail("attributes of a plain value");
      }
      return;
    }
    case op::bin_pers_id: {
      auto items = pop(Kind::tuple).items;
      spend(items.size());
      // PyTorch's older format keeps a module's class so, with its source.
      if (items.size() > 1 && values_[items[0]].text == "module") return stack_.push_back(items[1]);
      return push({.kind = Kind::persistent, .items = std::move(items)});
    }
    default:
      fail("pickle opcode " + std::to_string(opcode) + ", which no state dict needs,");
  }
}

int64_t PickleMachine::long_integer(std::string_view bytes) const {
  uint64_t integer = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    integer |= uint64_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
  }
  const bool negative = !bytes.empty() && (bytes.back() & 0x80);
  if (negative && bytes.size() < 8) integer |= ~uint64_t{0} << (8 * bytes.size());
  return static_cast<int64_t>(integer);
}

void PickleMachine::push_global(std::string_view module, std::string_view name) {
  if (!looks_like_python_name(module) || !looks_like_python_name(name)) fail("a malformed name");
  const auto full_name = modern_global_name(module, name);
  if (kind_of_global(full_name) == Global::refused) {
    refuse("asks for the Python object", full_name, "which no state dict needs");
  }
  push({.kind = Kind::global, .text = *names_.insert(full_name).first});
}

void PickleMachine::refuse(const std::string& asks, std::string_view name,
                           const std::string& why) const {
  throw Error("ERR_CHECKPOINT_UNSAFE",
              "'" + file_ + "' " + asks + " '" + printable(name) + "', " + why +
                  ": it was refused and nothing was run; if you trust the file's origin, load it "
                  "in PyTorch and save the weights alone with torch.save(model.state_dict(), "
                  "'weights.pth')");
}

void PickleMachine::refuse_module(Ref type) const {
  refuse("holds a whole module, an instance of the Python class", values_[type].text,
         "which is code as well as weights");
}

// An instance of a class, made without a call of its __init__.
void PickleMachine::push_instance(Ref type) {
  const auto& value = values_[type];
  if (value.kind != Kind::global) fail("an instance of what is no class");
  if (kind_of_global(value.text) == Global::layer) refuse_module(type);
  push({.kind = Kind::object, .text = value.text});
}

// Records a call. Dictionaries alone are made, for later opcodes fill them.
void PickleMachine::call(Ref type, const std::vector<Ref>& arguments) {
  const auto callee = values_[type].text;
  if (values_[type].kind != Kind::global) {
    if (callee.empty()) fail("a call of what has no name");
    refuse("asks to call what it makes of the Python object", callee, "which no state dict needs");
  }
  switch (kind_of_global(callee)) {
    case Global::data:
      return call_known(callee, arguments);
    case Global::inert:
      return push({.kind = Kind::object, .text = callee});
    case Global::other:
      if (arguments.size() == 1 && is_plain(arguments[0]) && may_be_enumeration(callee)) {
        return push({.kind = Kind::object, .text = callee});
      }
      break;
    case Global::layer:
    case Global::refused:
      break;
  }
  refuse("asks to call the Python object", callee, "which no state dict needs");
}

// Tells whether a value is text, a number or a few of them.
bool PickleMachine::is_plain(Ref ref) const {
  const auto& value = values_[ref];
  const auto is_scalar = [](Kind kind) {
    return kind == Kind::text || kind == Kind::integer || kind == Kind::real ||
           kind == Kind::boolean || kind == Kind::none;
  };
  if (value.kind != Kind::tuple) return is_scalar(value.kind);
  return std::all_of(value.items.begin(), value.items.end(),
                     [&](Ref item) { return is_scalar(values_[item].kind); });
}

// A call of one of the globals that are data.
void PickleMachine::call_known(std::string_view callee, const std::vector<Ref>& arguments) {
  const auto is_global = [&](size_t i) {
    return i < arguments.size() && values_[arguments[i]].kind == Kind::global;
  };
  if (callee == "collections.OrderedDict") return push_ordered_dict(arguments);
  if (callee == "collections.defaultdict") return push({.kind = Kind::dict});
  if (callee.starts_with("copyreg.") && is_global(0)) return push_instance(arguments[0]);
  const bool unites =
      callee == "functools.reduce" && is_global(0) && values_[arguments[0]].text == "operator.or_";
  const bool gets = callee == "builtins.getattr" && is_global(0);
  if (unites || gets) return push({.kind = Kind::object, .text = values_[arguments[0]].text});
  if (!callee.starts_with("torch.") && callee != "_codecs.encode") {
    refuse("asks to call the Python object", callee, "which no state dict needs");
  }
  push({.kind = Kind::call, .text = callee, .items = arguments});
}

void PickleMachine::push_ordered_dict(const std::vector<Ref>& arguments) {
  std::vector<Ref> items;
  if (!arguments.empty()) {
    // Python 2 passes the items: [[key, value], …].
    const auto& pairs = values_[arguments.front()];
    if (arguments.size() != 1 || pairs.kind != Kind::list) fail("an odd OrderedDict");
    spend(pairs.items.size());
    for (const auto pair : pairs.items) {
      if (values_[pair].items.size() != 2) fail("an odd OrderedDict");
      items.insert(items.end(), values_[pair].items.begin(), values_[pair].items.end());
    }
  }
  push({.kind = Kind::dict, .items = std::move(items)});
}

}  // namespace

Pickle::Pickle(ByteReader& reader, const std::string& file) {
  PickleMachine machine(reader, file);
  root_ = machine.run();
  values_ = machine.take_values();
  names_ = machine.take_names();
}

}  // namespace distill
