/* llm/remote.h - a generator behind an OpenAI-compatible server.
 *
 * POST {url}/chat/completions, streamed (or /completions for a prompt without
 * turns); wire format: the OpenAI API reference. 408, 429, 5xx and connections
 * that were refused or lost before the first piece of an answer are tried again:
 * after as long as the server asks for (Retry-After; past 30 s it is not tried
 * again), else after half a second, doubled each time, up to 8 s, with jitter. A
 * server that is silent for timeout_ms is not asked again, and after the first
 * piece nothing is. JSON that was asked for is told when it is whole and keeps to
 * the schema; whatever else was written then is a failure. (Where the schema has words
 * that grammar.h does not know, it is only JSON.)
 * The key is sent to that server alone, and is in no message and no log line.
 * Threads   any number of calls at a time. Memory  remote_close releases all. */
#ifndef CARREL_LLM_REMOTE_H
#define CARREL_LLM_REMOTE_H
#include "llm/llm.h"

struct remote;
/* ERR_ARG: a url that is no http(s) address, no model, a key file that cannot be read.
 * Nothing is sent; the texts of `opt` are copied. */
enum err_code remote_open(const struct llm_remote_options *opt, struct remote **out,
                          struct err *err);
void remote_close(struct remote *r);
const char *remote_name(const struct remote *r);
/* One request with its retries; each attempt is logged and added to
 * out->usage.attempts behind those that are there; the rest of *out is set on success.
 * Tokens that the server does not count are estimates (3 bytes each).
 * ERR_ARG, ERR_LIMIT: the server refuses the request, with its sentence; ERR_BUSY: 429
 * to the last; ERR_IO: out of reach, silent, 5xx, broken off, a refused key, no such
 * model, something else than was asked for. Pieces may have been emitted before. */
enum err_code remote_chat(struct remote *r, const struct llm_chat *req,
                          bool (*emit)(void *arg, const struct llm_piece *piece), void *arg,
                          const struct stop *stop, struct llm_chat_reply *out, struct err *err);
#endif
