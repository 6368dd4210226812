#pragma once

#include <string>

#include "core/checkpoint/writer.h"

namespace distill {

// The bytes of an exported program, as torch.export.save of PyTorch 2.13 lays it out and
// torch.export.load opens it; the metadata lies beside as `metadata_record`, which PyTorch passes
// over. Equal contents give equal bytes. Throws ERR_WRITE.
std::string serialize_pt2(const CheckpointContents& contents);

}  // namespace distill
