#include "core/checkpoint/writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "core/checkpoint/constants_record.h"
#include "core/checkpoint/pt2_writer.h"
#include "core/checkpoint/safetensors.h"
#include "core/checkpoint/zip_writer.h"
#include "core/error.h"
#include "core/temporary.h"

namespace distill {
namespace {

const char* storage_class(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
      return "FloatStorage";
    case at::kDouble:
      return "DoubleStorage";
    case at::kHalf:
      return "HalfStorage";
    case at::kBFloat16:
      return "BFloat16Storage";
    case at::kLong:
      return "LongStorage";
    case at::kInt:
      return "IntStorage";
    case at::kByte:
      return "ByteStorage";
    case at::kBool:
      return "BoolStorage";
    default:
      throw Error("ERR_WRITE", std::string("a tensor of dtype ") + at::toString(dtype) +
                                   " cannot be written: convert it to float32 or int64");
  }
}

void pickle_text(std::string& out, std::string_view text) {
  out += 'X';  // BINUNICODE
  append_integer(out, static_cast<uint32_t>(text.size()));
  out += text;
}

void pickle_integer(std::string& out, int64_t integer) {
  out += "\x8A\x08";  // LONG1 of eight bytes
  append_integer(out, integer);
}

void pickle_tuple(std::string& out, at::IntArrayRef integers) {
  out += '(';  // MARK
  for (const auto integer : integers) pickle_integer(out, integer);
  out += 't';  // TUPLE
}

constexpr std::string_view empty_ordered_dict = "ccollections\nOrderedDict\n)R";

// _rebuild_tensor_v2(('storage', type, key, 'cpu', numel), 0, shape, strides, False, OrderedDict())
void pickle_tensor(std::string& out, const at::Tensor& tensor, const std::string& key) {
  out += "ctorch._utils\n_rebuild_tensor_v2\n((";
  pickle_text(out, "storage");
  out += std::string("ctorch\n") + storage_class(tensor.scalar_type()) + "\n";
  pickle_text(out, key);
  pickle_text(out, "cpu");
  pickle_integer(out, tensor.numel());
  out += "tQ";  // TUPLE, BINPERSID
  pickle_integer(out, 0);
  pickle_tuple(out, tensor.sizes());
  pickle_tuple(out, tensor.strides());
  out += '\x89';  // NEWFALSE
  out += empty_ordered_dict;
  out += "tR";  // TUPLE, REDUCE
}

[[noreturn]] void throw_write(const std::string& path, const std::string& reason) {
  throw Error("ERR_WRITE", "'" + path + "' cannot be written: " + reason);
}

// The remedy for what the system says.
[[noreturn]] void throw_system(const std::string& path, int error) {
  const char* remedy = "check the path and the disk";
  if (error == ENOENT || error == ENOTDIR) remedy = "create its folder first";
  if (error == EACCES || error == EPERM || error == EROFS)
    remedy = "choose a folder you may write to";
  if (error == ENOSPC || error == EDQUOT) remedy = "free some space";
  if (error == ENAMETOOLONG) remedy = "choose a shorter name";
  throw_write(path, std::string(std::strerror(error)) + "; " + remedy);
}

// A file that is to be written, behind all symbolic links: a rename would replace a link itself.
struct Target {
  std::string path;
  std::string name;                   // for messages: what the caller named, and where that leads
  std::optional<struct stat> before;  // the file that is there
};

std::string folder_of(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

// Refuses what is no file: renaming onto /dev/null would replace the device.
void expect_file(const std::string& path, mode_t mode) {
  if (S_ISREG(mode)) return;
  if (S_ISDIR(mode)) throw_write(path, "it is a folder; name a file in it");
  const char* kind = S_ISFIFO(mode) ? "pipe" : S_ISSOCK(mode) ? "socket" : "device";
  throw_write(path, std::string("it is a ") + kind + ", not a file; name a file");
}

// Finds beforehand what would only show when the file is to be replaced, after a long run.
void expect_replaceable(const Target& target) {
  struct stat folder;
  if (::stat(folder_of(target.path).c_str(), &folder) != 0) throw_system(target.name, errno);
  const auto user = ::geteuid();
  if ((folder.st_mode & S_ISVTX) && user != 0 && user != folder.st_uid &&
      user != target.before->st_uid) {
    throw_write(target.name,
                "it is another user's, in a folder where nobody else may replace it; "
                "name another file");
  }
#ifdef STATX_ATTR_MOUNT_ROOT
  struct statx status;
  if (::statx(AT_FDCWD, target.path.c_str(), 0, STATX_BASIC_STATS, &status) != 0) return;
  if (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) {
    throw_write(target.name, "it is mounted by itself and cannot be replaced; mount its folder");
  }
  if (status.stx_attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND)) {
    throw_write(target.name, "it is marked as unchangeable; take that away with chattr -ia");
  }
#endif
}

Target resolve_target(const std::string& path) {
  if (path.empty()) throw_write(path, "the path is empty; name a file");
  Target target{path, path, std::nullopt};
  struct stat status;
  // The system follows the links before we do: more than it would follow are its error.
  if (::stat(path.c_str(), &status) == 0) {
    expect_file(path, status.st_mode);
    target.before = status;
  } else if (errno != ENOENT) {
    throw_system(path, errno);
  }
  std::error_code error;
  while (::lstat(target.path.c_str(), &status) == 0 && S_ISLNK(status.st_mode)) {
    // Such as /dev/stdout: whoever holds the open file would go on writing to the one replaced.
    const auto folder = std::filesystem::canonical(folder_of(target.path), error);
    if (folder.string().starts_with("/proc/")) {
      throw_write(path, "it is an open file of a process; name the file itself");
    }
    const auto link = std::filesystem::read_symlink(target.path, error);
    if (error) throw_system(path, error.value());
    target.path = (std::filesystem::path(target.path).parent_path() / link).string();
    target.name = path + "' -> '" + target.path;
  }
  if (target.before) expect_replaceable(target);
  return target;
}

// Does what may fail for the system's reasons.
template <typename Work>
void attempt(const Target& target, const Work& work) {
  try {
    work();
  } catch (const std::system_error& error) {
    throw_system(target.name, error.code().value());
  }
}

// A new file gets what the system grants new files, and one that is replaced nobody may read who
// could not before.
TemporaryFile make_beside(const Target& target) {
  const mode_t mode = target.before ? (target.before->st_mode & 0777) | S_IRUSR | S_IWUSR : 0666;
  return TemporaryFile(folder_of(target.path), mode);
}

// Owner and permissions stay those of the file that is replaced, where the system allows that. Its
// group's permissions are not for another group.
void keep_permissions(int descriptor, const struct stat& before) {
  const bool is_kept = ::fchown(descriptor, before.st_uid, before.st_gid) == 0 ||
                       ::fchown(descriptor, -1, before.st_gid) == 0;
  ::fchmod(descriptor, before.st_mode & (is_kept ? 0777 : 0707));
}

// Returns the records beside the weights, by name.
std::map<std::string, std::string> further_records(const CheckpointContents& contents) {
  std::map<std::string, std::string> records;
  if (!contents.metadata.empty()) records[metadata_record] = contents.metadata;
  if (!contents.graph.empty()) records[graph_record] = contents.graph;
  if (contents.constants.size() > 0) {
    records[constants_record] = serialize_constants(contents.constants);
  }
  return records;
}

std::string serialize_pth(const CheckpointContents& contents) {
  std::vector<at::Tensor> tensors;
  std::string pickle = "\x80\x02";  // PROTO 2, as torch.save
  pickle += empty_ordered_dict;
  pickle += '(';  // MARK
  for (const auto& [name, tensor] : contents.state) {
    const auto key = std::to_string(tensors.size());
    tensors.push_back(tensor.detach().to(at::kCPU).contiguous());
    pickle_text(pickle, name);
    pickle_tensor(pickle, tensors.back(), key);
  }
  pickle += "u.";  // SETITEMS, STOP

  ZipWriter zip;
  zip.add("data.pkl", pickle);
  zip.add("byteorder", "little");
  for (size_t i = 0; i < tensors.size(); ++i) {
    zip.add("data/" + std::to_string(i),
            {static_cast<const char*>(tensors[i].const_data_ptr()), tensors[i].nbytes()});
  }
  for (const auto& [name, text] : further_records(contents)) zip.add(name, text);
  zip.add("version", "3\n");
  return zip.finish();
}

std::string serialize(Format format, const CheckpointContents& contents) {
  switch (format) {
    case Format::pth:
      return serialize_pth(contents);
    case Format::pt2:
      return serialize_pt2(contents);
    case Format::safetensors:
      break;
  }
  auto metadata = further_records(contents);
  // Python's loaders ask for this entry: the tensors are laid out as PyTorch's.
  metadata["format"] = "pt";
  return serialize_safetensors(contents.state, metadata);
}

}  // namespace

Format format_of(std::string_view path) {
  if (path.ends_with(".safetensors")) return Format::safetensors;
  return path.ends_with(".pt2") ? Format::pt2 : Format::pth;
}

CheckpointContents read_contents(const Checkpoint& checkpoint) {
  CheckpointContents contents;
  for (const auto& entry : checkpoint.tensors()) {
    contents.state.insert(entry.name, checkpoint.read(entry));
  }
  for (const auto& entry : checkpoint.constants()) {
    contents.constants.insert(entry.name, checkpoint.read(entry));
  }
  contents.metadata = checkpoint.record(metadata_record).value_or("");
  contents.graph = checkpoint.graph().value_or("");
  return contents;
}

void write_checkpoint(const std::string& path, Format format, const CheckpointContents& contents) {
  write_file_atomically(path, serialize(format, contents));
}

void write_tensors(const std::string& path, const StateDict& tensors,
                   const std::string& metadata_json) {
  const CheckpointContents contents{.state = tensors, .metadata = metadata_json};
  write_file_atomically(path, serialize(Format::safetensors, contents));
}

void write_file_atomically(const std::string& path, std::string_view bytes) {
  const Target target = resolve_target(path);
  attempt(target, [&] {
    TemporaryFile file = make_beside(target);
    file.write(bytes, /*offset=*/0);
    if (target.before) keep_permissions(file.descriptor(), *target.before);
    file.rename(target.path);
  });
}

void check_writable(const std::string& path) {
  const Target target = resolve_target(path);
  remove_leftovers(folder_of(target.path));
  attempt(target, [&] { make_beside(target); });
}

}  // namespace distill
