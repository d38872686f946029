#include "base/hash.h"
#include <string.h>
#include <xxhash.h>

uint64_t hash64(const void *p, size_t n, uint64_t seed)
{
    return XXH3_64bits_withSeed(p, n, seed);
}

static struct hash128 canonical(XXH128_hash_t h)
{
    XXH128_canonical_t c;
    struct hash128 out;
    XXH128_canonicalFromHash(&c, h);
    memcpy(out.bytes, c.digest, sizeof(out.bytes));
    return out;
}

struct hash128 hash128(const void *p, size_t n)
{
    return canonical(XXH3_128bits(p, n));
}

/* struct hasher is only ever a name: the state is xxhash's own. */
struct hasher *hasher_new(void)
{
    XXH3_state_t *state = XXH3_createState();
    if (state)
        XXH3_128bits_reset(state);
    return (struct hasher *)state;
}

void hasher_add(struct hasher *h, const void *p, size_t n)
{
    if (n)
        XXH3_128bits_update((XXH3_state_t *)h, p, n);
}

struct hash128 hasher_done(struct hasher *h)
{
    struct hash128 out = canonical(XXH3_128bits_digest((XXH3_state_t *)h));
    hasher_free(h);
    return out;
}

void hasher_free(struct hasher *h)
{
    XXH3_freeState((XXH3_state_t *)h);
}

void hash_hex(const uint8_t *bytes, int n, char *out)
{
    static const char digit[] = "0123456789abcdef";
    for (int i = 0; i < n; i++) {
        out[2 * i] = digit[bytes[i] >> 4];
        out[2 * i + 1] = digit[bytes[i] & 15];
    }
    out[2 * n] = '\0';
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool hash_unhex(struct str hex, uint8_t *out, int n)
{
    if (n < 0 || hex.len != 2 * (size_t)n)
        return false;
    for (size_t i = 0; i < hex.len; i++)
        if (digit_value(hex.ptr[i]) < 0)
            return false;
    for (int i = 0; i < n; i++)
        out[i] = (uint8_t)(digit_value(hex.ptr[2 * i]) << 4 | digit_value(hex.ptr[2 * i + 1]));
    return true;
}
