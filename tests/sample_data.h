// SPDX-License-Identifier: MIT
// Where the real sample files lie, and a scratch folder, for tests. Sample data: the environment
// variable P2S_DATA, else ../shared/data beside the source folder; tests that need it skip aloud.
#ifndef TESTS_SAMPLE_DATA_H
#define TESTS_SAMPLE_DATA_H

#include "base/error.h"
#include "base/file.h"

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    char text[1024];
} Path;

// folder/name
static inline Path in_folder(const char *folder, const char *name) {
    Path path;
    const int length = snprintf(path.text, sizeof path.text, "%s/%s", folder, name);
    cr_assert(length > 0 && (size_t)length < sizeof path.text);
    return path;
}

static inline Path sample_root(void) {
    const char *set = getenv("P2S_DATA");
    if (set && *set) return in_folder(set, ".");
    char *tests = path_folder(__FILE__);
    Path path = in_folder(tests, "../../shared/data");
    free(tests);
    return path;
}

// Defines `const Path root`, or skips the test.
#define SAMPLE_ROOT(root)                                                                \
    const Path root = sample_root();                                                     \
    if (!folder_exists(root.text)) {                                                     \
        fprintf(stderr, "SKIP %s: no sample data at %s\n", criterion_current_test->name, \
                root.text);                                                              \
        cr_skip_test("no sample data at %s", root.text);                                 \
    }

static inline Path scratch_make(void) {
    const char *base = getenv("TMPDIR");
    Path path = in_folder(base && *base ? base : "/tmp", "p2s-test-XXXXXX");
    cr_assert_not_null(mkdtemp(path.text));
    return path;
}

// Not file_write: tests that damage a file a thousand times need no flush to the disk.
static inline void write_bytes(const char *path, const void *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(bytes, 1, size, file), size);
    cr_assert_eq(fclose(file), 0);
}

// Takes the error message that is set and demands a part of it.
static inline void expect_error(const char *part) {
    const char *message = error_take();
    cr_expect_not_null(strstr(message, part), "\"%s\" expected in \"%s\"", part, message);
}

#endif
