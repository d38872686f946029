/* llm/llm.h - the front door to generators: a question and numbered passages
 * in, an answer with [n] marks out, streamed.
 *
 * Engines stand behind it. `extractive` needs no model: it picks and orders the
 * passages' own sentences that answer, verbatim (white space folded), each with
 * its mark, and refuses when none does.
 * Threads   locks inside. Memory  llm_close releases all. */
#ifndef CARREL_LLM_LLM_H
#define CARREL_LLM_LLM_H
#include <stdbool.h>
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "base/thread.h"

struct llm;
struct llm_options {
    const char *model_path;    /* NULL: extractive */
    struct team *team;
};
enum err_code llm_open(const struct llm_options *opt, struct llm **out, struct err *err);
void llm_close(struct llm *m);
const char *llm_name(const struct llm *m);   /* "extractive" */

struct llm_passage { struct str text; struct str heading; double score; };
enum llm_finish { LLM_STOP, LLM_LENGTH, LLM_REFUSED };

struct llm_request {
    struct str question;
    const struct llm_passage *passages;   /* numbered from 1 as they stand */
    int n_passages;
    int max_tokens;            /* 0: the engine's default */
    int max_sentences;         /* extractive; 0: its default */
    double temperature;        /* 0: greedy */
    uint64_t seed;
    /* How well each text answers the question, by meaning: out[n], cosine. May be NULL. */
    enum err_code (*similarity)(void *arg, const struct str *texts, int n, float *out,
                                struct err *err);
    void *similarity_arg;
    /* Rarity of a folded stem in the collection: ln-scaled IDF > 0. May be NULL. */
    double (*idf)(void *arg, struct str stem);
    void *idf_arg;
};
struct llm_reply {
    enum llm_finish finish;
    int prompt_tokens, completion_tokens;
    double confidence;         /* 0..1: of the best sentence, extractive; else 1 */
};
/* Streams the answer through emit (false: the reader left, ERR_CANCELLED). A
 * refusal emits nothing. */
enum err_code llm_answer(struct llm *m, const struct llm_request *req,
                         bool (*emit)(void *arg, struct str piece), void *emit_arg,
                         const struct stop *stop, struct llm_reply *out, struct err *err);
#endif
