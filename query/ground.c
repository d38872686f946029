#include "query/ground.h"

#define SUPPORT_ENOUGH 0.5

const char *ground_name(enum grounded g)
{
    static const char *const NAMES[] = {"none", "partial", "full"};
    return NAMES[g];
}

bool ground_opens(double evidence, double min)
{
    return evidence >= min;
}

enum grounded ground_of(double evidence, const struct ground_claims *c)
{
    if (!c->citations)
        return GROUNDED_NONE;
    if (c->bare || c->dropped || c->least_support < SUPPORT_ENOUGH)
        return GROUNDED_PARTIAL;
    return evidence < GROUND_FULL_EVIDENCE ? GROUNDED_PARTIAL : GROUNDED_FULL;
}
