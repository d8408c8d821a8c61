#pragma once

/// Layouts, strides and the views through which the library sees a caller's tensors.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "xbn/types.hpp"

namespace xbn {

/// How a tensor of `batch` x `channels` x `spatial` elements lies in memory. Spatial rank does not appear: width,
/// height and depth collapse into one dimension of `spatial` positions, so ncx is ncw, nchw and ncdhw alike.
enum class Layout {
  nc,      ///< batch, channels; one position. Memory order n, c.
  ncx,     ///< ncw, nchw, ncdhw: a plane of positions for each channel. oneDNN's abx.
  nxc,     ///< nwc, nhwc, ndhwc: a row of channels for each position. oneDNN's axb.
  nCx8c,   ///< channels in blocks of 8, a row of 8 for each position. oneDNN's aBx8b.
  nCx16c,  ///< channels in blocks of 16, a row of 16 for each position. oneDNN's aBx16b.
};

/// The enumerator's own name, such as "nCx16c".
std::string_view name(Layout layout);

/// Channels in a row of one block: 8 for nCx8c, 16 for nCx16c, 1 for the others.
std::int64_t channel_block(Layout layout);

/// Distances in elements between neighbours along each dimension. Zero, the default, stands for the dense distance.
/// Which are free depends on the layout; the others must be zero:
///
/// | layout          | batch         | channel                     | position          |
/// |-----------------|---------------|-----------------------------|-------------------|
/// | nc              | next row      |                             |                   |
/// | ncx             | next image    | next plane                  |                   |
/// | nxc             | next image    |                             | next row          |
/// | nCx8c, nCx16c   | next image    | next block of 8 or 16       | next row of block |
///
/// A pitch larger than dense describes a slice of a wider buffer, or a padded one. None may be smaller than dense,
/// except where its dimension has extent 1 and it therefore is never used.
struct Strides {
  std::int64_t batch = 0;
  std::int64_t channel = 0;
  std::int64_t position = 0;
};

/// The strides of a dense tensor, spelled out. Channels of a blocked layout are padded up to a whole block.
/// Throws std::invalid_argument where a size is negative or the tensor has more than 2^63 - 1 bytes.
Strides dense_strides(Layout layout, std::int64_t batch, std::int64_t channels, std::int64_t spatial);

/// Elements that a dense tensor occupies, the padding of the last block included. Throws as dense_strides does.
std::int64_t dense_elements(Layout layout, std::int64_t batch, std::int64_t channels, std::int64_t spatial);

/// Where element (n, c, s) lies, counted in elements from the first. `strides` as dense_strides returns them: nothing
/// is checked here, and a zero is a zero.
std::int64_t element_offset(Layout layout, const Strides& strides, std::int64_t n, std::int64_t c, std::int64_t s);

/// Collapses the spatial dimensions of a tensor described as frameworks describe it: `rank` sizes and strides in the
/// order batch, channels, spatial dimensions (for a blocked layout the stride of channels is that of a whole block).
/// Throws std::invalid_argument where the spatial dimensions do not collapse into one, that is, where the stride of one
/// is not size * stride of the next; where a dimension that must be contiguous (channels in nxc and nc, positions in
/// ncx) is not; and where rank is below 2 or a pointer is null.
Strides collapse_strides(Layout layout, const std::int64_t* sizes, const std::int64_t* strides, int rank);

/// A tensor that is only read. The pad lanes of a blocked layout's last block are never used, even where they are NaN.
struct Input {
  const void* data = nullptr;
  Strides strides{};
  DataType type = DataType::f32;  ///< of an element; must be the one that the problem has for this tensor

  Input() = default;
  Input(std::nullptr_t) {}
  Input(const void* data_, DataType type_, const Strides& strides_ = {})
      : data(data_), strides(strides_), type(type_) {}
  /// T is float, double, bfloat16, float16, std::int8_t or std::uint8_t.
  template <class T>
  Input(const T* data_, const Strides& strides_ = {}) : Input(data_, data_type_of<T>, strides_) {}
};

/// A tensor that is written. `owns_padding` says whether the pad lanes of a blocked layout's last block are the
/// caller's to overwrite: then they are set to zero; else they are left alone.
struct Output {
  void* data = nullptr;
  Strides strides{};
  bool owns_padding = true;
  DataType type = DataType::f32;

  Output() = default;
  Output(std::nullptr_t) {}
  Output(void* data_, DataType type_, const Strides& strides_ = {}, bool owns_padding_ = true)
      : data(data_), strides(strides_), owns_padding(owns_padding_), type(type_) {}
  template <class T>
  Output(T* data_, const Strides& strides_ = {}, bool owns_padding_ = true)
      : Output(data_, data_type_of<T>, strides_, owns_padding_) {}
};

}  // namespace xbn
