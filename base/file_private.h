// SPDX-License-Identifier: MIT
// What file.c and folder.c share.
#ifndef BASE_FILE_PRIVATE_H
#define BASE_FILE_PRIVATE_H

// Sets "path: cannot <doing>: <what errno means>"; returns -1.
int path_error(const char *doing, const char *path);

// Flushes a folder's own entries to the disk; folder_sync_of: those of the folder a path lies in.
int folder_sync(const char *path);
int folder_sync_of(const char *path);

#endif
