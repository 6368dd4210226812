#include "core/checkpoint/pickle_reader.h"

#include <algorithm>
#include <cctype>
#include <unordered_map>
#include <utility>

#include "core/checkpoint/text.h"

namespace distill {
namespace {

// The opcodes that the picklers of Python 2 and 3 use, at protocols 2 to 5, for dicts of tensors
// and plain data. Names and meanings as in Python's pickletools.
namespace op {
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
constexpr uint8_t empty_dict = '}';
constexpr uint8_t set_item = 's';
constexpr uint8_t set_items = 'u';
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
constexpr uint8_t build = 'b';
constexpr uint8_t bin_pers_id = 'Q';
}  // namespace op

// A training checkpoint of a DenseNet201 with Adam's state takes some 150,000 steps.
constexpr size_t most_steps = size_t{1} << 22;
constexpr size_t deepest_mark = 1000;

// All that a dict of tensors, an optimizer's state and a few numbers need. None of it is ever
// called: the list exists so that a file that wants anything else is refused, by name, not half
// understood.
constexpr std::string_view ordered_dict = "collections.OrderedDict";
constexpr std::string_view allowed_globals[] = {
    ordered_dict,
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torch.FloatStorage",
    "torch.DoubleStorage",
    "torch.HalfStorage",
    "torch.BFloat16Storage",
    "torch.ByteStorage",
    "torch.CharStorage",
    "torch.ShortStorage",
    "torch.IntStorage",
    "torch.LongStorage",
    "torch.BoolStorage",
    "torch.ComplexFloatStorage",
    "torch.ComplexDoubleStorage",
    "torch.storage.UntypedStorage",
    // Values beside the weights in training checkpoints.
    "torch.Size",
    "torch.device",
    "torch.float32",
    "torch.float64",
    "torch.float16",
    "torch.bfloat16",
    "torch.uint8",
    "torch.int8",
    "torch.int16",
    "torch.int32",
    "torch.int64",
    "torch.bool",
    "collections.Counter",  // MultiStepLR's milestones
    "builtins.set",
    "builtins.complex",
    "builtins.bytearray",
    "_codecs.encode",  // bytes, as Python 3 writes them at protocol 2
    // `best_accuracy` is often a NumPy number.
    "numpy.dtype",
    "numpy.ndarray",
    "numpy.core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "numpy._core.multiarray._reconstruct",
};

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
  Value& top(Kind kind) {
    auto& value = values_[top()];
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
    auto& items = top(container).items;
    items.insert(items.end(), added.begin(), added.end());
  }

  void remember(uint32_t key) { memo_[key] = top(); }
  void recall(uint32_t key) {
    const auto found = memo_.find(key);
    if (found == memo_.end()) fail("a reference to nothing");
    stack_.push_back(found->second);
  }

  int64_t long_integer(std::string_view bytes) const;
  void push_global(std::string_view module, std::string_view name);
  void call();

  ByteReader& reader_;
  const std::string& file_;
  size_t steps_ = 0;
  std::vector<Value> values_;
  std::vector<Ref> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint32_t, Ref> memo_;
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
    case op::reduce:
      return call();
    case op::build: {
      // Attributes of an object: an OrderedDict's _metadata, a NumPy dtype's details.
      pop();
      const auto kind = values_[top()].kind;
      if (kind != Kind::dict && kind != Kind::call) fail("attributes of a plain value");
      return;
    }
    case op::bin_pers_id: {
      auto items = pop(Kind::tuple).items;
      spend(items.size());
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
  if (module == "__builtin__") module = "builtins";  // as Python 2 called it
  const auto full_name = std::string(module) + "." + std::string(name);
  const auto allowed = std::find(std::begin(allowed_globals), std::end(allowed_globals), full_name);
  if (allowed == std::end(allowed_globals)) {
    throw Error("ERR_CHECKPOINT_UNSAFE",
                "'" + file_ + "' asks for the Python object '" + printable(full_name) +
                    "', which no state dict needs: it was refused and nothing was run; if you "
                    "trust the file's origin, load it in PyTorch and save the weights alone with "
                    "torch.save(model.state_dict(), 'weights.pth')");
  }
  push({.kind = Kind::global, .text = *allowed});
}

// Records a call. OrderedDict alone is carried out, for later opcodes fill it.
void PickleMachine::call() {
  const auto arguments = pop(Kind::tuple).items;
  const auto callee = pop(Kind::global).text;
  spend(arguments.size());
  if (callee != ordered_dict) {
    return push({.kind = Kind::call, .text = callee, .items = arguments});
  }
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
}

}  // namespace distill
