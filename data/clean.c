// SPDX-License-Identifier: MIT
// Rules of cleaning. See clean.h.
#include "data/clean.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "data/hdf5.h"
#include "data/reader.h"

#include <stdlib.h>
#include <string.h>

// Gives the entry a reason (NULL: memory is out) unless it has one. 1 when it had none.
static int drop(IndexEntry *entry, char *reason) {
    if (!reason) return -1;
    if (entry->dropped) {
        free(reason);
        return 0;
    }
    entry->dropped = reason;
    return 1;
}

int64_t clean_empty(Index *index) {
    int64_t dropped = 0;
    for (int64_t i = 0; i < index->count; i++) {
        IndexEntry *entry = &index->entries[i];
        if (entry->dropped || entry->instances > entry->crowds) continue;
        const int done =
            drop(entry, string_copy(entry->crowds ? "nothing but crowds" : "no instances"));
        if (done < 0) return -1;
        dropped += done;
    }
    return dropped;
}

// Whether the name is `start`, or goes on after it with a '/'.
static bool begins_with(const char *name, const char *start) {
    const size_t length = strlen(start);
    return strncmp(name, start, length) == 0 && (name[length] == '/' || name[length] == '\0');
}

static int64_t drop_named(Index *index, const char *start, const char *path) {
    int64_t dropped = 0;
    for (int64_t i = 0; i < index->count; i++) {
        IndexEntry *entry = &index->entries[i];
        if (!entry->name || !begins_with(entry->name, start)) continue;
        const int done = drop(entry, text_format("%s lists %s", path, start));
        if (done < 0) return -1;
        dropped += done;
    }
    return dropped;
}

typedef struct {
    Index *index;
    const char *path; // of the list
    int64_t dropped;
} Listing;

static int take_line(void *context, char *line) {
    Listing *listing = context;
    char *comment = strchr(line, '#');
    if (comment) *comment = '\0';
    char *start = text_trim(line);
    for (size_t length = strlen(start); length > 0 && start[length - 1] == '/';)
        start[--length] = '\0';
    const int64_t more = *start ? drop_named(listing->index, start, listing->path) : 0;
    if (more < 0) return -1;
    listing->dropped += more;
    return 0;
}

int64_t clean_listed(Index *index, const char *path) {
    Listing listing = {index, path, 0};
    return each_line(path, take_line, &listing) ? -1 : listing.dropped;
}

// ---- Hypersim's scenes --------------------------------------------------------------------------

static int compare_ids(const void *left, const void *right) {
    const int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

static int64_t count_distinct(int64_t *ids, size_t count) {
    if (count) qsort(ids, count, sizeof *ids, compare_ids);
    int64_t distinct = 0;
    for (size_t i = 0; i < count; i++) distinct += ids[i] >= 1 && (i == 0 || ids[i] != ids[i - 1]);
    return distinct;
}

// Length of the scene's part of a sample's name.
static size_t scene_length(const char *name) {
    return strcspn(name, "/");
}

// Number of objects by the scene's table; -1 and no error when there is none.
static int64_t count_in_table(const char *root, const char *name) {
    char *path = text_format("%s/%.*s/_detail/mesh/mesh_objects_sii.hdf5", root,
                             (int)scene_length(name), name);
    if (!path) return -1;
    int width, height;
    int32_t *values = NULL;
    int64_t found = -1;
    if (file_exists(path) && hdf5_read_i32(path, "dataset", &width, &height, &values) == 0) {
        const size_t count = (size_t)width * (size_t)height;
        int64_t *ids = array_new(count, sizeof *ids);
        for (size_t i = 0; ids && i < count; i++) ids[i] = values[i];
        if (ids) found = count_distinct(ids, count);
        free(ids);
    }
    free(values);
    free(path);
    return found;
}

static int64_t count_in_frames(const Index *index, int64_t first, int64_t end) {
    size_t count = 0, at = 0;
    for (int64_t i = first; i < end; i++) count += (size_t)index->entries[i].instances;
    int64_t *ids = array_new(count, sizeof *ids);
    if (!ids) return -1;
    for (int64_t i = first; i < end; i++) {
        const IndexEntry *entry = &index->entries[i];
        for (int k = 0; k < entry->instances; k++) ids[at++] = entry->ids[k];
    }
    const int64_t found = count_distinct(ids, count);
    free(ids);
    return found;
}

static int64_t drop_scene(Index *index, int64_t first, int64_t end, int64_t objects, int64_t least,
                          const char *where) {
    int64_t dropped = 0;
    for (int64_t i = first; i < end; i++) {
        if (!index->entries[i].name) continue;
        const int done = drop(&index->entries[i],
                              text_format("its scene has %lld objects %s, expected at least %lld",
                                          (long long)objects, where, (long long)least));
        if (done < 0) return -1;
        dropped += done;
    }
    return dropped;
}

static bool same_scene(const IndexEntry *entry, const char *name) {
    const size_t length = scene_length(name);
    return !entry->name ||
           (scene_length(entry->name) == length && strncmp(entry->name, name, length) == 0);
}

int64_t clean_scenes(Index *index, const char *root, int64_t least, int64_t *by_frames) {
    int64_t dropped = 0;
    *by_frames = 0;
    for (int64_t first = 0, end; first < index->count; first = end) {
        end = first + 1;
        const char *name = index->entries[first].name;
        if (!name) continue;
        while (end < index->count && same_scene(&index->entries[end], name)) end++;
        int64_t objects = count_in_table(root, name);
        if (objects < 0 && error_is_set()) return -1;
        const bool table = objects >= 0;
        if (!table) objects = count_in_frames(index, first, end);
        if (objects < 0) return -1;
        *by_frames += !table;
        if (objects >= least) continue;
        const int64_t more = drop_scene(index, first, end, objects, least,
                                        table ? "in its mesh table" : "in its frames");
        if (more < 0) return -1;
        dropped += more;
    }
    return dropped;
}
