// LD_PRELOAD for end-to-end tests: a system without certain calls, as other file systems and full
// machines are. LIMITED="flock=37,link=38" lets those calls fail with these numbers (errno); calls:
// flock, link, rename_flags (renameat2 with flags), fsync_folder, fallocate. "threads=2" allows
// two threads at a time beside the first.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

// The number behind "NAME=", or -1.
static int limit_of(const char* name) {
  const char* const limits = getenv("LIMITED");
  const size_t length = strlen(name);
  for (const char* at = limits; at != NULL && *at != '\0'; at += *at == ',') {
    if (strncmp(at, name, length) == 0 && at[length] == '=') return atoi(at + length + 1);
    at += strcspn(at, ",");
  }
  return -1;
}

static int refuse(int error) {
  errno = error;
  return -1;
}

#define NEXT(name, ...) ((int (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name))

int flock(int file, int operation) {
  const int error = limit_of("flock");
  return error > 0 ? refuse(error) : NEXT("flock", int, int)(file, operation);
}

int link(const char* from, const char* to) {
  const int error = limit_of("link");
  return error > 0 ? refuse(error) : NEXT("link", const char*, const char*)(from, to);
}

int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) {
  const int error = limit_of("rename_flags");
  if (error > 0 && flags != 0) return refuse(error);
  return NEXT("renameat2", int, const char*, int, const char*, unsigned)(from_folder, from,
                                                                        to_folder, to, flags);
}

int fsync(int file) {
  const int error = limit_of("fsync_folder");
  struct stat status;
  if (error > 0 && fstat(file, &status) == 0 && S_ISDIR(status.st_mode)) return refuse(error);
  return NEXT("fsync", int)(file);
}

int fallocate(int file, int mode, off_t offset, off_t length) {
  const int error = limit_of("fallocate");
  if (error > 0) return refuse(error);
  return NEXT("fallocate", int, int, off_t, off_t)(file, mode, offset, length);
}

int fallocate64(int file, int mode, off64_t offset, off64_t length) {
  return fallocate(file, mode, offset, length);
}

static atomic_int num_threads;

struct Start {
  void* (*body)(void*);
  void* argument;
};

static void* run(void* given) {
  const struct Start start = *(struct Start*)given;
  free(given);
  void* const result = start.body(start.argument);
  atomic_fetch_sub(&num_threads, 1);
  return result;
}

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*body)(void*),
                   void* argument) {
  const int limit = limit_of("threads");
  if (limit >= 0 && atomic_fetch_add(&num_threads, 1) >= limit) {
    atomic_fetch_sub(&num_threads, 1);
    return EAGAIN;
  }
  struct Start* const start = malloc(sizeof *start);
  *start = (struct Start){body, argument};
  return NEXT("pthread_create", pthread_t*, const pthread_attr_t*, void* (*)(void*), void*)(
      thread, attributes, limit >= 0 ? run : body, limit >= 0 ? (void*)start : argument);
}
