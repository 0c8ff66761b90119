// SPDX-License-Identifier: MIT
// Files and folders. Everything that replaces something is written aside, flushed to the disk and
// renamed, so that whoever looks sees the old or the new, never half. Errors name the path.
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

// "folder/name", owned by the caller; name alone when it is absolute or folder is "".
char *path_join(const char *folder, const char *name);

// The part after the last '/'; points into path.
const char *path_name(const char *path);

// The folder a path lies in ("." when it names none), owned by the caller.
char *path_folder(const char *path);

// Whether the path leads to a regular file or another non-folder; to a folder.
bool file_exists(const char *path);
bool folder_exists(const char *path);

// Size in bytes of a regular file, -1 and an error when it is none.
int64_t file_size(const char *path);

// Reads a whole file of at most `max` bytes; returns its bytes with a NUL after them, owned by the
// caller, and their number in *size (may be NULL). NULL and an error when it cannot be read or is
// larger.
char *file_read(const char *path, size_t max, size_t *size);

// Replaces or makes a file with these bytes, atomically.
int file_write(const char *path, const void *bytes, size_t size);

// The same for who writes piece by piece: begin, write to `stream`, then commit or abandon, which
// both free. A device or pipe is written directly; a symbolic link stays, its target is replaced.
typedef struct {
    FILE *stream;
    char *path;
    char *aside; // NAME.tmp-PID in the same folder; NULL for a device or pipe
} FileWrite;

FileWrite *file_write_begin(const char *path);
// Writes to the stream; an error that says why it cannot.
int file_write_bytes(FileWrite *write, const void *bytes, size_t size);
int file_write_commit(FileWrite *write); // -1 and an error when any write before it failed
void file_write_abandon(FileWrite *write);

// Makes `to` the same file as `from`, by a hard link where possible, else as a copy. An error when
// `to` exists.
int file_link_or_copy(const char *from, const char *to);

// Points the symbolic link `path` to `target` (as text, relative to the link's folder), atomically.
int link_replace(const char *target, const char *path);

// Makes a folder and all above it. Not an error when it exists.
int folder_make(const char *path);

// Names in a folder, sorted as bytes, without "." and "..". NULL and an error when it cannot be
// read. Free with folder_list_free.
char **folder_list(const char *path, size_t *count);
void folder_list_free(char **names, size_t count);

// Removes a file or a folder with all in it; symbolic links are removed, not followed. Not an error
// when there is none.
int folder_remove(const char *path);

// Replaces a folder atomically: begin makes an empty NAME.p2s-tmp beside it (one left over by a
// killed run is removed) and returns its path, owned by the caller, who fills it; commit flushes
// all in it, puts it in the place of `path` and removes what stood there. Both folders change
// places in one step where the system can do that (Linux); elsewhere the old one is renamed to
// NAME.p2s-old before. Who does not commit removes the folder.
char *folder_replace_begin(const char *path);
int folder_replace_commit(const char *aside, const char *path);

// Removes the files and links NAME.tmp-PID that writes of killed processes left in a folder, not in
// those within; for one that no other process writes to. Not an error when there is no such folder.
int folder_remove_asides(const char *path);

// 0 when the path can become a folder of results: nothing is there, or an empty folder.
int folder_check_new(const char *path);

// Locks a folder for this process: returns a handle (>= 0) for folder_unlock, or -1 and an error
// that names the process that holds it. The lock ends with the process.
int folder_lock(const char *path);
void folder_unlock(int lock);

#endif
