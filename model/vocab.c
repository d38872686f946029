/* model/vocab.c - reading a vocabulary, without trust, and answers about it.
 *
 * Keys and defaults are those of llama.cpp's converter and reader: SPM files
 * have scores, BOS 1, EOS 2, unknown 0 and a space in front of a text unless
 * they say otherwise; BPE files have merges and the name of a pre-tokenizer. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/utf8.h"
#include "model/vocab_int.h"

#define KEY(name) "tokenizer.ggml." name
#define TOKENS KEY("tokens")

/* ---- what a piece is */

static bool looks_like_markup(struct str p)
{
    if (p.len < 3)
        return false;
    char first = p.ptr[0], last = p.ptr[p.len - 1];
    return (first == '<' && last == '>') || (first == '[' && last == ']');
}

/* Ends of a turn, a message or a text in the families we know. */
static bool is_end_name(struct str p)
{
    static const char *const names[] = {
        "<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<|end|>", "<|endoftext|>", "<|end_of_text|>",
        "<end_of_turn>", "<end_of_utterance>", "<EOT>", "_<EOT>", "<|return|>", "<|call|>",
        "<\357\275\234end\342\226\201of\342\226\201sentence\357\275\234>",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (str_eqz(p, names[i]))
            return true;
    return false;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte of "<0x0A>", or -1. */
static int byte_of(struct str p)
{
    if (p.len != 6 || !str_starts(p, STR("<0x")) || p.ptr[5] != '>')
        return -1;
    int hi = hex_digit(p.ptr[3]), lo = hex_digit(p.ptr[4]);
    return hi < 0 || lo < 0 ? -1 : hi * 16 + lo;
}

/* Added pieces in brackets steer, and so do pieces named as the ends that were
 * converted with the wrong kind. */
static bool is_control(const struct vocab *v, int32_t id)
{
    enum vocab_kind kind = v->kinds[id];
    if (kind == VOCAB_CONTROL || kind == VOCAB_UNKNOWN)
        return true;
    if (kind == VOCAB_BYTE || !looks_like_markup(v->pieces[id]))
        return false;
    return kind == VOCAB_ADDED || v->ends[id] || id == v->bos;
}

static void judge(struct vocab *v)
{
    for (int32_t i = 0; i < v->n; i++) {
        enum vocab_kind kind = v->kinds[i];
        v->ends[i] = i == v->eos || is_end_name(v->pieces[i]);
        v->controls[i] = is_control(v, i);
        bool plain = kind == VOCAB_NORMAL || kind == VOCAB_UNDEFINED || kind == VOCAB_UNUSED;
        v->usable[i] = !v->controls[i] && (plain || (kind == VOCAB_ADDED && v->model == VOCAB_SPM));
    }
}

/* ---- arrays of the file */

static enum err_code read_size(struct vocab *v, const struct gguf *g, struct err *err)
{
    size_t n = 0;
    enum err_code rc = gguf_array(g, TOKENS, true, &n, err);
    if (rc)
        return rc;
    if (n < 1 || n > VOCAB_TOKENS_MAX)
        return err_set(err, ERR_FORMAT, "%s: a vocabulary of %zu tokens, want 1 to %zu",
                       gguf_name(g), n, VOCAB_TOKENS_MAX);
    v->n = (int32_t)n;
    v->pieces = calloc(n, sizeof(*v->pieces));
    v->texts = calloc(n, sizeof(*v->texts));
    v->kinds = malloc(n);
    v->controls = calloc(n, sizeof(bool));
    v->usable = calloc(n, sizeof(bool));
    v->ends = calloc(n, sizeof(bool));
    v->strips = calloc(n, sizeof(bool));
    if (!v->pieces || !v->texts || !v->kinds || !v->controls || !v->usable || !v->ends ||
        !v->strips)
        return err_set(err, ERR_NOMEM, "a vocabulary of %zu tokens", n);
    memset(v->kinds, VOCAB_NORMAL, n);
    return OK;
}

/* Copies the pieces into the first half of v->bytes. */
static enum err_code read_pieces(struct vocab *v, const struct gguf *g, struct err *err)
{
    size_t total = 0;
    for (int32_t i = 0; i < v->n; i++) {
        struct str p = gguf_array_str(g, TOKENS, (size_t)i);
        if (p.len > VOCAB_PIECE_MAX)
            return err_set(err, ERR_FORMAT, "%s: token %d has %zu bytes, want at most %zu",
                           gguf_name(g), i, p.len, VOCAB_PIECE_MAX);
        total += p.len;
        v->pieces[i] = p;
    }
    v->bytes = malloc(2 * total + 1);
    if (!v->bytes)
        return err_set(err, ERR_NOMEM, "a vocabulary of %d tokens", v->n);
    char *at = v->bytes;
    for (int32_t i = 0; i < v->n; i++) {
        if (v->pieces[i].len)
            memcpy(at, v->pieces[i].ptr, v->pieces[i].len);
        v->pieces[i].ptr = at;
        at += v->pieces[i].len;
    }
    return OK;
}

/* Arrays beside the tokens must be as long as they are; *has: it is there. */
static enum err_code check_beside(const struct vocab *v, const struct gguf *g, const char *key,
                                  bool *has, struct err *err)
{
    size_t n = 0;
    enum err_code rc = gguf_array(g, key, false, &n, err);
    *has = !rc;
    if (rc == ERR_NOTFOUND)
        return OK;
    if (!rc && n != (size_t)v->n)
        rc = err_set(err, ERR_FORMAT, "%s: key %s has %zu elements for %d tokens", gguf_name(g),
                     key, n, v->n);
    return rc;
}

static enum err_code read_kinds(struct vocab *v, const struct gguf *g, struct err *err)
{
    bool has;
    enum err_code rc = check_beside(v, g, KEY("token_type"), &has, err);
    for (int32_t i = 0; !rc && has && i < v->n; i++) {
        double kind = gguf_array_num(g, KEY("token_type"), (size_t)i);
        if (!(kind >= VOCAB_UNDEFINED && kind <= VOCAB_BYTE) || kind != floor(kind))
            return err_set(err, ERR_FORMAT, "%s: token %d is of kind %.10g, want 0 to 6",
                           gguf_name(g), i, kind);
        v->kinds[i] = (uint8_t)kind;
        if (kind == VOCAB_BYTE && byte_of(v->pieces[i]) < 0)
            return err_set(err, ERR_FORMAT, "%s: token %d is a byte but not written as <0x00>",
                           gguf_name(g), i);
    }
    return rc;
}

/* ---- keys of the file */

static enum err_code read_id(const struct vocab *v, const struct gguf *g, const char *key,
                             int32_t absent, int32_t *id, struct err *err)
{
    int64_t got = absent < v->n ? absent : -1;
    enum err_code rc = gguf_int(g, key, 0, v->n - 1, &got, err);
    *id = (int32_t)got;
    return rc == ERR_NOTFOUND ? OK : rc;
}

static enum err_code read_flag(const struct gguf *g, const char *key, bool absent, bool *out,
                               struct err *err)
{
    *out = absent;
    enum err_code rc = gguf_bool(g, key, out, err);
    return rc == ERR_NOTFOUND ? OK : rc;
}

static enum err_code read_keys(struct vocab *v, const struct gguf *g, struct err *err)
{
    bool spm = v->model == VOCAB_SPM;
    enum err_code rc = read_id(v, g, KEY("bos_token_id"), spm ? 1 : -1, &v->bos, err);
    if (!rc)
        rc = read_id(v, g, KEY("eos_token_id"), spm ? 2 : -1, &v->eos, err);
    if (!rc)
        rc = read_id(v, g, KEY("unknown_token_id"), spm ? 0 : -1, &v->unk, err);
    if (!rc)
        rc = read_id(v, g, KEY("padding_token_id"), -1, &v->pad, err);
    if (!rc)
        rc = read_flag(g, KEY("add_bos_token"), spm || pretoken_adds_bos(v->pre), &v->add_bos, err);
    if (!rc)
        rc = read_flag(g, KEY("add_eos_token"), false, &v->add_eos, err);
    if (!rc)
        rc = read_flag(g, KEY("add_space_prefix"), spm, &v->space_prefix, err);
    v->space_prefix = v->space_prefix && spm;
    return rc;
}

static enum err_code read_model(struct vocab *v, const struct gguf *g, struct err *err)
{
    struct str model = {0}, pre = {0};
    enum err_code rc = gguf_str(g, KEY("model"), &model, err);
    if (rc)
        return rc;
    if (str_eqz(model, "llama")) {
        v->model = VOCAB_SPM;
        return OK;
    }
    if (!str_eqz(model, "gpt2"))
        return err_set(err, ERR_FORMAT, "%s: tokenizer \"%.*s\", want \"llama\" or \"gpt2\"",
                       gguf_name(g), (int)(model.len < 40 ? model.len : 40), model.ptr);
    v->model = VOCAB_BPE;
    rc = gguf_str(g, KEY("pre"), &pre, err);
    if (rc && rc != ERR_NOTFOUND)
        return rc;
    v->pre = pretoken_find(pre);
    if (!v->pre)
        return err_set(err, ERR_FORMAT, "%s: pre-tokenizer \"%.*s\" is not one we know",
                       gguf_name(g), (int)(pre.len < 40 ? pre.len : 40), pre.ptr);
    return OK;
}

/* ---- what pieces stand for */

static size_t unescape(struct str p, char *out)
{
    size_t n = 0;
    for (size_t at = 0; at < p.len;) {
        bool space = str_starts(str_sub(p, at, p.len), STR(SPM_SPACE));
        out[n++] = space ? ' ' : p.ptr[at];
        at += space ? sizeof(SPM_SPACE) - 1 : 1;
    }
    return n;
}

/* Into the second half of v->bytes; control and added pieces of BPE stand for
 * themselves, as do pieces outside its alphabet. */
static void make_texts(struct vocab *v)
{
    struct str last = v->pieces[v->n - 1];
    char *at = (char *)last.ptr + last.len;
    for (int32_t i = 0; i < v->n; i++) {
        struct str p = v->pieces[i];
        int byte = v->kinds[i] == VOCAB_BYTE ? byte_of(p) : -1;
        v->texts[i] = p;
        if (v->controls[i])
            continue;
        size_t n = SIZE_MAX;
        if (byte >= 0) {
            *at = (char)byte;
            n = 1;
        } else if (v->model == VOCAB_SPM) {
            n = unescape(p, at);
        } else if (v->kinds[i] != VOCAB_ADDED) {
            n = bpe_plain(p, at);
            v->usable[i] = v->usable[i] && n != SIZE_MAX;
        }
        if (n == SIZE_MAX)
            continue;
        v->texts[i] = (struct str){at, n};
        at += n;
    }
}

/* Microsoft's Phi-3 declares its markup with `rstrip`, which GGUF cannot say. */
static void read_strips(struct vocab *v, const struct gguf *g)
{
    struct str arch = {0};
    if (v->model != VOCAB_SPM || gguf_str(g, "general.architecture", &arch, NULL) ||
        !str_eqz(arch, "phi3"))
        return;
    for (int32_t i = 0; i < v->n; i++)
        v->strips[i] = v->controls[i] && !str_eqz(v->pieces[i], "<unk>") &&
                       !str_eqz(v->pieces[i], "<s>") && !str_eqz(v->pieces[i], "<|endoftext|>");
}

/* ---- tables */

static int by_bytes(const void *a, const void *b, void *arg)
{
    const struct str *pieces = arg;
    struct str x = pieces[*(const int32_t *)a], y = pieces[*(const int32_t *)b];
    int c = memcmp(x.ptr, y.ptr, x.len < y.len ? x.len : y.len);
    return c ? c : (x.len > y.len) - (x.len < y.len);
}

static bool is_added(const struct vocab *v, int32_t id)
{
    return v->pieces[id].len && (v->controls[id] || v->kinds[id] == VOCAB_ADDED);
}

static enum err_code index_added(struct vocab *v, struct err *err)
{
    for (int32_t i = 0; i < v->n; i++)
        v->n_added += is_added(v, i);
    v->added = malloc((v->n_added + 1) * sizeof(*v->added));
    if (!v->added)
        return err_set(err, ERR_NOMEM, "%zu added tokens", v->n_added);
    size_t n = 0;
    for (int32_t i = 0; i < v->n; i++)
        if (is_added(v, i))
            v->added[n++] = i;
    qsort_r(v->added, n, sizeof(*v->added), by_bytes, v->pieces);
    size_t at = 0;
    for (unsigned c = 0; c < 257; c++) {
        while (at < n && (unsigned char)v->pieces[v->added[at]].ptr[0] < c)
            at++;
        v->first[c] = at;
    }
    return OK;
}

static enum err_code index_names(struct vocab *v, struct err *err)
{
    enum err_code rc = piecemap_init(&v->names, (size_t)v->n, err);
    for (int32_t i = 0; !rc && i < v->n; i++)
        rc = piecemap_put(&v->names, v->pieces, i, err);
    return rc;
}

static enum err_code make_spm(struct vocab *v, const struct gguf *g, struct err *err)
{
    bool has;
    struct spm_source src = {v->pieces, NULL, v->usable, (size_t)v->n, .unk = v->unk};
    enum err_code rc = check_beside(v, g, KEY("scores"), &has, err);
    if (rc)
        return rc;
    float *scores = calloc((size_t)v->n, sizeof(*scores));
    if (!scores)
        return err_set(err, ERR_NOMEM, "scores of %d tokens", v->n);
    for (int32_t i = 0; !rc && has && i < v->n; i++) {
        scores[i] = (float)gguf_array_num(g, KEY("scores"), (size_t)i);
        if (!isfinite(scores[i]))
            rc = err_set(err, ERR_FORMAT, "%s: the score of token %d is not a finite number",
                         gguf_name(g), i);
    }
    for (int c = 0; c < 256; c++)
        src.bytes[c] = -1;
    for (int32_t i = 0; i < v->n; i++)
        if (v->kinds[i] == VOCAB_BYTE)
            src.bytes[byte_of(v->pieces[i])] = i;
    src.scores = scores;
    if (!rc)
        rc = spm_new(&src, &v->spm, err);
    free(scores);
    return rc;
}

static struct str merge_at(const void *arg, size_t i)
{
    return gguf_array_str(arg, KEY("merges"), i);
}

static enum err_code make_bpe(struct vocab *v, const struct gguf *g, struct err *err)
{
    size_t n = 0;
    enum err_code rc = gguf_array(g, KEY("merges"), true, &n, err);
    if (rc)
        return rc;
    const struct bpe_source src = {.plain = v->texts,
                                   .usable = v->usable,
                                   .n = (size_t)v->n,
                                   .merge = merge_at,
                                   .arg = g,
                                   .n_merges = n,
                                   .whole_words = pretoken_whole_words(v->pre),
                                   .unk = v->unk};
    rc = bpe_new(&src, &v->bpe, err);
    return rc == ERR_FORMAT ? err_wrap(err, rc, "%s", gguf_name(g)) : rc;
}

static enum err_code read_all(struct vocab *v, const struct gguf *g, struct err *err)
{
    enum err_code rc = read_model(v, g, err);
    if (!rc)
        rc = read_size(v, g, err);
    if (!rc)
        rc = read_pieces(v, g, err);
    if (!rc)
        rc = read_kinds(v, g, err);
    if (!rc)
        rc = read_keys(v, g, err);
    if (rc)
        return rc;
    judge(v);
    read_strips(v, g);
    make_texts(v);
    rc = index_added(v, err);
    if (!rc)
        rc = index_names(v, err);
    if (!rc)
        rc = v->model == VOCAB_SPM ? make_spm(v, g, err) : make_bpe(v, g, err);
    return rc;
}

enum err_code vocab_open(const struct gguf *g, struct vocab **out, struct err *err)
{
    struct vocab *v = calloc(1, sizeof(*v));
    if (!v)
        return err_set(err, ERR_NOMEM, "a vocabulary");
    enum err_code rc = read_all(v, g, err);
    if (rc)
        vocab_free(v);
    else
        *out = v;
    return rc == ERR_NOTFOUND ? ERR_FORMAT : rc;
}

void vocab_free(struct vocab *v)
{
    if (!v)
        return;
    spm_free(v->spm);
    bpe_free(v->bpe);
    piecemap_free(&v->names);
    free(v->added);
    free(v->strips);
    free(v->ends);
    free(v->usable);
    free(v->controls);
    free(v->kinds);
    free(v->texts);
    free(v->pieces);
    free(v->bytes);
    free(v);
}

/* ---- answers */

static bool has(const struct vocab *v, int32_t id)
{
    return id >= 0 && id < v->n;
}

enum vocab_model vocab_model(const struct vocab *v)
{
    return v->model;
}

int32_t vocab_size(const struct vocab *v)
{
    return v->n;
}

int32_t vocab_bos(const struct vocab *v)
{
    return v->bos;
}

int32_t vocab_eos(const struct vocab *v)
{
    return v->eos;
}

int32_t vocab_pad(const struct vocab *v)
{
    return v->pad;
}

bool vocab_adds_bos(const struct vocab *v)
{
    return v->add_bos && v->bos >= 0;
}

bool vocab_adds_eos(const struct vocab *v)
{
    return v->add_eos && v->eos >= 0;
}

bool vocab_is_end(const struct vocab *v, int32_t id)
{
    return has(v, id) && v->ends[id];
}

struct str vocab_piece(const struct vocab *v, int32_t id)
{
    return has(v, id) ? v->pieces[id] : (struct str){NULL, 0};
}

struct str vocab_text(const struct vocab *v, int32_t id)
{
    return has(v, id) ? v->texts[id] : (struct str){NULL, 0};
}

enum vocab_kind vocab_kind(const struct vocab *v, int32_t id)
{
    return has(v, id) ? (enum vocab_kind)v->kinds[id] : VOCAB_UNUSED;
}

bool vocab_is_control(const struct vocab *v, int32_t id)
{
    return has(v, id) && v->controls[id];
}

int32_t vocab_find(const struct vocab *v, struct str piece)
{
    return piecemap_find(&v->names, v->pieces, piece);
}
