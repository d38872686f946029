/* cmd/model_pull.c - which file is meant, where it goes, and whether it is the right one.
 * How its bytes come: download.c. */
#include "cmd/model_pull.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "base/hash.h"
#include "base/http.h"
#include "cmd/args.h"
#include "cmd/download.h"
#include "cmd/models.h"
#include "cmd/open.h"
#include "cmd/people.h"
#include "cmd/progress.h"
#include "config/catalogue.h"
#include "model/gguf.h"

struct pull {
    const struct cmd *cmd;
    struct progress progress;
    char *url, *path;
    char *ca_file;         /* or NULL */
    char want[65];         /* the sum that it must have; "" none is known */
    const char *want_from; /* "catalogue", "argument", "server" */
    struct str licence;
    bool there; /* the file was there before */
};

/* ---- the catalogue, for people ---- */

static bool list_entry(void *arg, const struct catalogue_entry *e)
{
    json_t *list = arg;
    json_array_append_new(list, json_pack("{s:o,s:I,s:o,s:o,s:o,s:o}", "name", json_text(e->name),
                                          "bytes", (json_int_t)e->bytes, "sha256",
                                          e->sha256.len ? json_text(e->sha256) : json_null(),
                                          "licence", json_text(e->licence), "url",
                                          json_text(e->url), "aliases", json_text(e->aliases)));
    return true;
}

static int print_catalogue(const struct cmd *c)
{
    json_t *list = json_array(), *e;
    size_t i;
    catalogue_each(list_entry, list);
    if (c->json) {
        cmd_json(json_pack("{s:o}", "catalogue", list));
        return cmd_done(CMD_OK);
    }
    json_array_foreach(list, i, e)
    {
        char size[16] = "";
        if (people_number(e, "bytes"))
            people_size(people_number(e, "bytes"), size);
        printf("%-30s  %8s  %-20s  %s\n", people_text(e, "name"), size, people_text(e, "licence"),
               people_text(e, "aliases"));
    }
    json_decref(list);
    return cmd_done(CMD_OK);
}

/* ---- what is meant ---- */

struct nearest {
    struct str name, best;
    int least;
    struct buf begin;      /* names that begin so */
};

static bool compare(void *arg, const struct catalogue_entry *e)
{
    struct nearest *n = arg;
    int d = str_distance(n->name, e->name);
    if (str_starts(e->name, n->name))
        buf_printf(&n->begin, "%s%.*s", n->begin.len ? ", " : "", STR_ARG(e->name));
    if (d < n->least) {
        n->least = d;
        n->best = e->name;
    }
    return true;
}

static enum err_code unknown(const char *what, struct err *err)
{
    struct nearest n = {.name = str_of(what), .least = (int)strlen(what) / 2 + 1};
    catalogue_each(compare, &n);
    if (n.begin.len)
        err_set(err, ERR_NOTFOUND, "which \"%.40s\"? There are %.170s", what, n.begin.ptr);
    bool several = n.begin.len > 0;
    buf_free(&n.begin);
    if (several)
        return ERR_NOTFOUND;
    if (n.best.len)
        return err_set(err, ERR_NOTFOUND, "no \"%.100s\" in the catalogue: did you mean %.*s?",
                       what, STR_ARG(n.best));
    return err_set(err, ERR_NOTFOUND,
                   "no \"%.100s\" in the catalogue (`carrel model pull` prints it), and no https "
                   "address",
                   what);
}

static enum err_code find_url(struct pull *p, const char *what, struct err *err)
{
    struct catalogue_entry e = {0};
    struct http_address at;
    bool address = strstr(what, "://") != NULL;
    if (!address && !catalogue_find(str_of(what), &e))
        return unknown(what, err);
    p->url = str_dup(address ? str_of(what) : e.url);
    if (!p->url)
        return err_set(err, ERR_NOMEM, "an address");
    p->licence = e.licence;
    if (e.sha256.len == 64) {
        snprintf(p->want, sizeof(p->want), "%.*s", STR_ARG(e.sha256));
        p->want_from = "catalogue";
    }
    enum err_code rc = http_address(p->url, &at, err);
    if (!rc && !at.https && !at.loopback)
        rc = err_set(err, ERR_ARG, "%s is not fetched without TLS: want https://", p->url);
    return rc;
}

static enum err_code take_sum(struct pull *p, const char *sha256, struct err *err)
{
    uint8_t sum[32];
    if (!sha256)
        return OK;
    if (!hash_unhex(str_of(sha256), sum, 32))
        return err_set(err, ERR_ARG, "--sha256 \"%.70s\": want 64 hexadecimal digits", sha256);
    hash_hex(sum, 32, p->want); /* in lower case */
    p->want_from = "argument";
    return OK;
}

/* The last part of the address, before ? and #. */
static struct str name_of(const char *url)
{
    struct str s = str_sub(str_of(url), 0, strcspn(url, "?#"));
    for (size_t slash; (slash = str_find(s, STR("/"), 0)) != SIZE_MAX;)
        s = str_sub(s, slash + 1, s.len);
    return s;
}

static enum err_code find_path(struct pull *p, const char *as, struct err *err)
{
    struct config *config = NULL;
    struct buf path = {0};
    struct str name = as ? str_of(as) : name_of(p->url);
    bool good = str_ends(name, STR(".gguf")) && name.len < 200 && name.ptr[0] != '.';
    for (size_t i = 0; i < name.len; i++) /* no folder, no blank, nothing a terminal minds */
        good = good && name.ptr[i] > ' ' && name.ptr[i] < 0x7f && !strchr("/%\\\"'", name.ptr[i]);
    if (!good)
        return err_set(err, ERR_ARG,
                       "\"%.*s\" is no name for a model file: give one with --as "
                       "NAME.gguf",
                       (int)(name.len < 100 ? name.len : 100), name.ptr);
    enum err_code rc = open_config(p->cmd, &config, err);
    if (!rc)
        rc = models_dir(config, &path, err);
    if (!rc)
        rc = file_make_dirs(path.ptr, err);
    if (!rc) {
        buf_printf(&path, "/%.*s", STR_ARG(name));
        rc = buf_ok(&path, "a path", err);
        p->path = rc ? NULL : str_dup(buf_view(&path));
        p->ca_file = config->llm.ca_file ? str_dup(str_of(config->llm.ca_file)) : NULL;
        if (!rc && (!p->path || (config->llm.ca_file && !p->ca_file)))
            rc = err_set(err, ERR_NOMEM, "a path");
    }
    buf_free(&path);
    open_config_free(config);
    return rc;
}

/* ---- the work ---- */

static void show(void *arg, const char *what, int64_t done, int64_t total)
{
    struct pull *p = arg;
    const struct progress_now now = {.what = what,
                                     .unit = "MB",
                                     .done = done / 1000000,
                                     .total = (total < done ? done : total) / 1000000};
    progress_show(&p->progress, &now);
}

static void tell(void *arg, const char *text)
{
    struct pull *p = arg;
    progress_end(&p->progress);
    cmd_note("%s", text);
}

static enum err_code wrong_sum(const struct pull *p, const char *sum, struct err *err)
{
    return err_set(err, ERR_FORMAT, "%s has another SHA-256 than %s says: %s", p->path,
                   strcmp(p->want_from, "argument") == 0 ? "--sha256"
                   : strcmp(p->want_from, "server") == 0 ? "its server"
                                                         : "the catalogue",
                   sum);
}

static enum err_code check_sum(struct pull *p, const struct download_result *r, struct err *err)
{
    if (!*p->want && *r->server_sum) {
        memcpy(p->want, r->server_sum, sizeof(p->want));
        p->want_from = "server";
    }
    if (*p->want && strcmp(p->want, r->sha256) != 0)
        return wrong_sum(p, r->sha256, err);
    return OK;
}

static enum err_code check_gguf(const struct pull *p, struct err *err)
{
    struct gguf *g = NULL;
    struct err why;
    char *part = NULL;
    if (asprintf(&part, "%s.part", p->path) < 0)
        return err_set(err, ERR_NOMEM, "a path");
    enum err_code rc = gguf_open(part, &g, &why);
    gguf_close(g);
    free(part);
    return rc ? err_set(err, ERR_FORMAT, "what lies at %.100s is no sound GGUF file: %.120s",
                        p->url, why.msg)
              : OK;
}

static enum err_code fetch(struct pull *p, struct download_result *r, struct err *err)
{
    const struct download_options opt = {.url = p->url,
                                         .path = p->path,
                                         .ca_file = p->ca_file,
                                         .magic = STR("GGUF"),
                                         .stop = cmd_catch_signals(),
                                         .progress = show,
                                         .note = tell,
                                         .arg = p};
    if (file_exists(p->path)) {
        p->there = true;
        enum err_code rc = download_sum(&opt, p->path, r, err);
        if (!rc && *p->want && strcmp(p->want, r->sha256) != 0)
            rc = wrong_sum(p, r->sha256, err);
        return rc;
    }
    enum err_code rc = download_fetch(&opt, r, err);
    if (rc == ERR_CANCELLED) {
        progress_end(&p->progress);
        cmd_note("stopped; the same command goes on where it was");
    }
    if (rc)
        return rc;
    rc = check_sum(p, r, err);
    if (!rc)
        rc = check_gguf(p, err);
    if (rc) {
        download_drop(p->path);
        return rc;
    }
    return download_keep(p->path, err);
}

static int report(struct pull *p, const struct download_result *r)
{
    const char *against = *p->want ? p->want_from : NULL;
    if (p->cmd->json) {
        cmd_json(json_pack("{s:o,s:b,s:I,s:I,s:s,s:o,s:o}", "file", json_text(str_of(p->path)),
                           "was_there", p->there, "bytes", (json_int_t)r->bytes, "resumed_from",
                           (json_int_t)r->resumed_from, "sha256", r->sha256, "checked_against",
                           against ? json_string(against) : json_null(), "licence",
                           p->licence.len ? json_text(p->licence) : json_null()));
        return cmd_done(CMD_OK);
    }
    char size[16];
    printf("%s: %s%s\nsha256 %s (%s%s)\n", p->path, people_size(r->bytes, size),
           p->there ? ", was there" : "", r->sha256,
           against ? "as it should be, by the " : "could not be checked against a known sum",
           against ? against : "");
    if (p->licence.len)
        printf("licence: %.*s\n", STR_ARG(p->licence));
    return cmd_done(CMD_OK);
}

int model_pull(const struct cmd *c, const char *what, const char *as, const char *sha256)
{
    struct err err;
    struct download_result r = {0};
    struct pull p = {.cmd = c};
    if (!what)
        return print_catalogue(c);
    progress_begin(&p.progress, c->json);
    enum err_code rc = find_url(&p, what, &err);
    if (!rc)
        rc = take_sum(&p, sha256, &err);
    if (!rc)
        rc = find_path(&p, as, &err);
    if (!rc)
        rc = fetch(&p, &r, &err);
    progress_end(&p.progress);
    int status = rc ? cmd_fail(c, rc, &err) : report(&p, &r);
    free(p.url);
    free(p.path);
    free(p.ca_file);
    return status;
}
