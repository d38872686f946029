/* base/sha256.h - SHA-256 (FIPS 180-4): is this file the one that was published?
 * Threads   one owner. Memory  the caller's. */
#ifndef CARREL_BASE_SHA256_H
#define CARREL_BASE_SHA256_H
#include <stddef.h>
#include <stdint.h>

#define SHA256_BYTES 32

struct sha256 { uint32_t state[8]; uint64_t length; uint8_t block[64]; };
void sha256_init(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *bytes, size_t n);
void sha256_done(struct sha256 *s, uint8_t out[SHA256_BYTES]);   /* then init anew */
#endif
