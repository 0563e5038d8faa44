#include "tests/support/faulty_file_system.hpp"

namespace gramtile::test {

void FaultyFileSystem::plan(Index call, Fault fault, int error_number) {
  chosen_call_ = call;
  fault_ = fault;
  error_number_ = error_number;
}

int FaultyFileSystem::enter(bool writes, bool& partial) {
  const std::lock_guard lock(mutex_);
  partial = false;
  if (dead_) return -EIO;
  ++num_calls_;
  const bool chosen = num_calls_ == chosen_call_;
  struck_ = struck_ || chosen;
  if (fault_ == Fault::kFailForGood && struck_) return chosen || writes ? -error_number_ : 0;
  if (!chosen) return 0;
  switch (fault_) {
    case Fault::kDie:
      dead_ = true;
      partial = true;
      return -EIO;
    case Fault::kFail:
      return -error_number_;
    case Fault::kInterrupt:
      return -EINTR;
    case Fault::kShort:
      partial = true;
      return 0;
    default:
      return 0;
  }
}

int FaultyFileSystem::enter(bool writes) {
  bool partial = false;
  return enter(writes, partial);
}

int FaultyFileSystem::open(const std::string& path, OpenMode mode) {
  const int answer = enter(mode != OpenMode::kRead);
  return answer < 0 ? answer : base_.open(path, mode);
}

int FaultyFileSystem::close(int file) { return base_.close(file); }

std::int64_t FaultyFileSystem::pwrite(int file, std::span<const std::byte> bytes,
                                      std::uint64_t offset) {
  bool partial = false;
  const int answer = enter(true, partial);
  if (partial && answer < 0) base_.pwrite(file, bytes.first(bytes.size() / 2), offset);
  if (answer < 0) return answer;
  return base_.pwrite(file, partial ? bytes.first(1) : bytes, offset);
}

std::int64_t FaultyFileSystem::pread(int file, std::span<std::byte> bytes, std::uint64_t offset) {
  bool partial = false;
  const int answer = enter(false, partial);
  return answer < 0 ? answer : base_.pread(file, partial ? bytes.first(1) : bytes, offset);
}

int FaultyFileSystem::allocate(int file, std::uint64_t size_bytes) {
  const int answer = enter(true);
  return answer < 0 ? answer : base_.allocate(file, size_bytes);
}

int FaultyFileSystem::truncate(int file, std::uint64_t size_bytes) {
  const int answer = enter(true);
  return answer < 0 ? answer : base_.truncate(file, size_bytes);
}

int FaultyFileSystem::fdatasync(int) { return enter(true); }
int FaultyFileSystem::fsync(int) { return enter(true); }

int FaultyFileSystem::lock(int file) {
  const int answer = enter(false);
  return answer < 0 ? answer : base_.lock(file);
}

int FaultyFileSystem::status(int file, FileStatus& status) {
  const int answer = enter(false);
  return answer < 0 ? answer : base_.status(file, status);
}

int FaultyFileSystem::status(const std::string& path, FileStatus& status) {
  const int answer = enter(false);
  return answer < 0 ? answer : base_.status(path, status);
}

int FaultyFileSystem::rename(const std::string& from, const std::string& to, bool replace) {
  const int answer = enter(true);
  return answer < 0 ? answer : base_.rename(from, to, replace);
}

int FaultyFileSystem::remove(const std::string& path) {
  const int answer = enter(true);
  return answer < 0 ? answer : base_.remove(path);
}

int FaultyFileSystem::sync_folder(const std::string&) { return enter(true); }

}  // namespace gramtile::test
