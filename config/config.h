/* config/config.h - the front door: every setting, where it came from, what it may be.
 *
 * Order: built-in < file < environment (CARREL_SECTION_KEY) < flag; call in
 * that order, the last one wins. The file is YAML (config_yaml.c says which
 * part of it); an unknown key is refused with its line, its column and the
 * nearest known key. One table of settings (settings.c) rules them all.
 * Threads   one owner while loading, then immutable.
 * Memory    config_deinit releases; texts are borrowed until then. */
#ifndef CARREL_CONFIG_CONFIG_H
#define CARREL_CONFIG_CONFIG_H
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"

#define CONFIG_BYTES_MAX (256 << 10)   /* of a file */
#define CONFIG_SETTINGS_MAX 64
#define CONFIG_REMOTES_MAX 8

/* An OpenAI-compatible server, one entry of the list llm.remote. */
struct config_remote {
    char *name;                /* NULL: the host of the url */
    char *url, *model;         /* never NULL */
    char *key_file;            /* NULL: no key */
    int timeout_ms, attempts;
};
struct config_remotes { struct config_remote *v; int n; };

/* Texts that may be NULL say so; what each one does is in carrel.yaml. */
struct config {
    struct {
        char *listen;              /* "127.0.0.1:7171", "[::1]:0" */
        int threads, max_connections;
        int64_t max_upload_bytes;
        bool insecure;
    } server;
    struct {
        char *dir;
    } store;
    struct {
        char *model;               /* NULL: the built-in encoder */
        const char *pooling;       /* "cls", "mean"; NULL: as the model says */
        char *query_prefix;        /* "" is none; NULL: as the model says */
        double dense_weight;       /* 0..1; -1: as the encoder says */
    } embed;
    struct {
        int workers;               /* 0: one a processor */
        int timeout_ms;
        int64_t max_text_bytes, max_file_bytes, memory_bytes;
        bool require_sandbox;
    } ingest;
    struct {
        int target_tokens, max_tokens, overlap_tokens;
    } chunk;
    struct {
        int top_k;
        const char *mode;          /* "hybrid", "dense", "words" */
        int ef;
    } search;
    struct {
        int top_k;
        double min_evidence;       /* 0..1; -1: as measured */
        int max_sentences;         /* 0: as the generator likes */
    } ask;
    struct {
        char *model;               /* path, or name of a file in `models`; "none": no file;
                                      NULL: what there is in `models` */
        char *models;              /* folder; NULL: "models" in store.dir */
        char *ca_file;             /* authorities beside the system's, of remotes and of pulls; or NULL */
        char *family;              /* llm.template; NULL: as the file says */
        int context, sessions, queue; /* 0: as the engine likes */
        const char *kv_cache;      /* "f16", "q8", "f32" */
        int64_t kv_memory;         /* bytes; 0: as the engine likes */
        int max_tokens;
        double temperature;        /* 0..2 */
        const char *order;         /* "local", "remote": which is tried first */
        struct config_remotes remotes;
    } llm;
    struct {
        const char *level;         /* "error", "warn", "info", "debug" */
    } log;
    char *file;                    /* that was read; NULL: none */
    char *home, *store_dir;        /* for "~/", and the built-in store.dir; may be NULL */
    char *origin[CONFIG_SETTINGS_MAX]; /* by place in the table; NULL: built-in */
};

/* The built-in settings. `env` (NULL-ended "NAME=value"; may be NULL) gives
 * XDG_DATA_HOME and HOME, from which store.dir is made. */
enum err_code config_init(struct config *c, char *const *env, struct err *err);
void config_deinit(struct config *c);

/* The file to read, in order: `given` (which must be there: ERR_NOTFOUND),
 * $XDG_CONFIG_HOME/carrel/carrel.yaml (or ~/.config/...), /etc/carrel/carrel.yaml.
 * OK with an empty `path` when there is none. */
enum err_code config_find_file(const char *given, char *const *env, struct buf *path,
                               struct err *err);
/* ERR_FORMAT or ERR_ARG with line and column; settings before the fault stay set. */
enum err_code config_load_file(struct config *c, const char *path, struct err *err);
/* The same of bytes; `name` stands for the path in messages and origins. */
enum err_code config_load_text(struct config *c, struct str text, const char *name,
                               struct err *err);
/* Variables CARREL_SECTION_KEY of known sections; others are not looked at. */
enum err_code config_load_env(struct config *c, char *const *env, struct err *err);
/* All of the above: init, find, file, environment, and config_check of the
 * result. On failure `c` is deinitialized. */
enum err_code config_load(struct config *c, const char *given, char *const *env, struct err *err);

/* Set "section.key" to `value`; `origin` ("--listen") is what config_show
 * will say. ERR_ARG: no such setting, or no value for it (nothing changed). */
enum err_code config_set(struct config *c, const char *name, const char *value,
                         const char *origin, struct err *err);
/* What no setting can tell alone: ranges against each other, addresses, files. */
enum err_code config_check(const struct config *c, struct err *err);
enum log_level config_log_level(const struct config *c);

/* All settings as a file that config_load_text reads back; with each one's
 * origin in a comment when `origins`. */
void config_show(const struct config *c, bool origins, struct buf *out);

/* One setting, for listings. `value` is as a file would have it ("256 MiB" is
 * 268435456), empty and `is_null` for a text that is not set. */
struct config_entry {
    const char *name, *type, *help, *origin;
    struct str value;
    bool is_null, is_text;
};
/* Call fn for each in the order of the table; false stops. */
void config_each(const struct config *c, bool (*fn)(void *arg, const struct config_entry *e),
                 void *arg);
#endif
