/* model/attn_tile.h - the products of attention, in tiles whose sums stay in registers;
 * included by attn_body.h after LANES and the vectors. */
#define PARTS (16 / LANES)      /* vectors of a panel */

#if LANES == 16
ACT_INLINE vec from_f16(const uint8_t *p)
{
    return (vec)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

ACT_INLINE vec from_i8(const uint8_t *p)
{
    return (vec)_mm512_cvtepi32_ps(
        _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
}
#elif LANES == 8
ACT_INLINE vec from_f16(const uint8_t *p)
{
    return (vec)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}

ACT_INLINE vec from_i8(const uint8_t *p)
{
    return (vec)_mm256_cvtepi32_ps(
        _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}
#else
ACT_INLINE vec from_f16(const uint8_t *p)
{
    uint16_t h[LANES];
    memcpy(h, p, sizeof(h));
    return (vec){tensor_f16_to_f32(h[0]), tensor_f16_to_f32(h[1]), tensor_f16_to_f32(h[2]),
                 tensor_f16_to_f32(h[3])};
}

ACT_INLINE vec from_i8(const uint8_t *p)
{
    int8_t q[LANES];
    memcpy(q, p, sizeof(q));
    return (vec){q[0], q[1], q[2], q[3]};
}
#endif

/* Part v of 16 elements side by side. */
ACT_INLINE vec elements(enum attn_type type, const uint8_t *p, int v)
{
    switch (type) {
    case ATTN_F16:
        return from_f16(p + 2 * LANES * v);
    case ATTN_Q8:
        return from_i8(p + LANES * v);
    default:
        return load((const float *)(const void *)(p + 4 * LANES * v));
    }
}

/* The sums of a tile, in registers once the loops over constants unroll. */
struct sums { vec v[ATTN_ROWS][ATTN_PANELS * PARTS]; };

ACT_INLINE void sums_begin(struct sums *s, const struct attn_tile *t, int rows, int panels)
{
    const float *y = t->y;
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++, y += t->ldy)
#pragma GCC unroll 16
        for (int c = 0; c < panels * PARTS; c++)
            s->v[r][c] = t->first ? (vec){0} : load(y + LANES * c);
}

ACT_INLINE void sums_end(const struct sums *s, const struct attn_tile *t, int rows, int panels)
{
    float *y = t->y;
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++, y += t->ldy)
#pragma GCC unroll 16
        for (int c = 0; c < panels * PARTS; c++)
            store(y + LANES * c, s->v[r][c]);
}

/* Rows of x through one pointer for every three: x[ldx] and x[2 ldx] are addresses an
 * instruction can make, so that no offsets compete for registers. The compiler must
 * not find out that the pointers are related. */
struct rows_of_x { const float *at[(ATTN_ROWS + 2) / 3]; };

ACT_INLINE struct rows_of_x rows_begin(const struct attn_tile *t, int rows)
{
    struct rows_of_x x;
#pragma GCC unroll 16
    for (int r = 0; r < rows; r += 3) {
        x.at[r / 3] = t->x + (size_t)r * t->ldx;
        __asm__("" : "+r"(x.at[r / 3]));
    }
    return x;
}

/* One step: s += x[i] w[i], i the step that the pointers of x stand at. */
ACT_INLINE void step_of(enum attn_type type, struct sums *s, const struct attn_run *run, size_t at,
                        struct rows_of_x *x, size_t ldx, int rows, int panels)
{
    vec w[ATTN_PANELS * PARTS];
#pragma GCC unroll 16
    for (int c = 0; c < panels * PARTS; c++)
        w[c] = elements(type, run->w[c / PARTS] + at, c % PARTS);
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
        float a = x->at[r / 3][(size_t)(r % 3) * ldx];
#pragma GCC unroll 16
        for (int c = 0; c < panels * PARTS; c++)
            s->v[r][c] += a * w[c];
    }
#pragma GCC unroll 16
    for (int r = 0; r < rows; r += 3)
        x->at[r / 3]++;
}

/* What lies as two steps do, but `later` bytes away: every second panel asks for the
 * second step, whose neighbour asks for the first, since both lie in one line. */
ACT_INLINE void fetch(const struct attn_run *run, size_t at, size_t step, int panels)
{
#pragma GCC unroll 4
    for (int c = 0; c < panels; c++)
        __builtin_prefetch((const void *)((uintptr_t)run->w[c] + (uintptr_t)run->later[c / 2] +
                                          at + (size_t)(c % 2) * step));
}

ACT_INLINE void tile_of(enum attn_type type, const struct attn_tile *t, int rows, int panels)
{
    struct sums s;
    sums_begin(&s, t, rows, panels);
    struct rows_of_x x = rows_begin(t, rows);
    size_t ldx = t->ldx, step = t->step;
    const struct attn_run *next = t->run;
    for (int left = t->k; left > 0; left -= t->run_steps) {
        const struct attn_run run = *next++;
        int i = 0, n = left < t->run_steps ? left : t->run_steps;
        size_t at = 0;
        for (; i + 1 < n; i += 2, at += 2 * step) {
            if (type != ATTN_F32)
                fetch(&run, at, step, panels);
            step_of(type, &s, &run, at, &x, ldx, rows, panels);
            step_of(type, &s, &run, at + step, &x, ldx, rows, panels);
        }
        if (i < n)
            step_of(type, &s, &run, at, &x, ldx, rows, panels);
    }
    sums_end(&s, t, rows, panels);
}

/* Rows and panels of every shape: as many sums as there are registers for, and enough of
 * them to hide the latency of an addition where rows are few. Shapes of at least half
 * the whole tile's rows are equally wide: many rows are cut into such. */
#if LANES == 16
#define EACH_SHAPE(CASE)                                                                 \
    CASE(1, 4) CASE(2, 4) CASE(3, 4) CASE(4, 4) CASE(5, 4) CASE(6, 4) CASE(7, 2)         \
    CASE(8, 2) CASE(9, 2) CASE(10, 2) CASE(11, 2) CASE(12, 2) CASE(13, 2) CASE(14, 2)
#define WHOLE_ROWS 14
#elif LANES == 8
#define EACH_SHAPE(CASE) CASE(1, 4) CASE(2, 2) CASE(3, 1) CASE(4, 1) CASE(5, 1) CASE(6, 1)
#define WHOLE_ROWS 6
#else
#define EACH_SHAPE(CASE) CASE(1, 2) CASE(2, 1) CASE(3, 1)
#define WHOLE_ROWS 3
#endif

#define OF_TYPE(name, call)                                                              \
    static void name(const struct attn_tile *t)                                          \
    {                                                                                    \
        switch (t->rows) {                                                               \
            EACH_SHAPE(call)                                                             \
        }                                                                                \
    }
#define CASE_F32(r, p) case r: tile_of(ATTN_F32, t, r, p); break;
#define CASE_F16(r, p) case r: tile_of(ATTN_F16, t, r, p); break;
#define CASE_Q8(r, p)  case r: tile_of(ATTN_Q8, t, r, p); break;
OF_TYPE(tile_f32, CASE_F32)
OF_TYPE(tile_f16, CASE_F16)
OF_TYPE(tile_q8, CASE_Q8)

ACT_INLINE void widen_of(enum attn_type type, const uint8_t *from, size_t step, int k, float *to)
{
    for (int i = 0; i < k; i++)
        for (int v = 0; v < PARTS; v++)
            store(to + i * 16 + v * LANES, elements(type, from + (size_t)i * step, v));
}

static void widen(enum attn_type type, const uint8_t *from, size_t step, int k, float *to)
{
    if (type == ATTN_F32)
        widen_of(ATTN_F32, from, step, k, to);
    else if (type == ATTN_F16)
        widen_of(ATTN_F16, from, step, k, to);
    else
        widen_of(ATTN_Q8, from, step, k, to);
}

#define PANELS_OF(r, p) [r] = p,
