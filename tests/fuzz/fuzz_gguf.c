/* tests/fuzz/fuzz_gguf.c - any bytes as a file of weights: refused with a
 * sentence, or every key, string and tensor row can be read, and the encoders
 * open or refuse it. */
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "embed/bert.h"
#include "embed/table.h"
#include "model/gguf.h"
#include "model/wordpiece.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {
    "general.architecture", "general.name", "general.alignment", "bert.block_count",
    "tokenizer.ggml.model", "tokenizer.ggml.tokens", "tokenizer.ggml.scores", "k"};

static void read_key(const struct gguf *g, const char *name)
{
    struct str s = {0};
    int64_t i = 0;
    double d = 0;
    bool yes = false;
    size_t n = 0;
    if (!gguf_str(g, name, &s, NULL) && s.len)
        (void)*(volatile const char *)&s.ptr[s.len - 1];
    gguf_int(g, name, -5, 5, &i, NULL);
    gguf_num(g, name, &d, NULL);
    gguf_bool(g, name, &yes, NULL);
    if (!gguf_array(g, name, true, &n, NULL))
        for (size_t k = 0; k < n; k++) {
            s = gguf_array_str(g, name, k);
            if (s.len)
                (void)*(volatile const char *)&s.ptr[s.len - 1];
        }
    if (!gguf_array(g, name, false, &n, NULL))
        for (size_t k = 0; k < n; k++)
            gguf_array_num(g, name, k);
}

static void read_tensor(const struct tensor *t)
{
    float row[4096];
    if (t->ne[0] > 4096)
        return;
    for (int64_t r = 0; r < t->ne[1] * t->ne[2] * t->ne[3]; r++)
        tensor_row(t, r, row);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gguf *g;
    struct wordpiece *w;
    struct bert *b;
    struct table *t;
    struct err err = {0};
    if (gguf_open_bytes("fuzz", data, size, &g, &err)) {
        if (!err.msg[0])
            abort();
        return 0;
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        read_key(g, names[i]);
    for (size_t i = 0; i < gguf_n_tensors(g); i++)
        read_tensor(gguf_tensor_at(g, i));
    if (!wordpiece_open(g, &w, &err))
        wordpiece_free(w);
    if (!table_open(g, &t, &err))
        table_free(t);
    if (!bert_open(g, 0, &b, &err)) {
        float out[8192];
        int taken;
        struct str text = STR("ba be bi");
        bert_embed(b, NULL, &text, 1, out, NULL, &taken, &err);
        bert_free(b);
    }
    gguf_close(g);
    return 0;
}
