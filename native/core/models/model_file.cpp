#include "core/models/model_file.h"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <iterator>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "core/checkpoint/text.h"
#include "core/error.h"

namespace distill {
namespace {

// No network here has fewer tensors.
constexpr size_t fewest_tensors = 8;
// Places that are compared with the architectures: more than any training program makes.
constexpr size_t most_places = 256;
// Comparisons in all, with other last layers as well.
constexpr size_t most_comparisons = 4096;
constexpr size_t deepest_prefix = 8;

// A place whose weights are those of an architecture.
struct Fit {
  WeightsPlace place;
  Recognized recognized;
  bool averaged;
};

// The words of a name, in small letters: 'state_dict_ema' and 'StateDictEMA' have the same.
std::vector<std::string> words_of(std::string_view name) {
  std::vector<std::string> words(1);
  for (size_t i = 0; i < name.size(); ++i) {
    const auto c = static_cast<unsigned char>(name[i]);
    const bool begins =
        std::isupper(c) && i > 0 && std::islower(static_cast<unsigned char>(name[i - 1]));
    if ((!std::isalpha(c) || begins) && !words.back().empty()) words.emplace_back();
    if (std::isalpha(c)) words.back() += static_cast<char>(std::tolower(c));
  }
  return words;
}

bool says_averaged(std::string_view name) {
  static constexpr std::string_view yes[] = {"ema",    "averaged", "averaging", "average",
                                             "avg",    "emamodel", "modelema",  "swa",
                                             "polyak", "shadow"};
  static constexpr std::string_view no[] = {"non", "no", "not", "without"};
  bool negated = false;
  for (const auto& word : words_of(name)) {
    if (std::find(std::begin(yes), std::end(yes), word) != std::end(yes)) return !negated;
    negated = std::find(std::begin(no), std::end(no), word) != std::end(no);
  }
  return false;
}

// Searches a checkpoint for weights.
class WeightsFinder {
 public:
  explicit WeightsFinder(Checkpoint& checkpoint) : checkpoint_(checkpoint) {}

  std::vector<Fit> run() {
    const auto usual = checkpoint_.place();
    for (size_t tree = 0; tree < trees().size(); ++tree) search(tree);
    checkpoint_.take(usual);
    return std::move(fits_);
  }

  // The reason why the head of what is an architecture but for its head cannot be used.
  const std::string& other_head() const { return other_head_; }

 private:
  // A beginning that names share, and where it occurs.
  struct Group {
    std::string prefix;
    std::vector<const TensorEntry*> tensors;
  };

  const std::vector<TensorTree>& trees() const { return checkpoint_.trees(); }

  // Compares the names under each prefix, from the shortest on; within what fits nothing is
  // searched.
  void search(size_t tree) {
    std::vector<std::string> fitting;
    for (const auto& group : groups(trees()[tree].tensors)) {
      if (places_ == most_places) return;
      const auto& prefix = group.prefix;
      const bool is_within = std::any_of(fitting.begin(), fitting.end(), [&](const auto& outer) {
        return prefix.starts_with(outer);
      });
      if (is_within) continue;
      ++places_;
      if (fits({.tree = tree, .prefix = prefix}) || fits_with_other_head(tree, group)) {
        fitting.push_back(prefix);
      }
    }
  }

  // The groups of names with a common beginning that are large enough, the shortest ones first.
  static std::vector<Group> groups(const std::vector<TensorEntry>& tensors) {
    std::vector<Group> groups;
    if (tensors.size() < fewest_tensors) return groups;
    std::vector<Group> level = {{.prefix = ""}};
    for (const auto& tensor : tensors) level[0].tensors.push_back(&tensor);
    for (size_t depth = 0; depth < deepest_prefix && !level.empty(); ++depth) {
      auto below = children(level);
      std::move(level.begin(), level.end(), std::back_inserter(groups));
      level = std::move(below);
    }
    return groups;
  }

  static std::vector<Group> children(const std::vector<Group>& level) {
    std::vector<Group> below;
    for (const auto& group : level) {
      for (auto& child : split(group)) {
        if (child.tensors.size() >= fewest_tensors) below.push_back(std::move(child));
      }
    }
    return below;
  }

  // A group by the next word of its names, in their order.
  static std::vector<Group> split(const Group& group) {
    std::vector<Group> parts;
    std::map<std::string, size_t> index;
    for (const auto* tensor : group.tensors) {
      const auto dot = tensor->name.find('.', group.prefix.size());
      if (dot == std::string::npos) continue;
      const auto prefix = tensor->name.substr(0, dot + 1);
      const auto [found, is_new] = index.emplace(prefix, parts.size());
      if (is_new) parts.push_back({.prefix = prefix});
      parts[found->second].tensors.push_back(tensor);
    }
    return parts;
  }

  std::optional<Recognized> recognize_at(const WeightsPlace& place) {
    if (++comparisons_ > most_comparisons) return std::nullopt;
    checkpoint_.take(place);
    return recognize(checkpoint_);
  }

  bool fits(const WeightsPlace& place) {
    const auto recognized = recognize_at(place);
    if (!recognized) return false;
    if (place.head.empty() && has_other_head(*recognized)) return true;
    fits_.push_back({place, *recognized, is_averaged(place)});
    return true;
  }

  // Tells whether there are other linear layers beside the last one than the network has, and notes
  // it.
  bool has_other_head(const Recognized& recognized) {
    const auto head = recognized.architecture->head();
    Group group{.prefix = head.substr(0, head.find('.')) + "."};
    for (const auto& tensor : checkpoint_.tensors()) {
      if (tensor.name.starts_with(group.prefix)) group.tensors.push_back(&tensor);
    }
    const auto linears = linears_of(group);
    if (linears.size() < 2) return false;
    const auto network = create_network(recognized);
    const bool are_known = std::all_of(linears.begin(), linears.end(), [&](const auto& linear) {
      return network->state().find(linear + ".weight");
    });
    if (are_known) return false;
    note_other_head(group, recognized);
    return true;
  }

  // The tensors of a dict whose names begin so.
  Group group_at(size_t tree, const std::string& prefix) const {
    Group group{.prefix = prefix};
    for (const auto& tensor : trees()[tree].tensors) {
      if (tensor.name.starts_with(prefix)) group.tensors.push_back(&tensor);
    }
    return group;
  }

  // Looks for a last layer under another name: within the network's own, among the other parts of
  // the group, and beside it, as a network whose last layer was taken off lies beside a new one.
  bool fits_with_other_head(size_t tree, const Group& body) {
    const bool has_convolutions =
        std::any_of(body.tensors.begin(), body.tensors.end(),
                    [](const TensorEntry* tensor) { return tensor->shape.size() == 4; });
    if (!has_convolutions) return false;
    for (const auto& name : heads()) {
      const Group part = group_at(tree, body.prefix + name + ".");
      if (is_head(part) && fits_with_head(tree, body.prefix, part, name)) return true;
    }
    for (auto outer = body.prefix;;) {
      for (const auto& part : split(group_at(tree, outer))) {
        if (outer != body.prefix && body.prefix.starts_with(part.prefix)) continue;
        if (!is_head(part)) continue;
        for (const auto& name : heads()) {
          if (fits_with_head(tree, body.prefix, part, name)) return true;
        }
      }
      if (outer.empty()) return false;
      const auto dot = outer.rfind('.', outer.size() - 2);
      outer = dot == std::string::npos ? "" : outer.substr(0, dot + 1);
    }
  }

  // Compares a network with the linear layer of a head as its last one. Of several layers the first
  // one has its inputs: with it alone, it tells what the rest is.
  bool fits_with_head(size_t tree, const std::string& prefix, const Group& part,
                      const std::string& name) {
    const auto linears = linears_of(part);
    const bool is_single = linears.size() == 1 && part.tensors.size() <= 2;
    if (is_taken(tree, prefix + name + ".", part.prefix)) return false;
    const WeightsPlace place{.tree = tree,
                             .prefix = prefix,
                             .head = linears.front(),
                             .head_of_network = name,
                             .left_out = is_single ? "" : part.prefix};
    const auto recognized = recognize_at(place);
    if (!recognized || recognized->architecture->head() != name) return false;
    if (is_single && is_complete(*recognized, /*with_bias=*/true)) {
      fits_.push_back({place, *recognized, is_averaged(place)});
      return true;
    }
    if (!is_complete(*recognized, /*with_bias=*/false)) return false;
    note_other_head(part, *recognized);
    return true;
  }

  // Tells whether there are tensors under the name that a head is to have, other than its own.
  bool is_taken(size_t tree, const std::string& name, const std::string& head) const {
    const auto& tensors = trees()[tree].tensors;
    return std::any_of(tensors.begin(), tensors.end(), [&](const TensorEntry& tensor) {
      return !tensor.name.starts_with(head) && tensor.name.starts_with(name) &&
             tensor.name.find('.', name.size()) == std::string::npos;
    });
  }

  // Tells whether a group may be a head: matrices and vectors alone.
  static bool is_head(const Group& group) {
    return !linears_of(group).empty() &&
           std::all_of(group.tensors.begin(), group.tensors.end(),
                       [](const TensorEntry* tensor) { return tensor->shape.size() <= 2; });
  }

  // The names of the linear layers of a group.
  static std::vector<std::string> linears_of(const Group& group) {
    std::vector<std::string> names;
    for (const auto* tensor : group.tensors) {
      const std::string& name = tensor->name;
      if (tensor->shape.size() == 2 && name.ends_with(".weight")) {
        names.push_back(name.substr(0, name.size() - 7));
      }
    }
    return names;
  }

  // The names of the architectures' last layers.
  static std::vector<std::string> heads() {
    std::vector<std::string> names;
    for (const auto& architecture : architectures()) {
      const auto head = architecture.head();
      if (!head.empty() && std::find(names.begin(), names.end(), head) == names.end()) {
        names.push_back(head);
      }
    }
    return names;
  }

  // Tells whether the tensors that are taken are all that the network has, in its shapes.
  bool is_complete(const Recognized& recognized, bool with_bias) const {
    const auto network = create_network(recognized);
    const auto bias = recognized.architecture->head() + ".bias";
    size_t found = 0;
    for (const auto& [name, tensor] : network->state()) {
      const auto* entry = checkpoint_.find(name);
      const bool may_lack = name.ends_with(".num_batches_tracked") || (!with_bias && name == bias);
      if (!entry && may_lack) continue;
      if (!entry || entry->shape != tensor.sizes().vec()) return false;
      ++found;
    }
    return found == checkpoint_.tensors().size();
  }

  void note_other_head(const Group& head, const Recognized& recognized) {
    std::vector<std::string> parts;
    for (const auto* tensor : head.tensors) parts.push_back("'" + printable(tensor->name) + "'");
    other_head_ = "is a " + recognized.architecture->name +
                  " but for its head, which is no single linear layer with a bias (" +
                  first_ten(parts) +
                  "): its answers follow from how these are called, which no state dict says; "
                  "export the whole model with torch.export and give the .pt2";
  }

  // Tells whether weights are averages, by the keys, the prefix, or AveragedModel's counter.
  bool is_averaged(const WeightsPlace& place) const {
    const auto& tree = trees()[place.tree];
    const auto around =
        place.prefix.empty() ? std::string::npos : place.prefix.rfind('.', place.prefix.size() - 2);
    const auto counter =
        (around == std::string::npos ? "" : place.prefix.substr(0, around + 1)) + "n_averaged";
    return says_averaged(tree.place) || says_averaged(place.prefix) || is_lightning_average(tree) ||
           std::any_of(tree.tensors.begin(), tree.tensors.end(),
                       [&](const TensorEntry& tensor) { return tensor.name == counter; });
  }

  // Lightning's WeightAveraging puts the averages where the weights were, and these beside them.
  bool is_lightning_average(const TensorTree& tree) const {
    const auto& others = trees()[0].others;
    const auto has = [&](const char* key) {
      return std::find(others.begin(), others.end(), key) != others.end();
    };
    return tree.place == "state_dict" && has("current_model_state") && has("averaging_state");
  }

  Checkpoint& checkpoint_;
  std::vector<Fit> fits_;
  std::string other_head_;
  size_t places_ = 0;
  size_t comparisons_ = 0;
};

// Tells whether two places hold the same bytes: a file may name one dict twice.
bool is_same(const Checkpoint& checkpoint, const Fit& one, const Fit& other) {
  const auto& trees = checkpoint.trees();
  const auto a = tensors_at(trees, one.place), b = tensors_at(trees, other.place);
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.name == y.name && x.storage.begin == y.storage.begin && x.offset == y.offset &&
           x.shape == y.shape && x.strides == y.strides;
  });
}

std::string place_name(const Checkpoint& checkpoint, const WeightsPlace& place) {
  const auto& key = checkpoint.trees()[place.tree].place;
  return key.empty() || place.prefix.empty() ? key + place.prefix : key + "." + place.prefix;
}

// The one to take; nothing where several are left.
const Fit* choose(const Checkpoint& checkpoint, std::vector<Fit>& fits, bool averaged) {
  const bool has_wanted = std::any_of(fits.begin(), fits.end(),
                                      [&](const Fit& fit) { return fit.averaged == averaged; });
  if (has_wanted) std::erase_if(fits, [&](const Fit& fit) { return fit.averaged != averaged; });
  const auto rank = [&](const Fit& fit) { return rank_of(checkpoint.trees()[fit.place.tree]); };
  size_t best = 4;
  for (const auto& fit : fits) best = std::min(best, rank(fit));
  std::erase_if(fits, [&](const Fit& fit) { return rank(fit) != best; });
  const bool are_same = std::all_of(fits.begin(), fits.end(), [&](const Fit& fit) {
    return &fit == &fits[0] || is_same(checkpoint, fits[0], fit);
  });
  return are_same ? &fits[0] : nullptr;
}

}  // namespace

ModelFile open_model(const std::string& path, bool averaged) {
  ModelFile file{.checkpoint = Checkpoint::open(path)};
  Checkpoint& checkpoint = file.checkpoint;
  if (checkpoint.place().exact) {
    file.recognized = recognize(checkpoint);
    return file;
  }
  WeightsFinder finder(checkpoint);
  auto fits = finder.run();
  if (fits.empty()) {
    if (!finder.other_head().empty()) file.problem = "'" + path + "' " + finder.other_head();
    return file;
  }
  if (const auto* fit = choose(checkpoint, fits, averaged)) {
    checkpoint.take(fit->place);
    file.recognized = fit->recognized;
    file.averaged = fit->averaged;
    return file;
  }
  std::vector<std::string> places;
  for (const auto& fit : fits) {
    places.push_back("'" + printable(place_name(checkpoint, fit.place)) + "' (" +
                     fit.recognized.architecture->name + ")");
  }
  file.problem = "'" + path + "' holds several networks, under " + first_ten(places) +
                 ": load it in PyTorch and save the one to use alone with torch.save";
  return file;
}

LoadedNetwork load_network(const std::string& path, bool averaged) {
  const ModelFile file = open_model(path, averaged);
  if (!file.problem.empty()) throw Error("ERR_MODEL_ARCHITECTURE", file.problem);
  return load_network(file.checkpoint);
}

LoadedNetwork load_teacher(const std::string& path, bool averaged) {
  const ModelFile file = open_model(path, averaged);
  if (!file.problem.empty()) throw Error("ERR_TEACHER_ARCHITECTURE", file.problem);
  return load_teacher(file.checkpoint);
}

}  // namespace distill
