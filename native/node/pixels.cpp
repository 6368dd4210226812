#include <napi.h>

#include <algorithm>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>

#include "core/data/resample.h"
#include "node/entry.h"
#include "node/pixel_steps.h"
#include "node/read.h"

// An addon of its own, without LibTorch and libjpeg. lib/native.ts describes it.
namespace distill::node {

namespace {

// Sides of a picture may be as long as its file says; lib/data/decode has checked their product.
constexpr int64_t max_picture_side = int64_t{1} << 40;

struct PictureSize {
  explicit PictureSize(const Fields& options)
      : width(read_int(options, "width", 1, max_picture_side)),
        height(read_int(options, "height", 1, max_picture_side)) {}
  int64_t width, height;
};

// Settles once, from one of libuv's threads.
class FillPixels : public Napi::AsyncWorker {
 public:
  FillPixels(Napi::Env env, const Fields& options) : AsyncWorker(env), deferred_(env) {
    const PictureSize size(options);
    const PixelSteps steps = read_pixel_steps(options);
    auto region = read_array<Napi::Uint8Array>(options, "region");
    auto pixels = read_crop(options, steps);
    options.refuse_others();
    resampler_.emplace(size.width, size.height, steps, pixels.Data());
    region_ = region.Data();
    const Axis &columns = resampler_->columns(), &rows = resampler_->rows();
    row_bytes_ = 3 * (columns.end - columns.from);
    rows_ = rows.end - rows.from;
    if (static_cast<int64_t>(region.ByteLength()) != row_bytes_ * rows_) {
      throw out_of_range(env, "the region has another size than visibleRegion says");
    }
    kept_region_ = Napi::Persistent(region);
    kept_pixels_ = Napi::Persistent(pixels);
  }

  Napi::Promise promise() const { return deferred_.Promise(); }

 private:
  void Execute() override {
    for (int64_t y = 0; y < rows_;) {
      const auto count = static_cast<int>(std::min<int64_t>(Resampler::together, rows_ - y));
      const uint8_t* rows[Resampler::together];
      for (int i = 0; i < count; ++i) rows[i] = region_ + (y + i) * row_bytes_;
      resampler_->add_rows(rows, count);
      y += count;
    }
  }

  void OnOK() override { deferred_.Resolve(Env().Undefined()); }

  Napi::Promise::Deferred deferred_;
  std::optional<Resampler> resampler_;
  const uint8_t* region_;
  int64_t row_bytes_, rows_;
  Napi::Reference<Napi::Uint8Array> kept_region_, kept_pixels_;
};

Napi::Value fill_pixels(const Napi::CallbackInfo& info) {
  auto work = std::make_unique<FillPixels>(info.Env(), Fields(info[0], "the call"));
  const Napi::Promise promise = work->promise();
  work->Queue();
  work.release();  // it deletes itself in the end
  return promise;
}

Napi::Value visible_region(const Napi::CallbackInfo& info) {
  const Fields options(info[0], "the call");
  const PictureSize size(options);
  const PixelSteps steps = read_pixel_steps(options);
  options.refuse_others();
  const PixelPlan plan = plan_pixels(size.width, size.height, steps);
  auto region = Napi::Object::New(info.Env());
  const auto set = [&](const char* name, int64_t value) {
    region.Set(name, static_cast<double>(value));
  };
  set("left", plan.columns.from);
  set("top", plan.rows.from);
  set("width", plan.columns.end - plan.columns.from);
  set("height", plan.rows.end - plan.rows.from);
  return region;
}

}  // namespace
}  // namespace distill::node

static Napi::Object init(Napi::Env env, Napi::Object exports) {
  using namespace distill::node;
  return guarded(env, [&] {
    exports.Set("fillPixels", promising(env, fill_pixels));
    exports.Set("visibleRegion", Napi::Function::New(env, [](const Napi::CallbackInfo& info) {
                  return guarded(info.Env(), [&] { return visible_region(info); });
                }));
    return exports;
  });
}

NODE_API_MODULE(pixels, init)
