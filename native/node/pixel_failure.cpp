#include <new>
#include <stdexcept>

#include "core/data/pixel_steps.h"
#include "node/entry.h"

// The failures of the addons without LibTorch; failure.cpp has those of the addon with it.
namespace distill::node {

Failure current_failure() {
  try {
    throw;
  } catch (const UnfitPicture& error) {
    return {"ERR_BAD_IMAGE", error.what()};
  } catch (const std::invalid_argument& error) {
    return {"ERR_OUT_OF_RANGE", error.what()};
  } catch (const std::bad_alloc&) {
    return {"ERR_OUT_OF_MEMORY", "out of memory; lower batchSize or imageSize"};
  } catch (const std::exception& error) {
    return {"ERR_INTERNAL", error.what()};
  } catch (...) {
    return {"ERR_INTERNAL", "an unknown failure in the addon"};
  }
}

}  // namespace distill::node
