/* base/hash.h - XXH3 (xxhash's one door): identity of honest bytes, never trust.
 * A hit on a hash is confirmed by comparing bytes. */
#ifndef CARREL_BASE_HASH_H
#define CARREL_BASE_HASH_H
#include <stddef.h>
#include <stdint.h>
#include "base/str.h"

struct hash128 { uint8_t bytes[16]; };   /* canonical, big endian */

uint64_t hash64(const void *p, size_t n, uint64_t seed);
struct hash128 hash128(const void *p, size_t n);
/* Streaming; hasher_new gives NULL without memory. */
struct hasher;
struct hasher *hasher_new(void);
void hasher_add(struct hasher *h, const void *p, size_t n);
struct hash128 hasher_done(struct hasher *h);   /* and frees it */
void hasher_free(struct hasher *h);
void hash_hex(const uint8_t *bytes, int n, char *out);   /* 2n digits and a NUL */
bool hash_unhex(struct str hex, uint8_t *out, int n);    /* exactly 2n hex digits */
#endif
