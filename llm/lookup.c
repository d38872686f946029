#include "llm/lookup.h"

enum {
    GRAM = 2,
    LENGTH_FIRST = 4,
    AGREE_MAX = 16,  /* tokens in front of an occurrence that are compared */
    PAUSE_FIRST = 2, /* tokens; doubled at every miss, to at most PAUSE_MAX */
    PAUSE_MAX = 64
};

/* How many tokens before ids[a] and before ids[b] (a < b) are equal. */
static int agreement(const int32_t *ids, int a, int b)
{
    int k = 0;
    while (k < AGREE_MAX && k < a && ids[a - 1 - k] == ids[b - 1 - k])
        k++;
    return k;
}

/* Where the tokens go on behind an earlier occurrence of the last GRAM: the one with most
 * in common in front of it, the latest of these; -1 when there is none. */
static int find_earlier(const int32_t *ids, int n)
{
    int best = -1, best_agrees = GRAM - 1;
    int32_t last = ids[n - 1];
    for (int at = n - 1; at >= GRAM; at--) {
        if (ids[at - 1] != last)
            continue;
        int k = agreement(ids, at, n);
        if (k > best_agrees) {
            best = at;
            best_agrees = k;
        }
        if (k == AGREE_MAX)
            break;
    }
    return best;
}

int lookup_propose(struct lookup *l, const int32_t *ids, int n, int max, int32_t *out)
{
    if (l->wait > 0) {
        l->wait--;
        return 0;
    }
    int want = l->length > 0 ? l->length : LENGTH_FIRST;
    if (want > max)
        want = max;
    if (want < 1 || n <= GRAM)
        return 0;
    int at = find_earlier(ids, n);
    if (at < 0)
        return 0;
    for (int i = 0; i < want; i++) /* a text that goes in circles goes on in them */
        out[i] = at + i < n ? ids[at + i] : out[at + i - n];
    return want;
}

void lookup_learn(struct lookup *l, int proposed, int accepted)
{
    if (accepted == proposed) {
        l->length = 2 * proposed < LOOKUP_MAX ? 2 * proposed : LOOKUP_MAX;
        l->pause = 0;
        return;
    }
    l->length = accepted + 1;
    if (accepted > 0) {
        l->pause = 0;
        return;
    }
    l->pause = l->pause == 0 ? PAUSE_FIRST : 2 * l->pause;
    if (l->pause > PAUSE_MAX)
        l->pause = PAUSE_MAX;
    l->wait = l->pause;
}
