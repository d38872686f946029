/* cmd/model_tokenize.c - what a model file makes of a text: ids and pieces.
 *
 * WordPiece for encoders, SentencePiece and byte-level BPE for language models.
 * Text is plain text: control tokens are put in front, behind and found inside
 * only when asked for (--special). */
#include "cmd/model.h"
#include <stdio.h>
#include <stdlib.h>
#include "model/gguf.h"
#include "model/vocab.h"
#include "model/wordpiece.h"

#define STDIN_MAX ((size_t)64 << 20)

struct tokenizer {
    struct wordpiece *words;   /* one of the two is NULL */
    struct vocab *vocab;
    bool special;
};

static enum err_code open_tokenizer(const struct gguf *g, struct tokenizer *t, struct err *err)
{
    struct str model = STR("");
    enum err_code rc = gguf_str(g, "tokenizer.ggml.model", &model, err);
    if (rc)
        return rc;
    return str_eqz(model, "bert") ? wordpiece_open(g, &t->words, err)
                                  : vocab_open(g, &t->vocab, err);
}

static enum err_code encode(const struct tokenizer *t, struct str text, int32_t *ids, size_t cap,
                            size_t *n, struct err *err)
{
    if (t->words)
        return wordpiece_encode(t->words, text, ids, NULL, cap, n, err);
    int flags = t->special ? VOCAB_TRUSTED | VOCAB_ADD_BOS | VOCAB_ADD_EOS : 0;
    return vocab_encode(t->vocab, text, flags, ids, cap, n, err);
}

static void put_token(const struct tokenizer *t, int32_t id, json_t *ids, json_t *pieces)
{
    if (id < 0)
        return;
    json_array_append_new(ids, json_integer(id));
    json_array_append_new(pieces, json_text(t->words ? wordpiece_piece(t->words, id)
                                                     : vocab_piece(t->vocab, id)));
}

static void tell(const struct tokenizer *t, const int32_t *ids, size_t n)
{
    json_t *id_list = json_array(), *pieces = json_array();
    bool edges = t->words && t->special;   /* vocab_encode has put its own */
    if (edges)
        put_token(t, wordpiece_cls(t->words), id_list, pieces);
    for (size_t i = 0; i < n; i++)
        put_token(t, ids[i], id_list, pieces);
    if (edges)
        put_token(t, wordpiece_sep(t->words), id_list, pieces);
    cmd_json(json_pack("{s:o,s:o}", "ids", id_list, "pieces", pieces));
}

static enum err_code tokenize(const struct tokenizer *t, struct str text, struct err *err)
{
    size_t n = 0;
    int32_t *ids = NULL;
    enum err_code rc = encode(t, text, NULL, 0, &n, err);
    if (!rc && !(ids = malloc((n + 1) * sizeof(*ids))))
        rc = err_set(err, ERR_NOMEM, "%zu ids", n);
    if (!rc)
        rc = encode(t, text, ids, n, &n, err);
    if (!rc)
        tell(t, ids, n);
    free(ids);
    return rc;
}

static enum err_code read_stdin(struct buf *out, struct err *err)
{
    static char bytes[65536];
    size_t n;
    out->max = STDIN_MAX;
    while ((n = fread(bytes, 1, sizeof(bytes), stdin)) > 0)
        buf_add(out, bytes, n);
    return ferror(stdin) ? err_errno(err, "standard input") : buf_ok(out, "standard input", err);
}

int model_tokenize(const struct cmd *c, const char *path, bool special)
{
    struct gguf *g = NULL;
    struct tokenizer t = {.special = special};
    struct buf text = {0};
    struct err err;
    enum err_code rc = gguf_open(path, &g, &err);
    if (!rc)
        rc = open_tokenizer(g, &t, &err);
    if (!rc)
        rc = read_stdin(&text, &err);
    if (!rc)
        rc = tokenize(&t, buf_view(&text), &err);
    buf_free(&text);
    wordpiece_free(t.words);
    vocab_free(t.vocab);
    gguf_close(g);
    return rc ? cmd_fail(c, rc, &err) : cmd_done(CMD_OK);
}
