/* model/mat_block_each.h - unpack_kind and direct_tile for each kind by itself, so that its
 * layout is a constant in them; chosen by type. Included once by each mat_block_*.c that has
 * these two. */
#define FUNCTIONS(name, ...)                                                              \
    static void unpack_##name(const uint8_t *group, struct mat_part *part)                \
    {                                                                                     \
        unpack_kind(&mat_layouts[MAT_LAYOUT_##name], group, part);                        \
    }                                                                                     \
    static void direct_##name(const uint8_t *panel, int blocks, const struct mat_tile *t) \
    {                                                                                     \
        direct_tile(&mat_layouts[MAT_LAYOUT_##name], panel, blocks, t);                   \
    }
MAT_BLOCK_KINDS(FUNCTIONS)

static void unpack(const struct mat_layout *l, const uint8_t *groups, struct mat_part *part)
{
    static void (*const of[])(const uint8_t *, struct mat_part *) = {
#define UNPACK(name, ...) [TENSOR_##name] = unpack_##name,
        MAT_BLOCK_KINDS(UNPACK)};
    of[l->type](groups, part);
}

static void direct(const struct mat_layout *l, const uint8_t *panel, int blocks,
                   const struct mat_tile *t)
{
    static void (*const of[])(const uint8_t *, int, const struct mat_tile *) = {
#define DIRECT(name, ...) [TENSOR_##name] = direct_##name,
        MAT_BLOCK_KINDS(DIRECT)};
    of[l->type](panel, blocks, t);
}
