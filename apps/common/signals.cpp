#include "apps/common/signals.hpp"

#include <pthread.h>
#include <unistd.h>

#include <csignal>

namespace gramtile::apps {
namespace {

// A signal that the parent chose to ignore (a background job of a script, nohup) stays ignored.
bool is_ignored(int signal) {
  struct sigaction action {};
  return sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

constexpr int kStopSignals[] = {SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU, SIGTERM};

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : kStopSignals) {
    if (signal == SIGTERM || !is_ignored(signal)) sigaddset(&set, signal);
  }
  return set;
}

pthread_t waiting_thread;

// OpenBLAS starts threads when it is loaded, before anything could be blocked in them.
void pass_on(int signal) { pthread_kill(waiting_thread, signal); }

}  // namespace

StopSignals::StopSignals() {
  const sigset_t set = stop_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  waiter_ = std::thread([this] { wait(); });
  waiting_thread = waiter_.native_handle();
  struct sigaction action {};
  action.sa_handler = pass_on;
  action.sa_flags = SA_RESTART;
  for (const int signal : kStopSignals) {
    if (sigismember(&set, signal) == 1) sigaction(signal, &action, nullptr);
  }
}

StopSignals::~StopSignals() {
  finished_ = true;
  pthread_kill(waiter_.native_handle(), SIGTERM);  // wakes the wait below
  waiter_.join();
  const sigset_t set = stop_signals();
  for (const int signal : kStopSignals) {
    if (sigismember(&set, signal) == 1) std::signal(signal, SIG_DFL);
  }
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

void StopSignals::wait() {
  const sigset_t set = stop_signals();
  bool insisted = false;
  for (;;) {
    int signal = 0;
    if (sigwait(&set, &signal) != 0) continue;
    if (finished_) return;
    const bool insists = signal == SIGINT || signal == SIGTERM;
    if (insists && insisted) ::_exit(128 + signal);
    insisted = insisted || insists;
    if (received_ == 0) received_ = signal;
    stop_.request_stop();
  }
}

}  // namespace gramtile::apps
