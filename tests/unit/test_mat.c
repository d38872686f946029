#include "model/mat.h"
#include <math.h>
#include "base/cpu.h"
#include "base/rng.h"
#include "tests/test.h"

/* Every kind that has kernels, and where its blocks keep their F16 scales. */
static const struct kind {
    enum tensor_type type;
    int halves, at[2];
} kinds[] = {
    {TENSOR_F32, 0, {0}},         {TENSOR_F16, 0, {0}},       {TENSOR_BF16, 0, {0}},
    {TENSOR_Q8_0, 1, {0}},        {TENSOR_Q4_0, 1, {0}},      {TENSOR_Q4_1, 2, {0, 2}},
    {TENSOR_Q5_0, 1, {0}},        {TENSOR_Q5_1, 2, {0, 2}},   {TENSOR_Q2_K, 2, {80, 82}},
    {TENSOR_Q3_K, 1, {108}},      {TENSOR_Q4_K, 2, {0, 2}},   {TENSOR_Q5_K, 2, {0, 2}},
    {TENSOR_Q6_K, 1, {208}},
};
enum { KINDS = sizeof(kinds) / sizeof(*kinds) };

static bool is_float(enum tensor_type type)
{
    return tensor_block(type) == 1;
}

/* Computed in whole numbers: the same bits on every processor. */
static bool is_whole(enum tensor_type type)
{
    return !is_float(type) || type == TENSOR_F16;
}

static const struct kind *kind_of(enum tensor_type type)
{
    int i = 0;
    while (kinds[i].type != type)
        i++;
    return &kinds[i];
}

static void *take(size_t bytes)
{
    void *p = malloc(bytes);
    CHECK(p);
    return p;
}

static float *normals(size_t n, uint64_t seed)
{
    float *x = take(n * sizeof(*x));
    struct rng rng;
    rng_init(&rng, seed);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)rng_normal(&rng);
    return x;
}

static void put_half(uint8_t *p, float f)
{
    uint16_t h = tensor_f32_to_f16(f);
    memcpy(p, &h, 2);
}

/* Rows as a file might hold them: any bits, under scales of sane size. */
static struct tensor random_tensor(enum tensor_type type, int n, int k, uint64_t seed)
{
    size_t bytes = (size_t)n * tensor_row_bytes(type, k), step = tensor_block_bytes(type);
    uint8_t *data = take(bytes);
    struct rng rng;
    rng_init(&rng, seed);
    for (size_t i = 0; i < bytes; i++)
        data[i] = (uint8_t)rng_next(&rng);
    const struct kind *kind = kind_of(type);
    for (size_t i = 0; i < bytes; i += step) {
        if (is_float(type)) {
            float x = (float)rng_normal(&rng);
            tensor_quant(type, &x, 1, data + i);
        }
        for (int h = 0; h < kind->halves; h++)
            put_half(data + i + kind->at[h], (float)(rng_unit(&rng) - 0.3) * 0.02f);
    }
    return (struct tensor){.name = STR("w"), .type = type, .n_dims = 2, .ne = {k, n, 1, 1},
                           .data = data, .size_bytes = bytes};
}

static struct mat *packed(struct team *team, const struct tensor *t)
{
    struct mat *w;
    struct err err;
    CHECK_OK(mat_pack(team, t, 0, (int)t->ne[1], &w, &err), &err);
    return w;
}

/* y[m][n] = x w^T + bias, through fresh activations. */
static void product(struct team *team, const struct mat *w, int m, const float *x, const float *bias,
                    float *y)
{
    struct mat_input *in;
    struct err err;
    CHECK_OK(mat_input_new(m, mat_k(w), &in, &err), &err);
    mat_input_set(in, m, mat_k(w), x, (size_t)mat_k(w));
    struct mat_task task = {w, bias, y, (size_t)mat_n(w)};
    mat_mul(team, in, &task, 1);
    mat_input_free(in);
}

static float bf16_of(float x)
{
    uint16_t h;
    float y;
    tensor_quant(TENSOR_BF16, &x, 1, &h);
    tensor_dequant(TENSOR_BF16, &h, 1, &y);
    return y;
}

/* x as the kernels of `type` see it, by the words of mat.h. */
static void seen(enum tensor_type type, int k, const float *x, double *out)
{
    for (int i = 0; i < k; i += 32) {
        int n = k - i < 32 ? k - i : 32;
        float top = 0;
        for (int j = 0; j < n; j++)
            top = fmaxf(top, fabsf(x[i + j]));
        for (int j = 0; j < n; j++) {
            float q = top > 0 ? nearbyintf(x[i + j] * (127.0f / top)) : 0;
            out[i + j] = !is_float(type)          ? (double)q * (double)(top / 127.0f)
                         : type == TENSOR_BF16 && cpu_get()->bf16 ? (double)bf16_of(x[i + j])
                                                  : (double)x[i + j];
        }
    }
}

/* Of 16-bit numbers each is off by at most 1/11000 of its block's root mean square, or
 * 1/64000 of its largest, which is the more only where it is six times that or more. Errors
 * add up like noise; test_mat_fixed.c has the closer look. */
static double noise_of(int k, const float *w, const float *x)
{
    double noise = 0;
    for (int i = 0; i < k; i += 64) {
        double ww = 0, xx = 0, top_w = 0, top_x = 0;
        for (int j = i; j < i + 64 && j < k; j++) {
            ww += (double)w[j] * (double)w[j];
            xx += (double)x[j] * (double)x[j];
            top_w = fmax(top_w, fabs((double)w[j]));
            top_x = fmax(top_x, fabs((double)x[j]));
        }
        double off_w = fmax(sqrt(ww / 64) / 11000, top_w / 64000);
        double off_x = fmax(sqrt(xx / 64) / 11000, top_x / 64000);
        noise += off_w * off_w * xx + off_x * off_x * ww;
    }
    return 4 * sqrt(noise);
}

/* Row r of y against sums in doubles. An output is a chain of `k` roundings at
 * most, each of a part of the sum of magnitudes. */
static void check_row(const struct tensor *t, const float *x, const float *y)
{
    int k = (int)t->ne[0], n = (int)t->ne[1];
    double *xs = take((size_t)k * sizeof(*xs));
    float *w = take((size_t)k * sizeof(*w));
    seen(t->type, k, x, xs);
    for (int c = 0; c < n; c++) {
        double sum = 0, size = 0;
        tensor_row(t, c, w);
        for (int i = 0; i < k; i++) {
            sum += (double)w[i] * xs[i];
            size += fabs((double)w[i] * xs[i]);
        }
        int chain = is_float(t->type) ? k : k / 8;
        /* A code times its scale and the minimum cancel: their sizes count apart. */
        double slack = is_float(t->type) ? 1 : 16;
        double noise = t->type == TENSOR_F16 ? noise_of(k, w, x) : 0;
        CHECK_NEAR(y[c], sum, slack * size * 0x1p-24 * sqrt(chain + 16.0) + noise);
    }
    free(xs);
    free(w);
}

static void check_products(enum tensor_type type, int n, int k, int m)
{
    struct tensor t = random_tensor(type, n, k, (uint64_t)(n + k + m));
    struct mat *w = packed(NULL, &t);
    float *x = normals((size_t)(m * k), 7), *y = take((size_t)(m * n) * sizeof(*y));
    CHECK_INT(mat_n(w), n);
    CHECK_INT(mat_k(w), k);
    CHECK(mat_type(w) == type && mat_size_bytes(w) == mat_bytes(type, n, k));
    product(NULL, w, m, x, NULL, y);
    for (int r = 0; r < m; r++)
        check_row(&t, x + (size_t)r * (size_t)k, y + (size_t)r * (size_t)n);
    mat_free(w);
    free((void *)t.data);
    free(x);
    free(y);
}

static void check_every_shape(void)
{
    static const int shapes[][3] = {{16, 256, 1}, {1, 256, 2},    {37, 512, 5},
                                    {33, 256, 40}, {20, 2560, 3}, {48, 2304, 17}};
    static const int small[][3] = {{5, 32, 1}, {17, 96, 3}, {16, 64, 33}};
    for (int i = 0; i < KINDS; i++) {
        for (size_t s = 0; s < sizeof(shapes) / sizeof(*shapes); s++)
            check_products(kinds[i].type, shapes[s][0], shapes[s][1], shapes[s][2]);
        for (size_t s = 0; s < sizeof(small) / sizeof(*small); s++)
            if (tensor_block(kinds[i].type) <= 32)
                check_products(kinds[i].type, small[s][0], small[s][1], small[s][2]);
    }
    check_products(TENSOR_F32, 19, 7, 3);
    check_products(TENSOR_F16, 19, 7, 3);
    check_products(TENSOR_BF16, 19, 7, 3);
}

TEST(mat_products_are_sums_over_the_weights_a_file_means)
{
    check_every_shape();
}

TEST(mat_products_are_right_with_avx2_alone)
{
    cpu_limit(CPU_AVX2);
    check_every_shape();
}

TEST(mat_products_are_right_in_plain_c)
{
    cpu_limit(CPU_PLAIN);
    check_every_shape();
}

/* All codes and all of x at their largest: where 16-bit sums would overflow. */
static void check_largest(void)
{
    enum { N = 16, K = 256, M = 7 };
    float x[M * K], y[M * N];
    for (int i = 0; i < M * K; i++)
        x[i] = i / K % 2 ? 1 : -1;
    for (int i = 0; i < KINDS; i++) {
        if (is_float(kinds[i].type))
            continue;
        struct tensor t = random_tensor(kinds[i].type, N, K, 1);
        uint8_t *data = (uint8_t *)t.data;
        memset(data, kinds[i].type == TENSOR_Q8_0 ? 0x80 : 0xff, t.size_bytes);
        for (size_t b = 0; b < t.size_bytes; b += tensor_block_bytes(t.type))
            for (int h = 0; h < kinds[i].halves; h++)
                put_half(data + b + kinds[i].at[h], 0.01f);
        struct mat *w = packed(NULL, &t);
        product(NULL, w, M, x, NULL, y);
        for (int r = 0; r < M; r++)
            check_row(&t, x + r * K, y + r * N);
        mat_free(w);
        free(data);
    }
}

TEST(mat_sums_of_the_largest_numbers_are_exact)
{
    check_largest();
}

TEST(mat_sums_of_the_largest_numbers_are_exact_with_avx2_alone)
{
    cpu_limit(CPU_AVX2);
    check_largest();
}

/* Rounding x to 7 bits costs each product 1/254 of its block's largest at most;
 * such errors add up like noise. */
TEST(mat_products_stay_near_those_of_unrounded_activations)
{
    enum { N = 32, K = 2048 };
    float *x = normals(K, 3), *w = take(K * sizeof(*w));
    float y[N];
    for (int i = 0; i < KINDS; i++) {
        struct tensor t = random_tensor(kinds[i].type, N, K, 5);
        struct mat *mat = packed(NULL, &t);
        product(NULL, mat, 1, x, NULL, y);
        for (int c = 0; c < N; c++) {
            double sum = 0, square = 0;
            tensor_row(&t, c, w);
            for (int j = 0; j < K; j++) {
                sum += (double)w[j] * (double)x[j];
                square += (double)w[j] * (double)w[j];
            }
            CHECK_NEAR(y[c], sum, 0.05 * sqrt(square));
        }
        mat_free(mat);
        free((void *)t.data);
    }
    free(x);
    free(w);
}

static void check_same(const float *got, const float *want, size_t n, const char *what,
                       enum tensor_type type)
{
    for (size_t i = 0; i < n; i++)
        CHECK_MSG(memcmp(got + i, want + i, 4) == 0, "%s, %s: output %zu is %.9g, was %.9g",
                  tensor_type_name(type), what, i, (double)got[i], (double)want[i]);
}

/* Rows [from, from + m) of x computed by themselves, against rows of a larger product. */
static void check_rows_alone(struct team *team, const struct mat *w, const float *x, const float *y,
                             int from, int m)
{
    size_t n = (size_t)mat_n(w), k = (size_t)mat_k(w);
    float *alone = take((size_t)m * n * sizeof(*alone));
    product(team, w, m, x + (size_t)from * k, NULL, alone);
    check_same(alone, y + (size_t)from * n, (size_t)m * n, "rows alone", mat_type(w));
    free(alone);
}

static void check_bits(enum tensor_type type, struct team *const teams[3])
{
    enum { N = 150, K = 2560, M = 45 };
    struct tensor t = random_tensor(type, N, K, 11);
    struct mat *w = packed(teams[1], &t);
    float *x = normals((size_t)M * K, 13), *y = take((size_t)M * N * 4);
    product(NULL, w, M, x, NULL, y);
    for (int m = 1; m <= 20; m++)
        check_rows_alone(teams[m % 3], w, x, y, m, m);
    for (int i = 0; i < 3; i++)
        check_rows_alone(teams[i], w, x, y, 0, M);
    mat_free(w);
    free((void *)t.data);
    free(x);
    free(y);
}

static void check_bits_of_all(void)
{
    struct team *teams[3] = {NULL};
    struct err err;
    CHECK_OK(team_new(2, &teams[1], &err), &err);
    CHECK_OK(team_new(3, &teams[2], &err), &err);
    for (int i = 0; i < KINDS; i++)
        check_bits(kinds[i].type, teams);
    team_free(teams[1]);
    team_free(teams[2]);
}

TEST(mat_rows_have_the_same_bits_in_any_company_on_any_team)
{
    check_bits_of_all();
}

TEST(mat_rows_have_the_same_bits_in_any_company_with_avx2_alone)
{
    cpu_limit(CPU_AVX2);
    check_bits_of_all();
}

TEST(mat_products_of_whole_numbers_have_the_same_bits_on_every_processor)
{
    enum { N = 40, K = 2560, M = 19 };
    float *x = normals((size_t)M * K, 17), *y[KINDS][3];
    x[5] = 1e30f;       /* a block of its own size */
    memset(x + 64, 0, 32 * sizeof(*x));
    memset(x + 128, 0, 32 * sizeof(*x));
    x[130] = 1e-40f;    /* too small to be divided by */
    for (int level = 0; level < 3; level++) {
        if (level)
            cpu_limit(level == 1 ? CPU_AVX2 : CPU_PLAIN);
        for (int i = 0; i < KINDS; i++) {
            if (!is_whole(kinds[i].type))
                continue;
            struct tensor t = random_tensor(kinds[i].type, N, K, 19);
            struct mat *w = packed(NULL, &t);
            y[i][level] = take((size_t)M * N * 4);
            product(NULL, w, M, x, NULL, y[i][level]);
            check_same(y[i][level], y[i][0], (size_t)M * N, level == 1 ? "AVX2" : "plain",
                       kinds[i].type);
            mat_free(w);
            free((void *)t.data);
        }
    }
    for (int i = 0; i < KINDS; i++)
        for (int level = 0; level < 3 && is_whole(kinds[i].type); level++)
            free(y[i][level]);
    free(x);
}

TEST(mat_row_gives_back_what_the_file_held)
{
    enum { N = 35 };
    for (int i = 0; i < KINDS; i++)
        for (int k = 32; k <= 768; k = k == 32 ? 256 : k + 512) {
            if (k % tensor_block(kinds[i].type) || kinds[i].type == TENSOR_F16)
                continue;      /* see test_mat_fixed.c */
            struct tensor t = random_tensor(kinds[i].type, N, k, 23);
            struct mat *w = packed(NULL, &t);
            float got[768], want[768];
            for (int row = 0; row < N; row++) {
                mat_row(w, row, got);
                tensor_row(&t, row, want);
                check_same(got, want, (size_t)k, "row", kinds[i].type);
            }
            mat_free(w);
            free((void *)t.data);
        }
}

TEST(mat_of_an_expert_holds_its_rows_alone)
{
    enum { N = 24, K = 64, EXPERTS = 3 };
    struct tensor t = random_tensor(TENSOR_Q4_0, N * EXPERTS, K, 29);
    t.n_dims = 3;
    t.ne[1] = N;
    t.ne[2] = EXPERTS;
    float got[K], want[K];
    for (int e = 0; e < EXPERTS; e++) {
        struct mat *w;
        struct err err;
        CHECK_OK(mat_pack(NULL, &t, e * N, N, &w, &err), &err);
        CHECK_INT(mat_n(w), N);
        mat_row(w, 7, got);
        tensor_row(&t, e * N + 7, want);
        check_same(got, want, K, "expert", t.type);
        mat_free(w);
    }
    free((void *)t.data);
}

/* The store has room for two of the three: the last takes memory of its own. */
TEST(mat_in_a_store_is_the_same_and_may_overflow_it)
{
    enum { N = 24, K = 512, M = 3 };
    struct tensor t = random_tensor(TENSOR_Q4_0, N, K, 41);
    float *x = normals((size_t)M * K, 43), got[M * N], want[M * N];
    struct mat *alone = packed(NULL, &t), *w[3];
    struct mat_store *store;
    struct err err;
    product(NULL, alone, M, x, NULL, want);
    CHECK_OK(mat_store_new(3 * mat_size_bytes(alone) - 1, &store, &err), &err);
    for (int i = 0; i < 3; i++)
        CHECK_OK(mat_pack_in(store, NULL, &t, 0, N, &w[i], &err), &err);
    mat_free(w[0]);
    for (int i = 1; i < 3; i++) {
        product(NULL, w[i], M, x, NULL, got);
        check_same(got, want, M * N, "stored", t.type);
        mat_free(w[i]);
    }
    mat_store_free(store);
    mat_store_free(NULL);
    mat_free(alone);
    free(x);
    free((void *)t.data);
}

/* Three matrices of different kinds and widths in one call, with a bias, into
 * columns of a wider y, equal the same three by themselves. */
TEST(mat_tasks_share_a_loop_and_write_their_columns_alone)
{
    enum { K = 512, M = 9, TASKS = 3, LDY = 100 };
    static const int n[TASKS] = {33, 16, 21}, at[TASKS] = {0, 40, 70};
    static const enum tensor_type types[TASKS] = {TENSOR_Q4_K, TENSOR_F16, TENSOR_Q6_K};
    float y[M][LDY], alone[M * 40], *x = normals((size_t)M * K, 31), *bias = normals(40, 37);
    struct team *team;
    struct mat_input *in;
    struct mat_task tasks[TASKS];
    struct mat *w[TASKS];
    struct err err;
    CHECK_OK(team_new(2, &team, &err), &err);
    CHECK_OK(mat_input_new(M, K, &in, &err), &err);
    memset(y, 0xff, sizeof(y));
    for (int i = 0; i < TASKS; i++) {
        struct tensor t = random_tensor(types[i], n[i], K, 41);
        w[i] = packed(team, &t);
        tasks[i] = (struct mat_task){w[i], i == 1 ? NULL : bias, &y[0][at[i]], LDY};
        free((void *)t.data);
    }
    mat_input_set(in, M, K, x, K);
    mat_mul(team, in, tasks, TASKS);
    for (int i = 0; i < TASKS; i++) {
        product(NULL, w[i], M, x, i == 1 ? NULL : bias, alone);
        for (int r = 0; r < M; r++) {
            check_same(&y[r][at[i]], alone + r * n[i], (size_t)n[i], "tasks", types[i]);
            CHECK(isnan(y[r][at[i] + n[i]]));
        }
        mat_free(w[i]);
    }
    mat_input_free(in);
    team_free(team);
    free(x);
    free(bias);
}

TEST(mat_input_is_made_anew_by_each_set)
{
    enum { K = 64, N = 16 };
    struct tensor t = random_tensor(TENSOR_Q8_0, N, K, 43);
    struct mat *w = packed(NULL, &t);
    struct mat_input *in;
    struct err err;
    float *x = normals(2 * K, 47), y[2][N], again[N];
    CHECK_OK(mat_input_new(2, K, &in, &err), &err);
    struct mat_task both = {w, NULL, y[0], N}, one = {w, NULL, again, N};
    mat_input_set(in, 2, K, x, K);
    mat_mul(NULL, in, &both, 1);
    mat_input_set(in, 1, K, x + K, K);
    mat_mul(NULL, in, &one, 1);
    check_same(again, y[1], N, "second set", t.type);
    mat_input_set(in, 0, K, x, K);
    mat_mul(NULL, in, &one, 1);      /* no rows: nothing to do */
    check_same(again, y[1], N, "no rows", t.type);
    mat_input_free(in);
    mat_free(w);
    free((void *)t.data);
    free(x);
}

/* A broken row of w or of x gives broken outputs of that row alone. */
static void check_poison(enum tensor_type type)
{
    enum { N = 20, K = 256, M = 18 };
    struct tensor t = random_tensor(type, N, K, 53);
    uint8_t *row = (uint8_t *)t.data + 3 * tensor_row_bytes(type, K);
    struct mat *clean = packed(NULL, &t);
    if (is_float(type)) {
        float nan = NAN;
        tensor_quant(type, &nan, 1, row);
    } else {
        put_half(row + kind_of(type)->at[0], NAN);
    }
    struct mat *w = packed(NULL, &t);
    float *x = normals((size_t)M * K, 59), y[M * N], want[M * N];
    product(NULL, clean, M, x, NULL, want);
    x[5 * K + 100] = INFINITY;
    x[6 * K + 100] = NAN;
    product(NULL, w, M, x, NULL, y);
    for (int r = 0; r < M; r++)
        for (int c = 0; c < N; c++) {
            if (c == 3 || r == 5 || r == 6)
                CHECK_MSG(!isfinite(y[r * N + c]), "%s: %d, %d", tensor_type_name(type), r, c);
            else
                check_same(y + r * N + c, want + r * N + c, 1, "poison", type);
        }
    mat_free(clean);
    mat_free(w);
    free((void *)t.data);
    free(x);
}

static void check_poison_of_all(void)
{
    for (int i = 0; i < KINDS; i++)
        check_poison(kinds[i].type);
}

TEST(mat_keeps_what_is_not_a_number_to_its_own_row)
{
    check_poison_of_all();
}

TEST(mat_keeps_what_is_not_a_number_to_its_own_row_with_avx2_alone)
{
    cpu_limit(CPU_AVX2);
    check_poison_of_all();
}

TEST(mat_keeps_what_is_not_a_number_to_its_own_row_in_plain_c)
{
    cpu_limit(CPU_PLAIN);
    check_poison_of_all();
}

TEST(mat_of_any_bytes_at_all_harms_nothing)
{
    enum { N = 18, K = 512, M = 5 };
    struct rng rng;
    rng_init(&rng, 61);
    float *x = normals((size_t)M * K, 67), y[M * N], row[K];
    for (int round = 0; round < 5 * KINDS; round++) {
        struct tensor t = random_tensor(kinds[round % KINDS].type, N, K, 71);
        for (size_t i = 0; i < t.size_bytes; i++)
            ((uint8_t *)t.data)[i] = (uint8_t)rng_next(&rng);
        struct mat *w = packed(NULL, &t);
        product(NULL, w, M, x, NULL, y);
        mat_row(w, N - 1, row);
        mat_free(w);
        free((void *)t.data);
    }
    free(x);
}

TEST(mat_of_a_shape_without_kernel_is_refused)
{
    struct err err;
    struct mat *w;
    struct mat_input *in;
    float data[256] = {0};
    struct tensor t = {.name = STR("blk.0.w"), .type = TENSOR_Q4_0, .n_dims = 2,
                       .ne = {33, 1, 1, 1}, .data = data};
    CHECK_ERR(mat_pack(NULL, &t, 0, 1, &w, &err), ERR_FORMAT);
    CHECK(!w && strstr(err.msg, "blk.0.w"));
    t.ne[0] = 32;
    CHECK_ERR(mat_pack(NULL, &t, 1, 1, &w, &err), ERR_FORMAT);
    CHECK_ERR(mat_pack(NULL, &t, 0, 0, &w, &err), ERR_FORMAT);
    CHECK_INT(mat_bytes((enum tensor_type)9, 16, 256), 0);
    CHECK_INT(mat_bytes(TENSOR_Q4_K, 16, 128), 0);
    CHECK_INT(mat_bytes(TENSOR_Q4_K, INT64_MAX, 256), 0);
    CHECK_INT(mat_bytes(TENSOR_Q4_K, 16, INT64_MAX - 255), 0);
    CHECK_ERR(mat_input_new(0, 32, &in, &err), ERR_ARG);
}

/* Decoding reads every byte of a panel: it must not cost what the file saved. */
TEST(mat_takes_hardly_more_memory_than_the_file)
{
    for (int i = 0; i < KINDS; i++) {
        size_t file = 64 * tensor_row_bytes(kinds[i].type, 4096);
        CHECK_MSG((double)mat_bytes(kinds[i].type, 64, 4096) <= 1.06 * (double)file, "%s",
                  tensor_type_name(kinds[i].type));
    }
}
