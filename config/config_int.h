/* config/config_int.h - the table of settings, for this room's own files. */
#ifndef CARREL_CONFIG_CONFIG_INT_H
#define CARREL_CONFIG_CONFIG_INT_H
#include "config/config.h"

enum setting_type {
    SETTING_TEXT,    /* char *; empty is a text */
    SETTING_PATH,    /* char *; empty is NULL, "~/" is the home */
    SETTING_CHOICE,  /* const char *: one of `choices`, or NULL where the default is */
    SETTING_INT,     /* int */
    SETTING_BYTES,   /* int64_t; "64 MiB" */
    SETTING_NUMBER,  /* double; -1 beside its range: as someone else says */
    SETTING_BOOL     /* bool */
};

struct setting {
    const char *section, *key;
    enum setting_type type;
    size_t offset;              /* in struct config */
    const char *builtin;        /* as text; NULL: NULL */
    int64_t min, max;
    const char *const *choices; /* NULL-ended */
    const char *help;
};

extern const struct setting settings[];
extern const int n_settings;

/* By "section" and "key"; NULL when there is none. */
const struct setting *setting_find(struct str section, struct str key);
bool setting_section_known(struct str section);
/* ": did you mean `x`?" or the known ones, behind `b`: keys of `section`, or
 * sections when it is empty. */
void setting_suggest(struct buf *b, struct str section, struct str wrong);
/* Store `value` (NULL: as built in). `where` stands in the message behind the
 * value (" at line 3, column 9", or ""). */
enum err_code setting_store(struct config *c, const struct setting *s, const char *value,
                            const char *where, struct err *err);
/* Store, and remember the origin. */
enum err_code setting_store_from(struct config *c, const struct setting *s, const char *value,
                                 const char *where, const char *origin, struct err *err);
/* The value as text behind `b`; false for NULL. */
bool setting_print(const struct config *c, const struct setting *s, struct buf *b);
/* config_yaml.c */
enum err_code config_yaml_read(struct config *c, struct str text, const char *name,
                               struct err *err);
#endif
