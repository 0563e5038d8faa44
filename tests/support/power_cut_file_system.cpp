#include "tests/support/power_cut_file_system.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

namespace gramtile::test {
namespace {

constexpr std::size_t kSector = 512;

}  // namespace

PowerCutFileSystem::PowerCutFileSystem(const std::string& folder, Index cut_at, ProtocolFault fault)
    : folder_(folder), cut_at_(cut_at), fault_(fault) {
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file),
                                  std::istreambuf_iterator<char>()};
    auto content = std::make_shared<Content>();
    const auto view = std::as_bytes(std::span(bytes));
    content->durable.assign(view.begin(), view.end());
    durable_[entry.path().string()] = content;
  }
  live_ = durable_;
}

bool PowerCutFileSystem::alive() {
  if (cut_at_ > 0 && num_calls_ + 1 >= cut_at_) return false;
  ++num_calls_;
  return true;
}

void PowerCutFileSystem::apply(std::vector<std::byte>& bytes, const Change& change) {
  if (change.is_resize) {
    if (change.may_shrink || bytes.size() < change.offset) bytes.resize(change.offset);
    return;
  }
  const std::size_t end = change.offset + change.bytes.size();
  if (bytes.size() < end) bytes.resize(end);
  std::ranges::copy(change.bytes, bytes.begin() + static_cast<std::ptrdiff_t>(change.offset));
}

void PowerCutFileSystem::apply(Names& names, const NameChange& change) {
  if (change.content != nullptr) {
    names[change.to] = change.content;
    return;
  }
  const auto from = names.find(change.from);
  if (from == names.end()) return;
  const ContentPointer content = from->second;
  names.erase(from);
  if (!change.to.empty()) names[change.to] = content;
}

// Pieces end at sector borders, and now and then anywhere. The whole file may also come away with
// all of its changes or none.
std::vector<std::byte> PowerCutFileSystem::survivor(const Content& content,
                                                    std::mt19937_64& random) {
  std::vector<std::byte> bytes = content.durable;
  std::vector<Change> changes = content.pending;
  const auto mood = random() % 4;
  if (mood == 0) return bytes;
  if (mood > 1) std::ranges::shuffle(changes, random);
  for (const Change& change : changes) {
    if (mood == 1 || (change.is_resize && random() % 2 == 0)) {
      apply(bytes, change);
      continue;
    }
    for (std::size_t at = 0; at < change.bytes.size();) {
      const std::size_t border = kSector - (change.offset + at) % kSector;
      std::size_t size = std::min(border, change.bytes.size() - at);
      if (random() % 8 == 0) size = 1 + random() % size;
      if (random() % 2 == 0) {
        const auto first = change.bytes.begin() + static_cast<std::ptrdiff_t>(at);
        apply(
            bytes,
            {false, false, change.offset + at, {first, first + static_cast<std::ptrdiff_t>(size)}});
      }
      at += size;
    }
  }
  return bytes;
}

void PowerCutFileSystem::restore(std::mt19937_64& random) {
  const std::lock_guard lock(mutex_);
  Names names = durable_;
  for (const NameChange& change : name_changes_)
    if (random() % 2 == 0) apply(names, change);
  for (const auto& entry : std::filesystem::directory_iterator(folder_))
    std::filesystem::remove(entry.path());
  for (const auto& [path, content] : names) {
    const std::vector<std::byte> bytes = survivor(*content, random);
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
  }
}

int PowerCutFileSystem::open(const std::string& path, OpenMode mode) {
  const std::lock_guard lock(mutex_);
  if (!alive()) return -EIO;
  const int file = base_.open(path, mode);
  if (file < 0) return file;
  if (!live_.contains(path)) {
    live_[path] = std::make_shared<Content>();
    name_changes_.push_back({"", path, live_[path]});
  }
  open_[file] = {live_[path], path.ends_with(".partial") || path.ends_with(".partial.new")};
  return file;
}

int PowerCutFileSystem::close(int file) {
  const std::lock_guard lock(mutex_);
  open_.erase(file);
  return base_.close(file);
}

std::int64_t PowerCutFileSystem::pwrite(int file, std::span<const std::byte> bytes,
                                        std::uint64_t offset) {
  const std::lock_guard lock(mutex_);
  if (!alive()) return -EIO;
  open_[file].content->pending.push_back({false, false, offset, {bytes.begin(), bytes.end()}});
  return base_.pwrite(file, bytes, offset);
}

std::int64_t PowerCutFileSystem::pread(int file, std::span<std::byte> bytes, std::uint64_t offset) {
  const std::lock_guard lock(mutex_);
  return alive() ? base_.pread(file, bytes, offset) : -EIO;
}

int PowerCutFileSystem::allocate(int file, std::uint64_t size_bytes) {
  const std::lock_guard lock(mutex_);
  if (!alive()) return -EIO;
  open_[file].content->pending.push_back({true, false, size_bytes, {}});
  return base_.allocate(file, size_bytes);
}

int PowerCutFileSystem::truncate(int file, std::uint64_t size_bytes) {
  const std::lock_guard lock(mutex_);
  if (!alive()) return -EIO;
  open_[file].content->pending.push_back({true, true, size_bytes, {}});
  return base_.truncate(file, size_bytes);
}

void PowerCutFileSystem::sync(int file) {
  const auto found = open_.find(file);
  if (found == open_.end()) return;
  Content& content = *found->second.content;
  for (const Change& change : content.pending) apply(content.durable, change);
  content.pending.clear();
}

int PowerCutFileSystem::fdatasync(int file) {
  const std::lock_guard lock(mutex_);
  if (!alive()) return -EIO;
  const bool is_data = open_[file].is_data;
  if (is_data && fault_ == ProtocolFault::kNoSyncOfData) return 0;
  if (is_data && fault_ == ProtocolFault::kJournalBeforeData) {
    postponed_sync_ = file;
    return 0;
  }
  sync(file);
  // The data's sync is a call of its own, at which the power can fail.
  if (!is_data && postponed_sync_ >= 0 && alive()) sync(std::exchange(postponed_sync_, -1));
  return 0;
}

int PowerCutFileSystem::fsync(int file) {
  const std::lock_guard lock(mutex_);
  if (!alive()) return -EIO;
  if (!(open_[file].is_data && fault_ == ProtocolFault::kNoSyncBeforeRename)) sync(file);
  return 0;
}

int PowerCutFileSystem::lock(int file) {
  const std::lock_guard lock(mutex_);
  return alive() ? base_.lock(file) : -EIO;
}

int PowerCutFileSystem::status(int file, FileStatus& status) {
  const std::lock_guard lock(mutex_);
  return alive() ? base_.status(file, status) : -EIO;
}

int PowerCutFileSystem::status(const std::string& path, FileStatus& status) {
  const std::lock_guard lock(mutex_);
  return alive() ? base_.status(path, status) : -EIO;
}

int PowerCutFileSystem::rename(const std::string& from, const std::string& to, bool replace) {
  const std::lock_guard lock(mutex_);
  if (!alive()) return -EIO;
  const int answer = base_.rename(from, to, replace);
  if (answer < 0) return answer;
  name_changes_.push_back({from, to, nullptr});
  apply(live_, name_changes_.back());
  return answer;
}

int PowerCutFileSystem::remove(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (!alive()) return -EIO;
  const int answer = base_.remove(path);
  if (answer < 0) return answer;
  name_changes_.push_back({path, "", nullptr});
  apply(live_, name_changes_.back());
  return answer;
}

int PowerCutFileSystem::sync_folder(const std::string&) {
  const std::lock_guard lock(mutex_);
  if (!alive()) return -EIO;
  for (const NameChange& change : name_changes_) apply(durable_, change);
  name_changes_.clear();
  return 0;
}

}  // namespace gramtile::test
