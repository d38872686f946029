/* llm/local.h - a model file that runs here: GGUF -> decoder, vocabulary, engine and template.
 *
 * The file is read, checked and copied at local_open and then closed: what happens
 * to it afterwards changes nothing but `changed_on_disk` in the status.
 * Threads   locks inside. Memory  local_close releases all. Private to llm/. */
#ifndef CARREL_LLM_LOCAL_H
#define CARREL_LLM_LOCAL_H
#include "llm/llm.h"

struct local;
/* opt->model_path is not NULL. ERR_NOMEM with the three sizes and what is available,
 * before anything large is taken. */
enum err_code local_open(const struct llm_options *opt, struct local **out, struct err *err);
void local_close(struct local *l);            /* NULL is fine */
const char *local_name(const struct local *l);
int local_context(const struct local *l);
/* What its answers depend on, as one line: which file was read, by what template, with what cache. */
void local_stamp(const struct local *l, struct buf *out);
int local_count(const struct local *l, struct str text);
json_t *local_status_json(struct local *l);
/* As llm_chat, of this one; messages, stops and ranges have been looked at. */
enum err_code local_chat(struct local *l, const struct llm_chat *req,
                         bool (*emit)(void *arg, const struct llm_piece *piece), void *arg,
                         const struct stop *stop, struct llm_chat_reply *out, struct err *err);
#endif
