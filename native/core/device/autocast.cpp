#include "core/device/autocast.h"

#include <ATen/autocast_mode.h>

namespace distill {

Autocast::Autocast(const at::Tensor& images)
    : device_(images.device().type()), is_active_(images.scalar_type() == at::kBFloat16) {
  if (!is_active_) return;
  at::autocast::set_autocast_dtype(device_, at::kBFloat16);
  at::autocast::set_autocast_enabled(device_, true);
  at::autocast::increment_nesting();
}

Autocast::~Autocast() {
  if (!is_active_) return;
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(device_, false);
}

}  // namespace distill
