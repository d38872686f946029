/* llm/grammar_dfa.h - small automata: built as NFAs, made deterministic.
 *
 * Letters are numbers: code points while patterns are worked on, bytes once they
 * are JSON text. M. Rabin and D. Scott, "Finite automata and their decision
 * problems", 1959 (subset construction); K. Thompson, "Regular expression search
 * algorithm", 1968.
 * Every size is bounded: a schema cannot make memory or time explode.
 * Threads   one owner. Memory  nfa_deinit, dfa_free. */
#ifndef CARREL_LLM_GRAMMAR_DFA_H
#define CARREL_LLM_GRAMMAR_DFA_H
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

#define DFA_NONE UINT32_MAX
#define DFA_FAR (1 << 28)            /* more letters than any text has */
#define CODE_POINT_MAX 0x10ffffu

enum nfa_kind { NFA_LETTERS, NFA_FREE, NFA_AT_BEGIN, NFA_AT_END };
struct nfa_edge { uint32_t lo, hi, to, next; enum nfa_kind kind; };
/* The zero value is empty. `failed`: no memory, or past NFA_MAX. */
#define NFA_MAX 200000
struct nfa {
    struct nfa_edge *edges;
    uint32_t *head;                  /* [n] first edge or DFA_NONE */
    uint32_t n, cap, n_edges, cap_edges;
    bool failed;
};
void nfa_deinit(struct nfa *a);
uint32_t nfa_state(struct nfa *a);
void nfa_letters(struct nfa *a, uint32_t from, uint32_t lo, uint32_t hi, uint32_t to);
/* Without a letter: always, only before the first one, only behind the last. */
void nfa_free_step(struct nfa *a, uint32_t from, enum nfa_kind kind, uint32_t to);

struct dfa_edge { uint32_t lo, hi, to; };
struct dfa {                         /* starts in state 0 */
    uint32_t n, n_edges;
    uint32_t *first;                 /* [n + 1] into edges; ranges sorted, disjoint */
    struct dfa_edge *edges;
    bool *accept;                    /* [n] */
    int32_t *dist;                   /* [n] fewest letters to an end, or DFA_FAR */
};
void dfa_free(struct dfa *d);                                       /* NULL is fine */
/* Of the texts that lead from `start` to `end`. Dead states are left out; an
 * empty language is one state that does not accept. ERR_LIMIT past max_states. */
enum err_code dfa_make(struct nfa *a, uint32_t start, uint32_t end, uint32_t max_states,
                       struct dfa **out, struct err *err);
/* Texts that both take. */
enum err_code dfa_both(const struct dfa *a, const struct dfa *b, uint32_t max_states,
                       struct dfa **out, struct err *err);
/* The same, over code points, as a JSON string over bytes: in quotes, escaped
 * where it must be, UTF-8. */
enum err_code dfa_quote(const struct dfa *points, uint32_t max_states, struct dfa **out,
                        struct err *err);
/* dist again, with only those letters below 256 for which has[letter]; NULL: all. */
enum err_code dfa_measure(struct dfa *d, const bool *has, struct err *err);
bool dfa_empty(const struct dfa *d);

static inline uint32_t dfa_step(const struct dfa *d, uint32_t state, uint32_t letter)
{
    for (uint32_t e = d->first[state]; e < d->first[state + 1]; e++)
        if (letter <= d->edges[e].hi)
            return letter >= d->edges[e].lo ? d->edges[e].to : DFA_NONE;
    return DFA_NONE;
}
#endif
