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
      {"torch.QUInt8Storage", at::kByte},
      {"torch.QInt8Storage", at::kChar},
      {"torch.QInt32Storage", at::kInt},
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

// The arguments of the call that rebuilds the tensor: storage, offset, shape, strides, …. The call
// may lie in a Parameter's, or be one for a subclass of Tensor.
const std::vector<Pickle::Ref>* PickledTensors::tensor_arguments(const Pickle::Value& value) const {
  const auto* call = &value;
  if (call->kind == Kind::call && call->text.starts_with("torch._utils._rebuild_parameter") &&
      !call->items.empty()) {
    call = &pickle_[call->items[0]];
  }
  if (call->kind != Kind::call) return nullptr;
  const auto rebuilds = [](std::string_view name) {
    return name == "torch._utils._rebuild_tensor_v2" || name == "torch._utils._rebuild_tensor";
  };
  const auto* arguments = &call->items;
  if (call->text == "torch._tensor._rebuild_from_type_v2") {
    // (function, type, arguments, attributes)
    if (arguments->size() < 3 || !rebuilds(pickle_[(*arguments)[0]].text)) return nullptr;
    arguments = &pickle_[(*arguments)[2]].items;
  } else if (!rebuilds(call->text)) {
    return nullptr;
  }
  return arguments->size() >= 4 ? arguments : nullptr;
}

Error PickledTensors::no_state_dict() const {
  const auto& root = pickle_.root();
  const auto holds = [&](const std::string& instead) {
    return Error("ERR_CHECKPOINT_NO_STATE_DICT",
                 "'" + file_ + "' holds " + instead +
                     " and no state dict, neither itself nor under a key: save the weights with "
                     "torch.save(model.state_dict(), 'weights.pth')");
  };
  if (root.kind != Kind::dict) {
    return holds(tensor_arguments(root) ? "a single tensor" : "something that is no dict");
  }
  if (root.items.empty()) return holds("an empty dict");
  std::vector<std::string> keys;
  for (size_t i = 0; i < root.items.size(); i += 2) {
    keys.push_back("'" + printable(pickle_[root.items[i]].text) + "'");
  }
  return holds("a dict with " + first_ten(keys));
}

std::optional<TensorEntry> PickledTensors::tensor(const Pickle::Value& value,
                                                  const FindStorage& find_storage) const {
  const auto* arguments = tensor_arguments(value);
  if (!arguments) return std::nullopt;
  const auto& items = *arguments;
  const auto id = storage_id(pickle_[items[0]]);
  TensorEntry tensor{.name = {},
                     .dtype = id.dtype,
                     .shape = counts(items[2]),
                     .strides = counts(items[3]),
                     .offset = id.begin + count(items[1]),
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
