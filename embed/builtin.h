/* embed/builtin.h - the encoder that is part of the program.
 *
 * The bytes of embed/encoder.gguf (`make encoder` trains it), linked into the
 * read-only data, aligned as a GGUF wants it.
 * Threads   immutable. Private to embed/. */
#ifndef CARREL_EMBED_BUILTIN_H
#define CARREL_EMBED_BUILTIN_H
#include <stddef.h>

extern const unsigned char builtin_gguf[];
/* Bytes in builtin_gguf. */
size_t builtin_size(void);
#endif
