#include "cmd/models.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/file.h"
#include "base/log.h"
#include "model/gguf.h"

enum err_code models_dir(const struct config *c, struct buf *out, struct err *err)
{
    if (c->llm.models)
        buf_puts(out, c->llm.models);
    else
        buf_printf(out, "%s/models", c->store.dir);
    return buf_ok(out, "the folder of models", err);
}

/* ---- listing */

static int by_path(const void *a, const void *b)
{
    const struct models_file *x = a, *y = b;
    return strcmp(x->path, y->path);
}

static bool is_gguf(const struct dirent *e)
{
    return e->d_name[0] != '.' && str_ends(str_of(e->d_name), STR(".gguf"));
}

/* For terminals and logs. */
static void mask_controls(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

void models_look(struct models_file *f)
{
    const char *slash = strrchr(f->path, '/');
    struct gguf *g = NULL;
    struct str name = STR(""), arch = STR("");
    if (gguf_open(f->path, &g, &f->err))
        return;
    gguf_str(g, "general.name", &name, NULL);
    gguf_str(g, "general.architecture", &arch, NULL);
    if (!name.len)
        name = str_of(slash ? slash + 1 : f->path);
    snprintf(f->name, sizeof(f->name), "%.*s", (int)(name.len < 95 ? name.len : 95), name.ptr);
    snprintf(f->arch, sizeof(f->arch), "%.*s", (int)(arch.len < 31 ? arch.len : 31), arch.ptr);
    mask_controls(f->name);
    mask_controls(f->arch);
    bool encoder = str_eqz(arch, "bert") || str_eqz(arch, "static");
    if (!encoder)
        f->decoder = decoder_shape(g, &f->shape, &f->err) == OK;
    gguf_close(g);
}

static enum err_code add_file(struct models *m, const char *dir, const char *name, struct err *err)
{
    struct stat st;
    struct buf path = {0};
    buf_printf(&path, "%s/%s", dir, name);
    char *text = buf_take(&path, NULL);
    struct models_file *v = text ? realloc(m->v, ((size_t)m->n + 1) * sizeof(*v)) : NULL;
    if (!v) {
        free(text);
        return err_set(err, ERR_NOMEM, "a list of models");
    }
    m->v = v;
    v[m->n] = (struct models_file){.path = text};
    if (stat(text, &st) != 0 || !S_ISREG(st.st_mode)) {
        free(text);
        return OK;
    }
    v[m->n].size_bytes = st.st_size;
    models_look(&v[m->n++]);
    return OK;
}

enum err_code models_list(const char *dir, struct models *out, struct err *err)
{
    struct models m = {0};
    DIR *d = opendir(dir);
    *out = m;
    if (!d)
        return errno == ENOENT ? OK : err_errno(err, "%s", dir);
    enum err_code rc = OK;
    for (struct dirent *e; !rc && m.n < MODELS_FILES_MAX && (e = readdir(d));)
        if (is_gguf(e))
            rc = add_file(&m, dir, e->d_name, err);
    closedir(d);
    if (rc) {
        models_free(&m);
        return rc;
    }
    if (m.n)
        qsort(m.v, (size_t)m.n, sizeof(*m.v), by_path);
    *out = m;
    return OK;
}

void models_free(struct models *m)
{
    for (int i = 0; i < m->n; i++)
        free(m->v[i].path);
    free(m->v);
    *m = (struct models){0};
}

/* ---- choosing */

/* The name of a file in the folder, with or without ".gguf", or a path. */
static enum err_code find_named(const struct config *c, const char *dir, struct buf *path,
                                struct err *err)
{
    static const char *const ends[] = {"", ".gguf"};
    const char *model = c->llm.model;
    bool is_path = strchr(model, '/') != NULL;
    for (int i = 0; i < 2 && !is_path; i++) {
        buf_reset(path);
        buf_printf(path, "%s/%s%s", dir, model, ends[i]);
        if (path->ptr && file_exists(path->ptr))
            return buf_ok(path, "llm.model", err);
    }
    buf_reset(path);
    if (file_exists(model)) {
        buf_puts(path, model);
        return buf_ok(path, "llm.model", err);
    }
    if (is_path)
        return err_set(err, ERR_NOTFOUND, "llm.model: no file %s", model);
    return err_set(err, ERR_NOTFOUND, "llm.model: no file %s, neither here nor in %s", model, dir);
}

/* The first decoder by name; what else lies there is told. */
static enum err_code find_first(const char *dir, struct buf *path, struct err *err)
{
    struct models m;
    char text[400], why[400];
    int decoders = 0;
    enum err_code rc = models_list(dir, &m, err);
    for (int i = 0; i < m.n && !rc; i++) {
        if (m.v[i].err.code)
            log_warn("llm.skipped", "file=%s error=%s",
                     log_quote(m.v[i].path, text, sizeof(text)),
                     log_quote(m.v[i].err.msg, why, sizeof(why)));
        if (m.v[i].decoder && decoders++ == 0)
            buf_puts(path, m.v[i].path);
    }
    if (decoders > 1)
        log_info("llm.choice",
                 "models=%d taken=%s hint=\"the first by name; llm.model names another\"", decoders,
                 log_quote(path->ptr ? path->ptr : "", text, sizeof(text)));
    models_free(&m);
    return rc ? rc : buf_ok(path, "a model's path", err);
}

enum err_code models_choose(const struct config *c, struct buf *path, bool *named, struct err *err)
{
    struct buf dir = {0};
    *named = c->llm.model != NULL;
    if (c->llm.model && strcmp(c->llm.model, "none") == 0)
        return OK;
    enum err_code rc = models_dir(c, &dir, err);
    if (!rc)
        rc = *named ? find_named(c, dir.ptr, path, err) : find_first(dir.ptr, path, err);
    buf_free(&dir);
    return rc;
}
