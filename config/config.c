#include "config/config.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "base/utf8.h"
#include "config/config_int.h"

static const char *variable(char *const *env, const char *name)
{
    size_t n = strlen(name);
    for (; env && *env; env++)
        if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
            return (*env)[n + 1] ? *env + n + 1 : NULL;
    return NULL;
}

/* $XDG/carrel, or ~/`home`/carrel; false without either. */
static bool xdg_path(char *const *env, const char *xdg, const char *home, struct buf *out)
{
    const char *dir = variable(env, xdg), *user = variable(env, "HOME");
    if (dir && dir[0] == '/') /* the specification: others are to be ignored */
        buf_printf(out, "%s/carrel", dir);
    else if (user)
        buf_printf(out, "%s/%s/carrel", user, home);
    else
        return false;
    return true;
}

/* What of the built-in settings hangs on the environment. */
static enum err_code read_home(struct config *c, char *const *env, struct err *err)
{
    const char *home = variable(env, "HOME");
    struct buf dir = {0};
    if (!xdg_path(env, "XDG_DATA_HOME", ".local/share", &dir))
        buf_puts(&dir, "/var/lib/carrel");
    c->home = home ? str_dup(str_of(home)) : NULL;
    c->store_dir = buf_take(&dir, NULL);
    if (!c->store_dir || (home && !c->home))
        return err_set(err, ERR_NOMEM, "store.dir");
    return OK;
}

enum err_code config_init(struct config *c, char *const *env, struct err *err)
{
    *c = (struct config){0};
    enum err_code rc = read_home(c, env, err);
    for (int i = 0; i < n_settings && !rc; i++)
        rc = setting_store(c, &settings[i], NULL, "", err);
    if (rc)
        config_deinit(c);
    return rc;
}

void config_deinit(struct config *c)
{
    for (int i = 0; i < n_settings; i++) {
        if (settings[i].type == SETTING_TEXT || settings[i].type == SETTING_PATH)
            free(*(char **)(void *)((char *)c + settings[i].offset));
        free(c->origin[i]);
    }
    remotes_deinit(&c->llm.remotes);
    free(c->file);
    free(c->home);
    free(c->store_dir);
    *c = (struct config){0};
}

enum err_code config_find_file(const char *given, char *const *env, struct buf *path,
                               struct err *err)
{
    buf_reset(path);
    if (given) {
        buf_puts(path, given);
        if (!file_exists(given))
            return err_set(err, ERR_NOTFOUND, "%s: no such configuration file", given);
        return buf_ok(path, "the path of the configuration", err);
    }
    if (xdg_path(env, "XDG_CONFIG_HOME", ".config", path)) {
        buf_puts(path, "/carrel.yaml");
        if (path->ptr && file_exists(path->ptr))
            return buf_ok(path, "the path of the configuration", err);
    }
    buf_reset(path);
    if (file_exists("/etc/carrel/carrel.yaml"))
        buf_puts(path, "/etc/carrel/carrel.yaml");
    return buf_ok(path, "the path of the configuration", err);
}

enum err_code config_load_text(struct config *c, struct str text, const char *name, struct err *err)
{
    return config_yaml_read(c, text, name, err);
}

enum err_code config_load_file(struct config *c, const char *path, struct err *err)
{
    struct buf text = {0};
    enum err_code rc = file_read(path, CONFIG_BYTES_MAX, &text, err);
    if (!rc)
        rc = config_yaml_read(c, buf_view(&text), path, err);
    buf_free(&text);
    if (rc)
        return rc;
    char *file = str_dup(str_of(path));
    if (!file)
        return err_set(err, ERR_NOMEM, "%s", path);
    free(c->file);
    c->file = file;
    return OK;
}

/* ---- environment */

static void upper(struct buf *b, const char *z)
{
    for (; *z; z++)
        buf_char(b, *z >= 'a' && *z <= 'z' ? (char)(*z - 32) : *z);
}

static void variable_name(const struct setting *s, struct buf *b)
{
    buf_puts(b, "CARREL_");
    upper(b, s->section);
    buf_char(b, '_');
    upper(b, s->key);
}

/* The section that the variable's name begins with, or NULL. */
static const char *section_of(struct str name, struct buf *scratch)
{
    for (int i = 0; i < n_settings; i++) {
        buf_reset(scratch);
        buf_puts(scratch, "CARREL_");
        upper(scratch, settings[i].section);
        buf_char(scratch, '_');
        if (str_starts(name, buf_view(scratch)))
            return settings[i].section;
    }
    return NULL;
}

static enum err_code unknown_variable(struct str name, const char *section, struct buf *scratch,
                                      struct err *err)
{
    char best[80] = "";
    int least = INT32_MAX;
    for (int i = 0; i < n_settings; i++) {
        if (strcmp(settings[i].section, section) != 0)
            continue;
        buf_reset(scratch);
        variable_name(&settings[i], scratch);
        int d = str_distance(name, buf_view(scratch));
        if (d < least) {
            least = d;
            snprintf(best, sizeof(best), "%s", scratch->ptr ? scratch->ptr : "");
        }
    }
    return err_set(err, ERR_ARG, "unknown variable %.*s: did you mean %s?",
                   name.len < 80 ? (int)name.len : 80, name.ptr, best);
}

static enum err_code load_variable(struct config *c, const char *entry, struct buf *scratch,
                                   struct err *err)
{
    struct str rest = str_of(entry), name;
    const char *section = NULL;
    if (!str_starts(rest, STR("CARREL_")) || !str_split(&rest, '=', &name) || !rest.ptr ||
        !(section = section_of(name, scratch)))
        return OK;
    for (int i = 0; i < n_settings; i++) {
        buf_reset(scratch);
        variable_name(&settings[i], scratch);
        if (!str_eq(name, buf_view(scratch)))
            continue;
        enum err_code rc = setting_store_from(c, &settings[i], rest.ptr, "", scratch->ptr, err);
        return rc ? err_wrap(err, rc, "%s", scratch->ptr) : OK;
    }
    return unknown_variable(name, section, scratch, err);
}

enum err_code config_load_env(struct config *c, char *const *env, struct err *err)
{
    struct buf scratch = {0};
    enum err_code rc = OK;
    for (; env && *env && !rc; env++)
        rc = load_variable(c, *env, &scratch, err);
    buf_free(&scratch);
    return rc;
}

enum err_code config_load(struct config *c, const char *given, char *const *env, struct err *err)
{
    enum err_code rc = config_init(c, env, err);
    if (rc)
        return rc;
    struct buf path = {0};
    rc = config_find_file(given, env, &path, err);
    if (!rc && path.len > 0)
        rc = config_load_file(c, path.ptr, err);
    if (!rc)
        rc = config_load_env(c, env, err);
    if (!rc)
        rc = config_check(c, err);
    buf_free(&path);
    if (rc)
        config_deinit(c);
    return rc;
}

enum err_code config_set(struct config *c, const char *name, const char *value, const char *origin,
                         struct err *err)
{
    struct str key = str_of(name), section;
    str_split(&key, '.', &section);
    const struct setting *s = setting_find(section, key);
    if (s)
        return setting_store_from(c, s, value, "", origin, err);
    struct buf b = {0};
    buf_printf(&b, "unknown setting `%.60s`", name);
    if (key.len > 0 && setting_section_known(section))
        setting_suggest(&b, section, key);
    else
        setting_suggest(&b, (struct str){NULL, 0}, section);
    enum err_code rc = err_set(err, ERR_ARG, "%s", b.ptr ? b.ptr : name);
    buf_free(&b);
    return rc;
}

/* ---- checks across settings */

/* "host:port" with a host, and brackets around one that has colons itself. */
static bool address_ok(const char *listen)
{
    struct str s = str_of(listen);
    size_t colon = SIZE_MAX;
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] == ':')
            colon = i;
    int64_t port;
    if (colon == SIZE_MAX || colon == 0 || !str_int(str_sub(s, colon + 1, s.len), 0, 65535, &port))
        return false;
    struct str host = str_sub(s, 0, colon);
    if (host.ptr[0] == '[')
        return host.len > 2 && host.ptr[host.len - 1] == ']';
    return str_find(host, STR(":"), 0) == SIZE_MAX && str_find(host, STR(" "), 0) == SIZE_MAX;
}

enum err_code config_check(const struct config *c, struct err *err)
{
    if (!address_ok(c->server.listen))
        return err_set(err, ERR_ARG, "server.listen is `%s`, need HOST:PORT", c->server.listen);
    if (!c->store.dir)
        return err_set(err, ERR_ARG, "store.dir is empty, need a folder");
    if (c->chunk.target_tokens > c->chunk.max_tokens)
        return err_set(err, ERR_ARG,
                       "chunk.target_tokens is %d, need at most chunk.max_tokens (%d)",
                       c->chunk.target_tokens, c->chunk.max_tokens);
    if (c->chunk.overlap_tokens >= c->chunk.target_tokens)
        return err_set(err, ERR_ARG,
                       "chunk.overlap_tokens is %d, need less than chunk.target_tokens (%d)",
                       c->chunk.overlap_tokens, c->chunk.target_tokens);
    if (c->embed.model && access(c->embed.model, R_OK) != 0)
        return err_errno(err, "embed.model: %s", c->embed.model);
    for (int i = 0; i < c->llm.remotes.n; i++) {
        const struct config_remote *r = &c->llm.remotes.v[i];
        if (r->key_file && access(r->key_file, R_OK) != 0)
            return err_errno(err, "llm.remote: key_file %s", r->key_file);
    }
    return OK;
}

enum log_level config_log_level(const struct config *c)
{
    static const char *const name[] = {"error", "warn", "info", "debug"};
    for (int i = 0; i < 4; i++)
        if (strcmp(c->log.level, name[i]) == 0)
            return (enum log_level)i;
    return LOG_INFO;
}

/* ---- showing */

static const char *type_name(enum setting_type t)
{
    static const char *const name[] = {"text",  "path",   "choice", "integer",
                                       "bytes", "number", "boolean", "list"};
    return name[t];
}

void config_each(const struct config *c, bool (*fn)(void *arg, const struct config_entry *e),
                 void *arg)
{
    struct buf value = {0}, name = {0};
    bool go_on = true;
    for (int i = 0; i < n_settings && go_on; i++) {
        const struct setting *s = &settings[i];
        buf_reset(&value);
        buf_reset(&name);
        buf_printf(&name, "%s.%s", s->section, s->key);
        bool set = setting_print(c, s, &value);
        struct config_entry e = {
            .name = name.ptr ? name.ptr : "",
            .type = type_name(s->type),
            .help = s->help,
            .origin = c->origin[i] ? c->origin[i] : "built-in",
            .value = buf_view(&value),
            .is_null = !set,
            .is_text = s->type <= SETTING_CHOICE,
        };
        go_on = fn(arg, &e);
    }
    buf_free(&value);
    buf_free(&name);
}

/* May stand without quotes, whatever reader of YAML comes along. */
static bool plain(struct str s)
{
    if (s.len == 0 || s.ptr[s.len - 1] == ':' || str_ieq(s, STR("null")) ||
        str_ieq(s, STR("true")) || str_ieq(s, STR("false")))
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool letter = ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '/';
        bool later = (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-' || c == ':';
        if (!letter && !(later && (i > 0 || (c >= '0' && c <= '9'))))
            return false;
    }
    return true;
}

void config_quote(struct buf *b, struct str s)
{
    if (plain(s)) {
        buf_str(b, s);
        return;
    }
    buf_char(b, '"');
    uint32_t cp;
    for (size_t i = 0, n; i < s.len; i += n) {
        n = (size_t)utf8_decode(s, i, &cp);
        if (cp == '"' || cp == '\\')
            buf_printf(b, "\\%c", (char)cp);
        else if (cp < 0x20 || cp == 0x7f)
            buf_printf(b, "\\x%02x", cp);
        else if (utf8_is_control(cp) || (utf8_is_space(cp) && cp != ' '))
            buf_printf(b, "\\U%08x", cp);
        else
            utf8_encode(b, cp);
    }
    buf_char(b, '"');
}

struct show {
    struct buf *out;
    bool origins;
    struct str section; /* that the setting before was in */
};

static bool show_entry(void *arg, const struct config_entry *e)
{
    struct show *show = arg;
    struct str key = str_of(e->name), section;
    str_split(&key, '.', &section);
    if (!str_eq(section, show->section))
        buf_printf(show->out, "%.*s:\n", STR_ARG(section));
    size_t begin = show->out->len;
    buf_printf(show->out, "  %.*s: ", STR_ARG(key));
    if (e->is_null)
        buf_char(show->out, '~');
    else if (e->is_text)
        config_quote(show->out, e->value);
    else
        buf_str(show->out, e->value);
    if (show->origins) {
        int width = (int)(show->out->len - begin);
        buf_printf(show->out, "%*s# ", width < 40 ? 40 - width : 1, "");
        for (const char *p = e->origin; *p; p++) /* a path may hold a line feed */
            buf_char(show->out, (unsigned char)*p < 0x20 ? '?' : *p);
    }
    buf_char(show->out, '\n');
    for (int i = 0; i < n_settings; i++) /* the entry's own name does not outlive it */
        if (str_eqz(section, settings[i].section))
            show->section = str_of(settings[i].section);
    return true;
}

void config_show(const struct config *c, bool origins, struct buf *out)
{
    struct show show = {out, origins, {NULL, 0}};
    config_each(c, show_entry, &show);
}
