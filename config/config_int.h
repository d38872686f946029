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
    SETTING_BOOL,    /* bool */
    SETTING_REMOTES  /* struct config_remotes: a list of mappings, in a file only */
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
/* "text" with quotes around it and escapes, or as it is where YAML needs none (config.c). */
void config_quote(struct buf *b, struct str s);

/* ---- llm.remote (remotes.c) */

#define REMOTE_KEYS 6
/* "name", "url", ...; what they may be. The offsets are into struct config_remote. */
extern const struct setting remote_keys[REMOTE_KEYS];
const struct setting *remote_key_find(struct str key);
void remote_key_suggest(struct buf *b, struct str wrong);
/* An entry with the built-in values; remote_deinit releases. */
enum err_code remote_init(const struct config *c, struct config_remote *r, struct err *err);
void remote_deinit(struct config_remote *r);
void remotes_deinit(struct config_remotes *r);
/* Takes the entry over (also when it fails). `at` is where it stands in the file, for the
 * sentence: ERR_ARG without a url or model, with a name that is there already, one too many. */
enum err_code remotes_push(struct config_remotes *r, struct config_remote *it, const char *at,
                           struct err *err);
/* [{url: "...", ...}, ...] as YAML and people read it. */
void remotes_print(const struct config_remotes *r, struct buf *b);
/* setting_store of one value into `base` (of which s->offset counts). */
enum err_code setting_store_at(const struct config *c, void *base, const struct setting *s,
                               const char *value, const char *where, struct err *err);
/* config_yaml.c */
enum err_code config_yaml_read(struct config *c, struct str text, const char *name,
                               struct err *err);
#endif
