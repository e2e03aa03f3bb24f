/* Makes one call of the C library fail, or kill its process: the n-th of all processes that share a counter, of those with
   a file below a directory. For LD_PRELOAD.

   SHIM_CALL: open (to write), rename, unlink, mkdir, flock, fsync, write. SHIM_DIR: the directory. SHIM_AT: n.
   SHIM_ERROR: an errno, KILL, or KILL_PARENT, which kills the parent and lets the call go on. SHIM_COUNT: a file of 8 bytes, the counter. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define NEXT(type, name) static __typeof__((type)0) next; if (!next) next = (type)dlsym(RTLD_NEXT, name)
typedef int (*open_t)(const char *, int, ...);

static long *counter(void) {
    static long *shared;
    if (!shared) {
        NEXT(open_t, "open");
        int file = next(getenv("SHIM_COUNT"), O_RDWR | O_CLOEXEC);
        void *map = file < 0 ? MAP_FAILED : mmap(0, sizeof(long), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (file >= 0) close(file);
        if (map == MAP_FAILED) return 0;
        shared = map;
    }
    return shared;
}

static int fails(const char *call, const char *path) {
    const char *wanted = getenv("SHIM_CALL"), *dir = getenv("SHIM_DIR"), *error = getenv("SHIM_ERROR");
    if (!wanted || !dir || !error || !path || strcmp(wanted, call) || strncmp(path, dir, strlen(dir))) return 0;
    long *count = counter();
    if (!count || __atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST) != atol(getenv("SHIM_AT"))) return 0;
    if (!strcmp(error, "KILL")) {
        kill(getpid(), SIGKILL);
        for (;;) pause();
    }
    if (!strcmp(error, "KILL_PARENT")) {
        pid_t parent = getppid();
        kill(parent, SIGKILL);
        while (getppid() == parent) usleep(1000);
        return 0;
    }
    errno = atoi(error);
    return 1;
}

static int fails_at(const char *call, int file) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return 0;
    path[n] = 0;
    return fails(call, path);
}

int open64(const char *path, int flags, ...) {
    NEXT(open_t, "open64");
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, int);
    va_end(rest);
    return (flags & (O_WRONLY | O_RDWR)) && fails("open", path) ? -1 : next(path, flags, mode);
}
int rename(const char *from, const char *to) {
    NEXT(int (*)(const char *, const char *), "rename");
    return fails("rename", to) ? -1 : next(from, to);
}
int unlink(const char *path) {
    NEXT(int (*)(const char *), "unlink");
    return fails("unlink", path) ? -1 : next(path);
}
int mkdir(const char *path, mode_t mode) {
    NEXT(int (*)(const char *, mode_t), "mkdir");
    return fails("mkdir", path) ? -1 : next(path, mode);
}
int flock(int file, int how) {
    NEXT(int (*)(int, int), "flock");
    return fails_at("flock", file) ? -1 : next(file, how);
}
int fsync(int file) {
    NEXT(int (*)(int), "fsync");
    return fails_at("fsync", file) ? -1 : next(file);
}
int fdatasync(int file) {
    NEXT(int (*)(int), "fdatasync");
    return fails_at("fsync", file) ? -1 : next(file);
}
ssize_t write(int file, const void *bytes, size_t n) {
    NEXT(ssize_t (*)(int, const void *, size_t), "write");
    return fails_at("write", file) ? -1 : next(file, bytes, n);
}
ssize_t writev(int file, const struct iovec *parts, int n) {
    NEXT(ssize_t (*)(int, const struct iovec *, int), "writev");
    return fails_at("write", file) ? -1 : next(file, parts, n);
}
