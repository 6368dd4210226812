#include <ATen/ATen.h>

#include <system_error>

#include "core/error.h"
#include "core/parallel/thread_limits.h"
#include "node/entry.h"

namespace distill::node {

Failure current_failure() {
  try {
    throw;
  } catch (const Error& error) {
    return {error.code, error.what()};
  } catch (const c10::OutOfMemoryError& error) {
    return {"ERR_OUT_OF_MEMORY", "the device is out of memory; lower batchSize or imageSize (" +
                                     std::string(error.what_without_backtrace()) + ")"};
  } catch (const c10::Error& error) {
    const std::string what = error.what_without_backtrace();
    if (what.find("allocate memory") != std::string::npos) {
      return {"ERR_OUT_OF_MEMORY", "out of memory; lower batchSize or imageSize"};
    }
    return {"ERR_LIBTORCH", "LibTorch failed: " + what.substr(0, what.find('\n'))};
  } catch (const std::bad_alloc&) {
    return {"ERR_OUT_OF_MEMORY", "out of memory; lower batchSize, imageSize or cacheMemory"};
  } catch (const std::length_error&) {  // more than can be addressed
    return {"ERR_OUT_OF_MEMORY", "out of memory; lower batchSize, imageSize or cacheMemory"};
  } catch (const std::system_error& error) {
    // std::thread throws this where the system makes no more threads.
    if (error.code() == std::errc::resource_unavailable_try_again) {
      const Error refused = no_more_threads();
      return {refused.code, refused.what()};
    }
    return {"ERR_INTERNAL", error.what()};
  } catch (const std::exception& error) {
    return {"ERR_INTERNAL", error.what()};
  } catch (...) {
    return {"ERR_INTERNAL", "an unknown failure in the addon"};
  }
}

}  // namespace distill::node
