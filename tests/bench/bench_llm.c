/* tests/bench/bench_llm.c - decoding, prefill and serving, beside this machine's limits.
 *
 * Models of Llama-3.2-1B's and Qwen2.5-0.5B's shapes with random weights. Decoding
 * is told as a share of the memory's read bandwidth (bytes of the file's weights touched
 * for a token x tokens/s), prefill as a share of the peak of the arithmetic that its
 * type allows (multiply-adds of the matrices and of attention); the limits are measured
 * in this run, right before what is held against them. Prints name, input, metric, value.
 *
 *   make bench B=llm           all of it
 *   BENCH_LLM=Q8_0 ...         the types named; with "serve": serving alone, by these
 *   BENCH_QUICK=1              prompts of 512 only, and questions with the most in common */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "llm/decoder.h"
#include "llm/engine.h"
#include "model/mat.h"
#include "tests/bench/bench.h"
#include "tests/bench/machine.h"
#include "tests/random_model.h"

#define SLICE 512
#define LONG  2048
#define BURST 8

static bool wanted(enum tensor_type type, bool serving)
{
    const char *only = getenv("BENCH_LLM");
    if (!only || !*only)
        return true;
    bool serve = strstr(only, "serve") != NULL;
    bool named = strcmp(only, "serve") == 0 || strstr(only, tensor_type_name(type)) != NULL;
    return serve == serving && named;
}

/* ---- limits ---- */

struct limits { double vnni, bf16, fma; };   /* G multiply-adds/s */

static struct limits measure(struct team *team)
{
    const struct cpu *c = cpu_get();
    struct limits l = {0};
#if defined(__x86_64__)
    if (c->avx2)
        l.fma = machine_peak(team, machine_fma256, 8);
    if (c->avx512)
        l.fma = machine_peak(team, machine_fma512, 16);
    if (c->vnni)
        l.vnni = machine_peak(team, machine_vnni, 64);
    if (c->bf16)
        l.bf16 = machine_peak(team, machine_bf16, 32);
#endif
    return l;
}

/* The peak that a type's prefill is held against. */
static double peak_of(const struct limits *l, enum tensor_type t)
{
    if (t == TENSOR_F32)
        return l->fma;
    if (t == TENSOR_F16 || t == TENSOR_BF16)
        return l->bf16 > 0 ? l->bf16 : l->fma;
    return l->vnni > 0 ? l->vnni : l->fma;
}

/* ---- one timeline ---- */

struct rig {
    struct decoder *d;
    const struct decoder_shape *s;
    struct kvcache *kv;
    struct pass *pass;
    struct kv_seq seq;
    int n_fed;                 /* tokens that seq holds */
    int32_t ids[LONG + 512];
};

static void rig_open(struct rig *r, struct decoder *d, struct team *team)
{
    struct err err;
    *r = (struct rig){.d = d, .s = decoder_shape_of(d)};
    struct kvcache_options o = {ATTN_F16, r->s->n_layers, r->s->n_kv_heads, r->s->head_dim, 0,
                                true};
    o.memory_bytes = kvcache_page_bytes(&o) * (LONG + 1024) / ATTN_PAGE + (1 << 20);
    must(kvcache_new(&o, &r->kv, &err), &err);
    must(pass_new(d, team, SLICE, 1, LONG + 512, &r->pass, &err), &err);
    for (int i = 0; i < LONG + 512; i++)
        r->ids[i] = 300 + i * 7919 % (r->s->n_vocab - 300);
}

static void rig_close(struct rig *r)
{
    pass_free(r->pass);
    kv_end(r->kv, &r->seq);
    kvcache_free(r->kv);
}

static void begin(struct rig *r)
{
    int shared;
    struct err err;
    kv_end(r->kv, &r->seq);
    must(kv_begin(r->kv, &r->seq, r->ids, LONG, LONG + 512, &shared, &err), &err);
}

static void feed(struct rig *r, int from, int n)
{
    const float *logits;
    struct pass_part part = {r->ids + from, n, from, 1, &r->seq};
    kv_grow(r->kv, &r->seq, from + n);
    pass_run(r->pass, r->kv, &part, 1, &logits);
}

static double prefill_s(struct rig *r, int n)
{
    double ms = clock_ms();
    begin(r);
    for (int at = 0; at < n; at += SLICE)
        feed(r, at, n - at < SLICE ? n - at : SLICE);
    return (clock_ms() - ms) / 1000;
}

/* Of BURST tokens in a row, as an answer takes them. */
static double token_ms(struct rig *r, int at)
{
    double ms = clock_ms();
    for (int i = 0; i < BURST; i++)
        feed(r, at + i, 1);
    return (clock_ms() - ms) / BURST;
}

/* A machine's memory is not as fast at every moment, least of all a virtual one's: each
 * burst of tokens is held against a read of memory right before it, and against a burst behind
 * LONG other tokens right after. Medians of the pairs. */
static void bench_decode(struct rig *r, struct team *team, const char *input)
{
    enum { ROUNDS = 16 };
    struct machine_memory m;
    struct kv_seq far = r->seq;        /* as the last prefill left it */
    struct kv_seq near = {0};
    double ms[ROUNDS], read[ROUNDS], share[ROUNDS], keeps[ROUNDS];
    int shared;
    struct err err;
    must(kv_begin(r->kv, &near, r->ids, 64, ROUNDS * BURST, &shared, &err), &err);
    if (!machine_memory(&m, (size_t)512 << 20, team))
        exit(1);
    for (int i = 0; i < ROUNDS; i++) {
        read[i] = machine_rate(&m, team);
        r->seq = near;
        ms[i] = token_ms(r, i * BURST);
        near = r->seq;
        share[i] = (double)r->s->touched_bytes / ms[i] / 1e6 / read[i];
        r->seq = far;
        keeps[i] = r->n_fed < LONG ? 0 : ms[i] / token_ms(r, LONG + i * BURST);
        far = r->seq;
    }
    munmap(m.bytes, m.n);
    kv_end(r->kv, &near);
    show("machine", input, "read_GB/s", quantile(read, ROUNDS, .5));
    show("decode", input, "tokens/s", 1000 / quantile(ms, ROUNDS, .5));
    show("decode", input, "share_of_bandwidth", quantile(share, ROUNDS, .5));
    if (r->n_fed >= LONG)
        show("decode", input, "at_2048_to_none", quantile(keeps, ROUNDS, .5));
}

/* Multiply-adds of a prompt of n: every matrix but the embedding's for each token (the output
 * once), and attention's two products over the positions before. */
static double work_of(const struct decoder_shape *s, int n)
{
    double embed = (double)s->n_vocab * s->n_embd;
    double mats = (double)s->n_params - embed * (s->tied ? 1 : 2);
    double attention = (double)s->n_layers * s->n_heads * s->head_dim * (double)n * (n + 1);
    return mats * n + embed + attention;
}

static void bench_prefill(struct rig *r, struct team *team, enum tensor_type type,
                          const char *input)
{
    for (int n = SLICE; n <= (getenv("BENCH_QUICK") ? SLICE : LONG); n *= LONG / SLICE) {
        double share[3], rate[3];
        int rounds = n == SLICE ? 3 : 1;
        for (int i = 0; i < rounds; i++) {
            struct limits l = measure(team);
            rate[i] = n / prefill_s(r, n);
            share[i] = rate[i] / n * work_of(r->s, n) / peak_of(&l, type) / 1e9;
            if (i == 0 && n == SLICE)
                show("machine", input, "peak_Gmac/s", peak_of(&l, type));
        }
        char metric[64];
        snprintf(metric, sizeof(metric), "tokens/s_of_%d", n);
        show("prefill", input, metric, quantile(rate, rounds, .5));
        snprintf(metric, sizeof(metric), "share_of_peak_of_%d", n);
        show("prefill", input, metric, quantile(share, rounds, .5));
        r->n_fed = n;
    }
}

static void bench_threads(struct decoder *d, enum tensor_type type, const char *model, int threads)
{
    struct team *team = NULL;
    struct rig r;
    struct err err;
    char input[96];
    must(team_new(threads, &team, &err), &err);
    snprintf(input, sizeof(input), "%s %s %d thread%s", model, tensor_type_name(type), threads,
             threads > 1 ? "s" : "");
    rig_open(&r, d, team);
    bench_prefill(&r, team, type, input);
    bench_decode(&r, team, input);
    rig_close(&r);
    team_free(team);
}

/* ---- models ---- */

static struct gguf *model_open(const struct random_shape *s, enum tensor_type type)
{
    const char *dir = getenv("TMPDIR");
    char path[512];
    struct gguf *g;
    struct err err;
    snprintf(path, sizeof(path), "%s/carrel-bench-%d.gguf", dir ? dir : "/tmp", (int)getpid());
    must(random_model_write(s, type, path, &err), &err);
    must(gguf_open(path, &g, &err), &err);
    unlink(path);
    return g;
}

static void bench_model(const struct random_shape *s, enum tensor_type type)
{
    struct team *team;
    struct decoder *d;
    struct err err;
    struct gguf *g = model_open(s, type);
    must(team_new(0, &team, &err), &err);
    double ms = clock_ms();
    must(decoder_open(g, team, DECODER_ROUNDED, NULL, NULL, &d, &err), &err);
    gguf_close(g);
    char input[96];
    snprintf(input, sizeof(input), "%s %s", s->name, tensor_type_name(type));
    show("load", input, "ms", clock_ms() - ms);
    show("load", input, "weights_MB", (double)decoder_shape_of(d)->weight_bytes / 1e6);
    for (int threads = 1; threads <= 2 && threads <= cpu_get()->cores; threads++)
        bench_threads(d, type, s->name, threads);
    decoder_free(d);
    team_free(team);
}

/* ---- serving ---- */

#define ASKERS 8
#define PROMPT 600
#define ANSWER 64

struct asker {
    pthread_t thread;
    struct engine *e;
    int32_t prompt[LONG];
    int n_prompt, n_answer;
    double at[4096];           /* of each piece of the answer */
    int n_at;
    atomic_bool enough;        /* the reader leaves */
    struct engine_reply reply;
};

static bool on_piece(void *arg, const struct llm_piece *p)
{
    struct asker *a = arg;
    (void)p;
    if (a->n_at < 4096)
        a->at[a->n_at++] = clock_ms();
    return !atomic_load(&a->enough);
}

static void *ask(void *arg)
{
    struct asker *a = arg;
    struct err err;
    struct engine_request q = {.prompt = a->prompt,
                               .n_prompt = a->n_prompt,
                               .max_tokens = a->n_answer,
                               .n_logprobs = -1,
                               .ignore_end = true};
    a->n_at = 0;
    enum err_code rc = engine_generate(a->e, &q, on_piece, a, NULL, &a->reply, &err);
    if (rc != ERR_CANCELLED)
        must(rc, &err);
    return NULL;
}

/* Prompts that begin alike for `common` tokens (the system text and the same passages). */
static void fill_prompt(struct asker *a, struct engine *e, int who, int n, int common, int n_vocab)
{
    a->e = e;
    a->n_prompt = n;
    a->n_answer = ANSWER;
    atomic_store(&a->enough, false);
    for (int i = 0; i < n; i++)
        a->prompt[i] = 300 + (i * 31 + (i < common ? 0 : (who + 1) * 104729)) % (n_vocab - 300);
}

/* Greedy text of random weights repeats itself: looking it up would flatter us. */
static struct engine *serve(struct decoder *d, struct vocab *v, struct team *team)
{
    struct engine *e;
    struct err err;
    struct engine_options o = {.decoder = d, .vocab = v, .team = team, .context = 4096,
                               .sessions = ASKERS + 1, .kv_type = ATTN_F16,
                               .no_lookup = true};
    must(engine_open(&o, &e, &err), &err);
    return e;
}

static double run_askers(struct asker *a, int n, bool together)
{
    double ms = clock_ms();
    for (int i = 0; i < n; i++) {
        pthread_create(&a[i].thread, NULL, ask, &a[i]);
        if (!together)
            pthread_join(a[i].thread, NULL);
    }
    for (int i = 0; i < n && together; i++)
        pthread_join(a[i].thread, NULL);
    return (clock_ms() - ms) / 1000;
}

/* What no order of passes changes: a row of a prompt at best, and a token of one answer or of
 * eight behind PROMPT others. */
struct costs { double row_ms, one_ms, eight_ms; };

static double pass_ms(struct pass *p, struct kvcache *kv, struct pass_part *part, int n_parts)
{
    enum { ROUNDS = 3 };
    double ms[ROUNDS];
    const float *logits;
    for (int i = 0; i < ROUNDS; i++) {
        double begun = clock_ms();
        pass_run(p, kv, part, n_parts, &logits);
        ms[i] = clock_ms() - begun;
    }
    return quantile(ms, ROUNDS, .5);
}

static struct costs measure_costs(struct decoder *d, struct team *team)
{
    enum { MOST = PROMPT + ANSWER };
    static int32_t ids[SLICE];
    const struct decoder_shape *s = decoder_shape_of(d);
    struct kvcache_options o = {ATTN_F16, s->n_layers, s->n_kv_heads, s->head_dim, 0, true};
    struct kvcache *kv;
    struct pass *p;
    struct kv_seq seq[ASKERS] = {0};
    struct pass_part part[ASKERS];
    struct err err;
    int shared;
    o.memory_bytes = kvcache_page_bytes(&o) * ASKERS * (MOST / ATTN_PAGE + 1);
    must(kvcache_new(&o, &kv, &err), &err);
    must(pass_new(d, team, SLICE, ASKERS, MOST, &p, &err), &err);
    for (int i = 0; i < SLICE; i++)
        ids[i] = 300 + i * 7919 % (s->n_vocab - 300);
    for (int i = 0; i < ASKERS; i++) {
        must(kv_begin(kv, &seq[i], ids, 1, MOST, &shared, &err), &err);
        kv_grow(kv, &seq[i], MOST);
        part[i] = (struct pass_part){ids + i, 1, PROMPT, 1, &seq[i]};
    }
    struct costs c = {.one_ms = pass_ms(p, kv, part, 1), .eight_ms = pass_ms(p, kv, part, ASKERS)};
    part[0] = (struct pass_part){ids, SLICE, 0, 0, &seq[0]};
    c.row_ms = pass_ms(p, kv, part, 1) / SLICE;
    for (int i = 0; i < ASKERS; i++)
        kv_end(kv, &seq[i]);
    pass_free(p);
    kvcache_free(kv);
    return c;
}

static double rows_of(const struct asker *a, int n)
{
    int rows = 0;
    for (int i = 0; i < n; i++)
        rows += a[i].reply.usage.prompt_tokens - a[i].reply.usage.cached_tokens;
    return rows;
}

/* Each way on an engine of its own: nothing is left over from the other. All together between
 * half of those alone and the other half, for a virtual machine's memory has its moods. */
static void bench_together(struct decoder *d, struct vocab *v, struct team *team, const char *input,
                           int common)
{
    static struct asker a[ASKERS], b[ASKERS];
    struct engine *alone = serve(d, v, team), *together = serve(d, v, team);
    for (int i = 0; i < ASKERS; i++) {
        fill_prompt(&a[i], alone, i, PROMPT, common, decoder_shape_of(d)->n_vocab);
        fill_prompt(&b[i], together, i, PROMPT, common, decoder_shape_of(d)->n_vocab);
    }
    double s_alone = run_askers(a, ASKERS / 2, false), s = run_askers(b, ASKERS, true);
    s_alone += run_askers(a + ASKERS / 2, ASKERS - ASKERS / 2, false);
    engine_close(alone);
    engine_close(together);
    struct costs c = measure_costs(d, team);
    double least_alone = rows_of(a, ASKERS) * c.row_ms + ASKERS * ANSWER * c.one_ms;
    double least = rows_of(b, ASKERS) * c.row_ms + ANSWER * c.eight_ms, first[ASKERS];
    double tokens = ASKERS * (PROMPT + ANSWER);
    char in[128];
    for (int i = 0; i < ASKERS; i++)
        first[i] = b[i].reply.usage.wait_ms + b[i].reply.usage.prefill_ms;
    snprintf(in, sizeof(in), "%s, %d of %d in common", input, common, PROMPT);
    show("eight", in, "one_by_one_tokens/s", tokens / s_alone);
    show("eight", in, "together_tokens/s", tokens / s);
    show("eight", in, "together_to_one_by_one", s_alone / s);
    show("eight", in, "bound_together_tokens/s", tokens / least * 1000);
    show("eight", in, "bound_together_to_one_by_one", least_alone / least);
    show("eight", in, "first_token_ms", quantile(first, ASKERS, .5));
    show("costs", in, "prompt_row_ms", c.row_ms);
    show("costs", in, "token_of_one_ms", c.one_ms);
    show("costs", in, "token_of_eight_ms", c.eight_ms);
}

/* Those between from_ms and to_ms, behind the n there are. */
static int gaps_of(const struct asker *a, double from_ms, double to_ms, double *gaps, int n)
{
    for (int i = 1; i < a->n_at; i++)
        if (a->at[i - 1] > from_ms && a->at[i] < to_ms)
            gaps[n++] = a->at[i] - a->at[i - 1];
    return n;
}

/* Gaps between an answer's tokens while long prompts are computed, and between these. */
static void bench_gaps(struct decoder *d, struct vocab *v, struct team *team, const char *input)
{
    enum { PROMPTS = 3, IDLE_MS = 1500 };
    static struct asker a[2];
    struct engine *e = serve(d, v, team);
    double gaps[2][4096], begun[PROMPTS + 1], ended[PROMPTS + 1], ms = 0;
    int n[2] = {0, 0}, n_vocab = decoder_shape_of(d)->n_vocab;
    fill_prompt(&a[0], e, 0, 64, 0, n_vocab);
    a[0].n_answer = 4000;
    pthread_create(&a[0].thread, NULL, ask, &a[0]);
    for (int i = 0; i <= PROMPTS; i++) {
        usleep(IDLE_MS * 1000);
        begun[i] = ended[i] = clock_ms();
        if (i == PROMPTS)
            break;
        fill_prompt(&a[1], e, 1 + i, LONG, 0, n_vocab);
        a[1].n_answer = 1;
        ask(&a[1]);
        ended[i] = clock_ms();
        ms += ended[i] - begun[i];
    }
    atomic_store(&a[0].enough, true);
    pthread_join(a[0].thread, NULL);
    for (int i = 0; i < PROMPTS; i++) {
        n[1] = gaps_of(&a[0], begun[i], ended[i], gaps[1], n[1]);
        n[0] = gaps_of(&a[0], ended[i], begun[i + 1], gaps[0], n[0]);
    }
    double p50 = quantile(gaps[0], n[0], .5), p99 = quantile(gaps[0], n[0], .99);
    double beside = quantile(gaps[1], n[1], .99);
    show("gap", input, "alone_p50_ms", p50);
    show("gap", input, "alone_p99_ms", p99);
    show("gap", input, "beside_prefill_p50_ms", quantile(gaps[1], n[1], .5));
    show("gap", input, "beside_prefill_p99_ms", beside);
    show("gap", input, "prefill_tokens/s", PROMPTS * LONG / ms * 1000);
    show("gap", input, "p99_to_alone_p99", beside / p99);
    show("gap", input, "p99_to_alone_p50", beside / p50);
    engine_close(e);
}

static void bench_serving(const struct random_shape *s, enum tensor_type type)
{
    /* A document that colleagues ask about; one that they share half of the passages of; none. */
    static const int common[] = {540, 400, 0};
    struct team *team;
    struct decoder *d;
    struct vocab *v;
    struct err err;
    char input[96];
    struct gguf *g = model_open(s, type);
    must(team_new(0, &team, &err), &err);
    must(decoder_open(g, team, DECODER_ROUNDED, NULL, NULL, &d, &err), &err);
    must(vocab_open(g, &v, &err), &err);
    gguf_close(g);
    snprintf(input, sizeof(input), "%s %s", s->name, tensor_type_name(type));
    for (size_t i = 0; i < (getenv("BENCH_QUICK") ? 1 : sizeof(common) / sizeof(*common)); i++)
        bench_together(d, v, team, input, common[i]);
    bench_gaps(d, v, team, input);
    vocab_free(v);
    decoder_free(d);
    team_free(team);
}

int main(void)
{
    const struct random_shape *llama = random_shape_find("llama-3.2-1b");
    const struct random_shape *qwen = random_shape_find("qwen2.5-0.5b");
    static const enum tensor_type types[] = {TENSOR_Q4_0, TENSOR_Q8_0, TENSOR_Q4_K, TENSOR_Q6_K,
                                             TENSOR_BF16, TENSOR_F16};
    show("machine", mat_kernels(), "cores", cpu_get()->cores);
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
        if (!wanted(types[i], false))
            continue;
        bench_model(llama, types[i]);
        if (qwen->embd % tensor_block(types[i]) == 0)
            bench_model(qwen, types[i]);
    }
    static const enum tensor_type served[] = {TENSOR_Q4_0, TENSOR_Q8_0, TENSOR_BF16};
    for (size_t i = 0; i < sizeof(served) / sizeof(*served); i++)
        if (wanted(served[i], true))
            bench_serving(llama, served[i]);
    return 0;
}
