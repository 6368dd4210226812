#pragma once

namespace distill {

// The pooling behind a norm and its ReLU.
enum class Pool {
  none,
  max2,      // the largest of each 2x2 pixels; a last odd row or column is dropped
  average2,  // the average of each 2x2 pixels, likewise
  average,   // the average of the whole picture
};

}  // namespace distill
