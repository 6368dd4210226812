#pragma once

#include <string>
#include <vector>

#include "core/checkpoint/tensor_entry.h"
#include "core/checkpoint/zip_archive.h"
#include "core/file.h"

namespace distill {

// Reads the tensors that the JSON in record `folder` + `config` describes by name: dtype, sizes,
// strides, storage offset, and the record of the same folder that holds the storage's raw bytes or,
// for a tensor subclass, what torch.save wrote. `path` names the file in messages.
//
// Throws ERR_CHECKPOINT_CORRUPT, ERR_CHECKPOINT_FORMAT (sparse, or of a dtype that no weight has),
// ERR_CHECKPOINT_UNSAFE (an object that is no tensor).
std::vector<TensorEntry> read_described(const File& file, const ZipArchive& archive,
                                        const std::string& path, const std::string& folder,
                                        const std::string& config);

// Reads the tensors of a record that torch.save wrote: a dict of tensors, or one tensor, which gets
// no name. An empty record has none. Throws the same errors.
std::vector<TensorEntry> read_pickled(const File& file, const ZipArchive& archive,
                                      const std::string& path, const std::string& record);

}  // namespace distill
