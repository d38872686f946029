/* embed/builtin.c - carries embed/encoder.gguf in the program's constants.
 * The compiler does not see .incbin: embed/encoder.mk names the dependency. */
#include "embed/builtin.h"

__asm__(".pushsection .rodata\n"
        ".balign 64\n"
        ".global builtin_gguf\n"
        ".hidden builtin_gguf\n"
        "builtin_gguf:\n"
        ".incbin \"embed/encoder.gguf\"\n"
        ".global builtin_gguf_end\n"
        ".hidden builtin_gguf_end\n"
        "builtin_gguf_end:\n"
        ".byte 0\n"
        ".popsection\n");

extern const unsigned char builtin_gguf_end[];

size_t builtin_size(void)
{
    return (size_t)(builtin_gguf_end - builtin_gguf);
}
