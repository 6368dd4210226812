#include <ATen/ATen.h>
#include <napi.h>

static Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("x", at::ones({2}).sum().item<double>());
  return exports;
}
NODE_API_MODULE(distill, init)
