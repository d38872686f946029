#include "cmd/open.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "cmd/cmd.h"
#include "cmd/models.h"
#include "cmd/progress.h"

enum err_code open_config(const struct cmd *c, struct config **out, struct err *err)
{
    struct config *made = calloc(1, sizeof(*made));
    if (!made)
        return err_set(err, ERR_NOMEM, "the configuration");
    enum err_code rc = config_load(made, c->config_path, environ, err);
    if (rc) {
        free(made);
        return rc;
    }
    if (c->data_dir)
        rc = config_set(made, "store.dir", c->data_dir, "--data", err);
    if (rc)
        open_config_free(made);
    else
        *out = made;
    return rc;
}

void open_config_free(struct config *c)
{
    if (!c)
        return;
    config_deinit(c);
    free(c);
}

static enum err_code start_index(struct rooms *r, int want, struct err *err)
{
    const struct index_options opt = {
        .dir = r->config->store.dir,
        .must_exist = !(want & WANT_CREATE),
        .volatile_store = want & WANT_VOLATILE,
    };
    return index_open(&opt, &r->index, err);
}

static enum err_code start_embed(struct rooms *r, struct err *err)
{
    const struct config *c = r->config;
    const struct embed_options opt = {
        .model_path = c->embed.model && *c->embed.model ? c->embed.model : NULL,
        .pooling = c->embed.pooling,
        .query_prefix = c->embed.query_prefix,
        .team = r->team,
    };
    enum err_code rc = embed_open(&opt, &r->embed, err);
    return rc ? err_wrap(err, rc, "embedding model") : OK;
}

/* ---- the generator */

/* A line that is drawn over on a terminal, else a log line every few seconds. */
struct loading { struct progress bar; double last_ms; };
enum { LOADING_LOG_MS = 5000 };

static void show_loading(void *arg, double done)
{
    struct loading *l = arg;
    const struct progress_now now = {
        .what = "loading the model", .unit = "%", .done = (int64_t)(done * 100), .total = 100};
    if (cmd_interrupted()) { /* nothing is lost by it, and the rest may take long */
        progress_end(&l->bar);
        cmd_end_by_signal();
    }
    if (l->bar.terminal && done >= 1) {
        progress_end(&l->bar); /* lines of the log follow */
    } else if (l->bar.terminal) {
        progress_show(&l->bar, &now);
    } else if (clock_ms() - l->last_ms > LOADING_LOG_MS) {
        l->last_ms = clock_ms();
        log_info("llm.loading", "percent=%.0f", done * 100);
    }
}

static enum llm_kv kv_of(const char *name)
{
    return strcmp(name, "q8") == 0 ? LLM_KV_Q8 : strcmp(name, "f32") == 0 ? LLM_KV_F32 : LLM_KV_F16;
}

/* llm.remote as the room takes it; `out` has CONFIG_REMOTES_MAX places. */
static int remotes_of(const struct config *c, struct llm_remote_options *out)
{
    for (int i = 0; i < c->llm.remotes.n; i++) {
        const struct config_remote *r = &c->llm.remotes.v[i];
        out[i] = (struct llm_remote_options){.name = r->name,
                                             .url = r->url,
                                             .model = r->model,
                                             .key_file = r->key_file,
                                             .ca_file = c->llm.ca_file,
                                             .timeout_ms = r->timeout_ms,
                                             .attempts = r->attempts};
    }
    return c->llm.remotes.n;
}

/* With the file `path` (NULL: none) and the remotes. */
static enum err_code open_llm(struct rooms *r, const char *path, struct err *err)
{
    const struct config *c = r->config;
    struct llm_remote_options remotes[CONFIG_REMOTES_MAX];
    struct loading loading = {.last_ms = clock_ms()};
    const struct llm_options opt = {
        .model_path = path,
        .family = c->llm.family && *c->llm.family ? c->llm.family : NULL,
        .team = r->team,
        .context = c->llm.context,
        .sessions = c->llm.sessions,
        .queue = c->llm.queue,
        .kv = kv_of(c->llm.kv_cache),
        .kv_bytes = (size_t)c->llm.kv_memory,
        .n_remotes = remotes_of(c, remotes),
        .remotes = remotes,
        .remote_first = strcmp(c->llm.order, "remote") == 0,
        .max_tokens = c->llm.max_tokens,
        .temperature = c->llm.temperature,
        .progress = show_loading,
        .progress_arg = &loading,
    };
    progress_begin(&loading.bar, false);
    enum err_code rc = llm_open(&opt, &r->llm, err);
    progress_end(&loading.bar);
    return rc;
}

/* Is a setting wrong, and not the file? Sentences about settings begin with their names. */
static bool blames_setting(const struct err *err)
{
    struct str why = str_of(err->msg);
    return str_starts(why, STR("llm.")) || str_find(why, STR(": llm."), 0) != SIZE_MAX;
}

/* A file that the configuration names must do, and so must its settings. A file that merely lies in
 * the folder and does not do is told, and the box goes on without it. */
static enum err_code start_llm(struct rooms *r, struct err *err)
{
    struct buf path = {0};
    bool named;
    enum err_code rc = models_choose(r->config, &path, &named, err);
    if (!rc)
        rc = open_llm(r, path.len ? path.ptr : NULL, err);
    if (rc && !named && path.len && !blames_setting(err)) {
        char file[400], why[400];
        log_warn("llm.unusable", "file=%s error=%s", log_quote(path.ptr, file, sizeof(file)),
                 log_quote(err->msg, why, sizeof(why)));
        rc = open_llm(r, NULL, err);
    }
    buf_free(&path);
    return rc ? err_wrap(err, rc, "generator") : OK;
}

static enum err_code start_extractive(struct rooms *r, struct err *err)
{
    const struct llm_options none = {.team = r->team};
    return llm_open(&none, &r->llm, err);
}

static enum err_code start_query(struct rooms *r, struct err *err)
{
    const struct config *c = r->config;
    const struct query_options opt = {
        .index = r->index,
        .embed = r->embed,
        .llm = r->llm,
        .dense_weight = c->embed.dense_weight,
        .min_evidence = c->ask.min_evidence,
        .ef = c->search.ef,
        .ask_top_k = c->ask.top_k,
        .max_sentences = c->ask.max_sentences,
    };
    return query_new(&opt, &r->query, err);
}

static enum err_code start_ingest(struct rooms *r, struct err *err)
{
    const struct config *c = r->config;
    const struct ingest_options opt = {
        .index = r->index,
        .embed = r->embed,
        .extract_path = cmd_neighbour("carrel-extract"),
        .workers = c->ingest.workers,
        .timeout_ms = c->ingest.timeout_ms,
        .memory_bytes = (size_t)c->ingest.memory_bytes,
        .max_text_bytes = (size_t)c->ingest.max_text_bytes,
        .require_sandbox = c->ingest.require_sandbox,
        .target_tokens = c->chunk.target_tokens,
        .max_tokens = c->chunk.max_tokens,
        .overlap_tokens = c->chunk.overlap_tokens,
    };
    return ingest_start(&opt, &r->ingest, err);
}

enum err_code rooms_open(struct config **config, int want, struct rooms *out, struct err *err)
{
    struct rooms r = {.config = *config};
    if (want & (WANT_QUERY | WANT_INGEST))
        want |= WANT_INDEX | WANT_EMBED;
    enum err_code rc = config_check(r.config, err);
    if (!rc)
        rc = team_new(0, &r.team, err);
    if (!rc && (want & WANT_INDEX))
        rc = start_index(&r, want, err);
    if (!rc && (want & WANT_EMBED))
        rc = start_embed(&r, err);
    if (!rc && (want & WANT_QUERY))
        rc = want & WANT_LLM ? start_llm(&r, err) : start_extractive(&r, err);
    if (!rc && (want & WANT_QUERY))
        rc = start_query(&r, err);
    if (!rc && (want & WANT_INGEST))
        rc = start_ingest(&r, err);
    if (rc) {
        r.config = NULL;
        rooms_close(&r);
        return rc;
    }
    *out = r;
    *config = NULL;
    return OK;
}

void rooms_close(struct rooms *r)
{
    if (r->ingest)
        ingest_stop(r->ingest);
    if (r->query)
        query_free(r->query);
    if (r->llm)
        llm_close(r->llm);
    if (r->embed)
        embed_close(r->embed);
    if (r->index)
        index_close(r->index);
    if (r->team)
        team_free(r->team);
    open_config_free(r->config);
    *r = (struct rooms){0};
}
