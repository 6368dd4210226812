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
enum Opcode : std::uint8_t {
  kProto = 0x80,
  kFrame = 0x95,
  kStop = '.',
  kMark = '(',
  // Plain values.
  kNone = 'N',
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kLong1 = 0x8A,
  kBinFloat = 'G',
  kString = 'S',
  kBinString = 'T',
  kShortBinString = 'U',
  kBinUnicode = 'X',
  kShortBinUnicode = 0x8C,
  kBinUnicode8 = 0x8D,
  kBinBytes = 'B',
  kShortBinBytes = 'C',
  kBinBytes8 = 0x8E,
  // Containers.
  kEmptyTuple = ')',
  kTuple = 't',
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kEmptyList = ']',
  kAppend = 'a',
  kAppends = 'e',
  kEmptySet = 0x8F,
  kAddItems = 0x90,
  kEmptyDict = '}',
  kSetItem = 's',
  kSetItems = 'u',
  // The memo.
  kBinPut = 'q',
  kLongBinPut = 'r',
  kMemoize = 0x94,
  kBinGet = 'h',
  kLongBinGet = 'j',
  // Names, and what is asked of them.
  kGlobal = 'c',
  kStackGlobal = 0x93,
  kInst = 'i',
  kReduce = 'R',
  kBuild = 'b',
  kBinPersId = 'Q',
};

// A training checkpoint of a DenseNet201 with Adam's state takes some 100,000 of each.
constexpr std::size_t kMostSteps = std::size_t{1} << 22;
constexpr std::size_t kDeepestMark = 1000;

// All that a dict of tensors, an optimizer's state and a few numbers need. None of it is ever
// called: the list exists so that a file that wants anything else is refused, by name, not half
// understood.
constexpr std::string_view kOrderedDict = "collections.OrderedDict";
constexpr std::string_view kAllowedGlobals[] = {
    kOrderedDict,
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
    // What stands beside the weights in training checkpoints.
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

}  // namespace

// Python's unpickler without its teeth: the same stack, marks and memo, but values only.
class PickleMachine {
 public:
  PickleMachine(ByteReader& reader, const std::string& file) : reader_(reader), file_(file) {}

  // Returns the pickled value.
  Pickle::Ref run() {
    while (true) {
      spend(1);
      const auto opcode = reader_.integer<std::uint8_t>();
      if (opcode == kStop) return pop();
      step(opcode);
    }
  }

  std::vector<Pickle::Value> take_values() { return std::move(values_); }

 private:
  using Kind = Pickle::Kind;
  using Ref = Pickle::Ref;
  using Value = Pickle::Value;

  void step(std::uint8_t opcode);

  [[noreturn]] void fail(const std::string& reason) const {
    throw_damaged(file_,
                  reason + " near byte " + std::to_string(reader_.position()) + " of its pickle");
  }

  // Bounds time and memory: every opcode, and every item that one opcode copies, is paid for.
  void spend(std::size_t steps) {
    steps_ += steps;
    if (steps_ > kMostSteps) fail("more values than any state dict has");
  }

  void push(Value value) {
    stack_.push_back(static_cast<Ref>(values_.size()));
    values_.push_back(std::move(value));
  }
  void push_integer(std::int64_t integer) { push({.kind = Kind::kInteger, .integer = integer}); }
  void push_text(std::uint64_t size) { push({.kind = Kind::kText, .text = reader_.take(size)}); }
  void push_tuple_of(std::size_t count) {
    std::vector<Ref> items(count);
    for (auto item = items.rbegin(); item != items.rend(); ++item) *item = pop();
    push({.kind = Kind::kTuple, .items = std::move(items)});
  }

  std::size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }

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

  // What was pushed since the last mark.
  std::vector<Ref> pop_to_mark() {
    if (marks_.empty()) fail("a mark is missing");
    std::vector<Ref> items(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()),
                           stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }

  void append(Kind container, const std::vector<Ref>& added) {
    if (container == Kind::kDict && added.size() % 2 != 0) fail("a key without a value");
    auto& items = top(container).items;
    items.insert(items.end(), added.begin(), added.end());
  }

  void remember(std::uint32_t key) { memo_[key] = top(); }
  void recall(std::uint32_t key) {
    const auto found = memo_.find(key);
    if (found == memo_.end()) fail("a reference to nothing");
    stack_.push_back(found->second);
  }

  std::int64_t long_integer(std::string_view bytes) const;
  void push_global(std::string_view module, std::string_view name);
  void call();

  ByteReader& reader_;
  const std::string& file_;
  std::size_t steps_ = 0;
  std::vector<Value> values_;
  std::vector<Ref> stack_;
  std::vector<std::size_t> marks_;
  std::unordered_map<std::uint32_t, Ref> memo_;
};

void PickleMachine::step(std::uint8_t opcode) {
  switch (opcode) {
    case kProto:
      if (reader_.integer<std::uint8_t>() > 5) fail("an unknown pickle protocol");
      return;
    case kFrame:
      if (reader_.integer<std::uint64_t>() > reader_.remaining()) fail("a frame beyond the end");
      return;
    case kMark:
      if (marks_.size() == kDeepestMark) fail("values nested too deeply");
      marks_.push_back(stack_.size());
      return;

    case kNone:
      return push({.kind = Kind::kNone});
    case kNewTrue:
      return push({.kind = Kind::kBoolean, .integer = 1});
    case kNewFalse:
      return push({.kind = Kind::kBoolean, .integer = 0});
    case kBinInt:
      return push_integer(reader_.integer<std::int32_t>());
    case kBinInt1:
      return push_integer(reader_.integer<std::uint8_t>());
    case kBinInt2:
      return push_integer(reader_.integer<std::uint16_t>());
    case kLong1: {
      const auto bytes = reader_.take(reader_.integer<std::uint8_t>());
      if (bytes.size() > 8) return push({.kind = Kind::kBigInteger, .text = bytes});
      return push_integer(long_integer(bytes));
    }
    case kBinFloat:
      reader_.take(8);
      return push({.kind = Kind::kFloat});
    case kShortBinString:
    case kShortBinUnicode:
    case kShortBinBytes:
      return push_text(reader_.integer<std::uint8_t>());
    case kBinString:
    case kBinUnicode:
    case kBinBytes:
      return push_text(reader_.integer<std::uint32_t>());
    case kString:
      return push({.kind = Kind::kText, .text = reader_.line()});
    case kBinUnicode8:
    case kBinBytes8:
      return push_text(reader_.integer<std::uint64_t>());

    case kEmptyTuple:
      return push_tuple_of(0);
    case kTuple1:
      return push_tuple_of(1);
    case kTuple2:
      return push_tuple_of(2);
    case kTuple3:
      return push_tuple_of(3);
    case kTuple:
      return push({.kind = Kind::kTuple, .items = pop_to_mark()});
    case kEmptyList:
    case kEmptySet:
      return push({.kind = Kind::kList});
    case kAppend:
      return append(Kind::kList, {pop()});
    case kAppends:
    case kAddItems:
      return append(Kind::kList, pop_to_mark());
    case kEmptyDict:
      return push({.kind = Kind::kDict});
    case kSetItem: {
      const auto value = pop();
      const auto key = pop();
      return append(Kind::kDict, {key, value});
    }
    case kSetItems:
      return append(Kind::kDict, pop_to_mark());

    case kBinPut:
      return remember(reader_.integer<std::uint8_t>());
    case kLongBinPut:
      return remember(reader_.integer<std::uint32_t>());
    case kMemoize:
      return remember(static_cast<std::uint32_t>(memo_.size()));
    case kBinGet:
      return recall(reader_.integer<std::uint8_t>());
    case kLongBinGet:
      return recall(reader_.integer<std::uint32_t>());

    case kGlobal:
    case kInst: {
      const auto module = reader_.line();
      push_global(module, reader_.line());
      if (opcode == kInst) fail("an instance of a class");
      return;
    }
    case kStackGlobal: {
      const auto name = pop(Kind::kText).text;
      return push_global(pop(Kind::kText).text, name);
    }
    case kReduce:
      return call();
    case kBuild: {
      // Attributes of an object: an OrderedDict's _metadata, a NumPy dtype's details.
      pop();
      const auto kind = values_[top()].kind;
      if (kind != Kind::kDict && kind != Kind::kCall) fail("attributes of a plain value");
      return;
    }
    case kBinPersId: {
      auto items = pop(Kind::kTuple).items;
      spend(items.size());
      return push({.kind = Kind::kPersistent, .items = std::move(items)});
    }
    default:
      fail("pickle opcode " + std::to_string(opcode) + ", which no state dict needs,");
  }
}

std::int64_t PickleMachine::long_integer(std::string_view bytes) const {
  std::uint64_t integer = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    integer |= std::uint64_t{static_cast<std::uint8_t>(bytes[i])} << (8 * i);
  }
  const bool negative = !bytes.empty() && (bytes.back() & 0x80);
  if (negative && bytes.size() < 8) integer |= ~std::uint64_t{0} << (8 * bytes.size());
  return static_cast<std::int64_t>(integer);
}

void PickleMachine::push_global(std::string_view module, std::string_view name) {
  if (!looks_like_python_name(module) || !looks_like_python_name(name)) fail("a malformed name");
  if (module == "__builtin__") module = "builtins";  // as Python 2 called it
  const auto full_name = std::string(module) + "." + std::string(name);
  const auto allowed = std::find(std::begin(kAllowedGlobals), std::end(kAllowedGlobals), full_name);
  if (allowed == std::end(kAllowedGlobals)) {
    throw Error("ERR_CHECKPOINT_UNSAFE",
                "'" + file_ + "' asks for the Python object '" + printable(full_name) +
                    "', which no state dict needs: it was refused and nothing was run; if you "
                    "trust the file's origin, load it in PyTorch and save the weights alone with "
                    "torch.save(model.state_dict(), 'weights.pth')");
  }
  push({.kind = Kind::kGlobal, .text = *allowed});
}

// Records a call. OrderedDict alone is carried out, for later opcodes fill it.
void PickleMachine::call() {
  const auto arguments = pop(Kind::kTuple).items;
  const auto callee = pop(Kind::kGlobal).text;
  spend(arguments.size());
  if (callee != kOrderedDict) {
    return push({.kind = Kind::kCall, .text = callee, .items = arguments});
  }
  std::vector<Ref> items;
  if (!arguments.empty()) {
    // Python 2 passes the items: [[key, value], …].
    const auto& pairs = values_[arguments.front()];
    if (arguments.size() != 1 || pairs.kind != Kind::kList) fail("an odd OrderedDict");
    spend(pairs.items.size());
    for (const auto pair : pairs.items) {
      if (values_[pair].items.size() != 2) fail("an odd OrderedDict");
      items.insert(items.end(), values_[pair].items.begin(), values_[pair].items.end());
    }
  }
  push({.kind = Kind::kDict, .items = std::move(items)});
}

Pickle::Pickle(ByteReader& reader, const std::string& file) {
  PickleMachine machine(reader, file);
  root_ = machine.run();
  values_ = machine.take_values();
}

}  // namespace distill
