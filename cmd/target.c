#include "cmd/target.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"

enum { KEY_FILE_MAX = 4096 };

/* The API key, from --key-file or CARREL_KEY_FILE; none is fine. */
static enum err_code read_key(const struct cmd *c, char **out, struct err *err)
{
    const char *path = c->key_file ? c->key_file : getenv("CARREL_KEY_FILE");
    struct buf b = {0};
    *out = NULL;
    if (!path || !*path)
        return OK;
    enum err_code rc = file_read(path, KEY_FILE_MAX, &b, err);
    if (rc)
        err_wrap(err, rc, "key file");
    else if (!(*out = str_dup(str_trim(buf_view(&b)))))
        rc = err_set(err, ERR_NOMEM, "the key");
    buf_free(&b);
    return rc;
}

static int connect_to(const struct cmd *c, const char *url, struct target *t)
{
    struct err err;
    enum err_code rc = read_key(c, &t->key, &err);
    if (!rc)
        rc = client_open(url, t->key, t->stop, &t->client, &err);
    if (!rc)
        return CMD_OK;
    free(t->key);
    t->key = NULL;
    return cmd_fail(c, rc, &err);
}

static int locked(const struct cmd *c, const char *dir, const struct index_holder *h)
{
    return cmd_exit_with(c, CMD_LOCKED, "process %ld is working on %s; wait for it to end", h->pid,
                         dir);
}

static int open_here(const struct cmd *c, struct config **config, const char *dir, int want,
                     struct target *t)
{
    struct err err;
    struct index_holder h = {0};
    enum err_code rc = rooms_open(config, want, &t->rooms, &err);
    if (!rc)
        return CMD_OK;
    if (rc == ERR_BUSY && index_holder(dir, &h, NULL) == OK && h.pid > 0)
        return locked(c, dir, &h);
    if (rc == ERR_NOTFOUND)
        return cmd_exit_with(c, CMD_NO_STORE, "%s", err.msg);
    return cmd_fail(c, rc, &err);
}

/* CMD_NO_STORE with what to do, when nothing has been stored yet. */
static int missing(const struct cmd *c, const char *dir)
{
    return cmd_exit_with(
        c, CMD_NO_STORE,
        "there is no store in %s yet; `carrel add PATH` or `carrel serve` makes one "
        "(--data DIR names another)",
        dir);
}

static bool has_store(const char *dir)
{
    char path[4200];
    snprintf(path, sizeof(path), "%s/carrel.db", dir);
    return file_exists(path) || errno == EACCES; /* opening it will say so */
}

static int find_store(const struct cmd *c, int want, const char *alone, struct target *t)
{
    struct err err;
    struct config *config = NULL;
    struct index_holder h = {0};
    if (open_config(c, &config, &err))
        return cmd_exit_with(c, CMD_USAGE, "%s", err.msg);
    const char *dir = config->store.dir;
    int status = CMD_OK;
    if (!has_store(dir) && !(want & WANT_CREATE))
        status = missing(c, dir);
    else if (index_holder(dir, &h, NULL) != OK || h.pid <= 0)
        status = open_here(c, &config, dir, want, t);
    else if (!*h.url)
        status = locked(c, dir, &h);
    else if (alone)
        status = cmd_exit_with(c, CMD_LOCKED,
                               "%s needs the store to itself, and process %ld serves it "
                               "at %s; stop that first",
                               alone, h.pid, h.url);
    else
        status = connect_to(c, h.url, t);
    open_config_free(config);
    return status;
}

int target_open(const struct cmd *c, int want, bool create, const struct stop *stop,
                struct target *t)
{
    *t = (struct target){.cmd = c, .stop = stop};
    if (c->server)
        return connect_to(c, c->server, t);
    return find_store(c, want | (create ? WANT_CREATE : 0), NULL, t);
}

int target_open_alone(const struct cmd *c, int want, const char *what, const struct stop *stop,
                      struct target *t)
{
    *t = (struct target){.cmd = c, .stop = stop};
    if (c->server)
        return cmd_exit_with(c, CMD_USAGE,
                             "%s works on the store's own folder, not through --server", what);
    return find_store(c, want, what, t);
}

void target_close(struct target *t)
{
    client_close(t->client);
    rooms_close(&t->rooms);
    free(t->key);
    *t = (struct target){0};
}

int target_fail(const struct target *t, enum err_code code, const struct err *err)
{
    if (t->client && client_denied(t->client))
        return cmd_exit_with(t->cmd, CMD_AUTH, "%s", err->msg);
    if (code == ERR_CANCELLED)
        return cmd_exit_with(t->cmd, CMD_FAILED, "stopped");
    if (t->client && code == ERR_BUSY) /* a busy server is no lock */
        return cmd_exit_with(t->cmd, CMD_FAILED, "%s", err->msg);
    return cmd_fail(t->cmd, code, err);
}
