/* config/settings.c - what can be set, and how a text becomes a value. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "config/config_int.h"

#define KIB       ((int64_t)1 << 10)
#define MIB       ((int64_t)1 << 20)
#define GIB       ((int64_t)1 << 30)
#define AT(field) offsetof(struct config, field)

static const char *const poolings[] = {"cls", "mean", NULL};
static const char *const modes[] = {"hybrid", "dense", "words", NULL};
static const char *const kv_types[] = {"f16", "q8", "f32", NULL};
static const char *const orders[] = {"local", "remote", NULL};
static const char *const levels[] = {"error", "warn", "info", "debug",
                                     NULL}; /* as enum log_level */

const struct setting settings[] = {
    {"server", "listen", SETTING_TEXT, AT(server.listen), "127.0.0.1:7171", 3, 255, NULL,
     "address and port to serve; port 0 picks one"},
    {"server", "threads", SETTING_INT, AT(server.threads), "4", 1, 256, NULL,
     "threads that answer requests"},
    {"server", "max_connections", SETTING_INT, AT(server.max_connections), "512", 1, 65536, NULL,
     "connections at a time"},
    {"server", "max_upload_bytes", SETTING_BYTES, AT(server.max_upload_bytes), "256 MiB", KIB,
     1024 * GIB, NULL, "largest request body"},
    {"server", "insecure", SETTING_BOOL, AT(server.insecure), "false", 0, 0, NULL,
     "serve other machines although there is no key"},
    {"store", "dir", SETTING_PATH, AT(store.dir), NULL, 1, 4000, NULL,
     "folder of everything that carrel keeps"},
    {"embed", "model", SETTING_PATH, AT(embed.model), NULL, 0, 4000, NULL,
     "GGUF file of the encoder; none: the built-in one"},
    {"embed", "pooling", SETTING_CHOICE, AT(embed.pooling), NULL, 0, 0, poolings,
     "how a text's vector is made of its tokens'; none: as the model says"},
    {"embed", "query_prefix", SETTING_TEXT, AT(embed.query_prefix), NULL, 0, 127, NULL,
     "put before every question; none: as the model says"},
    {"embed", "dense_weight", SETTING_NUMBER, AT(embed.dense_weight), "-1", 0, 1, NULL,
     "share of meaning against words in hybrid search; -1: as the encoder says"},
    {"ingest", "workers", SETTING_INT, AT(ingest.workers), "0", 0, 256, NULL,
     "documents read at a time; 0: one a processor"},
    {"ingest", "timeout_ms", SETTING_INT, AT(ingest.timeout_ms), "20000", 100, 3600000, NULL,
     "longest time to read one document"},
    {"ingest", "max_text_bytes", SETTING_BYTES, AT(ingest.max_text_bytes), "64 MiB", KIB, 512 * MIB,
     NULL, "longest text of a document"},
    {"ingest", "max_file_bytes", SETTING_BYTES, AT(ingest.max_file_bytes), "256 MiB", KIB,
     1024 * GIB, NULL, "largest file that `carrel add` takes"},
    {"ingest", "memory_bytes", SETTING_BYTES, AT(ingest.memory_bytes), "512 MiB", 64 * MIB,
     64 * GIB, NULL, "memory of the reader of one document"},
    {"ingest", "require_sandbox", SETTING_BOOL, AT(ingest.require_sandbox), "false", 0, 0, NULL,
     "do not start where the kernel cannot confine the reader"},
    {"chunk", "target_tokens", SETTING_INT, AT(chunk.target_tokens), "320", 16, 8192, NULL,
     "length of a passage to aim at"},
    {"chunk", "max_tokens", SETTING_INT, AT(chunk.max_tokens), "480", 16, 8192, NULL,
     "longest passage"},
    {"chunk", "overlap_tokens", SETTING_INT, AT(chunk.overlap_tokens), "0", 0, 4096, NULL,
     "sentences repeated from the passage before, at most"},
    {"search", "top_k", SETTING_INT, AT(search.top_k), "10", 1, 1000, NULL, "hits to show"},
    {"search", "mode", SETTING_CHOICE, AT(search.mode), "hybrid", 0, 0, modes,
     "by meaning, by words, or both"},
    {"search", "ef", SETTING_INT, AT(search.ef), "128", 1, 10000, NULL,
     "candidates weighed in the graph: more finds more, slower"},
    {"ask", "top_k", SETTING_INT, AT(ask.top_k), "6", 1, 100, NULL,
     "passages that an answer may use"},
    {"ask", "min_evidence", SETTING_NUMBER, AT(ask.min_evidence), "-1", 0, 1, NULL,
     "below it there is no answer; -1: as measured for the encoder"},
    {"ask", "max_sentences", SETTING_INT, AT(ask.max_sentences), "0", 0, 50, NULL,
     "of an extracted answer; 0: as the generator likes"},
    {"llm", "model", SETTING_PATH, AT(llm.model), NULL, 0, 4000, NULL,
     "GGUF file of the generator, by path or by its name in llm.models; none: no file"},
    {"llm", "models", SETTING_PATH, AT(llm.models), NULL, 0, 4000, NULL,
     "folder of model files; built in: models in store.dir"},
    {"llm", "template", SETTING_TEXT, AT(llm.family), NULL, 0, 63, NULL,
     "family of chat template; none: as the file says"},
    {"llm", "context", SETTING_INT, AT(llm.context), "0", 0, 1 << 20, NULL,
     "longest prompt and answer, in tokens; 0: the file's, at most 8192"},
    {"llm", "sessions", SETTING_INT, AT(llm.sessions), "0", 0, 256, NULL,
     "answers written at a time; 0: 8"},
    {"llm", "queue", SETTING_INT, AT(llm.queue), "0", 0, 65536, NULL,
     "questions that wait beyond them; 0: 32"},
    {"llm", "kv_cache", SETTING_CHOICE, AT(llm.kv_cache), "f16", 0, 0, kv_types,
     "numbers that the memory of conversations is kept in"},
    {"llm", "kv_memory", SETTING_BYTES, AT(llm.kv_memory), "0", 0, 1024 * GIB, NULL,
     "bytes of that memory; 0: a quarter of the context for each session"},
    {"llm", "max_tokens", SETTING_INT, AT(llm.max_tokens), "1024", 1, 1 << 20, NULL,
     "longest answer, in tokens, where a request names none"},
    {"llm", "temperature", SETTING_NUMBER, AT(llm.temperature), "0", 0, 2, NULL,
     "of answers where a request names none; 0: always the likeliest word"},
    {"llm", "order", SETTING_CHOICE, AT(llm.order), "local", 0, 0, orders,
     "which generator is asked first: the file here, or llm.remote"},
    {"llm", "ca_file", SETTING_PATH, AT(llm.ca_file), NULL, 0, 4000, NULL,
     "PEM of authorities that servers of models may be certified by, beside the system's"},
    {"llm", "remote", SETTING_REMOTES, AT(llm.remotes), NULL, 0, 0, NULL,
     "OpenAI-compatible servers that answer too, asked in this order"},
    {"log", "level", SETTING_CHOICE, AT(log.level), "info", 0, 0, levels, "how much is told"},
};
const int n_settings = sizeof(settings) / sizeof(*settings);
_Static_assert(sizeof(settings) / sizeof(*settings) <= CONFIG_SETTINGS_MAX,
               "origin[] is too short");

/* ---- finding */

const struct setting *setting_find(struct str section, struct str key)
{
    for (int i = 0; i < n_settings; i++)
        if (str_eqz(section, settings[i].section) && str_eqz(key, settings[i].key))
            return &settings[i];
    return NULL;
}

bool setting_section_known(struct str section)
{
    for (int i = 0; i < n_settings; i++)
        if (str_eqz(section, settings[i].section))
            return true;
    return false;
}

static bool first_of_section(int i)
{
    return i == 0 || strcmp(settings[i].section, settings[i - 1].section) != 0;
}

/* The i-th name to choose from, or NULL when it is none of them. */
static const char *candidate(int i, struct str section)
{
    if (section.len == 0)
        return first_of_section(i) ? settings[i].section : NULL;
    return str_eqz(section, settings[i].section) ? settings[i].key : NULL;
}

void setting_suggest(struct buf *b, struct str section, struct str wrong)
{
    const char *best = NULL;
    int least = INT32_MAX;
    for (int i = 0; i < n_settings; i++) {
        if (section.len == 0 && str_eqz(wrong, settings[i].key)) {
            buf_printf(b, ": it belongs under `%s`", settings[i].section);
            return;
        }
        const char *name = candidate(i, section);
        int d = name ? str_distance(str_of(name), wrong) : INT32_MAX;
        if (d < least) {
            least = d;
            best = name;
        }
    }
    if (best && (size_t)least <= strlen(best) / 2) {
        buf_printf(b, ": did you mean `%s`?", best);
        return;
    }
    buf_puts(b, ": need one of");
    const char *comma = " ";
    for (int i = 0; i < n_settings; i++) {
        const char *name = candidate(i, section);
        if (name) {
            buf_printf(b, "%s%s", comma, name);
            comma = ", ";
        }
    }
}

/* ---- text to value */

static bool parse_bool(struct str v, bool *out)
{
    *out = str_ieq(v, STR("true"));
    return *out || str_ieq(v, STR("false"));
}

/* A whole number with an optional unit: "4096", "64 MiB", "1GB". */
static bool parse_bytes(struct str v, int64_t min, int64_t max, int64_t *out)
{
    static const struct {
        const char *name;
        int64_t factor;
    } unit[] = {
        {"KiB", KIB}, {"MiB", MIB},    {"GiB", GIB},       {"TiB", 1024 * GIB},
        {"kB", 1000}, {"MB", 1000000}, {"GB", 1000000000}, {"K", KIB},
        {"M", MIB},   {"G", GIB},      {"B", 1},
    };
    int64_t factor = 1, n;
    for (size_t i = 0; i < sizeof(unit) / sizeof(*unit); i++) {
        struct str name = str_of(unit[i].name);
        if (v.len > name.len && str_ieq(str_sub(v, v.len - name.len, v.len), name)) {
            factor = unit[i].factor;
            v = str_trim(str_sub(v, 0, v.len - name.len));
            break;
        }
    }
    if (!str_int(v, 0, INT64_MAX, &n) || __builtin_mul_overflow(n, factor, &n))
        return false;
    *out = n;
    return n >= min && n <= max;
}

/* -1 is a number too where it is what is built in: "as someone else says". */
static bool may_be_less(const struct setting *s)
{
    return s->builtin && strcmp(s->builtin, "-1") == 0;
}

static bool parse_number(struct str v, const struct setting *s, double *out)
{
    char text[40], *end;
    if (v.len == 0 || v.len >= sizeof(text))
        return false;
    for (size_t i = 0; i < v.len; i++) /* strtod would take "nan", "0x1" and " 1" too */
        if (!strchr("+-.0123456789eE", v.ptr[i]))
            return false;
    memcpy(text, v.ptr, v.len);
    text[v.len] = '\0';
    double d = strtod(text, &end);
    if (*end || !isfinite(d))
        return false;
    *out = d;
    return (d == -1 && may_be_less(s)) || (d >= (double)s->min && d <= (double)s->max);
}

static const char *parse_choice(struct str v, const char *const *choices)
{
    for (; *choices; choices++)
        if (str_eqz(v, *choices))
            return *choices;
    return NULL;
}

/* "need ..." of a setting, for its messages. */
static void describe_need(const struct setting *s, struct buf *b)
{
    switch (s->type) {
    case SETTING_BOOL:
        buf_puts(b, "true or false");
        break;
    case SETTING_INT:
        buf_printf(b, "a whole number from %lld to %lld", (long long)s->min, (long long)s->max);
        break;
    case SETTING_BYTES:
        buf_printf(b, "bytes from %lld to %lld, such as 64 MiB", (long long)s->min,
                   (long long)s->max);
        break;
    case SETTING_NUMBER:
        buf_printf(b, "a number from %lld to %lld%s", (long long)s->min, (long long)s->max,
                   may_be_less(s) ? ", or -1" : "");
        break;
    case SETTING_CHOICE:
        for (int i = 0; s->choices[i]; i++)
            buf_printf(b, "%s%s", i == 0 ? "" : s->choices[i + 1] ? ", " : " or ", s->choices[i]);
        break;
    case SETTING_REMOTES:
        buf_puts(b, "a list, which only a configuration file can hold");
        break;
    default:
        buf_printf(b, "a text of %lld to %lld bytes", (long long)s->min, (long long)s->max);
    }
}

static enum err_code refuse(const struct setting *s, struct str value, const char *where,
                            struct err *err)
{
    struct buf need = {0};
    describe_need(s, &need);
    err_set(err, ERR_ARG, "%s.%s is `%.*s`%s, need %s", s->section, s->key,
            value.len < 40 ? (int)value.len : 40, value.ptr ? value.ptr : "", where,
            need.ptr ? need.ptr : "another value");
    buf_free(&need);
    return ERR_ARG;
}

static enum err_code store_text(const struct config *c, char **field, const struct setting *s,
                                struct str value, const char *where, struct err *err)
{
    bool too_long = value.len > (size_t)s->max || value.len < (size_t)s->min;
    if (too_long || (value.len && memchr(value.ptr, '\0', value.len)))
        return refuse(s, value, where, err);
    struct buf copy = {0};
    if (s->type == SETTING_PATH && c->home && str_starts(value, STR("~/"))) {
        buf_puts(&copy, c->home);
        value = str_sub(value, 1, value.len);
    }
    buf_str(&copy, value);
    bool none = s->type == SETTING_PATH && copy.len == 0;
    char *text = none ? NULL : buf_take(&copy, NULL);
    buf_free(&copy);
    if (!none && !text)
        return err_set(err, ERR_NOMEM, "%s.%s", s->section, s->key);
    free(*field);
    *field = text;
    return OK;
}

enum err_code setting_store(struct config *c, const struct setting *s, const char *value,
                            const char *where, struct err *err)
{
    if (!value && s->offset == AT(store.dir))
        value = c->store_dir; /* its built-in value hangs on the environment */
    return setting_store_at(c, c, s, value, where, err);
}

enum err_code setting_store_at(const struct config *c, void *base, const struct setting *s,
                               const char *value, const char *where, struct err *err)
{
    char *at = (char *)base + s->offset;
    const char *text = value ? value : s->builtin;
    struct str v = str_of(text);
    int64_t n;
    double d;
    bool b, good = false;
    switch (s->type) {
    case SETTING_TEXT:
    case SETTING_PATH:
        if (text)
            return store_text(c, (char **)(void *)at, s, v, where, err);
        free(*(char **)(void *)at);
        *(char **)(void *)at = NULL;
        return OK;
    case SETTING_CHOICE: {
        const char *choice = text && *text ? parse_choice(v, s->choices) : NULL;
        good = choice || (!s->builtin && v.len == 0);
        if (good)
            *(const char **)(void *)at = choice;
        break;
    }
    case SETTING_INT:
        good = str_int(v, s->min, s->max, &n);
        if (good)
            *(int *)(void *)at = (int)n;
        break;
    case SETTING_BYTES:
        good = parse_bytes(v, s->min, s->max, &n);
        if (good)
            *(int64_t *)(void *)at = n;
        break;
    case SETTING_NUMBER:
        good = parse_number(v, s, &d);
        if (good)
            *(double *)(void *)at = d;
        break;
    case SETTING_BOOL:
        good = parse_bool(v, &b);
        if (good)
            *(bool *)(void *)at = b;
        break;
    case SETTING_REMOTES:
        good = !text;
        if (good)
            remotes_deinit((struct config_remotes *)(void *)at);
        break;
    }
    return good ? OK : refuse(s, v, where, err);
}

enum err_code setting_store_from(struct config *c, const struct setting *s, const char *value,
                                 const char *where, const char *origin, struct err *err)
{
    char *copy = str_dup(str_of(origin));
    if (!copy)
        return err_set(err, ERR_NOMEM, "%s.%s", s->section, s->key);
    enum err_code rc = setting_store(c, s, value, where, err);
    if (rc) {
        free(copy);
        return rc;
    }
    free(c->origin[s - settings]);
    c->origin[s - settings] = copy;
    return OK;
}

/* ---- value to text */

bool setting_print(const struct config *c, const struct setting *s, struct buf *b)
{
    const char *at = (const char *)c + s->offset;
    const char *text;
    switch (s->type) {
    case SETTING_TEXT:
    case SETTING_PATH:
    case SETTING_CHOICE:
        text = *(const char *const *)(const void *)at;
        if (!text)
            return false;
        buf_puts(b, text);
        break;
    case SETTING_INT:
        buf_printf(b, "%d", *(const int *)(const void *)at);
        break;
    case SETTING_BYTES:
        buf_printf(b, "%lld", (long long)*(const int64_t *)(const void *)at);
        break;
    case SETTING_NUMBER:
        buf_printf(b, "%.15g", *(const double *)(const void *)at);
        break;
    case SETTING_BOOL:
        buf_puts(b, *(const bool *)(const void *)at ? "true" : "false");
        break;
    case SETTING_REMOTES:
        remotes_print((const struct config_remotes *)(const void *)at, b);
        break;
    }
    return true;
}
