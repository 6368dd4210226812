#include "core/data/jpeg.h"

#include <napi.h>

#include <memory>
#include <new>
#include <string>

#include "node/entry.h"
#include "node/pixel_steps.h"
#include "node/read.h"

// An addon of its own, without LibTorch. lib/native.ts describes it.
namespace distill::node {

namespace {

// Settles once, from one of libuv's threads.
class ReadJpeg : public Napi::AsyncWorker {
 public:
  ReadJpeg(Napi::Env env, const Fields& options) : AsyncWorker(env), deferred_(env) {
    const Napi::Value source = options.get("source");
    if (source.IsString()) {
      path_ = source.As<Napi::String>();
    } else {
      auto bytes = read_array<Napi::Uint8Array>(source, "source");
      data_ = bytes.Data();
      length_ = bytes.ByteLength();
      kept_source_ = Napi::Persistent(bytes);
    }
    task_.steps = read_pixel_steps(options);
    task_.max_pixels = read_int(options, "maxPixels", 0);
    auto pixels = read_crop(options, task_.steps);
    task_.pixels = pixels.Data();
    kept_pixels_ = Napi::Persistent(pixels);
    options.refuse_others();
  }

  Napi::Promise promise() const { return deferred_.Promise(); }

 private:
  void Execute() override {
    try {
      done_ = data_ ? read_jpeg(data_, length_, task_) : read_jpeg_file(path_, task_);
    } catch (const std::exception&) {
      // Such as one for want of memory: sharp is to try.
    }
  }

  void OnOK() override { deferred_.Resolve(Napi::Boolean::New(Env(), done_)); }

  Napi::Promise::Deferred deferred_;
  std::string path_;
  const uint8_t* data_ = nullptr;  // instead of a path
  size_t length_ = 0;
  JpegTask task_{};
  Napi::Reference<Napi::Uint8Array> kept_source_, kept_pixels_;
  bool done_ = false;
};

Napi::Value read_jpeg_async(const Napi::CallbackInfo& info) {
  auto work = std::make_unique<ReadJpeg>(info.Env(), Fields(info[0], "the call"));
  const Napi::Promise promise = work->promise();
  work->Queue();
  work.release();  // it deletes itself in the end
  return promise;
}

}  // namespace
}  // namespace distill::node

static Napi::Object init(Napi::Env env, Napi::Object exports) {
  return distill::node::guarded(env, [&] {
    exports.Set("readJpeg", distill::node::promising(env, distill::node::read_jpeg_async));
    return exports;
  });
}

NODE_API_MODULE(jpeg, init)
