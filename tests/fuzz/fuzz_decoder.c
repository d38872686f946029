/* tests/fuzz/fuzz_decoder.c - any bytes as a decoder: refused with a sentence, or
 * small enough to load here and then to run a few tokens, whatever the numbers. */
#include <stdlib.h>
#include "llm/decoder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Two parts: three tokens of a prompt, then one more beside another's first. */
static void run(struct pass *p, struct kvcache *kv, struct kv_seq *s)
{
    static const int32_t ids[4] = {0, 0, 0, 0};
    const struct pass_part parts[3] = {{ids, 3, 0, 1, &s[0]}, {ids + 3, 1, 3, 1, &s[0]},
                                       {ids, 1, 0, 1, &s[1]}};
    const float *logits;
    kv_grow(kv, &s[0], 4);
    kv_grow(kv, &s[1], 1);
    pass_run(p, kv, parts, 1, &logits);
    pass_run(p, kv, parts + 1, 2, &logits);
}

static void try_run(const struct decoder *d)
{
    const struct decoder_shape *s = decoder_shape_of(d);
    struct kvcache_options opt = {ATTN_F16, s->n_layers, s->n_kv_heads, s->head_dim, 0, false};
    struct kvcache *kv = NULL;
    struct pass *p = NULL;
    struct kv_seq seq[2] = {{0}};
    const int32_t ids[4] = {0};
    int shared;
    opt.memory_bytes = 2 * kvcache_page_bytes(&opt);
    if (!pass_new(d, NULL, 4, 4, 16, &p, NULL) && !kvcache_new(&opt, &kv, NULL) &&
        !kv_begin(kv, &seq[0], ids, 4, 16, &shared, NULL) &&
        !kv_begin(kv, &seq[1], ids, 1, 16, &shared, NULL))
        run(p, kv, seq);
    if (kv) {
        kv_end(kv, &seq[0]);
        kv_end(kv, &seq[1]);
    }
    kvcache_free(kv);
    pass_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gguf *g;
    struct decoder_shape s;
    struct decoder *d;
    struct err err = {0};
    if (gguf_open_bytes("fuzz", data, size, &g, &err))
        return 0;
    if (decoder_shape(g, &s, &err)) {
        if (!err.msg[0])
            abort();
    } else if (s.weight_bytes < 1 << 22 && !decoder_open(g, NULL, DECODER_AUTO, NULL, NULL, &d, &err)) {
        try_run(d);
        decoder_free(d);
    }
    gguf_close(g);
    return 0;
}
