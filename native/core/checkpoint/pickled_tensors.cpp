#include "core/checkpoint/pickled_tensors.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "core/checkpoint/byte_reader.h"
#include "core/checkpoint/text.h"

namespace distill {
namespace {

using Kind = Pickle::Kind;

std::optional<at::ScalarType> storage_dtype(std::string_view global) {
  static constexpr std::pair<std::string_view, at::ScalarType> storages[] = {
      {"torch.FloatStorage", at::kFloat},
      {"torch.DoubleStorage", at::kDouble},
      {"torch.HalfStorage", at::kHalf},
      {"torch.BFloat16Storage", at::kBFloat16},
      {"torch.ByteStorage", at::kByte},
      {"torch.CharStorage", at::kChar},
      {"torch.ShortStorage", at::kShort},
      {"torch.IntStorage", at::kInt},
      {"torch.LongStorage", at::kLong},
      {"torch.BoolStorage", at::kBool},
      {"torch.ComplexFloatStorage", at::kComplexFloat},
      {"torch.ComplexDoubleStorage", at::kComplexDouble},
      {"torch.storage.UntypedStorage", at::kByte},
  };
  for (const auto& [name, dtype] : storages) {
    if (name == global) return dtype;
  }
  return std::nullopt;
}

}  // namespace

uint64_t StorageId::bytes() const {
  return static_cast<uint64_t>(numel) * at::elementSize(dtype);
}

std::vector<StorageId> PickledTensors::storages() const {
  std::vector<StorageId> ids;
  for (const auto& value : pickle_.values()) {
    if (value.kind == Kind::persistent) ids.push_back(storage_id(value));
  }
  return ids;
}

// A number of elements.
int64_t PickledTensors::count(Pickle::Ref ref) const {
  const auto& value = pickle_[ref];
  if (value.kind != Kind::integer || value.integer < 0 || value.integer > most_elements) {
    throw_damaged(file_, "a tensor's size is no sensible number");
  }
  return value.integer;
}

std::vector<int64_t> PickledTensors::counts(Pickle::Ref ref) const {
  const auto* value = &pickle_[ref];
  if (value->kind == Kind::call && value->text == "torch.Size" && value->items.size() == 1) {
    value = &pickle_[value->items[0]];
  }
  if (value->kind != Kind::tuple || value->items.size() > most_dimensions) {
    throw_damaged(file_, "a tensor's shape is no short tuple");
  }
  std::vector<int64_t> sizes;
  for (const auto item : value->items) sizes.push_back(count(item));
  return sizes;
}

StorageId PickledTensors::storage_id(const Pickle::Value& value) const {
  const auto& items = value.items;
  if (value.kind == Kind::persistent && items.size() >= 5 && items.size() <= 6 &&
      pickle_[items[0]].text == "storage" && pickle_[items[2]].kind == Kind::text) {
    if (const auto dtype = storage_dtype(pickle_[items[1]].text)) {
      const auto numel = count(items[4]);
      StorageId id{*dtype, pickle_[items[2]].text, numel, 0, numel};
      if (items.size() == 6 && pickle_[items[5]].kind == Kind::tuple) {
        const auto& view = pickle_[items[5]].items;  // (key, offset, numel)
        if (view.size() != 3) throw_damaged(file_, "a storage's view is malformed");
        id.begin = count(view[1]);
        id.end = id.begin + count(view[2]);
        if (id.end > numel) throw_damaged(file_, "a storage's view is larger than the storage");
      }
      return id;
    }
  }
  throw_damaged(file_, "a storage's description is malformed");
}

// The call that rebuilds the tensor, out of the Parameter around it.
const Pickle::Value* PickledTensors::tensor_call(const Pickle::Value& value) const {
  const auto* call = &value;
  if (call->kind == Kind::call && call->text.starts_with("torch._utils._rebuild_parameter") &&
      !call->items.empty()) {
    call = &pickle_[call->items[0]];
  }
  const bool is_tensor = call->kind == Kind::call && call->items.size() >= 4 &&
                         call->text.starts_with("torch._utils._rebuild_tensor");
  return is_tensor ? call : nullptr;
}

bool PickledTensors::holds_tensors(const Pickle::Value& value) const {
  if (value.kind != Kind::dict) return false;
  for (size_t i = 1; i < value.items.size(); i += 2) {
    if (tensor_call(pickle_[value.items[i]])) return true;
  }
  return false;
}

const Pickle::Value& PickledTensors::find_state_dict() const {
  const auto& root = pickle_.root();
  const auto no_state_dict = [&](const std::string& instead) {
    return Error("ERR_CHECKPOINT_NO_STATE_DICT",
                 "'" + file_ + "' holds " + instead +
                     " and no state dict, neither itself nor under 'state_dict', 'model' or "
                     "'model_state_dict': save the weights with torch.save(model.state_dict(), "
                     "'weights.pth')");
  };
  if (root.kind != Kind::dict) {
    throw no_state_dict(tensor_call(root) ? "a single tensor" : "something that is no dict");
  }
  for (const auto* wrapper : {"state_dict", "model", "model_state_dict"}) {
    const Pickle::Value* wrapped = nullptr;
    for (size_t i = 0; i < root.items.size(); i += 2) {
      if (pickle_[root.items[i]].text == wrapper) wrapped = &pickle_[root.items[i + 1]];
    }
    if (wrapped && holds_tensors(*wrapped)) return *wrapped;
  }
  if (holds_tensors(root)) return root;
  if (root.items.empty()) throw no_state_dict("an empty dict");
  std::vector<std::string> keys;
  for (size_t i = 0; i < root.items.size(); i += 2) {
    keys.push_back("'" + printable(pickle_[root.items[i]].text) + "'");
  }
  throw no_state_dict("a dict with " + first_ten(keys));
}

std::optional<TensorEntry> PickledTensors::tensor(const Pickle::Value& value,
                                                  const FindStorage& find_storage) const {
  const auto* call = tensor_call(value);
  if (!call) return std::nullopt;
  const auto id = storage_id(pickle_[call->items[0]]);
  TensorEntry tensor{.name = {},
                     .dtype = id.dtype,
                     .shape = counts(call->items[2]),
                     .strides = counts(call->items[3]),
                     .offset = id.begin + count(call->items[1]),
                     .storage = find_storage(id)};
  if (tensor.storage.size != id.bytes()) {
    throw_damaged(file_, "a storage's size is not what its tensor says");
  }
  if (tensor.shape.size() != tensor.strides.size() || !stays_within(tensor, id.end)) {
    throw_damaged(file_, "a tensor reaches beyond its storage");
  }
  return tensor;
}

}  // namespace distill
