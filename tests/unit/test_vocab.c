/* tests/unit/test_vocab.c - tokenizers on small vocabularies made here; the
 * published vectors are in test_vocab_vectors.c. */
#include "base/rng.h"
#include "base/utf8.h"
#include "model/vocab.h"
#include "tests/test.h"

#define IDS 4096

/* ---- small vocabularies */

struct recipe {
    const char *model, *pre;
    const char *const *tokens;      /* NULL-ended */
    const float *kinds, *scores;    /* or NULL */
    const char *const *merges;      /* NULL-ended, or NULL */
    const char *arch;
    uint32_t bos, eos, unk;         /* 0: not in the file, else id + 1 */
    int space_prefix;               /* 1 false, 2 true */
    int short_by;                   /* scores and kinds are so much shorter */
};

static size_t count(const char *const *list)
{
    size_t n = 0;
    while (list && list[n])
        n++;
    return n;
}

static void put_list(struct gguf_writer *w, const char *key, const char *const *list)
{
    size_t n = count(list);
    struct str *v = calloc(n + 1, sizeof(*v));
    for (size_t i = 0; i < n; i++)
        v[i] = str_of(list[i]);
    if (list)
        gguf_put_strs(w, key, v, n);
    free(v);
}

static void put_id(struct gguf_writer *w, const char *key, uint32_t id)
{
    if (id)
        gguf_put_u32(w, key, id - 1);
}

static struct gguf *file_of(const struct recipe *r)
{
    static int number;
    char path[512];
    struct err err = {0};
    struct gguf *g;
    size_t n = count(r->tokens) - (size_t)r->short_by;
    struct gguf_writer *w = gguf_writer_new();
    snprintf(path, sizeof(path), "%s/v%d.gguf", scratch_dir(), number++);
    if (r->arch)
        gguf_put_str(w, "general.architecture", str_of(r->arch));
    if (r->model)
        gguf_put_str(w, "tokenizer.ggml.model", str_of(r->model));
    if (r->pre)
        gguf_put_str(w, "tokenizer.ggml.pre", str_of(r->pre));
    put_list(w, "tokenizer.ggml.tokens", r->tokens);
    if (r->kinds)
        gguf_put_f32s(w, "tokenizer.ggml.token_type", r->kinds, n);
    if (r->scores)
        gguf_put_f32s(w, "tokenizer.ggml.scores", r->scores, n);
    put_list(w, "tokenizer.ggml.merges", r->merges);
    put_id(w, "tokenizer.ggml.bos_token_id", r->bos);
    put_id(w, "tokenizer.ggml.eos_token_id", r->eos);
    put_id(w, "tokenizer.ggml.unknown_token_id", r->unk);
    if (r->space_prefix)
        gguf_put_bool(w, "tokenizer.ggml.add_space_prefix", r->space_prefix == 2);
    CHECK_OK(gguf_save(w, path, &err), &err);
    gguf_writer_free(w);
    CHECK_OK(gguf_open(path, &g, &err), &err);
    return g;
}

static struct vocab *open_recipe(const struct recipe *r)
{
    struct err err = {0};
    struct vocab *v;
    struct gguf *g = file_of(r);
    CHECK_OK(vocab_open(g, &v, &err), &err);
    gguf_close(g);
    return v;
}

/* Pieces apart by "|", as written in the file. */
static void check_pieces(const struct vocab *v, struct str text, int flags, const char *want)
{
    int32_t ids[IDS];
    size_t n;
    struct err err = {0};
    struct buf got = {0};
    CHECK_OK(vocab_encode(v, text, flags, ids, IDS, &n, &err), &err);
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_char(&got, '|');
        buf_str(&got, vocab_piece(v, ids[i]));
    }
    CHECK_STR(buf_view(&got), want);
    buf_free(&got);
}

static struct str decode_all(const struct vocab *v, const int32_t *ids, size_t n, bool controls,
                             struct buf *out)
{
    struct vocab_decoder d = {.controls = controls, .begins = true};
    buf_reset(out);
    for (size_t i = 0; i < n; i++) {
        vocab_decode(v, &d, ids[i], out);
        CHECK(utf8_valid(buf_view(out)));
    }
    vocab_decode_end(&d, out);
    return buf_view(out);
}

#define SP "\xe2\x96\x81"

static const char *const spm_tokens[] = {
    "<unk>", "<s>", "</s>", "<0xE4>", "<0xB8>", "<0xAD>", "<|user|>", "<think>", "  ",
    SP, "a", "b", "c", SP "a", "ab", "abc", "bc", SP "abc", "s", "<", ">", "/", "</", "<s", NULL};
static const float spm_kinds[] = {2, 3, 3, 6, 6, 6, 3, 4, 4, 1, 1, 1,
                                  1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
static const float spm_scores[] = {0,  0,  0,  0,  0,  0,  0,  0,  0,  -9, -9, -9,
                                   -9, -5, -3, -4, -2, -6, -9, -9, -9, -9, -1, -8};
static const struct recipe spm_recipe = {.model = "llama", .tokens = spm_tokens,
                                         .kinds = spm_kinds, .scores = spm_scores};

/* All bytes as pieces in GPT-2's alphabet, then some more. */
#define BPE_EXTRA 10
static struct vocab *small_bpe(const char *pre)
{
    static const char *const extra[BPE_EXTRA] = {"ab", "abc", "bc", "\xc4\xa0" "a", "<|im_start|>",
                                                 "<|im_end|>", "<think>", "   ", "abab", "dddd"};
    static const float kinds_of[BPE_EXTRA] = {1, 1, 1, 1, 3, 3, 4, 4, 1, 1};
    static const char *const merges[] = {"b c", "a b", "\xc4\xa0 a", "a bc", "ab ab", "d d", "a b",
                                         NULL};
    static char names[256][4];
    const char *tokens[256 + BPE_EXTRA + 1] = {NULL};
    float kinds[256 + BPE_EXTRA];
    struct buf b = {0};
    unsigned next = 0x100;
    for (unsigned c = 0; c < 256; c++) {
        bool visible = (c > 32 && c < 127) || (c > 160 && c != 173);
        buf_reset(&b);
        utf8_encode(&b, visible ? c : next++);
        snprintf(names[c], sizeof(names[c]), "%s", b.ptr);
        tokens[c] = names[c];
        kinds[c] = 1;
    }
    buf_free(&b);
    for (size_t i = 0; i < BPE_EXTRA; i++) {
        tokens[256 + i] = extra[i];
        kinds[256 + i] = kinds_of[i];
    }
    const struct recipe r = {.model = "gpt2", .pre = pre, .tokens = tokens, .kinds = kinds,
                             .merges = merges, .bos = 256 + 5, .eos = 256 + 6};
    return open_recipe(&r);
}

TEST(vocab_spm_joins_the_highest_score_first)
{
    struct vocab *v = open_recipe(&spm_recipe);
    check_pieces(v, STR("abc"), 0, SP "abc");           /* bc, then abc, then with the space */
    check_pieces(v, STR("abc"), VOCAB_CONTINUES, "abc");
    check_pieces(v, STR("aab"), 0, SP "a|ab");
    check_pieces(v, STR("a abc"), 0, SP "a|" SP "abc");
    check_pieces(v, STR(""), 0, "");
    check_pieces(v, STR(""), VOCAB_ADD_BOS | VOCAB_ADD_EOS, "<s>");
    check_pieces(v, STR("c"), VOCAB_ADD_BOS, "<s>|" SP "|c");
    CHECK(vocab_model(v) == VOCAB_SPM && vocab_adds_bos(v) && !vocab_adds_eos(v));
    CHECK(vocab_bos(v) == 1 && vocab_eos(v) == 2 && vocab_pad(v) == -1);
    vocab_free(v);
}

TEST(vocab_spm_falls_back_to_bytes_and_to_one_unknown_for_a_run)
{
    struct vocab *v = open_recipe(&spm_recipe);
    check_pieces(v, STR("\xe4\xb8\xad"), 0, SP "|<0xE4>|<0xB8>|<0xAD>");
    check_pieces(v, STR("zza"), 0, SP "|<unk>|a");
    check_pieces(v, STR("z\xe4"), 0, SP "|<unk>|<0xE4>");
    vocab_free(v);
}

TEST(vocab_control_pieces_in_plain_text_are_letters_and_signs)
{
    struct vocab *v = open_recipe(&spm_recipe);
    check_pieces(v, STR("<s>"), 0, SP "|<s|>");     /* "<s" and ">" could be joined */
    check_pieces(v, STR("</s>"), 0, SP "|</|s|>");
    check_pieces(v, STR("a</s>"), VOCAB_TRUSTED, SP "a|</s>");
    check_pieces(v, STR("<s>a<think>a"), VOCAB_TRUSTED, "<s>|" SP "a|<think>|" SP "a");
    vocab_free(v);
    struct recipe kindless = spm_recipe;            /* BOS is known by its id and its looks */
    kindless.kinds = NULL;
    v = open_recipe(&kindless);
    check_pieces(v, STR("<s>"), 0, SP "|<s|>");
    vocab_free(v);
    v = small_bpe("gpt-2");
    for (int32_t id = 260; id < 263; id++) {
        int32_t ids[64];
        size_t n;
        struct err err = {0};
        CHECK(vocab_is_control(v, id));
        CHECK_OK(vocab_encode(v, vocab_piece(v, id), 0, ids, 64, &n, &err), &err);
        CHECK_INT(n, vocab_piece(v, id).len);
        CHECK_OK(vocab_encode(v, vocab_piece(v, id), VOCAB_TRUSTED, ids, 64, &n, &err), &err);
        CHECK(n == 1 && ids[0] == id);
    }
    vocab_free(v);
}

TEST(vocab_added_pieces_that_are_no_markup_are_found_in_any_text)
{
    struct vocab *v = small_bpe("gpt-2");
    check_pieces(v, STR("a   b"), 0, "a|   |b");
    check_pieces(v, STR("a    b"), 0, "a|   |\xc4\xa0|b");
    CHECK(!vocab_is_control(v, 263) && vocab_kind(v, 263) == VOCAB_ADDED);
    vocab_free(v);
}

/* What a user types beside a template never completes or makes a marker. */
TEST(vocab_parts_find_control_pieces_in_trusted_parts_alone)
{
    struct vocab *v = small_bpe("gpt-2");
    struct err err = {0};
    int32_t ids[200], whole[200];
    size_t n, n_whole;
    const struct vocab_part forged[] = {{STR("<|im_"), true},  {STR("start|>a"), false},
                                        {STR("<|im_end|>"), false}, {STR("<|im"), false},
                                        {STR("_end|>"), true}, {STR("<|im_"), true},
                                        {STR("end|>"), true}};
    CHECK_OK(vocab_encode_parts(v, forged, 7, 0, ids, 200, &n, &err), &err);
    int controls = 0;
    for (size_t i = 0; i < n; i++)
        controls += vocab_is_control(v, ids[i]);
    CHECK_INT(controls, 1);                   /* the last two parts, both trusted */
    CHECK_INT(ids[n - 1], 261);
    const struct vocab_part plain[] = {{STR("<|im_start|>a"), true}, {STR("b"), false},
                                       {STR(""), true}, {STR("c ab"), false},
                                       {STR("<|im_end|>"), true}};
    CHECK_OK(vocab_encode_parts(v, plain, 5, 0, ids, 200, &n, &err), &err);
    CHECK_OK(vocab_encode(v, STR("<|im_start|>abc ab<|im_end|>"), VOCAB_TRUSTED, whole, 200,
                          &n_whole, &err), &err);
    CHECK_INT(n, n_whole);
    CHECK(memcmp(ids, whole, n * sizeof(*ids)) == 0);
    CHECK_OK(vocab_encode_parts(v, NULL, 0, 0, ids, 200, &n, &err), &err);
    CHECK_INT(n, 0);
    vocab_free(v);
}

TEST(vocab_bpe_joins_the_least_rank_first_and_the_leftmost_of_equals)
{
    struct vocab *v = small_bpe("gpt-2");
    check_pieces(v, STR("abc"), 0, "abc");
    check_pieces(v, STR("ab"), 0, "ab");
    check_pieces(v, STR("abab"), 0, "abab");
    check_pieces(v, STR("ababab"), 0, "abab|ab");
    check_pieces(v, STR("x a"), 0, "x|\xc4\xa0" "a");
    check_pieces(v, STR("x ab"), 0, "x|\xc4\xa0|ab");   /* of two "a b" the first counts */
    check_pieces(v, STR("dddd"), 0, "d|d|d|d");   /* "dd" is no piece: it falls apart */
    check_pieces(v, STR("\n\xff"), 0, "\xc4\x8a|\xc3\xbf");
    CHECK(!vocab_adds_bos(v));
    vocab_free(v);
}

TEST(vocab_of_llama3_takes_a_word_that_is_a_piece_whole)
{
    struct vocab *v = small_bpe("llama-bpe");
    check_pieces(v, STR("dddd"), 0, "dddd");
    check_pieces(v, STR("b"), VOCAB_ADD_BOS, "<|im_start|>|b");
    vocab_free(v);
}

TEST(vocab_counts_past_the_room_it_is_given)
{
    struct vocab *v = small_bpe("gpt-2");
    int32_t ids[3] = {-7, -7, -7};
    size_t n;
    struct err err = {0};
    CHECK_OK(vocab_encode(v, STR("xyzxyz"), 0, ids, 2, &n, &err), &err);
    CHECK(n == 6 && ids[1] == 'y' && ids[2] == -7);
    CHECK_OK(vocab_encode(v, STR("xyzxyz"), 0, NULL, 0, &n, &err), &err);
    CHECK_INT(n, 6);
    vocab_free(v);
}

TEST(vocab_answers_about_ids_and_refuses_none)
{
    struct vocab *v = open_recipe(&spm_recipe);
    CHECK_INT(vocab_size(v), count(spm_tokens));
    CHECK_STR(vocab_piece(v, 3), "<0xE4>");
    CHECK_STR(vocab_text(v, 3), "\xe4");
    CHECK_STR(vocab_text(v, 13), " a");
    CHECK_STR(vocab_text(v, 1), "<s>");
    CHECK_INT(vocab_find(v, STR("<|user|>")), 6);
    CHECK_INT(vocab_find(v, STR("nothing")), -1);
    CHECK(vocab_is_end(v, 2) && !vocab_is_end(v, 1));
    for (int32_t id = -2; id < (int32_t)count(spm_tokens) + 2; id += (int32_t)count(spm_tokens) + 2)
        CHECK(!vocab_piece(v, id).ptr && !vocab_text(v, id).ptr && !vocab_is_end(v, id) &&
              !vocab_is_control(v, id) && vocab_kind(v, id) == VOCAB_UNUSED);
    vocab_free(v);
}

TEST(vocab_phi3_markup_takes_the_white_space_behind_it_along)
{
    struct recipe r = spm_recipe;
    r.arch = "phi3";
    struct vocab *v = open_recipe(&r);
    check_pieces(v, STR("<|user|>\n a</s> b<s> a"), VOCAB_TRUSTED,
                 "<|user|>|" SP "a|</s>|" SP "|b|<s>|" SP "|" SP "a");
    vocab_free(v);
}

TEST(vocab_pieces_with_spaces_inside_join_across_words)
{
    static const char *const tokens[] = {"<unk>", "<s>", "</s>", SP, "a", "b", "a" SP, "a" SP "b",
                                         SP SP, NULL};
    static const float scores[] = {0, 0, 0, -9, -9, -9, -1, -2, -3};
    struct vocab *v =
        open_recipe(&(struct recipe){.model = "llama", .tokens = tokens, .scores = scores,
                                     .space_prefix = 1});
    check_pieces(v, STR("a b"), 0, "a" SP "b");
    check_pieces(v, STR("a  b"), 0, "a" SP "|" SP "|b");
    vocab_free(v);
}

/* ---- decoding */

TEST(vocab_decodes_bytes_into_whole_characters_only)
{
    struct vocab *v = open_recipe(&spm_recipe);
    struct buf out = {0};
    struct vocab_decoder d = {0};
    vocab_decode(v, &d, 3, &out);
    vocab_decode(v, &d, 4, &out);
    CHECK_INT(out.len, 0);
    vocab_decode(v, &d, 5, &out);
    CHECK_STR(buf_view(&out), "\xe4\xb8\xad");
    buf_reset(&out);
    vocab_decode(v, &d, 3, &out);             /* broken off by a letter */
    vocab_decode(v, &d, 4, &out);
    vocab_decode(v, &d, 10, &out);
    vocab_decode(v, &d, 4, &out);             /* a byte that begins nothing */
    vocab_decode(v, &d, 3, &out);             /* and one that waits in vain */
    vocab_decode_end(&d, &out);
    CHECK_STR(buf_view(&out), "\xef\xbf\xbd" "a" "\xef\xbf\xbd\xef\xbf\xbd");
    buf_free(&out);
    vocab_free(v);
}

TEST(vocab_decodes_controls_and_the_space_in_front_as_the_caller_chose)
{
    struct vocab *v = open_recipe(&spm_recipe);
    struct buf out = {0};
    const int32_t ids[] = {1, 13, 13, 2, 99, -1};
    CHECK_STR(decode_all(v, ids, 6, false, &out), "a a");
    CHECK_STR(decode_all(v, ids, 6, true, &out), "<s>a a</s>");
    struct vocab_decoder d = {0};
    buf_reset(&out);
    vocab_decode(v, &d, 13, &out);
    CHECK_STR(buf_view(&out), " a");
    buf_free(&out);
    vocab_free(v);
}

/* Random text of scripts, spaces, markers and broken bytes. */
static size_t random_text(struct rng *rng, char *text, size_t max, bool broken)
{
    static const char *const bits[] = {"abc", " ", "  ", "\n", "<|im_end|>", "1234", "don't", "'LL",
                                       "\xc3\xa9", "\xe4\xb8\xad\xe6\x96\x87", "\xf0\x9f\xa6\x99",
                                       "\xe3\x80\x82", "!?", "a\xcc\x81", "\t\r\n", "\xc2\xa0",
                                       "$=", "\xd0\x9d\xd0\xb5", "\xe1\x9e\x80", "X", "yZ"};
    size_t n = 0, len = rng_below(rng, max - 16);
    while (n < len) {
        if (broken && !rng_below(rng, 4)) {
            text[n++] = (char)rng_next(rng);
            continue;
        }
        const char *b = bits[rng_below(rng, sizeof(bits) / sizeof(*bits))];
        memcpy(text + n, b, strlen(b));
        n += strlen(b);
    }
    return n;
}

static const char *const families[] = {"gpt-2", "llama-bpe", "qwen2", "deepseek-llm",
                                       "deepseek-coder", "deepseek-v3", "deepseek-r1-qwen",
                                       "falcon", "mpt", "starcoder", "refact", "tekken", "gpt-4o",
                                       "smollm", "default"};

TEST(vocab_bpe_gives_any_text_back)
{
    struct rng rng;
    rng_init(&rng, 5);
    for (size_t f = 0; f < sizeof(families) / sizeof(*families); f++) {
        struct vocab *v = small_bpe(families[f]);
        struct buf out = {0};
        for (int round = 0; round < 400; round++) {
            char text[200];
            int32_t ids[400];
            size_t n, len = random_text(&rng, text, sizeof(text), round & 1);
            struct err err = {0};
            CHECK_OK(vocab_encode(v, (struct str){text, len}, 0, ids, 400, &n, &err), &err);
            CHECK(n <= len);
            buf_reset(&out);
            for (size_t i = 0; i < n; i++) {
                CHECK(!vocab_is_control(v, ids[i]));
                buf_str(&out, vocab_text(v, ids[i]));
            }
            CHECK_MSG(str_eq(buf_view(&out), (struct str){text, len}), "%s, seed 5, round %d",
                      families[f], round);
        }
        buf_free(&out);
        vocab_free(v);
    }
}

TEST(vocab_words_of_any_length_take_their_time_in_proportion)
{
    struct vocab *v = small_bpe("gpt-2"), *s = open_recipe(&spm_recipe);
    size_t len = 1 << 20, n;
    struct err err = {0};
    char *text = malloc(len);
    for (size_t i = 0; i < len; i++)
        text[i] = "abc"[i % 3];
    CHECK_OK(vocab_encode(v, (struct str){text, len}, 0, NULL, 0, &n, &err), &err);
    CHECK(n >= len / 3 && n < len / 3 + 64);
    CHECK_OK(vocab_encode(s, (struct str){text, len}, 0, NULL, 0, &n, &err), &err);
    CHECK(n >= len / 3 && n < len / 3 + 64);
    memset(text, ' ', len);
    for (size_t f = 0; f < sizeof(families) / sizeof(*families); f++) {
        struct vocab *w = small_bpe(families[f]);
        text[len - 2] = 'x';
        CHECK_OK(vocab_encode(w, (struct str){text, len}, VOCAB_TRUSTED, NULL, 0, &n, &err), &err);
        vocab_free(w);
    }
    free(text);
    vocab_free(v);
    vocab_free(s);
}

/* ---- files that are wrong */

static void check_refused(const struct recipe *r, const char *word)
{
    struct err err = {0};
    struct vocab *v = NULL;
    struct gguf *g = file_of(r);
    CHECK_ERR(vocab_open(g, &v, &err), ERR_FORMAT);
    CHECK_MSG(strstr(err.msg, word) && !v, "%s, want the word %s", err.msg, word);
    gguf_close(g);
}

TEST(vocab_files_that_are_wrong_are_refused_with_a_reason)
{
    static const char *const abc[] = {"a", "b", "c", NULL};
    static const char *const empty[] = {NULL};
    static const float bad_kinds[] = {1, 9, 1}, byte_kinds[] = {1, 6, 1}, half[] = {1, 1.5f, 1};
    static const float nan_scores[] = {0, __builtin_nanf(""), 0}, ones[] = {1, 1, 1};
    static const char *const glued[] = {"a b", "ab", NULL}, *const front[] = {" a", NULL};
    static const char *const back[] = {"a ", NULL};
    static char huge[2000];
    const char *const long_piece[] = {huge, NULL};
    memset(huge, 'x', sizeof(huge) - 1);
    const struct { struct recipe r; const char *word; } bad[] = {
        {{.tokens = abc}, "tokenizer.ggml.model"},
        {{.model = "llama"}, "tokenizer.ggml.tokens"},
        {{.model = "rwkv", .tokens = abc}, "rwkv"},
        {{.model = "llama", .tokens = empty}, "0 tokens"},
        {{.model = "llama", .tokens = long_piece}, "1999 bytes"},
        {{.model = "llama", .tokens = abc, .kinds = ones, .short_by = 1}, "token_type"},
        {{.model = "llama", .tokens = abc, .kinds = bad_kinds}, "kind 9"},
        {{.model = "llama", .tokens = abc, .kinds = half}, "kind 1.5"},
        {{.model = "llama", .tokens = abc, .kinds = byte_kinds}, "is a byte"},
        {{.model = "llama", .tokens = abc, .scores = ones, .short_by = 2}, "scores"},
        {{.model = "llama", .tokens = abc, .scores = nan_scores}, "finite"},
        {{.model = "llama", .tokens = abc, .bos = 4}, "bos_token_id"},
        {{.model = "llama", .tokens = abc, .eos = 1000}, "eos_token_id"},
        {{.model = "llama", .tokens = abc, .unk = 0xffffffffu}, "unknown_token_id"},
        {{.model = "gpt2", .tokens = abc}, "merges"},
        {{.model = "gpt2", .tokens = abc, .merges = glued}, "merge 1"},
        {{.model = "gpt2", .tokens = abc, .merges = front}, "merge 0"},
        {{.model = "gpt2", .tokens = abc, .merges = back}, "merge 0"},
        {{.model = "gpt2", .pre = "none-such", .tokens = abc, .merges = empty}, "none-such"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        check_refused(&bad[i].r, bad[i].word);
}

TEST(vocab_leaves_out_bytes_that_a_file_has_no_piece_for)
{
    static const char *const abc[] = {"a", "b", "?", NULL}, *const none[] = {NULL};
    struct recipe r = {.model = "gpt2", .tokens = abc, .merges = none};
    struct vocab *v = open_recipe(&r);
    check_pieces(v, STR("a-b"), 0, "a|b");
    vocab_free(v);
    r.unk = 3;
    v = open_recipe(&r);
    check_pieces(v, STR("a-b"), 0, "a|?|b");
    vocab_free(v);
}
