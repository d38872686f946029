/* tests/unit/test_decoder.c - the net against numbers of three independent sources
 * (our PyTorch oracle in tests/golden, an engine's oracle and real models' golden
 * numbers under CARREL_DATA), and against itself: in slices, in company, on teams.
 *
 * Golden numbers are met by a net in floats. Tolerances of the oracle are its
 * README's: F32, and types whose activations stay F32 or nearly so (16 bits for F16),
 * within 2e-3; int8 and BF16 activations within 1.5 times what that engine itself
 * deviates. */
#include <math.h>
#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"
#include "model/mat.h"
#include "tests/unit/decoder_net.h"

#define CONTEXT 512

/* ---- our oracle: parts that the others lack ---- */

/* The run of a golden file with this context: ids[n], want[n][vocab]; gives n. */
static int read_golden(const char *path, int context, int vocab, int32_t *ids, float *want)
{
    struct buf text = {0};
    struct err err = {0};
    CHECK_OK(file_read(path, 1 << 20, &text, &err), &err);
    struct str rest = buf_view(&text), line;
    int n = 0, current = 0;
    while (str_split(&rest, '\n', &line)) {
        if (!line.len || line.ptr[0] == '#')
            continue;
        if (str_starts(line, STR("context "))) {
            current = atoi(line.ptr + 8);
            continue;
        }
        if (current != context)
            continue;
        char *p = (char *)line.ptr;
        ids[n] = (int32_t)strtol(p, &p, 10);
        for (int i = 0; i < vocab; i++)
            want[n * vocab + i] = strtof(p, &p);
        n++;
    }
    buf_free(&text);
    return n;
}

static void check_golden(const char *name, int context)
{
    enum { VOCAB = 40, N = 64 };
    static float want[N * VOCAB];
    int32_t ids[N];
    char path[128], file[128];
    snprintf(path, sizeof(path), "tests/golden/decoder_%s.txt", name);
    snprintf(file, sizeof(file), "tests/golden/decoder_%s.gguf", name);
    struct net n = net_open_as(file, DECODER_EXACT, ATTN_F32, context, 1);
    CHECK_INT(n.s->n_vocab, VOCAB);
    int count = read_golden(path, context, VOCAB, ids, want);
    CHECK(count >= 20);
    float *got = net_logits(&n, ids, count, count);
    for (int i = 0; i < count * VOCAB; i++)
        CHECK_MSG(fabsf(got[i] - want[i]) <= 1e-4f, "%s: position %d, logit %d is %.6f, want %.5f",
                  name, i / VOCAB, i % VOCAB, (double)got[i], (double)want[i]);
    free(got);
    net_close(&n);
}

TEST(decoder_computes_gemma2_with_soft_caps_and_alternating_windows) { check_golden("gemma2", 64); }
TEST(decoder_computes_gemma3_with_two_rotations_and_head_norms) { check_golden("gemma3", 64); }
TEST(decoder_computes_a_sliding_window_in_every_layer) { check_golden("mistral", 64); }
TEST(decoder_computes_wide_heads_that_turn_in_part_by_yarn) { check_golden("qwen3", 64); }
TEST(decoder_computes_long_factors_when_the_context_is_long) { check_golden("phi3", 64); }
TEST(decoder_computes_short_factors_when_the_context_is_short) { check_golden("phi3", 24); }
TEST(decoder_computes_biases_everywhere_and_frequency_factors) { check_golden("biases", 64); }
TEST(decoder_computes_experts_that_have_tensors_of_their_own) { check_golden("experts", 64); }
TEST(decoder_computes_experts_that_lie_in_one_tensor) { check_golden("merged", 64); }

/* ---- the engine's oracle ---- */

static json_t *read_json(const char *path)
{
    struct buf text = {0};
    struct err err = {0};
    json_t *v;
    CHECK_OK(file_read(path, 1 << 24, &text, &err), &err);
    CHECK_OK(json_read(buf_view(&text), &v, &err), &err);
    buf_free(&text);
    return v;
}

static double number(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
}

static int read_ids(const json_t *array, int32_t *ids)
{
    int n = (int)json_array_size(array);
    CHECK(n > 0 && n <= CONTEXT);
    for (int i = 0; i < n; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(array, (size_t)i));
    return n;
}

/* -log softmax(logits)[id] */
static double surprise(const float *logits, int n, int id)
{
    double sum = 0, top = logits[net_best(logits, n)];
    for (int i = 0; i < n; i++)
        sum += exp(logits[i] - top);
    return log(sum) + top - logits[id];
}

/* Mean over ids[1..n), each from the logits of the position before. */
static double mean_nll(const float *logits, int vocab, const int32_t *ids, int n)
{
    double sum = 0;
    for (int i = 1; i < n; i++)
        sum += surprise(logits + (size_t)(i - 1) * (size_t)vocab, vocab, ids[i]);
    return sum / (n - 1);
}

/* Among [[id, logit], ...]: the largest deviation. */
static double top_deviation(const json_t *top, const float *logits)
{
    double worst = 0;
    for (size_t i = 0; i < json_array_size(top); i++) {
        const json_t *pair = json_array_get(top, i);
        double want = json_number_value(json_array_get(pair, 1));
        worst = fmax(worst, fabs(logits[json_integer_value(json_array_get(pair, 0))] - want));
    }
    return worst;
}

static double row_deviation(const json_t *rows, const float *logits, int vocab)
{
    double worst = 0;
    const char *pos;
    json_t *row;
    json_object_foreach((json_t *)rows, pos, row)
        for (size_t i = 0; i < json_array_size(row); i++)
            worst = fmax(worst, fabs(logits[(size_t)atoi(pos) * (size_t)vocab + i] -
                                     json_number_value(json_array_get(row, i))));
    return worst;
}

/* By how much the token that should follow each of ids[from..to) falls short of
 * the best one; 0: it is the best everywhere. */
static double greedy_gap(struct net *n, const int32_t *ids, int from, int to)
{
    double worst = 0;
    float *all = net_logits(n, ids, to, to);
    for (int i = from; i < to; i++) {
        const float *row = all + (size_t)(i - 1) * (size_t)n->s->n_vocab;
        worst = fmax(worst, row[net_best(row, n->s->n_vocab)] - row[ids[i]]);
    }
    free(all);
    return worst;
}

/* Do activations stay F32, or as good as, when they meet this type of weights? */
static bool keeps_f32(const char *name)
{
    return strstr(name, "f32") || strstr(name, "-f16") ||
           (strstr(name, "bf16") && !strstr(mat_kernels(), "bf16"));
}

static void check_oracle(const char *name, const json_t *m, const int32_t *prompt, int n_prompt)
{
    char path[128];
    int32_t ids[CONTEXT];
    snprintf(path, sizeof(path), "oracle/%s.gguf", name);
    struct net n = net_open(data_path(path), ATTN_F32, CONTEXT, 1);
    int vocab = n.s->n_vocab;
    bool exact = keeps_f32(name);
    double tolerance = exact ? 2e-3 : 1.5 * number(m, "peer_abs_dev_on_quantized");
    float *all = net_logits(&n, prompt, n_prompt, n_prompt);
    double rows = row_deviation(json_object_get(m, "rows"), all, vocab);
    double top = top_deviation(json_object_get(m, "last_top8"),
                               all + (size_t)(n_prompt - 1) * (size_t)vocab);
    double nll = fabs(mean_nll(all, vocab, prompt, n_prompt) - number(m, "nll"));
    memcpy(ids, prompt, (size_t)n_prompt * sizeof(*ids));
    int n_all = n_prompt + read_ids(json_object_get(m, "greedy_ids"), ids + n_prompt);
    double gap = greedy_gap(&n, ids, n_prompt, n_all);
    CHECK_MSG(rows <= tolerance, "%s: a logit deviates by %g, %g is allowed", name, rows, tolerance);
    CHECK_MSG(top <= tolerance, "%s: a best logit deviates by %g, %g is allowed", name, top,
              tolerance);
    CHECK_MSG(nll <= (exact ? 1e-3 : .02), "%s: nll deviates by %g", name, nll);
    CHECK_MSG(gap <= (exact ? 1e-3 : 2 * tolerance), "%s: a greedy token is not the best by %g",
              name, gap);
    free(all);
    net_close(&n);
}

TEST(decoder_gives_the_numbers_of_an_independent_engine_for_every_architecture_and_type)
{
    json_t *oracle = read_json(data_path("oracle/decoder.json"));
    int32_t prompt[CONTEXT];
    int n_prompt = read_ids(json_object_get(oracle, "prompt_ids"), prompt), seen = 0;
    const char *name;
    json_t *m;
    json_object_foreach(json_object_get(oracle, "models"), name, m) {
        check_oracle(name, m, prompt, n_prompt);
        seen++;
    }
    CHECK(seen >= 22);
    json_decref(oracle);
}

/* ---- real weights ---- */

static void check_nll(struct net *n, const char *name, const json_t *m, const char *ids_key,
                      const char *nll_key, double tolerance)
{
    int32_t ids[CONTEXT];
    if (!json_object_get(m, ids_key))
        return;
    int count = read_ids(json_object_get(m, ids_key), ids);
    float *all = net_logits(n, ids, count, count);
    double off = fabs(mean_nll(all, n->s->n_vocab, ids, count) - number(m, nll_key));
    CHECK_MSG(off <= tolerance, "%s: %s deviates by %g", name, nll_key, off);
    free(all);
}

/* Golden numbers are float64's over the file's weights, printed to 5 places. F32
 * activations reach 1e-4 of them; int8 ones, like those of llama.cpp, some .1 in
 * a logit and .02 in the mean, and may turn a step whose two best lie closer. The
 * prompt is what greedy_ids begins with: where its eight best are those stated. */
static void check_real(const char *folder, const char *name, const json_t *m)
{
    char path[256];
    int32_t ids[CONTEXT];
    snprintf(path, sizeof(path), "models/%s/%s", folder, name);
    struct net n = net_open(data_path(path), ATTN_F32, CONTEXT, 1);
    bool exact = keeps_f32(name);
    check_nll(&n, name, m, "ids_real", "nll_real", exact ? 1e-4 : .02);
    check_nll(&n, name, m, "ids_shuffled", "nll_shuffled", exact ? 1e-3 : .05);
    check_nll(&n, name, m, "ids_ref", "nll_ref", exact ? 1e-3 : .05);
    int count = read_ids(json_object_get(m, "greedy_ids"), ids), prompt = 0;
    float *all = net_logits(&n, ids, count, count);
    double top = INFINITY, gap = 0;
    for (int i = 0; i < count; i++) {
        double here = top_deviation(json_object_get(m, "top8_after_prompt"),
                                    all + (size_t)i * (size_t)n.s->n_vocab);
        prompt = here < top ? i + 1 : prompt;
        top = here < top ? here : top;
    }
    gap = greedy_gap(&n, ids, prompt, count);
    CHECK_MSG(top <= (exact ? 2e-3 : .2), "%s: a best logit deviates by %g", name, top);
    CHECK_MSG(gap <= (exact ? 1e-3 : .2), "%s: a greedy token is not the best by %g", name, gap);
    free(all);
    net_close(&n);
}

TEST(decoder_gives_the_golden_numbers_of_two_real_models_in_three_types)
{
    static const char *const folders[] = {"stories260K", "TinyStories-656K"};
    for (int i = 0; i < 2; i++) {
        char path[64];
        const char *name;
        json_t *m;
        snprintf(path, sizeof(path), "models/%s/golden.json", folders[i]);
        json_t *golden = read_json(data_path(path));
        json_object_foreach(golden, name, m)
            check_real(folders[i], name, m);
        json_decref(golden);
    }
}
