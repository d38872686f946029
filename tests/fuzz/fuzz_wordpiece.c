/* tests/fuzz/fuzz_wordpiece.c - any vocabulary, any text: the bytes up to the
 * first empty line are pieces, a line each; what is behind it is the text. Ids
 * are in range and never controls, ends rise and stay in the text, and a text
 * cut at white space has the ids of its parts. */
#include <stdlib.h>
#include <string.h>
#include "model/wordpiece.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PIECES 256
#define TOKENS 4096

static void must(bool truth)
{
    if (!truth)
        abort();
}

static size_t encode(const struct wordpiece *w, struct str text, int32_t *ids)
{
    static uint32_t ends[TOKENS];
    size_t n, kept;
    must(wordpiece_encode(w, text, ids, ends, TOKENS, &n, NULL) == OK);
    kept = n < TOKENS ? n : TOKENS;
    for (size_t i = 0; i < kept; i++) {
        must(ids[i] >= 0 && (size_t)ids[i] < wordpiece_size(w));
        must(ids[i] != wordpiece_cls(w) && ids[i] != wordpiece_sep(w));
        must(ends[i] <= text.len && (i == 0 || ends[i] >= ends[i - 1]));
        must(wordpiece_piece(w, ids[i]).ptr != NULL);
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int32_t whole[TOKENS], part[TOKENS];
    struct str pieces[PIECES] = {STR("[UNK]"), STR("[CLS]"), STR("[SEP]")};
    struct str rest = {(const char *)data, size}, line;
    size_t n = 3;
    struct wordpiece *w;
    while (n < PIECES && str_split(&rest, '\n', &line) && line.len)
        pieces[n++] = line;
    if (rest.len > TOKENS / 4 || wordpiece_new(pieces, n, &w, NULL))
        return 0;
    size_t count = encode(w, rest, whole);
    for (size_t i = 0; i < rest.len; i++) {
        if (rest.ptr[i] != ' ')
            continue;
        size_t a = encode(w, str_sub(rest, 0, i), part);
        must(a <= count && memcmp(whole, part, a * sizeof(*part)) == 0);
        size_t b = encode(w, str_sub(rest, i, rest.len), part);
        must(a + b == count && memcmp(whole + a, part, b * sizeof(*part)) == 0);
        break;
    }
    wordpiece_free(w);
    return 0;
}
