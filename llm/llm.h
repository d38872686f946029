/* llm/llm.h - the front door to generators.
 *
 * Two kinds of work. llm_answer: a question and numbered passages in, an answer
 * with [n] marks out, by the extractive engine: it needs no model, picks and
 * orders the passages' own sentences that answer, verbatim (white space folded),
 * and refuses when none does. llm_chat: messages in, text out, by a language
 * model: a GGUF file run here, or an OpenAI-compatible server elsewhere; several
 * are tried in the order given until one answers.
 * Threads   locks inside. Memory  llm_close releases all. */
#ifndef CARREL_LLM_LLM_H
#define CARREL_LLM_LLM_H
#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "base/thread.h"

struct llm;
struct llm_remote_options {
    const char *name;          /* for people and `model`; NULL: the host */
    const char *url;           /* "https://host/v1", without /chat/completions */
    const char *model;         /* that the server is asked for */
    const char *key_file;      /* its first line is the key; NULL: none */
    const char *ca_file;       /* as in base/http.h; NULL: none */
    int timeout_ms;            /* to connect, and between two pieces; 0: 60000 */
    int attempts;              /* in all; 0: 3 */
};
enum llm_kv { LLM_KV_F16, LLM_KV_Q8, LLM_KV_F32 };
struct llm_options {
    const char *model_path;    /* GGUF of a decoder; NULL: none */
    const char *family;        /* chat template by name (chat.h); NULL: as the file says */
    struct team *team;
    int context, sessions, queue;          /* 0: as engine.h says */
    enum llm_kv kv;
    size_t kv_bytes;                       /* 0: as engine.h says */
    const struct llm_remote_options *remotes;
    int n_remotes;
    bool remote_first;         /* order of trying: the remotes, then the file */
    int max_tokens;            /* of an answer whose request names none; 0: 1024 */
    double temperature;        /* that llm_temperature tells; 0..2 */
    bool no_reuse, no_lookup;  /* measurements */
    void (*progress)(void *arg, double done);  /* of loading, 0..1; may be NULL */
    void *progress_arg;
};
/* ERR_NOMEM when the weights, the cache and the scratch do not fit in the memory there is, with the
 * three sizes and what is available. */
enum err_code llm_open(const struct llm_options *opt, struct llm **out, struct err *err);
void llm_close(struct llm *m);
/* "extractive", or the name of the first generator tried: general.name or the
 * file's stem; a remote's name. */
const char *llm_name(const struct llm *m);

/* What there is. A remote's context is an estimate: 8192. */
struct llm_model {
    const char *name, *kind;   /* kind: "local", "remote" */
    int context;
    const char *stamp;         /* changes when its answers may: another file under the same name
                                * or template, another server's model */
};
int llm_n_models(const struct llm *m);                         /* 0: extractive only */
struct llm_model llm_model_at(const struct llm *m, int i);     /* in the order tried */
int llm_find(const struct llm *m, struct str name);            /* its place, or -1 */
/* For /v1/status, yours: {} without a model; of a file {"name","file","architecture","template",
 * "context","parameters","weight_bytes","changed_on_disk" (the file is no longer the one that was
 * loaded), "sessions":{"running","waiting","most"}, "kv":{"type","bytes","pages","pages_free"},
 * "tokens":{"prompt","reused","generated","proposed","accepted"},"passes","refused"}; with
 * remotes "remotes":[{"name","url","model"}], never a key. */
json_t *llm_status_json(struct llm *m);

/* ---- extractive answers ---- */

struct llm_passage { struct str text; struct str heading; double score; };
enum llm_finish { LLM_STOP, LLM_LENGTH, LLM_REFUSED };

struct llm_request {
    struct str question;
    const struct llm_passage *passages;   /* numbered from 1 as they stand */
    int n_passages;
    int max_tokens;            /* 0: the engine's default */
    int max_sentences;         /* extractive; 0: its default */
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
    double confidence;         /* 0..1: of the best sentence */
};
/* Streams the answer through emit (false: the reader left, ERR_CANCELLED). A
 * refusal emits nothing. */
enum err_code llm_answer(struct llm *m, const struct llm_request *req,
                         bool (*emit)(void *arg, struct str piece), void *emit_arg,
                         const struct stop *stop, struct llm_reply *out, struct err *err);

/* ---- language models ---- */

enum llm_role { LLM_SYSTEM, LLM_USER, LLM_ASSISTANT };
struct llm_message { enum llm_role role; struct str content; };

struct llm_bias { int32_t id; float add; };
/* The zero value is the default: greedy, until the model ends. */
struct llm_sampling {
    double temperature;        /* 0..2; 0: greedy */
    double top_p, min_p;       /* 0..1; 0: all */
    double repetition;         /* 0 or 1: none; over the last 64 tokens, prompt included */
    double presence, frequency; /* -2..2 */
    int top_k;                 /* 0: all */
    uint64_t seed;             /* 0 is a seed like others */
    const struct llm_bias *bias; /* borrowed; may be NULL */
    int n_bias;
};
struct llm_chat {
    const char *model;         /* by name; NULL: those there are, in order */
    const struct llm_message *messages;    /* n >= 1 */
    int n_messages;
    struct str prompt;         /* instead of messages (n 0): the text as it is, no template */
    int max_tokens;            /* 0: what the context leaves, at most llm_options' max_tokens */
    struct llm_sampling sampling;
    const struct str *stops;
    int n_stops;               /* at most 16 of at most 256 bytes */
    /* "text" (NULL), or a JSON schema; json_object: any object. Borrowed. */
    const json_t *schema;
    bool json_object;
    bool logprobs;
    int n_logprobs;            /* 0..20 beside the one taken */
    /* What was computed of prompts is used again within a circle (of people who may know of
     * each other's prompts) only, for the time saved tells that a prompt is not new.
     * Below 2^63. */
    uint64_t circle;
};
/* Those who may see a collection; those who have a key (0: nobody has one). */
static inline uint64_t llm_circle_of_collection(int64_t id) { return (uint64_t)id << 1; }
static inline uint64_t llm_circle_of_key(int64_t id) { return (uint64_t)id << 1 | 1; }
struct llm_top { struct str text; float logprob; };
struct llm_token {             /* with logprobs */
    struct str bytes;          /* of the token, may be part of a character */
    float logprob;
    const struct llm_top *top; int n_top;
};
struct llm_piece {
    struct str text;           /* whole UTF-8; may be empty */
    const struct llm_token *tokens; int n_tokens;   /* what the text came from, if asked */
};
struct llm_attempt { char name[64]; int status; char error[120]; double ms; };
#define LLM_ATTEMPTS_MAX 8
struct llm_usage {
    int prompt_tokens, cached_tokens, completion_tokens;
    int proposed_tokens, accepted_tokens;       /* by prompt lookup */
    double wait_ms, prefill_ms, decode_ms;
    struct llm_attempt attempts[LLM_ATTEMPTS_MAX]; int n_attempts;
};
struct llm_chat_reply {
    enum llm_finish finish;
    char model[96];            /* that answered */
    struct llm_usage usage;
};
/* An empty piece comes first: the request has its place in the queue of a file's engine, or is
 * about to be sent to a server. Until then a full queue can be told as such.
 * Those that answer to `model` are tried in order: one that failed before it had said
 * anything leaves the request to the next; each try is an attempt in out->usage (also after a
 * failure), with the HTTP status of a remote's and 200 or 0 of the local one's.
 * ERR_NOTFOUND: no such model, or none at all. ERR_ARG: naming what is wrong with
 * an option or the schema. ERR_LIMIT: the messages do not fit the context.
 * ERR_BUSY: the queue is full: try later. ERR_CANCELLED: emit said false, or `stop`. */
enum err_code llm_chat(struct llm *m, const struct llm_chat *req,
                       bool (*emit)(void *arg, const struct llm_piece *piece), void *emit_arg,
                       const struct stop *stop, struct llm_chat_reply *out, struct err *err);
/* Tokens of a text for the first model tried (for a remote an estimate: 3 bytes a token); 0
 * without a model. */
int llm_count(const struct llm *m, struct str text);
/* What the operator wants where a request says nothing (llm.temperature). */
double llm_temperature(const struct llm *m);
#endif
