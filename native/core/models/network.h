#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <string>
#include <vector>

#include "core/checkpoint/state_dict.h"
#include "core/checkpoint/writer.h"
#include "core/device/device.h"
#include "core/nn/layers.h"
#include "core/nn/weights.h"

namespace distill {

class Network;

// A network in evaluation mode: running statistics, no dropout.
class Evaluator {
 public:
  virtual ~Evaluator() = default;

  // images (B, 3, S, S), channels-last, in the type that it computes in -> the input of the last
  // layer, (B, features) float32
  virtual at::Tensor features(const at::Tensor& images) const = 0;
  // The same -> logits (B, classes) float32
  virtual at::Tensor forward(const at::Tensor& images) const = 0;
  // Takes over the weights that the network has now. On another device than the CPU they go into
  // the memory of the former ones, where a captured graph reads them.
  virtual void follow(const Network& network) = 0;
};

// A network that classifies pictures: its weights, and its computation in training mode.
class Network {
 public:
  virtual ~Network() = default;

  // The weights and running statistics under PyTorch's names.
  virtual StateDict& state() = 0;
  virtual const StateDict& state() const = 0;
  // The tensors of state() that an optimizer moves, in its order.
  virtual std::vector<at::Tensor> parameters() const { return trainable(state()); }
  // The last layer, features -> logits, if it is a linear one. Its handles on the weights are those
  // of state().
  virtual const Linear* head() const = 0;
  virtual int64_t classes() const { return head()->weight.size(0); }

  // Draws fresh weights, in the order in which PyTorch's constructor of this network draws them.
  virtual void initialize(at::Generator generator) = 0;

  // Called once before pictures of that size, with the weights on the CPU. Throws ERR_GRAPH where
  // the network does not take them.
  virtual void prepare(int64_t image_size) {}
  // The exported program that has to be in the network's file beside its weights, as JSON; empty
  // where the weights tell what the network is.
  virtual std::string graph() const { return {}; }
  // The exported program that computes this network, as JSON; empty where there is none.
  virtual std::string exported_program() const { return graph(); }
  // The tensors that it reads besides those of state().
  virtual StateDict constants() const { return {}; }

  // The fewest pictures that a training step can have.
  virtual int64_t smallest_batch() const { return 1; }
  // The factors of the dropout for a batch, on the CPU, so that they are the same on every device;
  // undefined where nothing is dropped.
  virtual at::Tensor draw_dropout(int64_t pictures, at::Generator generator) const { return {}; }
  // In training mode: images (B, 3, S, S), channels-last -> logits (B, classes) float32, by the
  // batch's statistics; the running ones move. Convolutions compute in the images' type.
  virtual at::Tensor forward(const at::Tensor& images, const at::Tensor& dropout) const = 0;

  // The network in evaluation mode. Weights that are on another device are moved or copied there.
  virtual std::unique_ptr<Evaluator> evaluator(const Compute& compute) = 0;
};

// The contents of a network's file, on the CPU, without metadata.
CheckpointContents contents_of(const Network& network, Format format);

}  // namespace distill
