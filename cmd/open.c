#include "cmd/open.h"
#include <stdlib.h>
#include <unistd.h>

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

static enum err_code start_query(struct rooms *r, struct err *err)
{
    const struct config *c = r->config;
    const struct llm_options generator = {.team = r->team};
    enum err_code rc = llm_open(&generator, &r->llm, err);
    if (rc)
        return rc;
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
