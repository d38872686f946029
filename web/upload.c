#include "web/upload.h"
#include <stdlib.h>
#include <string.h>
#include "base/utf8.h"
#include "web/multipart.h"

void upload_clean_name(struct str raw, char out[UPLOAD_NAME_MAX + 1])
{
    struct buf whole = {0}, clean = {0};
    utf8_repair(raw, &whole);
    struct str s = str_trim(buf_view(&whole));
    uint32_t cp;
    for (size_t i = 0, n; i < s.len; i += n) {
        n = (size_t)utf8_decode(s, i, &cp);
        if (clean.len + n > UPLOAD_NAME_MAX)
            break;
        if (!utf8_is_control(cp))
            buf_add(&clean, s.ptr + i, n);
    }
    struct str name = str_trim(buf_view(&clean));
    if (name.len == 0)
        name = STR("unnamed");
    memcpy(out, name.ptr, name.len);
    out[name.len] = '\0';
    buf_free(&whole);
    buf_free(&clean);
}

/* What the client calls it; letters of a media type only, parameters cut off. */
static void clean_mime(struct str type, char out[128])
{
    struct str rest = type, media;
    out[0] = '\0';
    if (!str_split(&rest, ';', &media))
        return;
    media = str_trim(media);
    if (media.len == 0 || media.len > 127)
        return;
    for (size_t i = 0; i < media.len; i++)
        if (media.ptr[i] <= ' ' || media.ptr[i] >= 0x7f || strchr("<>\"'\\&", media.ptr[i]))
            return;
    memcpy(out, media.ptr, media.len);
    out[media.len] = '\0';
}

static enum err_code add_file(struct upload *u, struct str name, struct str type, struct err *err)
{
    if (u->n_files == UPLOAD_FILES_MAX)
        return err_set(err, ERR_LIMIT, "more than %d files in one request", UPLOAD_FILES_MAX);
    struct upload_file *f = &u->files[u->n_files];
    enum err_code rc = blob_begin(u->index, u->max_bytes, &f->blob, err);
    if (rc) {
        u->disk_full = rc == ERR_LIMIT;
        return rc;
    }
    upload_clean_name(name, f->name);
    clean_mime(type, f->mime);
    u->n_files++;
    return OK;
}

static enum err_code file_bytes(struct upload *u, struct str bytes, struct err *err)
{
    enum err_code rc = blob_write(u->files[u->n_files - 1].blob, bytes.ptr, bytes.len, err);
    u->disk_full = rc == ERR_LIMIT; /* our own maximum was checked before */
    return rc;
}

static enum err_code on_begin(void *arg, const struct multipart_part *part, struct err *err)
{
    struct upload *u = arg;
    static const char *const fields[] = {"collection", "metadata", "wait"};
    u->field_name[0] = '\0';
    if (part->filename.ptr) {
        u->param = "file";
        if (!str_eqz(part->name, "file"))
            return err_set(err, ERR_ARG, "files belong into the part \"file\"");
        u->param = NULL;
        return add_file(u, part->filename, part->type, err);
    }
    for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
        if (str_eqz(part->name, fields[i])) {
            strcpy(u->field_name, fields[i]);
            u->param = fields[i];
            buf_reset(&u->field);
            return OK;
        }
    u->param = NULL;
    struct str shown = str_sub(part->name, 0, 40);
    return err_set(err, ERR_ARG, "unknown field \"%.*s\"", utf8_valid(shown) ? (int)shown.len : 0,
                   shown.ptr);
}

static enum err_code on_data(void *arg, struct str bytes, struct err *err)
{
    struct upload *u = arg;
    if (!u->field_name[0])
        return file_bytes(u, bytes, err);
    buf_str(&u->field, bytes);
    return buf_ok(&u->field, u->field_name, err);
}

static enum err_code on_end(void *arg, struct err *err)
{
    struct upload *u = arg;
    if (!u->field_name[0])
        return OK;
    struct str v = buf_view(&u->field);
    if (!utf8_valid(v) || memchr(v.ptr ? v.ptr : "", '\0', v.len))
        return err_set(err, ERR_ARG, "%s is not UTF-8 text", u->field_name);
    if (strcmp(u->field_name, "wait") == 0) {
        u->wait = str_eqz(v, "true");
        if (!u->wait && !str_eqz(v, "false"))
            return err_set(err, ERR_ARG, "wait must be true or false");
        u->param = NULL;
        return OK;
    }
    char **to = strcmp(u->field_name, "metadata") == 0 ? &u->metadata : &u->collection;
    if (*to)
        return err_set(err, ERR_ARG, "%s stands twice", u->field_name);
    *to = str_dup(v);
    u->param = NULL;
    return *to ? OK : err_set(err, ERR_NOMEM, "%s", u->field_name);
}

static enum err_code begin_form(struct upload *u, struct str type, struct err *err)
{
    struct multipart_events ev = {on_begin, on_data, on_end, u};
    struct str boundary;
    if (!multipart_boundary(type, &boundary))
        return err_set(err, ERR_FORMAT, "the form's Content-Type has no usable boundary");
    u->form = multipart_new(boundary, &ev);
    return u->form ? OK : err_set(err, ERR_NOMEM, "an upload");
}

enum err_code upload_new(struct index *x, struct str type, struct str name, size_t max_bytes,
                         struct upload **out, struct err *err)
{
    struct upload *u = calloc(1, sizeof(*u));
    if (!u)
        return err_set(err, ERR_NOMEM, "an upload");
    u->index = x;
    u->max_bytes = max_bytes;
    u->field.max = UPLOAD_FIELD_MAX;
    struct str start = str_sub(type, 0, 10);
    enum err_code rc = str_ieq(start, STR("multipart/")) ? begin_form(u, type, err)
                                                         : add_file(u, name, type, err);
    if (rc)
        upload_free(u);
    else
        *out = u;
    return rc;
}

void upload_free(struct upload *u)
{
    if (!u)
        return;
    for (int i = 0; i < u->n_files; i++)
        blob_drop(u->files[i].blob);
    multipart_free(u->form);
    buf_free(&u->field);
    free(u->collection);
    free(u->metadata);
    free(u);
}

enum err_code upload_push(struct upload *u, struct str bytes, struct err *err)
{
    u->received += bytes.len;
    if (u->received > u->max_bytes)
        return err_set(err, ERR_LIMIT, "more than %zu bytes in one upload", u->max_bytes);
    return u->form ? multipart_push(u->form, bytes, err) : file_bytes(u, bytes, err);
}

enum err_code upload_finish(struct upload *u, struct err *err)
{
    enum err_code rc = u->form ? multipart_finish(u->form, err) : OK;
    if (!rc && u->n_files == 0) {
        u->param = "file";
        rc = err_set(err, ERR_ARG, "the form has no file");
    }
    for (int i = 0; i < u->n_files && !rc; i++) {
        rc = blob_finish(u->files[i].blob, err);
        u->disk_full = rc == ERR_LIMIT;
    }
    return rc;
}
