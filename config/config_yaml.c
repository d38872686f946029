/* config/config_yaml.c - the file: one YAML document, sections of keys.
 *
 * A mapping of sections, each a mapping of keys to scalars: no aliases, no
 * anchors, no tags, no second document, no key twice, and one list only, llm.remote,
 * of mappings of scalars. libyaml gives events, not a tree, so nothing is kept of
 * what we refuse; what nests deeper is refused where it begins. UTF-8 only.
 * A plain ~ or null (or nothing) means: as built in. */
#include <stdlib.h>
#include <string.h>
#include <yaml.h>
#include "base/utf8.h"
#include "config/config_int.h"

struct reader {
    yaml_parser_t parser;
    yaml_event_t event; /* the current one */
    struct config *config;
    struct str text;
    const char *name;
    size_t set_at[CONFIG_SETTINGS_MAX]; /* line of each setting in this file, 0: not set */
    struct err *err;
};

static enum err_code fault(struct reader *r, yaml_mark_t at, const char *what)
{
    return err_set(r->err, ERR_FORMAT, "%s: %s at line %zu, column %zu", r->name, what, at.line + 1,
                   at.column + 1);
}

static yaml_mark_t mark_of(struct str text, size_t offset)
{
    yaml_mark_t at = {.index = offset};
    size_t begin = 0, end = offset < text.len ? offset : text.len;
    for (size_t i = 0; i < end; i++) {
        if (text.ptr[i] == '\n') {
            at.line++;
            begin = i + 1;
        }
    }
    at.column = utf8_count(str_sub(text, begin, end));
    return at;
}

static enum err_code parser_fault(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR)
        return err_set(r->err, ERR_NOMEM, "%s", r->name);
    yaml_mark_t at = p->problem_mark;
    if (p->error == YAML_READER_ERROR) /* which knows bytes only */
        at = mark_of(r->text, p->problem_offset);
    return fault(r, at, p->problem ? p->problem : "not YAML");
}

static const yaml_char_t *anchor_of(const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        return e->data.scalar.anchor;
    case YAML_MAPPING_START_EVENT:
        return e->data.mapping_start.anchor;
    case YAML_SEQUENCE_START_EVENT:
        return e->data.sequence_start.anchor;
    default:
        return NULL;
    }
}

static const yaml_char_t *tag_of(const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        return e->data.scalar.tag;
    case YAML_MAPPING_START_EVENT:
        return e->data.mapping_start.tag;
    case YAML_SEQUENCE_START_EVENT:
        return e->data.sequence_start.tag;
    default:
        return NULL;
    }
}

/* The next event into r->event; what no place in the file may have is refused. */
static enum err_code next(struct reader *r)
{
    yaml_event_delete(&r->event);
    memset(&r->event, 0, sizeof(r->event));
    if (!yaml_parser_parse(&r->parser, &r->event))
        return parser_fault(r);
    const yaml_event_t *e = &r->event;
    if (e->type == YAML_ALIAS_EVENT)
        return fault(r, e->start_mark, "an alias (*), which carrel does not take,");
    if (anchor_of(e))
        return fault(r, e->start_mark, "an anchor (&), which carrel does not take,");
    if (tag_of(e))
        return fault(r, e->start_mark, "a tag (!), which carrel does not take,");
    if (e->type == YAML_DOCUMENT_START_EVENT &&
        (e->data.document_start.version_directive ||
         e->data.document_start.tag_directives.start != e->data.document_start.tag_directives.end))
        return fault(r, e->start_mark, "a directive (%), which carrel does not take,");
    return OK;
}

static struct str scalar(const yaml_event_t *e)
{
    return (struct str){(const char *)e->data.scalar.value, e->data.scalar.length};
}

static bool is_null(const yaml_event_t *e)
{
    struct str s = scalar(e);
    return e->type == YAML_SCALAR_EVENT && e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (s.len == 0 || str_eqz(s, "~") || str_ieq(s, STR("null")));
}

/* A section of NULL: an entry of llm.remote. */
static enum err_code unknown(struct reader *r, yaml_mark_t at, const struct str *section,
                             struct str key)
{
    struct buf b = {0};
    buf_printf(&b, "%s: unknown key `%.*s` at line %zu, column %zu", r->name,
               key.len < 60 ? (int)key.len : 60, key.ptr, at.line + 1, at.column + 1);
    if (section)
        setting_suggest(&b, *section, key);
    else
        remote_key_suggest(&b, key);
    enum err_code rc = err_set(r->err, ERR_FORMAT, "%s", b.ptr ? b.ptr : "unknown key");
    buf_free(&b);
    return rc;
}

/* "a.b is a list, need one value," and the like: the event is not what `s` takes. */
static enum err_code wrong_kind(struct reader *r, const struct setting *s, const char *need)
{
    const yaml_event_type_t t = r->event.type;
    char what[120];
    snprintf(what, sizeof(what), "%s.%s is a %s, need %s,", s->section, s->key,
             t == YAML_MAPPING_START_EVENT ? "mapping" : t == YAML_SCALAR_EVENT ? "value" : "list",
             need);
    return fault(r, r->event.start_mark, what);
}

static void tell_place(yaml_mark_t at, char where[60])
{
    snprintf(where, 60, " at line %zu, column %zu", at.line + 1, at.column + 1);
}

/* The event as the text of a setting; *v is NULL where it is null. */
static enum err_code read_text(struct reader *r, const struct setting *s, const char **v)
{
    if (r->event.type != YAML_SCALAR_EVENT)
        return wrong_kind(r, s, "one value");
    struct str text = scalar(&r->event);
    if (text.len && memchr(text.ptr, '\0', text.len))
        return fault(r, r->event.start_mark, "a NUL in a text");
    *v = is_null(&r->event) ? NULL : text.ptr;
    return OK;
}

static enum err_code a_second_time(struct reader *r, yaml_mark_t at, const struct setting *s,
                                   size_t line)
{
    char what[120];
    snprintf(what, sizeof(what), "%s.%s a second time (first in line %zu)", s->section, s->key,
             line);
    return fault(r, at, what);
}

/* The next key of a mapping, or its end. */
static enum err_code next_key(struct reader *r)
{
    enum err_code rc = next(r);
    bool word = r->event.type == YAML_SCALAR_EVENT;
    if (rc || word || r->event.type == YAML_MAPPING_END_EVENT)
        return rc;
    return fault(r, r->event.start_mark, "a key that is not one word");
}

/* Keys and values of one server, up to the end of its mapping. */
static enum err_code read_remote(struct reader *r, struct config_remote *it)
{
    size_t set_at[REMOTE_KEYS] = {0};
    const char *value = NULL;
    char where[60];
    for (;;) {
        enum err_code rc = next_key(r);
        if (rc || r->event.type == YAML_MAPPING_END_EVENT)
            return rc;
        yaml_mark_t at = r->event.start_mark;
        const struct setting *s = remote_key_find(scalar(&r->event));
        if (!s)
            return unknown(r, at, NULL, scalar(&r->event));
        if (set_at[s - remote_keys])
            return a_second_time(r, at, s, set_at[s - remote_keys]);
        set_at[s - remote_keys] = at.line + 1;
        if ((rc = next(r)) || (rc = read_text(r, s, &value)))
            return rc;
        tell_place(r->event.start_mark, where);
        rc = setting_store_at(r->config, it, s, value, where, r->err);
        if (rc)
            return err_wrap(r->err, rc, "%s", r->name);
    }
}

/* The list of servers, up to its end; the event is its begin. */
static enum err_code read_remotes(struct reader *r, const struct setting *s,
                                  struct config_remotes *list)
{
    for (;;) {
        char where[60];
        struct config_remote it = {0};
        enum err_code rc = next(r);
        if (rc || r->event.type == YAML_SEQUENCE_END_EVENT)
            return rc;
        tell_place(r->event.start_mark, where);
        if (r->event.type != YAML_MAPPING_START_EVENT)
            return wrong_kind(r, s, "a list of mappings, each with url and model");
        rc = remote_init(r->config, &it, r->err);
        if (!rc)
            rc = read_remote(r, &it);
        if (rc) {
            remote_deinit(&it);
            return rc;
        }
        rc = remotes_push(list, &it, where, r->err);
        if (rc)
            return err_wrap(r->err, rc, "%s", r->name);
    }
}

/* The list that is the next event's; the one before stays when it is at fault. */
static enum err_code read_list(struct reader *r, const struct setting *s, const char *origin)
{
    struct config_remotes list = {0};
    if (r->event.type != YAML_SEQUENCE_START_EVENT)
        return wrong_kind(r, s, "a list of mappings, each with url and model");
    enum err_code rc = read_remotes(r, s, &list);
    if (!rc)
        rc = setting_store_from(r->config, s, NULL, "", origin, r->err);
    if (rc) {
        remotes_deinit(&list);
        return rc;
    }
    r->config->llm.remotes = list;
    return OK;
}

/* The value of `s`, which is the next event. */
static enum err_code read_value(struct reader *r, const struct setting *s)
{
    const char *value = NULL;
    char where[60], origin[600];
    enum err_code rc = next(r);
    if (rc)
        return rc;
    yaml_mark_t at = r->event.start_mark;
    snprintf(origin, sizeof(origin), "%s:%zu", r->name, at.line + 1);
    if (s->type == SETTING_REMOTES && !is_null(&r->event))
        return read_list(r, s, origin);
    rc = read_text(r, s, &value);
    if (rc)
        return rc;
    tell_place(at, where);
    rc = setting_store_from(r->config, s, value, where, origin, r->err);
    return rc ? err_wrap(r->err, rc, "%s", r->name) : OK;
}

/* Keys and values up to the end of a section's mapping. */
static enum err_code read_keys(struct reader *r, struct str section)
{
    for (;;) {
        enum err_code rc = next_key(r);
        if (rc || r->event.type == YAML_MAPPING_END_EVENT)
            return rc;
        yaml_mark_t at = r->event.start_mark;
        const struct setting *s = setting_find(section, scalar(&r->event));
        if (!s)
            return unknown(r, at, &section, scalar(&r->event));
        size_t *line = &r->set_at[s - settings];
        if (*line)
            return a_second_time(r, at, s, *line);
        *line = at.line + 1;
        rc = read_value(r, s);
        if (rc)
            return rc;
    }
}

/* What stands under a section's name: a mapping, or nothing. */
static enum err_code read_section(struct reader *r, struct str section)
{
    enum err_code rc = next(r);
    if (rc || is_null(&r->event))
        return rc;
    if (r->event.type == YAML_MAPPING_START_EVENT)
        return read_keys(r, section);
    char what[120];
    snprintf(what, sizeof(what), "section %.*s has no keys under it", STR_ARG(section));
    return fault(r, r->event.start_mark, what);
}

static enum err_code read_sections(struct reader *r)
{
    size_t seen_at[CONFIG_SETTINGS_MAX] = {0}; /* by the place of a section's first setting */
    for (;;) {
        enum err_code rc = next(r);
        if (rc || r->event.type == YAML_MAPPING_END_EVENT)
            return rc;
        yaml_mark_t at = r->event.start_mark;
        if (r->event.type != YAML_SCALAR_EVENT)
            return fault(r, at, "a section that is not one word");
        int i = 0;
        while (i < n_settings && !str_eqz(scalar(&r->event), settings[i].section))
            i++;
        if (i == n_settings)
            return unknown(r, at, &(struct str){NULL, 0}, scalar(&r->event));
        if (seen_at[i]) {
            char what[120];
            snprintf(what, sizeof(what), "section %s a second time (first in line %zu)",
                     settings[i].section, seen_at[i]);
            return fault(r, at, what);
        }
        seen_at[i] = at.line + 1;
        rc = read_section(r, str_of(settings[i].section));
        if (rc)
            return rc;
    }
}

static enum err_code read_document(struct reader *r)
{
    enum err_code rc = next(r);
    if (rc || is_null(&r->event))
        return rc ? rc : next(r); /* and the end of the document */
    if (r->event.type != YAML_MAPPING_START_EVENT)
        return fault(r, r->event.start_mark, "no sections, such as `server:`,");
    rc = read_sections(r);
    return rc ? rc : next(r);
}

static enum err_code read_stream(struct reader *r)
{
    enum err_code rc = next(r); /* the start of the stream */
    if (!rc)
        rc = next(r);
    if (rc || r->event.type == YAML_STREAM_END_EVENT)
        return rc;
    rc = read_document(r);
    if (!rc)
        rc = next(r);
    if (!rc && r->event.type != YAML_STREAM_END_EVENT)
        rc = fault(r, r->event.start_mark, "a second document");
    return rc;
}

enum err_code config_yaml_read(struct config *c, struct str text, const char *name, struct err *err)
{
    if (text.len > CONFIG_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "%s has %zu bytes, more than %d", name, text.len,
                       CONFIG_BYTES_MAX);
    struct reader r = {.config = c, .text = text, .name = name, .err = err};
    if (!yaml_parser_initialize(&r.parser))
        return err_set(err, ERR_NOMEM, "%s", name);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text.ptr, text.len);
    enum err_code rc = read_stream(&r);
    yaml_event_delete(&r.event);
    yaml_parser_delete(&r.parser);
    return rc;
}
