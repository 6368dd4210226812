#include "core/data/jpeg.h"

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
// After cstdio, which it needs.
#include <jpeglib.h>

#include "core/data/resample.h"
#include "core/file.h"

namespace distill {
namespace {

// Limit of a file, in bytes.
constexpr size_t max_bytes = size_t{256} << 20;

// Limit of the memory that libjpeg takes for a file, most of it for the coefficients of a
// progressive picture: a header can lie.
constexpr size_t memory_for(size_t length) {
  return 3 * length + (size_t{56} << 20);
}

// Passes over the whole of a progressive picture: ordinary ones have about ten. A small file can
// ask for thousands, which take minutes.
constexpr int max_scans = 100;

// libjpeg reports by callbacks that must not return: they jump, over its own C functions alone.
class Decoder {
 public:
  Decoder() = default;
  ~Decoder() { jpeg_destroy_decompress(&info_); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  bool read(const uint8_t* data, size_t length, const JpegTask& task) {
    // Nothing between here and a jump has a destructor; what has one belongs to this object.
    if (setjmp(declined_) != 0) return false;
    open(data, length);
    if (!is_ordinary() || int64_t{info_.image_width} * info_.image_height > task.max_pixels) {
      return false;
    }
    resampler_.emplace(info_.image_width, info_.image_height, task.steps, task.pixels);
    info_.out_color_space = JCS_RGB;
    info_.dct_method = JDCT_ISLOW;
    jpeg_start_decompress(&info_);  // reads all of a progressive picture
    if (!is_exact()) return false;
    read_visible(*resampler_);
    jpeg_finish_decompress(&info_);
    return true;
  }

 private:
  void open(const uint8_t* data, size_t length) {
    info_.err = jpeg_std_error(&errors_);
    info_.client_data = this;
    errors_.error_exit = decline;
    // Traces have positive levels, warnings -1.
    errors_.emit_message = [](j_common_ptr info, int level) {
      if (level < 0) decline(info);
    };
    jpeg_create_decompress(&info_);
    progress_.progress_monitor = [](j_common_ptr info) {
      if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number > max_scans) decline(info);
    };
    info_.progress = &progress_;
    info_.mem->max_memory_to_use = static_cast<long>(memory_for(length));
    jpeg_mem_src(&info_, data, length);
    jpeg_read_header(&info_, TRUE);
  }

  // The kinds that all versions of the library decode alike, also in part.
  bool is_ordinary() const {
    // A lossless file has its predictor in Ss.
    if (info_.data_precision != 8 || info_.arith_code || info_.Ss != 0) return false;
    const jpeg_component_info* parts = info_.comp_info;
    const int across = parts[0].h_samp_factor, down = parts[0].v_samp_factor;
    if (info_.jpeg_color_space == JCS_GRAYSCALE) return across == 1 && down == 1;
    if (info_.jpeg_color_space != JCS_YCbCr) return false;
    // 4:4:4, 4:2:2, 4:4:0, 4:2:0, 4:1:1, 4:4:1
    const bool usual = across * down <= 4 && across != 3 && down != 3;
    return usual && std::all_of(parts + 1, parts + 3, [](const jpeg_component_info& part) {
             return part.h_samp_factor == 1 && part.v_samp_factor == 1;
           });
  }

  // Tells whether a progressive file holds all bits: each version of the library guesses missing
  // ones in its own way.
  bool is_exact() const {
    if (info_.coef_bits == nullptr) return true;
    const int* bits = info_.coef_bits[0];
    return std::all_of(bits, bits + info_.num_components * DCTSIZE2,
                       [](int missing) { return missing == 0; });
  }

  void read_visible(Resampler& resampler) {
    const Axis &across = resampler.columns(), &down = resampler.rows();
    const int64_t width = info_.output_width, height = info_.output_height;

    // Whole blocks, and one more on either side: colours are interpolated between neighbours.
    const int64_t block = DCTSIZE * info_.max_h_samp_factor;
    const int64_t first = std::max<int64_t>(0, across.from / block - 1) * block;
    const int64_t end = (across.end - 1) / block + 2;
    JDIMENSION left = static_cast<JDIMENSION>(first);
    JDIMENSION columns = static_cast<JDIMENSION>(std::min(width, end * block) - first);
    jpeg_crop_scanline(&info_, &left, &columns);
    // In libjpeg's own memory, which it frees after a jump too.
    const auto info = reinterpret_cast<j_common_ptr>(&info_);
    const JSAMPARRAY rows =
        info_.mem->alloc_sarray(info, JPOOL_IMAGE, columns * 3, Resampler::together);
    const uint8_t* needed[Resampler::together];
    for (int i = 0; i < Resampler::together; ++i) needed[i] = rows[i] + (across.from - left) * 3;

    jpeg_skip_scanlines(&info_, static_cast<JDIMENSION>(down.from));
    for (int64_t y = down.from; y < down.end;) {
      const auto count = static_cast<int>(std::min<int64_t>(Resampler::together, down.end - y));
      for (int i = 0; i < count; ++i) jpeg_read_scanlines(&info_, rows + i, 1);
      resampler.add_rows(needed, count);
      y += count;
    }
    // Skipping to the very end would leave what is skipped unread, and damage in it unseen.
    const int64_t below = height - down.end;
    if (below > 1) jpeg_skip_scanlines(&info_, static_cast<JDIMENSION>(below - 1));
    if (below > 0) jpeg_read_scanlines(&info_, rows, 1);
  }

  [[noreturn]] static void decline(j_common_ptr info) {
    std::longjmp(static_cast<Decoder*>(info->client_data)->declined_, 1);
  }

  jpeg_decompress_struct info_{};
  jpeg_error_mgr errors_{};
  jpeg_progress_mgr progress_{};
  std::jmp_buf declined_;
  std::optional<Resampler> resampler_;
};

constexpr size_t signature_length = 3;

bool has_signature(const uint8_t* data) {
  return data[0] == 0xFF && data[1] == 0xD8 && data[2] == 0xFF;
}

}  // namespace

bool read_jpeg(const uint8_t* data, size_t length, const JpegTask& task) {
  if (length < signature_length || !has_signature(data)) return false;
  return Decoder().read(data, length, task);
}

bool read_jpeg_file(const std::string& path, const JpegTask& task) try {
  const File file(path);
  uint8_t signature[signature_length];
  if (file.size() > max_bytes || !file.read(signature, signature_length, 0) ||
      !has_signature(signature)) {
    return false;
  }
  // Not a vector, which would fill it with zeros first.
  const std::unique_ptr<uint8_t[]> data(new (std::nothrow) uint8_t[file.size()]);
  return data && file.read(data.get(), file.size(), 0) && read_jpeg(data.get(), file.size(), task);
} catch (const FileError&) {
  return false;
}

}  // namespace distill
