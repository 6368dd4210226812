#include "core/kernels/products.h"

#include "core/kernels/panels.h"

namespace distill {
namespace {

template <typename R, bool add>
INLINE void multiply_panels(Matrix x, Rows<const float> y, Rows<float> z, int64_t rows,
                            int64_t depth, int64_t columns) {
  static_assert(product_step % R::panel == 0);
  for (int64_t panel = 0; panel < columns; panel += R::panel) {
    panels::multiply<R, add>(rows, {x.data, x.row_step, x.column_step}, {y.data + panel, y.step},
                             depth, {z.data + panel, z.step});
  }
}

}  // namespace

void product(Matrix x, Rows<const float> y, Rows<float> z, int64_t rows, int64_t depth,
             int64_t columns, bool add) {
  panels::for_processor<float>([&]<typename R>(R) INLINED {
    if (add) {
      multiply_panels<R, true>(x, y, z, rows, depth, columns);
    } else {
      multiply_panels<R, false>(x, y, z, rows, depth, columns);
    }
  });
}

}  // namespace distill
