/* The request gate on any bytes: it decides, and a head that it passes is one
 * the rest may trust: its parts lie inside the bytes, and every cut of it only
 * wants more. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include "web/gate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool inside(struct str part, struct str whole)
{
    return part.len == 0 || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str s = {(const char *)data, n};
    struct gate_head g, again;
    struct str name;
    enum gate_verdict v = gate_head(s, &g);
    if (v == GATE_REFUSE)
        assert(g.status >= 400 && g.status < 600 && g.why);
    if (v == GATE_OK) {
        assert(g.len <= n && g.len <= GATE_HEAD_MAX);
        assert(inside(g.method, s) && inside(g.target, s) && inside(g.host, s));
        assert(g.target.len > 0);
        for (size_t cut = 0; cut < g.len && n < 512; cut++)
            assert(gate_head(str_sub(s, 0, cut), &again) == GATE_MORE);
        gate_chunks(str_sub(s, g.len, n));
    }
    gate_chunks(s);
    if (gate_host(s, &name))
        assert(inside(name, s) && name.len > 0);
    struct gate_sender sender = {str_sub(s, 0, n / 2), str_sub(s, n / 2, n), {NULL, 0}, {NULL, 0}};
    gate_sender(&sender, true);
    return 0;
}
