#include "io/hdf5/memory_driver.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

namespace gramtile::hdf5 {
namespace {

/// What the library hands around; its own part first.
struct MemoryFile {
  H5FD_t library_part;
  SparseBytes* bytes;
  haddr_t end_of_allocation;
};

struct DriverInfo {
  SparseBytes* bytes;
};

MemoryFile& mine(H5FD_t* file) { return *reinterpret_cast<MemoryFile*>(file); }
const MemoryFile& mine(const H5FD_t* file) { return *reinterpret_cast<const MemoryFile*>(file); }

H5FD_t* open_file(const char*, unsigned, hid_t access, haddr_t) {
  const auto* info = static_cast<const DriverInfo*>(H5Pget_driver_info(access));
  return info == nullptr ? nullptr : &(new MemoryFile{{}, info->bytes, 0})->library_part;
}

herr_t close_file(H5FD_t* file) {
  delete &mine(file);
  return 0;
}

haddr_t end_of_allocation(const H5FD_t* file, H5FD_mem_t) { return mine(file).end_of_allocation; }

herr_t set_end_of_allocation(H5FD_t* file, H5FD_mem_t, haddr_t address) {
  mine(file).end_of_allocation = address;
  return 0;
}

haddr_t end_of_file(const H5FD_t* file, H5FD_mem_t) { return mine(file).bytes->size_bytes; }

herr_t read_file(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t address, size_t size, void* buffer) {
  mine(file).bytes->read(address, {static_cast<std::byte*>(buffer), size});
  return 0;
}

herr_t write_file(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t address, size_t size,
                  const void* buffer) {
  mine(file).bytes->write(address, {static_cast<const std::byte*>(buffer), size});
  return 0;
}

herr_t truncate_file(H5FD_t* file, hid_t, hbool_t) {
  mine(file).bytes->size_bytes = mine(file).end_of_allocation;
  return 0;
}

H5FD_class_t driver_class() {
  H5FD_class_t driver{};
  driver.name = "gramtile_memory";
  driver.maxaddr = std::numeric_limits<std::int64_t>::max();
  driver.fc_degree = H5F_CLOSE_STRONG;
  driver.fapl_size = sizeof(DriverInfo);
  driver.open = open_file;
  driver.close = close_file;
  driver.get_eoa = end_of_allocation;
  driver.set_eoa = set_end_of_allocation;
  driver.get_eof = end_of_file;
  driver.read = read_file;
  driver.write = write_file;
  driver.truncate = truncate_file;
  const H5FD_mem_t map[H5FD_MEM_NTYPES] = H5FD_FLMAP_DICHOTOMY;
  std::copy(std::begin(map), std::end(map), driver.fl_map);
  return driver;
}

}  // namespace

void SparseBytes::write(std::uint64_t offset, std::span<const std::byte> bytes) {
  size_bytes = std::max(size_bytes, offset + bytes.size());
  while (!bytes.empty()) {
    const std::uint64_t begin = offset % kPage;
    const std::size_t n = std::min<std::size_t>(bytes.size(), kPage - begin);
    std::memcpy(pages_[offset / kPage].data() + begin, bytes.data(), n);
    offset += n;
    bytes = bytes.subspan(n);
  }
}

void SparseBytes::read(std::uint64_t offset, std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    const std::uint64_t begin = offset % kPage;
    const std::size_t n = std::min<std::size_t>(bytes.size(), kPage - begin);
    const auto page = pages_.find(offset / kPage);
    if (page == pages_.end()) {
      std::memset(bytes.data(), 0, n);
    } else {
      std::memcpy(bytes.data(), page->second.data() + begin, n);
    }
    offset += n;
    bytes = bytes.subspan(n);
  }
}

void use_memory(hid_t access, SparseBytes& bytes) {
  static const H5FD_class_t driver = driver_class();
  static const hid_t id = H5FDregister(&driver);
  const DriverInfo info{&bytes};
  H5Pset_driver(access, id, &info);
}

}  // namespace gramtile::hdf5
