#include "core/checkpoint/tensor_trees.h"

#include <algorithm>
#include <cctype>
#include <deque>
#include <iterator>
#include <unordered_set>
#include <utility>

#include "core/checkpoint/limits.h"
#include "core/checkpoint/text.h"

namespace distill {
namespace {

using Kind = Pickle::Kind;

constexpr size_t deepest = 16;
constexpr size_t most_trees = 8192;
constexpr size_t most_others = 64;  // of one dict
constexpr size_t most_others_in_all = 8192;

// Keys of what holds tensors of the parameters' shapes that are no weights.
bool is_of_optimizer(std::string_view key) {
  static constexpr std::string_view words[] = {"optim", "scheduler", "exp_avg", "momentum_buffer"};
  static constexpr std::string_view whole[] = {"opt", "grad", "grads", "gradients"};
  std::string lower(key);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::find(std::begin(whole), std::end(whole), lower) != std::end(whole) ||
         std::any_of(std::begin(words), std::end(words),
                     [&](std::string_view word) { return lower.find(word) != std::string::npos; });
}

// A dict's key as text, cut where it is long; nothing for other keys than text and numbers.
std::optional<std::string> key_text(const Pickle::Value& key) {
  if (key.kind == Kind::text) return printable(key.text);
  if (key.kind == Kind::integer) return std::to_string(key.integer);
  return std::nullopt;
}

class TreeFinder {
 public:
  TreeFinder(const Pickle& pickle, const std::string& file,
             const PickledTensors::FindStorage& find_storage)
      : pickle_(pickle), file_(file), tensors_(pickle, file), find_storage_(find_storage) {}

  // Each dict once, under its shortest place, so that shared dicts and those that hold themselves
  // end the search.
  std::vector<TensorTree> run() {
    enqueue(pickle_.root(), TensorTree{}, 0);
    while (!queue_.empty()) {
      auto next = std::move(queue_.front());
      queue_.pop_front();
      const auto index = trees_.size();
      trees_.push_back(std::move(next.tree));
      read(*next.value, index, next.depth);
    }
    return without_empty();
  }

 private:
  struct Next {
    const Pickle::Value* value;
    TensorTree tree;
    size_t depth;
  };

  void enqueue(const Pickle::Value& value, TensorTree tree, size_t depth) {
    const bool is_container =
        value.kind == Kind::dict || value.kind == Kind::list || value.kind == Kind::tuple;
    if (!is_container || value.items.empty() || depth > deepest) return;
    if (trees_.size() + queue_.size() >= most_trees) return;
    if (seen_.insert(&value).second) queue_.push_back({&value, std::move(tree), depth});
  }

  void read(const Pickle::Value& value, size_t index, size_t depth) {
    const bool is_dict = value.kind == Kind::dict;
    for (size_t i = 0; i + is_dict < value.items.size(); i += is_dict ? 2 : 1) {
      const auto& item = pickle_[value.items[i + is_dict]];
      if (!is_dict) {
        descend(item, std::to_string(i), index, depth);
        continue;
      }
      const auto& key = pickle_[value.items[i]];
      if (key.kind == Kind::text && key.text.size() <= longest_name) {
        if (auto tensor = tensors_.tensor(item, find_storage_)) {
          expect_few_tensors(tensors_found_++, file_);
          tensor->name = key.text;
          trees_[index].tensors.push_back(std::move(*tensor));
          continue;
        }
      }
      auto& others = trees_[index].others;
      const auto name = key_text(key);
      if (others.size() < most_others && others_found_ < most_others_in_all) {
        ++others_found_;
        others.push_back(name.value_or("an entry"));
      }
      if (name && !is_of_optimizer(*name)) descend(item, *name, index, depth);
    }
  }

  void descend(const Pickle::Value& item, const std::string& key, size_t parent, size_t depth) {
    TensorTree child;
    child.place = trees_[parent].place.empty() ? key : trees_[parent].place + "." + key;
    child.parent = parent;
    child.key = key;
    enqueue(item, std::move(child), depth + 1);
  }

  // The file's own dict, those with tensors, and those that lead to them.
  std::vector<TensorTree> without_empty() {
    std::vector<bool> kept(trees_.size(), false);
    for (size_t i = trees_.size(); i-- > 0;) {
      if (i == 0 || !trees_[i].tensors.empty()) kept[i] = true;
      if (kept[i] && trees_[i].parent) kept[*trees_[i].parent] = true;
    }
    std::vector<TensorTree> trees;
    std::vector<size_t> index(trees_.size(), 0);
    for (size_t i = 0; i < trees_.size(); ++i) {
      if (!kept[i]) continue;
      index[i] = trees.size();
      if (trees_[i].parent) trees_[i].parent = index[*trees_[i].parent];
      trees.push_back(std::move(trees_[i]));
    }
    return trees;
  }

  const Pickle& pickle_;
  const std::string& file_;
  const PickledTensors tensors_;
  const PickledTensors::FindStorage& find_storage_;
  size_t tensors_found_ = 0, others_found_ = 0;
  std::deque<Next> queue_;
  std::unordered_set<const Pickle::Value*> seen_;
  std::vector<TensorTree> trees_;
};

// The prefix that DataParallel and torch.compile give to every name.
std::string wrappers_of(const std::vector<TensorEntry>& tensors) {
  std::string prefix;
  const auto all_start_with = [&](const std::string& beginning) {
    return std::all_of(tensors.begin(), tensors.end(), [&](const TensorEntry& tensor) {
      return tensor.name.starts_with(beginning);
    });
  };
  for (size_t before = 1; before != prefix.size();) {
    before = prefix.size();
    for (const char* wrapper : {"module.", "_orig_mod."}) {
      if (all_start_with(prefix + wrapper)) prefix += wrapper;
    }
  }
  return prefix;
}

// torchvision's first DenseNets had 'denselayer1.norm.1.weight' where today's have
// 'denselayer1.norm1.weight'.
void join_old_densenet_name(std::string& name) {
  std::string_view rest = name;
  const auto take_last = [&rest] {
    const auto dot = rest.rfind('.');
    const auto part = rest.substr(dot + 1);
    rest = rest.substr(0, dot == std::string_view::npos ? 0 : dot);
    return part;
  };
  const auto leaf = take_last();
  const auto number = take_last();
  const auto before_number = rest.size();
  const auto kind = take_last();
  const auto layer = take_last();
  if ((number == "1" || number == "2") && (kind == "norm" || kind == "relu" || kind == "conv") &&
      layer.starts_with("denselayer") && !leaf.empty()) {
    name.erase(before_number, 1);
  }
}

// Tells whether a tensor is no weight but a count that programs keep beside them: AveragedModel's
// number of models, a profiler's numbers of operations in each layer.
bool is_count(std::string_view name) {
  static constexpr std::string_view beside[] = {"n_averaged", "epoch", "step", "global_step"};
  static constexpr std::string_view of_layers[] = {"total_ops", "total_params"};
  const auto leaf = name.substr(name.rfind('.') + 1);
  return std::find(std::begin(beside), std::end(beside), name) != std::end(beside) ||
         std::find(std::begin(of_layers), std::end(of_layers), leaf) != std::end(of_layers);
}

// The network's name of a tensor at a place; nothing where it lies elsewhere.
std::optional<std::string> name_at(const WeightsPlace& place, const std::string& name) {
  if (place.exact) return name;
  if (!place.head.empty() && name.starts_with(place.head) && name[place.head.size()] == '.') {
    return place.head_of_network + name.substr(place.head.size());
  }
  if (!name.starts_with(place.prefix)) return std::nullopt;
  if (!place.left_out.empty() && name.starts_with(place.left_out)) return std::nullopt;
  auto rest = name.substr(place.prefix.size());
  if (is_count(rest)) return std::nullopt;
  join_old_densenet_name(rest);
  return rest;
}

// The part of a name that stands for it among what is passed over: up to the dot behind the first
// word in which it differs from the prefix.
std::string heading(const std::string& name, const std::string& prefix) {
  if (is_count(name)) return name.substr(name.rfind('.') + 1);
  const auto differs = std::mismatch(name.begin(), name.end(), prefix.begin(), prefix.end()).first;
  return name.substr(0, std::min(name.find('.', differs - name.begin()), name.size() - 1) + 1);
}

}  // namespace

std::vector<TensorTree> find_tensor_trees(const Pickle& pickle, const std::string& file,
                                          const PickledTensors::FindStorage& find_storage) {
  return TreeFinder(pickle, file, find_storage).run();
}

size_t rank_of(const TensorTree& tree) {
  static constexpr std::string_view usual[] = {"state_dict", "model", "model_state_dict", ""};
  return std::find(std::begin(usual), std::end(usual), tree.place) - std::begin(usual);
}

WeightsPlace usual_place(const std::vector<TensorTree>& trees) {
  size_t best = 0;
  for (size_t i = 1; i < trees.size(); ++i) {
    const auto count = trees[i].tensors.size(), most = trees[best].tensors.size();
    if (count == 0) continue;
    // The file's own dict may hold a number beside the weights: it ranks as any other.
    const auto rank = std::min<size_t>(rank_of(trees[i]), 3);
    const auto best_rank = most == 0 ? 4 : std::min<size_t>(rank_of(trees[best]), 3);
    if (rank < best_rank || (rank == best_rank && count > most)) best = i;
  }
  return {.tree = best, .prefix = wrappers_of(trees[best].tensors)};
}

std::vector<TensorEntry> tensors_at(const std::vector<TensorTree>& trees,
                                    const WeightsPlace& place) {
  std::vector<TensorEntry> tensors;
  for (const auto& tensor : trees[place.tree].tensors) {
    if (auto name = name_at(place, tensor.name)) {
      tensors.push_back(tensor);
      tensors.back().name = std::move(*name);
    }
  }
  return tensors;
}

std::vector<std::string> passed_over(const std::vector<TensorTree>& trees,
                                     const WeightsPlace& place) {
  std::vector<std::string> names;
  const auto add = [&](const TensorTree& tree, const std::string& name) {
    if (names.size() >= most_others) return;
    const auto full = printable(tree.place.empty() ? name : tree.place + "." + name);
    if (std::find(names.begin(), names.end(), full) == names.end()) names.push_back(full);
  };
  std::vector<size_t> path = {place.tree};
  while (const auto parent = trees[path.back()].parent) path.push_back(*parent);
  for (auto i = path.size(); i-- > 0;) {
    const auto& tree = trees[path[i]];
    for (const auto& key : tree.others) {
      if (i == 0 || key != trees[path[i - 1]].key) add(tree, key);
    }
    for (const auto& tensor : tree.tensors) {
      if (i > 0 || !name_at(place, tensor.name)) {
        add(tree, heading(tensor.name, i > 0 ? "" : place.prefix));
      }
    }
  }
  return names;
}

}  // namespace distill
