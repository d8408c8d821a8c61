#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <unistd.h>

#include "xbn/executor.hpp"

namespace xbn {
namespace {

constexpr std::size_t mebibyte = std::size_t{1} << 20;

struct Cache {
  int level = 0;
  std::size_t bytes = 0;
  std::size_t cpus = 0;  // that share it
};

// A list of ranges, as in "0-3,8-11".
std::size_t count_cpus(const std::string& list) {
  std::istringstream ranges(list);
  std::string range;
  std::size_t count = 0;
  while (std::getline(ranges, range, ',')) {
    std::istringstream bounds(range);
    std::size_t first = 0;
    std::size_t last = 0;
    char dash = 0;
    if (!(bounds >> first)) continue;
    count += bounds >> dash >> last && last >= first ? last - first + 1 : 1;
  }
  return count;
}

// As in "1024K".
std::size_t parse_size(const std::string& text) {
  std::istringstream in(text);
  std::size_t size = 0;
  char unit = 0;
  in >> size >> unit;
  return unit == 'K' ? size << 10 : unit == 'M' ? size << 20 : unit == 'G' ? size << 30 : size;
}

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// The first processor's caches of data, as Linux describes them: that of level 2, and the last.
struct Caches {
  Cache own;
  Cache last;
};

Caches described_caches() {
  Caches caches;
  for (int index = 0;; ++index) {
    const std::string directory = "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index) + "/";
    const std::string level = first_line(directory + "level");
    if (level.empty()) return caches;
    if (first_line(directory + "type") == "Instruction") continue;
    const Cache cache{std::atoi(level.c_str()), parse_size(first_line(directory + "size")),
                      count_cpus(first_line(directory + "shared_cpu_list"))};
    if (cache.level == 2) caches.own = cache;
    if (cache.level > caches.last.level) caches.last = cache;
  }
}

std::size_t online_cpus() {
  const long count = sysconf(_SC_NPROCESSORS_ONLN);
  return count > 0 ? static_cast<std::size_t>(count) : 1;
}

// What the C library knows, for systems that describe no caches.
std::size_t configured_size(int name) {
  const long size = sysconf(name);
  return size > 0 ? static_cast<std::size_t>(size) : 0;
}

CacheSizes read_cache_sizes() {
  const std::size_t online = online_cpus();
  auto [own, last] = described_caches();
  if (own.bytes == 0) own.bytes = configured_size(_SC_LEVEL2_CACHE_SIZE);
  if (last.bytes == 0) last = {3, configured_size(_SC_LEVEL3_CACHE_SIZE), online};

  // Where nothing is known: what processors of the last ten years have at least, but for the smallest.
  if (own.bytes == 0) own.bytes = mebibyte;
  if (last.bytes == 0) last.bytes = 8 * mebibyte;

  // Processors with the most last-level cache have 16 MB of it a hardware thread (EPYC 72F3 and 9175F). More than that
  // for those that share it is a virtual machine that has some of a processor's threads and is told of all of its
  // cache, the rest of which belongs to its neighbours.
  const std::size_t plausible = 16 * mebibyte * std::max<std::size_t>(last.cpus, 1);
  if (last.bytes <= plausible) return {own.bytes, last.bytes, last.bytes};
  // On such a machine of 2 processors, told of 260 MB, some 80 were found to be there.
  return {own.bytes, own.bytes * online, std::max(own.bytes * online, last.bytes / 3)};
}

}  // namespace

CacheSizes detected_cache_sizes() {
  static const CacheSizes sizes = read_cache_sizes();
  return sizes;
}

}  // namespace xbn
