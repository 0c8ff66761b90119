// SPDX-License-Identifier: MIT
// Digests of frozen weights. See frozen.h.
#include "train/frozen.h"

#include "base/crc32c.h"
#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "train/task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIGEST_SIZE = 24 };

static int digest_of(const char *folder, const char *name, char digest[DIGEST_SIZE]) {
    uint32_t crc = 0;
    char *path = path_join(folder, name);
    int result = path ? file_crc32c(path, &crc) : -1;
    free(path);
    snprintf(digest, DIGEST_SIZE, "crc32c:%08x", crc);
    return result;
}

static int add_digest(json_t *digests, const char *folder, const char *part, const json_t *known) {
    char *name = text_format("%s/" MODEL_WEIGHTS, part);
    if (!name) return -1;
    char digest[DIGEST_SIZE];
    const char *found = json_string_value(json_object_get(known, name));
    int result = found ? 0 : digest_of(folder, name, digest);
    if (result == 0 && json_object_set_new(digests, name, json_string(found ? found : digest)) != 0)
        result = error_int("%s: its digest cannot be kept", name);
    free(name);
    return result;
}

json_t *frozen_digests(const Model *model, const char *folder, const json_t *known) {
    ParamSet *sets[TASK_SETS];
    json_t *digests = json_object();
    int count = task_sets(model, sets);
    for (int i = 0; i < count; i++) {
        if (params_trained_elements(sets[i]) > 0) continue;
        if (add_digest(digests, folder, sets[i]->title, known) == 0) continue;
        json_decref(digests);
        return NULL;
    }
    return digests;
}

int frozen_verify(const char *folder, const json_t *digests) {
    const char *name;
    const json_t *expected;
    json_object_foreach((json_t *)digests, name, expected) {
        char digest[DIGEST_SIZE];
        if (digest_of(folder, name, digest) != 0) return -1;
        const char *wanted = json_string_value(expected);
        if (!wanted || strcmp(digest, wanted) != 0)
            return error_int("%s/%s: its digest is %s, the checkpoint was written with %s: the "
                             "file was changed since",
                             folder, name, digest, wanted ? wanted : "none");
    }
    return 0;
}
