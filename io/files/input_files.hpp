// Which files an input was read from, and whether they are still what they were: a run reads its
// images again and again for hours, and its outputs must not bear the name of one of them.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace gramtile {

/// A file as it was when it was opened. Holds it open, so that a new file that takes its place
/// (which readers of the old one never see) is told from one that was written into.
class InputFile {
 public:
  /// `descriptor` is open on the file and stays the caller's.
  InputFile(int descriptor, std::string path);
  ~InputFile();
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&& other) noexcept;

  const std::string& path() const { return path_; }
  bool is(const InputFile& other) const;
  /// True when `path` leads to this file.
  bool is_at(const std::string& path) const;

  /// Throws DataError when its size or times are no longer those of the opening: it was written to.
  void check_unchanged() const;

 private:
  struct Status {
    std::uint64_t device = 0, inode = 0;
    std::int64_t size_bytes = 0, modified_ns = 0, changed_ns = 0;
    std::uint64_t num_links = 0;
  };
  bool read_status(Status& status) const;

  std::string path_;
  int descriptor_ = -1;
  Status before_;
};

/// Collects the files that readers open in this thread while it lives.
class InputRecorder {
 public:
  InputRecorder();
  ~InputRecorder();
  InputRecorder(const InputRecorder&) = delete;

  /// Called by whatever opens an input; without a recorder nothing happens.
  static void note(int descriptor, const std::string& path);

  /// Each file once.
  std::vector<InputFile> take() { return std::move(files_); }

 private:
  InputRecorder* const outer_;
  std::vector<InputFile> files_;
};

}  // namespace gramtile
