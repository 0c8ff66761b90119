// SPDX-License-Identifier: MIT
// Files: paths, reading, atomic writing. Folders are in folder.c. See file.h.
#define _XOPEN_SOURCE 700 // realpath

#include "base/file.h"

#include "base/error.h"
#include "base/file_private.h"
#include "base/memory.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int path_error(const char *doing, const char *path) {
    return error_int("%s: cannot %s: %s", path, doing, strerror(errno));
}

char *path_join(const char *folder, const char *name) {
    if (!folder || !name) return NULL;
    if (name[0] == '/' || folder[0] == '\0') return string_copy(name);
    return text_format("%s%s%s", folder, text_ends_with(folder, "/") ? "" : "/", name);
}

const char *path_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

char *path_folder(const char *path) {
    const char *name = path_name(path);
    if (name == path) return string_copy(".");
    if (name == path + 1) return string_copy("/");
    return text_format("%.*s", (int)(name - path - 1), path);
}

bool file_exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && !S_ISDIR(info.st_mode);
}

int64_t file_size(const char *path) {
    struct stat info;
    if (stat(path, &info)) return path_error("read", path);
    if (!S_ISREG(info.st_mode)) return error_int("%s: not a regular file", path);
    return info.st_size;
}

static char *read_all(int file, const char *path, size_t max, size_t *size) {
    Text text = {0};
    char block[65536];
    ssize_t got;
    while ((got = read(file, block, sizeof block)) != 0) {
        if (got < 0 && errno == EINTR) continue;
        if (got < 0)
            path_error("read", path);
        else if ((size_t)got > max - text.length)
            error_int("%s: larger than the limit of %zu bytes", path, max);
        else if (text_add_bytes(&text, block, (size_t)got) == 0)
            continue;
        text_free(&text);
        return NULL;
    }
    if (size) *size = text.length;
    return text_take(&text);
}

char *file_read(const char *path, size_t max, size_t *size) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        path_error("open", path);
        return NULL;
    }
    char *bytes = read_all(file, path, max, size);
    close(file);
    return bytes;
}

int folder_sync(const char *path) {
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return path_error("open", path);
    // Some file systems cannot flush a folder and say EINVAL; there is nothing to do about it.
    int result = fsync(folder) && errno != EINVAL ? path_error("flush", path) : 0;
    close(folder);
    return result;
}

int folder_sync_of(const char *path) {
    char *folder = path_folder(path);
    int result = folder ? folder_sync(folder) : -1;
    free(folder);
    return result;
}

// Where a write to `path` ends: the target of a symbolic link, else the path itself.
static char *write_target(const char *path) {
    struct stat info;
    if (lstat(path, &info) || !S_ISLNK(info.st_mode) || stat(path, &info)) return string_copy(path);
    char *target = realpath(path, NULL);
    if (!target) path_error("resolve", path);
    return target;
}

static void write_free(FileWrite *write) {
    free(write->path);
    free(write->aside);
    free(write);
}

FileWrite *file_write_begin(const char *path) {
    FileWrite *write = array_new(1, sizeof *write);
    if (!write) return NULL;
    struct stat info;
    bool direct = stat(path, &info) == 0 && !S_ISREG(info.st_mode);
    write->path = direct ? string_copy(path) : write_target(path);
    if (write->path && !direct)
        write->aside = text_format("%s.tmp-%ld", write->path, (long)getpid());
    if (!write->path || (!direct && !write->aside)) {
        write_free(write);
        return NULL;
    }
    write->stream = fopen(direct ? write->path : write->aside, "wbe");
    if (!write->stream) {
        path_error("write", path);
        write_free(write);
        return NULL;
    }
    return write;
}

int file_write_bytes(FileWrite *write, const void *bytes, size_t size) {
    return fwrite(bytes, 1, size, write->stream) == size ? 0 : path_error("write", write->path);
}

void file_write_abandon(FileWrite *write) {
    if (!write) return;
    fclose(write->stream);
    if (write->aside) unlink(write->aside);
    write_free(write);
}

static int flush(FileWrite *write) {
    if (fflush(write->stream)) return path_error("write", write->path);
    if (ferror(write->stream))
        return error_int("%s: cannot write: an earlier write failed", write->path);
    if (write->aside && fsync(fileno(write->stream))) return path_error("flush", write->path);
    return 0;
}

int file_write_commit(FileWrite *write) {
    if (!write) return -1;
    int result = flush(write);
    if (fclose(write->stream) && result == 0) result = path_error("write", write->path);
    if (write->aside) {
        if (result == 0 && rename(write->aside, write->path))
            result = path_error("replace", write->path);
        if (result)
            unlink(write->aside);
        else
            result = folder_sync_of(write->path);
    }
    write_free(write);
    return result;
}

int file_write(const char *path, const void *bytes, size_t size) {
    FileWrite *write = file_write_begin(path);
    if (!write) return -1;
    if (size && file_write_bytes(write, bytes, size) != 0) {
        file_write_abandon(write);
        return -1;
    }
    return file_write_commit(write);
}

static int copy_stream(FILE *from, const char *path, FileWrite *to) {
    char block[65536];
    size_t got;
    while ((got = fread(block, 1, sizeof block, from)) > 0)
        if (file_write_bytes(to, block, got) != 0) return -1;
    return ferror(from) ? path_error("read", path) : 0;
}

static int file_copy(const char *from, const char *to) {
    FILE *source = fopen(from, "rbe");
    if (!source) return path_error("open", from);
    FileWrite *write = file_write_begin(to);
    int result = write ? copy_stream(source, from, write) : -1;
    fclose(source);
    if (result) {
        file_write_abandon(write);
        return -1;
    }
    return file_write_commit(write);
}

int file_link_or_copy(const char *from, const char *to) {
    struct stat info;
    if (lstat(to, &info) == 0) return error_int("%s: exists already", to);
    if (stat(from, &info)) return path_error("open", from);
    if (!S_ISREG(info.st_mode)) return error_int("%s: not a regular file", from);
    // linkat with AT_SYMLINK_FOLLOW links the file itself, not a symbolic link to it.
    if (linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW) == 0) return 0;
    return file_copy(from, to);
}

int link_replace(const char *target, const char *path) {
    char *aside = text_format("%s.tmp-%ld", path, (long)getpid());
    if (!aside) return -1;
    int result = 0;
    unlink(aside);
    if (symlink(target, aside))
        result = path_error("link", path);
    else if (rename(aside, path)) {
        result = path_error("replace", path);
        unlink(aside);
    }
    free(aside);
    return result ? result : folder_sync_of(path);
}
