#include "llm/local.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/clock.h"
#include "base/log.h"
#include "llm/chat.h"
#include "llm/decoder.h"
#include "llm/engine.h"
#include "llm/grammar.h"
#include "model/gguf.h"
#include "model/vocab.h"

struct local {
    char *path, name[96];
    struct stat loaded;        /* of the file when it was read */
    struct decoder_shape shape;
    const struct chat_family *family;
    struct vocab *vocab;
    struct decoder *decoder;
    struct engine *engine;
    enum llm_kv kv;
    int sessions, max_tokens;
    atomic_llong prompt_tokens; /* of all requests */
};

/* ---- opening */

static enum attn_type attn_of(enum llm_kv kv)
{
    return kv == LLM_KV_Q8 ? ATTN_Q8 : kv == LLM_KV_F32 ? ATTN_F32 : ATTN_F16;
}

static struct engine_options engine_of(const struct local *l, const struct llm_options *opt)
{
    return (struct engine_options){
        .decoder = l->decoder,
        .vocab = l->vocab,
        .team = opt->team,
        .context = opt->context,
        .sessions = l->sessions,
        .queue = opt->queue,
        .kv_type = attn_of(opt->kv),
        .kv_bytes = opt->kv_bytes,
        .no_reuse = opt->no_reuse,
        .no_lookup = opt->no_lookup,
    };
}

/* Before anything large is taken. */
static enum err_code check_memory(const struct local *l, const struct llm_options *opt,
                                  struct err *err)
{
    const struct engine_options e = engine_of(l, opt);
    char whose[40];
    int context;
    size_t cache, work;
    engine_sizes(&e, &l->shape, &context, &cache, &work);
    if (opt->kv_bytes && context < 2)
        return err_set(err, ERR_LIMIT, "llm.kv_memory is %zu bytes, and not even %d tokens fit in",
                       opt->kv_bytes, ATTN_PAGE);
    snprintf(whose, sizeof(whose), " of %d sessions", l->sessions);
    return decoder_fits(&l->shape, cache, whose, work, err);
}

static enum err_code choose_family(struct local *l, const struct gguf *g, const char *name,
                                   struct err *err)
{
    if (!name)
        return chat_detect(g, l->vocab, &l->family, err);
    l->family = chat_by_name(str_of(name));
    if (l->family)
        return OK;
    struct buf names = {0};
    chat_main_families(&names);
    err_set(err, ERR_ARG, "llm.template is `%.40s`, need one of %s or a variant", name,
            names.ptr ? names.ptr : "");
    buf_free(&names);
    return ERR_ARG;
}

/* general.name in one line, or the file's name without ".gguf". */
static void choose_name(struct local *l, const struct gguf *g)
{
    const char *slash = strrchr(l->path, '/');
    struct str name = STR(""), stem = str_of(slash ? slash + 1 : l->path);
    gguf_str(g, "general.name", &name, NULL);
    name = str_trim(name);
    if (!name.len)
        name = str_ends(stem, STR(".gguf")) ? str_sub(stem, 0, stem.len - 5) : stem;
    size_t n = name.len < sizeof(l->name) - 1 ? name.len : sizeof(l->name) - 1;
    while (n < name.len && n > 0 && ((unsigned char)name.ptr[n] & 0xc0) == 0x80)
        n--; /* not through a character */
    for (size_t i = 0; i < n; i++)
        l->name[i] = (unsigned char)name.ptr[i] < 0x20 || name.ptr[i] == 0x7f ? '?' : name.ptr[i];
    l->name[n] = '\0';
}

/* All of the file that is wanted; it may be closed afterwards. */
static enum err_code load(struct local *l, const struct llm_options *opt, const struct gguf *g,
                          struct err *err)
{
    enum err_code rc = decoder_shape(g, &l->shape, err);
    if (!rc)
        rc = vocab_open(g, &l->vocab, err);
    if (!rc && vocab_size(l->vocab) > l->shape.n_vocab)
        rc = err_set(err, ERR_FORMAT, "%s: %d tokens and logits of %d", gguf_name(g),
                     vocab_size(l->vocab), l->shape.n_vocab);
    if (!rc && opt->context > l->shape.context)
        rc = err_set(err, ERR_ARG, "llm.context is %d, and %s was trained for %d", opt->context,
                     gguf_name(g), l->shape.context);
    if (!rc)
        rc = choose_family(l, g, opt->family, err);
    if (rc)
        return rc;
    choose_name(l, g);
    rc = check_memory(l, opt, err);
    if (!rc)
        rc = decoder_open(g, opt->team, DECODER_AUTO, opt->progress, opt->progress_arg, &l->decoder, err);
    return rc ? err_wrap(err, rc, "%s", l->name) : OK;
}

static void log_ready(const struct local *l, double begun_ms)
{
    char name[128], file[300];
    log_info("llm.ready",
             "model=%s file=%s architecture=%s template=%s context=%d sessions=%d weight_bytes=%zu "
             "kv_bytes=%zu ms=%.0f", log_quote(l->name, name, sizeof(name)),
             log_quote(l->path, file, sizeof(file)), l->shape.arch, chat_name(l->family),
             engine_context(l->engine), l->sessions, l->shape.weight_bytes,
             engine_kv_bytes(l->engine), clock_ms() - begun_ms);
}

enum err_code local_open(const struct llm_options *opt, struct local **out, struct err *err)
{
    double begun_ms = clock_ms();
    struct gguf *g = NULL;
    struct local *l = calloc(1, sizeof(*l));
    if (!l || !(l->path = str_dup(str_of(opt->model_path)))) {
        free(l);
        return err_set(err, ERR_NOMEM, "a generator");
    }
    l->sessions = opt->sessions ? opt->sessions : ENGINE_SESSIONS;
    l->max_tokens = opt->max_tokens;
    l->kv = opt->kv;
    enum err_code rc = stat(l->path, &l->loaded) ? err_errno(err, "%s", l->path)
                                                 : gguf_open(l->path, &g, err);
    if (!rc)
        rc = load(l, opt, g, err);
    gguf_close(g);
    if (!rc) {
        const struct engine_options e = engine_of(l, opt);
        rc = engine_open(&e, &l->engine, err);
    }
    if (rc) {
        local_close(l);
        return rc;
    }
    log_ready(l, begun_ms);
    *out = l;
    return OK;
}

void local_close(struct local *l)
{
    if (!l)
        return;
    if (l->engine)
        engine_close(l->engine);
    if (l->decoder)
        decoder_free(l->decoder);
    vocab_free(l->vocab);
    free(l->path);
    free(l);
}

/* ---- telling */

const char *local_name(const struct local *l)
{
    return l->name;
}

int local_context(const struct local *l)
{
    return engine_context(l->engine);
}

int local_count(const struct local *l, struct str text)
{
    size_t n = 0;
    if (vocab_encode(l->vocab, text, VOCAB_CONTINUES, NULL, 0, &n, NULL) || n > INT32_MAX)
        return INT32_MAX;
    return (int)n;
}

/* Is another file there now, or none? */
static bool changed_on_disk(const struct local *l)
{
    struct stat now;
    const struct stat *was = &l->loaded;
    return stat(l->path, &now) != 0 || now.st_dev != was->st_dev || now.st_ino != was->st_ino ||
           now.st_size != was->st_size || now.st_mtim.tv_sec != was->st_mtim.tv_sec ||
           now.st_mtim.tv_nsec != was->st_mtim.tv_nsec;
}

static const char *kv_name(enum llm_kv kv)
{
    return kv == LLM_KV_Q8 ? "q8" : kv == LLM_KV_F32 ? "f32" : "f16";
}

/* Not a sum of its bytes: a large file is not read once more for it. Who writes into a file
 * cannot set its ctime back. */
void local_stamp(const struct local *l, struct buf *out)
{
    const struct stat *f = &l->loaded;
    buf_printf(out, "%llx %llu %lld %lld.%09ld %lld.%09ld %s %s", (unsigned long long)f->st_dev,
               (unsigned long long)f->st_ino, (long long)f->st_size, (long long)f->st_mtim.tv_sec,
               f->st_mtim.tv_nsec, (long long)f->st_ctim.tv_sec, f->st_ctim.tv_nsec,
               chat_name(l->family), kv_name(l->kv));
}

json_t *local_status_json(struct local *l)
{
    struct engine_state s = {0};
    engine_state(l->engine, &s);
    json_t *o = json_pack("{s:o,s:o,s:s,s:s,s:i,s:b}", "name", json_text(str_of(l->name)), "file",
                          json_text(str_of(l->path)), "architecture", l->shape.arch, "template",
                          chat_name(l->family), "context", local_context(l), "changed_on_disk",
                          changed_on_disk(l));
    json_put(o, "parameters", json_integer(l->shape.n_params));
    json_put(o, "weight_bytes", json_integer((json_int_t)l->shape.weight_bytes));
    json_put(o, "sessions",
             json_pack("{s:i,s:i,s:i}", "running", s.running, "waiting", s.waiting, "most",
                       l->sessions));
    json_put(o, "kv",
             json_pack("{s:s,s:I,s:i,s:i}", "type", kv_name(l->kv), "bytes",
                       (json_int_t)engine_kv_bytes(l->engine), "pages", s.pages, "pages_free",
                       s.pages_free));
    json_put(o, "tokens",
             json_pack("{s:I,s:I,s:I,s:I,s:I}", "prompt",
                       (json_int_t)atomic_load(&l->prompt_tokens), "reused",
                       (json_int_t)s.reused_tokens, "generated", (json_int_t)s.tokens, "proposed",
                       (json_int_t)s.proposed, "accepted", (json_int_t)s.accepted));
    json_put(o, "passes", json_integer(s.passes));
    json_put(o, "refused", json_integer(s.refused));
    return o;
}

/* ---- answering */

static enum err_code encode_prompt(const struct local *l, struct str text, int32_t **ids, int *n,
                                   struct err *err)
{
    size_t count = 0;
    enum err_code rc = vocab_encode(l->vocab, text, VOCAB_ADD_BOS, NULL, 0, &count, err);
    if (rc)
        return rc;
    if (count < 1 || count > INT32_MAX / 2)
        return err_set(err, ERR_ARG, "a prompt of %zu tokens, need 1 to %d", count, INT32_MAX / 2);
    if (!(*ids = malloc(count * sizeof(**ids))))
        return err_set(err, ERR_NOMEM, "a prompt of %zu tokens", count);
    *n = (int)count;
    return vocab_encode(l->vocab, text, VOCAB_ADD_BOS, *ids, count, &count, err);
}

static enum err_code compile_grammar(const struct llm_chat *req, struct grammar **out,
                                     struct err *err)
{
    enum err_code rc = req->schema ? grammar_schema(req->schema, out, err) : OK;
    if (rc)
        return err_wrap(err, rc, "response_format");
    return req->json_object ? grammar_json(out, err) : OK;
}

static enum err_code generate(struct local *l, const struct llm_chat *req, const int32_t *ids,
                              int n, bool begins, struct grammar *g,
                              bool (*emit)(void *arg, const struct llm_piece *piece), void *arg,
                              const struct stop *stop, struct llm_chat_reply *out, struct err *err)
{
    int context = engine_context(l->engine), room = context - n;
    if (room < 1)
        return err_set(err, ERR_LIMIT,
                       "the messages have %d tokens with their template, and the context of %s "
                       "holds %d with the answer", n, l->name, context);
    int most = l->max_tokens && l->max_tokens < room ? l->max_tokens : l->max_tokens ? room : 0;
    const struct engine_request r = {
        .prompt = ids,
        .n_prompt = n,
        .max_tokens = req->max_tokens > room ? room : req->max_tokens ? req->max_tokens : most,
        .sampling = req->sampling,
        .stops = req->stops,
        .n_stops = req->n_stops,
        .grammar = g,
        .n_logprobs = req->logprobs ? req->n_logprobs : -1,
        .begins = begins,
        .announce = true,
        .circle = req->circle,
    };
    struct engine_reply reply = {0};
    enum err_code rc = engine_generate(l->engine, &r, emit, arg, stop, &reply, err);
    out->finish = reply.finish;
    out->usage = reply.usage;
    atomic_fetch_add(&l->prompt_tokens, reply.usage.prompt_tokens);
    return rc;
}

enum err_code local_chat(struct local *l, const struct llm_chat *req,
                         bool (*emit)(void *arg, const struct llm_piece *piece), void *arg,
                         const struct stop *stop, struct llm_chat_reply *out, struct err *err)
{
    struct grammar *g = NULL;
    int32_t *ids = NULL;
    int n = 0;
    enum err_code rc = sampler_check(&req->sampling, l->shape.n_vocab, err);
    if (!rc)
        rc = compile_grammar(req, &g, err);
    if (!rc)
        rc = req->n_messages ? chat_encode(l->family, l->vocab, req->messages, req->n_messages,
                                           &ids, &n, err)
                             : encode_prompt(l, req->prompt, &ids, &n, err);
    /* A text that goes on keeps its spaces. */
    bool continues = !req->n_messages || strcmp(chat_name(l->family), "plain") == 0 ||
                     req->messages[req->n_messages - 1].role == LLM_ASSISTANT;
    if (!rc)
        rc = generate(l, req, ids, n, !continues, g, emit, arg, stop, out, err);
    snprintf(out->model, sizeof(out->model), "%s", l->name);
    free(ids);
    grammar_free(g);
    return rc;
}
