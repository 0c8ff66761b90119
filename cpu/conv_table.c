// SPDX-License-Identifier: MIT
// The table of choices that `p2s bench tune` writes: one line per pass of a convolution,
//
//     WAY pass upsampled N H W Ci Ho Wo Co kh kw stride top left bottom right
//
// read once from the file that P2S_CHOICES names.
#include "cpu/conv_table.h"

#include "base/error.h"
#include "base/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BYTES = 1 << 20 };

typedef struct {
    ConvCase key;
    ConvWay way;
} Line;

static Line *lines;
static size_t line_count;
static uint64_t digest;

static const char *const passes[] = {"forward", "input_gradient", "weight_gradient"};

const char *conv_pass_name(ConvPass pass) {
    return passes[pass];
}

bool conv_case_same(const ConvCase *a, const ConvCase *b) {
    return a->pass == b->pass && a->upsampled == b->upsampled &&
           memcmp(&a->shape, &b->shape, sizeof a->shape) == 0;
}

ConvWay conv_table_find(const ConvCase *key) {
    for (size_t i = 0; i < line_count; i++)
        if (conv_case_same(&lines[i].key, key)) return lines[i].way;
    return WAY_COUNT;
}

uint64_t conv_table_digest(void) {
    return digest;
}

int conv_table_format(char *text, size_t room, const ConvCase *key, ConvWay way) {
    const ConvShape *s = &key->shape;
    return snprintf(
        text, room,
        "%s %s %d %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64
        " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 "\n",
        conv_way_name(way), passes[key->pass], key->upsampled, s->N, s->H, s->W, s->Ci, s->Ho,
        s->Wo, s->Co, s->kh, s->kw, s->stride, s->top, s->left, s->bottom, s->right);
}

// One line of the file; false when it is none.
static bool parse(const char *text, Line *line) {
    char way[16], pass[16];
    int upsampled;
    ConvShape *s = &line->key.shape;
    if (sscanf(text,
               "%15s %15s %d %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64
               " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64
               " %" SCNd64,
               way, pass, &upsampled, &s->N, &s->H, &s->W, &s->Ci, &s->Ho, &s->Wo, &s->Co, &s->kh,
               &s->kw, &s->stride, &s->top, &s->left, &s->bottom, &s->right) != 17)
        return false;
    line->key.upsampled = upsampled != 0;
    line->way = WAY_COUNT;
    for (int i = WAY_REFERENCE; i < WAY_COUNT; i++)
        if (strcmp(way, conv_way_name((ConvWay)i)) == 0) line->way = (ConvWay)i;
    for (int i = 0; i < 3; i++) {
        if (strcmp(pass, passes[i]) != 0) continue;
        line->key.pass = (ConvPass)i;
        return line->way != WAY_COUNT;
    }
    return false;
}

static int add_line(const char *path, const char *text, int number) {
    Line line = {0};
    if (!parse(text, &line))
        return error_int("%s:%d: expected a way, a pass and 15 numbers, as bench tune writes them",
                         path, number);
    if (!conv_way_can(line.way, line.key.pass, &line.key.shape, line.key.upsampled))
        return error_int("%s:%d: %s cannot run this pass here", path, number,
                         conv_way_name(line.way));
    Line *more = realloc(lines, (line_count + 1) * sizeof *lines);
    if (!more) return error_int("%s: out of memory", path);
    lines = more;
    lines[line_count++] = line;
    return 0;
}

int conv_table_read(const char *path) {
    size_t size;
    char *text = file_read(path, MOST_BYTES, &size), *rest = text;
    int result = text ? 0 : -1;
    for (size_t i = 0; i < (text ? size : 0); i++)
        digest = (digest ^ (unsigned char)text[i]) * 0x100000001B3u;
    for (int number = 1; result == 0 && rest && *rest; number++) {
        char *end = strchr(rest, '\n');
        if (end) *end = '\0';
        if (*rest && *rest != '#') result = add_line(path, rest, number);
        rest = end ? end + 1 : NULL;
    }
    free(text);
    return result;
}
