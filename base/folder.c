// SPDX-License-Identifier: MIT
// Folders: making, listing, removing, replacing in one step, locking. See file.h.
#define _GNU_SOURCE // renameat2, nftw

#include "base/file.h"

#include "base/error.h"
#include "base/file_private.h"
#include "base/memory.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OPEN_FOLDERS = 16 };

bool folder_exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static int make_one(const char *path) {
    if (mkdir(path, 0777) == 0 || (errno == EEXIST && folder_exists(path))) return 0;
    return path_error("make this folder", path);
}

int folder_make(const char *path) {
    if (path[0] == '\0') return error_int("a folder with an empty name cannot be made");
    char *part = string_copy(path);
    if (!part) return -1;
    int result = 0;
    for (char *slash = strchr(part + 1, '/'); slash && result == 0;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (!folder_exists(part)) result = make_one(part);
        *slash = '/';
    }
    if (result == 0) result = make_one(part);
    free(part);
    return result;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void folder_list_free(char **names, size_t count) {
    if (!names) return;
    for (size_t i = 0; i < count; i++) free(names[i]);
    free(names);
}

static int list_entries(DIR *folder, const char *path, char ***names, size_t *count) {
    size_t capacity = 0;
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(folder);
        if (!entry) break;
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) continue;
        if (array_grow(names, &capacity, *count, sizeof **names)) return -1;
        (*names)[*count] = string_copy(name);
        if (!(*names)[*count]) return -1;
        ++*count;
    }
    if (errno) return path_error("list", path);
    return *names || (*names = array_new(1, sizeof **names)) ? 0 : -1;
}

char **folder_list(const char *path, size_t *count) {
    *count = 0;
    DIR *folder = opendir(path);
    if (!folder) {
        path_error("list", path);
        return NULL;
    }
    char **names = NULL;
    int result = list_entries(folder, path, &names, count);
    closedir(folder);
    if (result) {
        folder_list_free(names, *count);
        *count = 0;
        return NULL;
    }
    qsort(names, *count, sizeof *names, compare_names);
    return names;
}

static int remove_visit(const char *path, const struct stat *info, int type, struct FTW *where) {
    (void)info, (void)type, (void)where;
    return remove(path) ? path_error("remove", path) : 0;
}

int folder_remove(const char *path) {
    struct stat info;
    if (lstat(path, &info)) return errno == ENOENT ? 0 : path_error("remove", path);
    int result = nftw(path, remove_visit, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS);
    return result ? path_error("remove", path) : 0;
}

static bool is_aside(const char *name) {
    const char *mark = strstr(name, ".tmp-");
    return mark && mark[5] && strspn(mark + 5, "0123456789") == strlen(mark + 5);
}

int folder_remove_asides(const char *path) {
    size_t count = 0;
    if (!folder_exists(path)) return 0;
    char **names = folder_list(path, &count);
    int result = names ? 0 : -1;
    for (size_t i = 0; i < count && result == 0; i++) {
        char *aside = is_aside(names[i]) ? path_join(path, names[i]) : NULL;
        if (aside && unlink(aside)) result = path_error("remove", aside);
        free(aside);
    }
    if (names) folder_list_free(names, count);
    return result;
}

static int sync_visit(const char *path, const struct stat *info, int type, struct FTW *where) {
    (void)info, (void)where;
    if (type == FTW_DP) return folder_sync(path);
    if (type == FTW_DNR || type == FTW_NS) return path_error("flush", path);
    if (type != FTW_F) return 0;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return path_error("open", path);
    int result = fsync(file) ? path_error("flush", path) : 0;
    close(file);
    return result;
}

char *folder_replace_begin(const char *path) {
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') length--;
    char *aside = text_format("%.*s.p2s-tmp", (int)length, path);
    if (!aside) return NULL;
    if (folder_remove(aside) || folder_make(aside)) {
        free(aside);
        return NULL;
    }
    return aside;
}

// Puts `aside` where `path` is; afterwards *old (owned) holds what stood there.
static int change_places(const char *aside, const char *path, char **old) {
#ifdef RENAME_EXCHANGE
    if (renameat2(AT_FDCWD, aside, AT_FDCWD, path, RENAME_EXCHANGE) == 0)
        return (*old = string_copy(aside)) ? 0 : -1;
    if (errno != EINVAL && errno != ENOSYS) return path_error("replace", path);
#endif
    *old = text_format("%s.p2s-old", path);
    if (!*old || folder_remove(*old)) return -1;
    if (rename(path, *old) || rename(aside, path)) return path_error("replace", path);
    return 0;
}

int folder_replace_commit(const char *aside, const char *path) {
    if (nftw(aside, sync_visit, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS))
        return path_error("flush", aside);
    struct stat info;
    if (lstat(path, &info)) {
        if (rename(aside, path)) return path_error("replace", path);
        return folder_sync_of(path);
    }
    char *old = NULL;
    int result = change_places(aside, path, &old);
    if (result == 0) result = folder_sync_of(path);
    if (result == 0) result = folder_remove(old);
    free(old);
    return result;
}

int folder_lock(const char *path) {
    char *name = path_join(path, ".lock");
    if (!name) return -1;
    int lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (lock < 0) {
        path_error("open", name);
    } else if (flock(lock, LOCK_EX | LOCK_NB)) {
        char holder[32] = "";
        if (errno != EWOULDBLOCK) path_error("lock", name);
        ssize_t got = read(lock, holder, sizeof holder - 1);
        error_int("%s: in use by process %s", path, got > 0 ? text_trim(holder) : "(unknown)");
        close(lock);
        lock = -1;
    } else if (ftruncate(lock, 0) || dprintf(lock, "%ld\n", (long)getpid()) < 0) {
        path_error("write", name);
        close(lock);
        lock = -1;
    }
    free(name);
    return lock;
}

void folder_unlock(int lock) {
    if (lock >= 0) close(lock);
}

int folder_check_new(const char *path) {
    if (file_exists(path)) return error_int("%s exists and is no folder", path);
    if (!folder_exists(path)) return 0;
    size_t count = 0;
    char **names = folder_list(path, &count);
    if (!names) return -1;
    folder_list_free(names, count);
    return count == 0 ? 0 : error_int("%s exists and is not empty", path);
}
