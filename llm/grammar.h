/* llm/grammar.h - JSON schemas as automata over bytes: a generator that is held
 * to one cannot write anything that is not valid JSON of that schema.
 *
 * JSON Schema draft 2020-12 (and draft 7's words): type, enum, const, properties,
 * required, additionalProperties, items, prefixItems, minItems, maxItems,
 * minLength, maxLength, pattern (a subset; grammar_pattern.c says which), integer and
 * number with minimum/maximum and the exclusive ones, anyOf, oneOf where its branches
 * cannot both hold, allOf of objects, $ref to $defs (recursive), format of the common kinds.
 * Annotations (title, description, default, examples, $schema, $id, $comment) say nothing.
 * Any other word, and a schema that nothing satisfies, is refused by name before the
 * first token: never ignored.
 * Properties come in the schema's order, white space as one writes JSON on one
 * line or none at all.
 * Threads   a grammar is immutable; a state has one owner. Memory  grammar_free,
 *           gstate_free. */
#ifndef CARREL_LLM_GRAMMAR_H
#define CARREL_LLM_GRAMMAR_H
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "model/vocab.h"

#define GRAMMAR_SCHEMA_BYTES_MAX (64 << 10)

struct grammar;
/* Of a schema; `any` object for {"type":"json_object"} is grammar_json. ERR_ARG with
 * the JSON pointer and the keyword ("/properties/a: `not` is not supported"). */
enum err_code grammar_schema(const json_t *schema, struct grammar **out, struct err *err);
enum err_code grammar_json(struct grammar **out, struct err *err); /* any JSON object */
/* Is a value that somebody else wrote one of the schema? Members may come in any order. True, too,
 * where the schema has words that grammar_schema does not know: then nobody can say here. */
bool grammar_holds(const json_t *schema, const json_t *value);
void grammar_free(struct grammar *g);

/* Where a text stands in a grammar. */
struct gstate;
enum err_code gstate_new(const struct grammar *g, struct gstate **out, struct err *err);
void gstate_free(struct gstate *s);
enum err_code gstate_copy(struct gstate *to, const struct gstate *from, struct err *err);
/* Take bytes; false, and nothing taken, when they cannot follow. */
bool gstate_take(struct gstate *s, struct str bytes);
bool gstate_may_end(const struct gstate *s);     /* the text is whole */
bool gstate_must_end(const struct gstate *s);    /* and nothing may follow */

/* The pieces of a vocabulary as a trie over their bytes. Immutable. */
struct gtrie;
enum err_code gtrie_new(const struct vocab *v, struct gtrie **out, struct err *err);
void gtrie_free(struct gtrie *t);
/* Fit a grammar to a vocabulary, once, before the first gstate_new: what the vocabulary
 * cannot write byte for byte is not begun. A vocabulary that has every byte (most) changes
 * nothing. ERR_ARG: no text of the grammar can be written with it. */
enum err_code grammar_fit(struct grammar *g, const struct gtrie *t, struct err *err);
/* Tokens that may come next: bit i of word i / 64. Ends (vocab_is_end) may when
 * gstate_may_end; other control tokens never. A token whose bytes lead to a text that could
 * never be ended is not among them. `left`: tokens that may still come; when few are left only
 * those that lead towards the end are allowed, so that the text ends whole where
 * the schema lets it (0: no bound). */
void gstate_mask(const struct gstate *s, const struct gtrie *t, int left, uint64_t *allowed);
#endif
