// Buffers that threads borrow while they compute, so that there are as many as threads and no more.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace gramtile {

/// Thread-safe. `make` builds a workspace whenever none is free.
template <class Workspace>
class WorkspacePool {
 public:
  explicit WorkspacePool(std::function<Workspace()> make) : make_(std::move(make)) {}

  /// A workspace on loan; returns itself.
  class Loan {
   public:
    Loan(WorkspacePool& pool, std::unique_ptr<Workspace> workspace)
        : pool_(pool), workspace_(std::move(workspace)) {}
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    ~Loan() { pool_.give_back(std::move(workspace_)); }
    Workspace& operator*() { return *workspace_; }

   private:
    WorkspacePool& pool_;
    std::unique_ptr<Workspace> workspace_;
  };

  Loan borrow() {
    {
      const std::lock_guard lock(mutex_);
      if (!free_.empty()) {
        std::unique_ptr<Workspace> workspace = std::move(free_.back());
        free_.pop_back();
        return Loan(*this, std::move(workspace));
      }
    }
    return Loan(*this, std::make_unique<Workspace>(make_()));
  }

 private:
  void give_back(std::unique_ptr<Workspace> workspace) {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(workspace));
  }

  std::function<Workspace()> make_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Workspace>> free_;
};

}  // namespace gramtile
