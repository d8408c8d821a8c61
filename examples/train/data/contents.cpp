#include "data/contents.hpp"

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <zlib.h>

#include "data/file_error.hpp"

namespace train {
namespace {

struct Close {
  void operator()(gzFile file) const { gzclose(file); }
};

[[noreturn]] void refuse(const std::filesystem::path& path, gzFile file, std::size_t bytes) {
  int code = Z_OK;
  const std::string message = gzerror(file, &code);
  const std::string reason = code == Z_ERRNO ? std::strerror(errno) : message;
  throw FileError::at_byte(path, static_cast<std::int64_t>(bytes), "must be readable to its end; was not: " + reason);
}

}  // namespace

std::string read_contents(const std::filesystem::path& path) {
  errno = 0;
  const std::unique_ptr<gzFile_s, Close> file(gzopen(path.c_str(), "rb"));
  if (!file) throw FileError(path, std::string("must be a file that can be read; was not: ") + std::strerror(errno));
  std::string contents;
  std::array<char, 1 << 16> buffer{};
  for (;;) {
    const int count = gzread(file.get(), buffer.data(), static_cast<unsigned>(buffer.size()));
    if (count < 0) refuse(path, file.get(), contents.size());
    contents.append(buffer.data(), static_cast<std::size_t>(count));
    if (count == 0) break;
  }
  // A gzip stream that ends too early is no error of gzread: it is one of the file as a whole.
  int code = Z_OK;
  gzerror(file.get(), &code);
  if (code != Z_OK && code != Z_STREAM_END) refuse(path, file.get(), contents.size());
  return contents;
}

}  // namespace train
