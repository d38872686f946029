/* tests/tools/gguf_random.c - writes a model of a well-known shape with random
 * weights, for measuring: gguf_random SHAPE TYPE FILE. */
#include "tests/random_model.h"

static bool type_by_name(const char *name, enum tensor_type *out)
{
    for (int t = 0; t <= 30; t++)
        if (tensor_block((enum tensor_type)t) &&
            strcmp(tensor_type_name((enum tensor_type)t), name) == 0) {
            *out = (enum tensor_type)t;
            return true;
        }
    return false;
}

int main(int argc, char **argv)
{
    enum tensor_type type;
    struct err err;
    const struct random_shape *s = argc == 4 ? random_shape_find(argv[1]) : NULL;
    if (!s || !type_by_name(argv[2], &type)) {
        fprintf(stderr, "usage: gguf_random SHAPE TYPE FILE; TYPE as Q8_0, Q4_K, F16; SHAPE one of");
        for (int i = 0; i < RANDOM_SHAPES; i++)
            fprintf(stderr, " %s", random_shapes[i].name);
        fprintf(stderr, "\n");
        return 2;
    }
    if (random_model_write(s, type, argv[3], &err)) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    return 0;
}
