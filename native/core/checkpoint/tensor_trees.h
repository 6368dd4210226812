#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/checkpoint/pickled_tensors.h"
#include "core/checkpoint/tensor_entry.h"

namespace distill {

// One dict of a file, with the tensors that lie in it.
struct TensorTree {
  // The keys that lead to it, joined by dots: 'state_dict'; empty: the file's own dict.
  std::string place;
  std::vector<TensorEntry> tensors;  // under the file's names, in its order
  std::vector<std::string> others;   // keys of the entries that are no tensors
  // The dict around it and its key there; none around the file's own.
  std::optional<size_t> parent;
  std::string key;
};

// The tensors of a file that are a network's weights.
struct WeightsPlace {
  size_t tree = 0;     // index of the dict
  std::string prefix;  // the beginning of their names, which is taken off: 'module.'
  // The last layer under another name than the network's: the file's name ('model.fc.1') and the
  // network's ('classifier'). Both empty where it is not renamed.
  std::string head;
  std::string head_of_network;
  // The beginning of the names that are left out but for the last layer's: other parts of its head.
  std::string left_out;
  // True where the names of all tensors of the dict stay as they are.
  bool exact = false;
};

// Finds the dicts of a pickle that hold tensors, and those around them, from the outermost on; the
// file's own is the first. Optimizers' states are passed over, as are dicts that nest deeply or are
// many. `file` names the file in messages. Throws ERR_CHECKPOINT_CORRUPT.
std::vector<TensorTree> find_tensor_trees(const Pickle& pickle, const std::string& file,
                                          const PickledTensors::FindStorage& find_storage);

// Chooses the dict that training scripts keep a state dict in: 'state_dict', 'model',
// 'model_state_dict', or else the one with the most tensors, the outermost of several. The prefix
// is that of DataParallel ('module.') and torch.compile ('_orig_mod.'), once or several times.
WeightsPlace usual_place(const std::vector<TensorTree>& trees);

// The rank of a dict among these usual ones: 0 to 2, 3 is the file's own, 4 any other.
size_t rank_of(const TensorTree& tree);

// The tensors at a place, under the names that a network of today has. torchvision's first DenseNet
// names are joined ('norm.1' to 'norm1').
std::vector<TensorEntry> tensors_at(const std::vector<TensorTree>& trees,
                                    const WeightsPlace& place);

// The names of the entries of a file that are not at the place, from the outermost on: at most 64,
// each made fit for a message. What begins with the same word is one entry: 'teacher.'.
std::vector<std::string> passed_over(const std::vector<TensorTree>& trees,
                                     const WeightsPlace& place);

}  // namespace distill
