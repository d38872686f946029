/* tests/unit/test_tensor.c - number formats against their definitions. */
#include <math.h>
#include "base/rng.h"
#include "model/tensor.h"
#include "tests/test.h"

/* IEEE 754 binary16 by its definition. */
static double half_value(uint16_t h)
{
    int exp = h >> 10 & 31, man = h & 1023;
    double v = exp ? ldexp(1 + man / 1024.0, exp - 15) : ldexp(man / 1024.0, -14);
    return h & 0x8000 ? -v : v;
}

TEST(tensor_every_half_widens_to_its_value_and_back)
{
    for (unsigned h = 0; h < 65536; h++) {
        float f = tensor_f16_to_f32((uint16_t)h);
        if ((h >> 10 & 31) == 31) {
            CHECK(h & 1023 ? isnan(f) : isinf(f) && (f < 0) == (h >= 0x8000));
            continue;
        }
        CHECK_NEAR(f, half_value((uint16_t)h), 0);
        CHECK_INT(tensor_f32_to_f16(f), h);
    }
}

TEST(tensor_floats_round_to_the_nearest_half_ties_to_even)
{
    for (unsigned h = 0; h < 0x7bff; h++) {
        double a = half_value((uint16_t)h), b = half_value((uint16_t)(h + 1));
        float middle = (float)((a + b) / 2);
        CHECK_INT(tensor_f32_to_f16(middle), h & 1 ? h + 1 : h);
        CHECK_INT(tensor_f32_to_f16(nextafterf(middle, 0)), h);
        CHECK_INT(tensor_f32_to_f16(nextafterf(middle, INFINITY)), h + 1);
        CHECK_INT(tensor_f32_to_f16(-middle), 0x8000 | (h & 1 ? h + 1 : h));
    }
    CHECK_INT(tensor_f32_to_f16(65519.996f), 0x7bff);
    CHECK_INT(tensor_f32_to_f16(65520), 0x7c00);
    CHECK_INT(tensor_f32_to_f16(-INFINITY), 0xfc00);
    CHECK(isnan(tensor_f16_to_f32(tensor_f32_to_f16(NAN))));
    CHECK_INT(tensor_f32_to_f16(0x1p-26f), 0);
}

TEST(tensor_rows_come_back_within_half_a_step)
{
    static const struct { enum tensor_type type; double step; } kinds[] = {
        {TENSOR_F32, 0}, {TENSOR_F16, 0x1p-10}, {TENSOR_BF16, 0x1p-7}, {TENSOR_Q8_0, 1 / 127.0},
        {TENSOR_Q4_0, 1 / 4.0}};           /* of the row's largest value */
    struct rng rng;
    rng_init(&rng, 3);
    for (size_t k = 0; k < sizeof(kinds) / sizeof(*kinds); k++)
        for (int round = 0; round < 50; round++) {
            float x[64], y[64], top[2] = {0};
            uint8_t bytes[256];
            for (int i = 0; i < 64; i++) {
                x[i] = (float)rng_normal(&rng);
                top[i / 32] = fmaxf(top[i / 32], fabsf(x[i]));
            }
            tensor_quant(kinds[k].type, x, 64, bytes);
            tensor_dequant(kinds[k].type, bytes, 64, y);
            for (int i = 0; i < 64; i++)       /* the blocks' scale is itself a half */
                CHECK_NEAR(y[i], x[i], top[i / 32] * (kinds[k].step * 0.5 + 0x1p-11));
        }
}

TEST(tensor_blocks_lie_as_ggml_lays_them)
{
    float x[32] = {0}, y[32];
    uint8_t b[34];
    x[0] = 127;
    x[1] = -64;
    x[31] = 2;
    tensor_quant(TENSOR_Q8_0, x, 32, b);
    CHECK(b[0] == 0x00 && b[1] == 0x3c);   /* the half 1.0, low byte first */
    CHECK((int8_t)b[2] == 127 && (int8_t)b[3] == -64 && (int8_t)b[33] == 2);
    x[0] = -8;
    x[1] = 7;
    x[16] = 3;
    x[31] = -1;
    tensor_quant(TENSOR_Q4_0, x, 32, b);
    CHECK(b[0] == 0x00 && b[1] == 0x3c);
    CHECK_INT(b[2], 0xb0);                 /* element 16 above element 0 */
    CHECK_INT(b[3], 0x8f);
    CHECK_INT(b[17], 0x78);
    tensor_dequant(TENSOR_Q4_0, b, 32, y);
    CHECK(y[0] == -8 && y[1] == 7 && y[16] == 3 && y[31] == -1 && y[2] == 0);
}

TEST(tensor_sizes_follow_the_blocks)
{
    CHECK_INT(tensor_row_bytes(TENSOR_F32, 64), 256);
    CHECK_INT(tensor_row_bytes(TENSOR_BF16, 64), 128);
    CHECK_INT(tensor_row_bytes(TENSOR_Q8_0, 64), 68);
    CHECK_INT(tensor_row_bytes(TENSOR_Q4_0, 64), 36);
    CHECK_INT(tensor_row_bytes(TENSOR_Q5_1, 64), 48);
    CHECK_INT(tensor_row_bytes(TENSOR_Q4_K, 512), 288);
    CHECK_INT(tensor_row_bytes(TENSOR_Q6_K, 256), 210);
    CHECK_INT(tensor_block((enum tensor_type)16), 0);
    CHECK_INT(tensor_block_bytes((enum tensor_type)16), 0);
    CHECK(strcmp(tensor_type_name((enum tensor_type)12), "Q4_K") == 0);
    CHECK(strcmp(tensor_type_name((enum tensor_type)999), "unknown") == 0);
}
