/* model/attn_plain.c - the bodies of attn_body.h of any x86-64 (SSE2). */
#define LANES 4
#include "model/attn_body.h"

KERNELS(plain);
