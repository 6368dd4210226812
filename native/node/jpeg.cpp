#include "core/data/jpeg.h"

#include <napi.h>

#include <string>

// An addon of its own, without LibTorch. lib/native.ts describes it.
namespace distill::node {
namespace {

// Settles once, from one of libuv's threads.
class CropJpeg : public Napi::AsyncWorker {
 public:
  CropJpeg(Napi::Env env, const Napi::Object& options) : AsyncWorker(env), deferred_(env) {
    const Napi::Value source = options.Get("source");
    if (source.IsString()) {
      path_ = source.ToString().Utf8Value();
    } else {
      auto bytes = source.As<Napi::Uint8Array>();
      data_ = bytes.Data();
      length_ = bytes.ByteLength();
      kept_source_ = Napi::Persistent(bytes);
    }
    auto pixels = options.Get("crop").As<Napi::Uint8Array>();
    crop_.size = options.Get("size").ToNumber().Int64Value();
    crop_.max_pixels = options.Get("maxPixels").ToNumber().Int64Value();
    crop_.pixels = pixels.Data();
    if (static_cast<int64_t>(pixels.ByteLength()) != crop_.size * crop_.size * 3) {
      throw Napi::RangeError::New(env, "the crop has another size");
    }
    kept_crop_ = Napi::Persistent(pixels);
  }

  Napi::Promise promise() const { return deferred_.Promise(); }

 private:
  void Execute() override {
    done_ = data_ ? crop_jpeg(data_, length_, crop_) : crop_jpeg_file(path_, crop_);
  }

  void OnOK() override { deferred_.Resolve(Napi::Boolean::New(Env(), done_)); }
  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

  Napi::Promise::Deferred deferred_;
  std::string path_;
  const uint8_t* data_ = nullptr;  // instead of a path
  size_t length_ = 0;
  JpegCrop crop_{};
  Napi::Reference<Napi::Uint8Array> kept_source_, kept_crop_;
  bool done_ = false;
};

Napi::Value crop_jpeg_async(const Napi::CallbackInfo& info) {
  auto* const work = new CropJpeg(info.Env(), info[0].ToObject());
  const Napi::Promise promise = work->promise();
  work->Queue();  // and deletes it in the end
  return promise;
}

}  // namespace
}  // namespace distill::node

static Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("cropJpeg", Napi::Function::New(env, distill::node::crop_jpeg_async));
  return exports;
}

NODE_API_MODULE(jpeg, init)
