// SPDX-License-Identifier: MIT
// What config.c and config_yaml.c share.
#ifndef BASE_CONFIG_PRIVATE_H
#define BASE_CONFIG_PRIVATE_H

#include "base/config.h"

// The row of a key, or NULL and an error "ORIGIN: unknown key ..." with the nearest one.
const ConfigKey *config_find(const ConfigTable *table, const char *name, const char *origin);

// Whether some key lies below this name ("train" for "train.lr").
bool config_is_section(const ConfigTable *table, const char *name);

// Sets a key that is no LIST from its text; errors are without origin and key.
int config_set_scalar(const ConfigKey *key, void *config, const char *value);

// Fails unless the text is UTF-8 without control characters, which a written file could not hold.
int config_check_text(const char *text);

// Empties a LIST; appends one item to it.
void config_list_clear(const ConfigKey *key, void *config);
int config_list_add(const ConfigKey *key, void *config, const char *item, size_t length);

#endif
