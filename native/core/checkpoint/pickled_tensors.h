#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/checkpoint/pickle_reader.h"
#include "core/checkpoint/tensor_entry.h"
#include "core/error.h"

namespace distill {

// A pickle's description of a storage: ('storage', type, key, location, numel[, view]).
struct StorageId {
  at::ScalarType dtype = at::kFloat;
  std::string_view key;
  int64_t numel = 0;
  // The part that a tensor sees: all of it, but for the storage views of PyTorch before 0.4.
  int64_t begin = 0;
  int64_t end = 0;

  uint64_t bytes() const;
};

// Gives a pickle's values the meaning that PyTorch gives them.
class PickledTensors {
 public:
  // Tells where a storage's bytes are.
  using FindStorage = std::function<Extent(const StorageId&)>;

  // Both must outlive it; `file` names the file in messages.
  PickledTensors(const Pickle& pickle, const std::string& file) : pickle_(pickle), file_(file) {}

  // Every storage that the pickle mentions, as often as it does.
  std::vector<StorageId> storages() const;

  // The reason for ERR_CHECKPOINT_NO_STATE_DICT, of a pickle that holds no dict of tensors.
  Error no_state_dict() const;

  // Its bounds verified; nothing where the value is no dense tensor. Without a name.
  std::optional<TensorEntry> tensor(const Pickle::Value& value,
                                    const FindStorage& find_storage) const;

 private:
  StorageId storage_id(const Pickle::Value& value) const;
  int64_t count(Pickle::Ref ref) const;
  std::vector<int64_t> counts(Pickle::Ref ref) const;
  const std::vector<Pickle::Ref>* tensor_arguments(const Pickle::Value& value) const;

  const Pickle& pickle_;
  const std::string& file_;
};

}  // namespace distill
