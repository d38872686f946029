/* The examples of FIPS 180-4 (NIST CSRC, "SHA256.pdf" and "SHA2_Additional.pdf"). */
#include "base/hash.h"
#include "base/sha256.h"
#include "tests/test.h"

static void check_sum(struct sha256 *s, const char *want)
{
    uint8_t sum[SHA256_BYTES];
    char hex[2 * SHA256_BYTES + 1];
    sha256_done(s, sum);
    hash_hex(sum, SHA256_BYTES, hex);
    CHECK_STR(str_of(hex), want);
}

static void check_text(const char *text, const char *want)
{
    for (size_t cut = 0; cut <= strlen(text); cut++) {
        struct sha256 s;
        sha256_init(&s);
        sha256_add(&s, text, cut);
        sha256_add(&s, text + cut, strlen(text) - cut);
        check_sum(&s, want);
    }
}

static void check_many(uint8_t byte, size_t n, size_t step, const char *want)
{
    uint8_t bytes[1000];
    struct sha256 s;
    memset(bytes, byte, sizeof(bytes));
    sha256_init(&s);
    for (size_t left = n; left;) {
        size_t now = left < step ? left : step;
        sha256_add(&s, bytes, now);
        left -= now;
    }
    check_sum(&s, want);
}

TEST(sha256_gives_the_published_sums_wherever_a_text_is_cut)
{
    check_text("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check_text("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check_text("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
               "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    check_text(
        "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnop"
        "qrlmnopqrsmnopqrstnopqrstu",
        "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
}

TEST(sha256_gives_the_published_sums_around_the_end_of_a_block)
{
    check_many(0, 55, 7, "02779466cdec163811d078815c633f21901413081449002f24aa3e80f0b88ef7");
    check_many(0, 56, 56, "d4817aa5497628e7c77e6b606107042bbba3130888c5f47a375e6179be789fbb");
    check_many(0, 57, 1, "65a16cb7861335d5ace3c60718b5052e44660726da4cd13bb745381b235a1785");
    check_many(0, 64, 63, "f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b");
    check_many(0, 1000, 1000, "541b3e9daa09b20bf85fa273e5cbd3e80185aa4ec298e765db87742b70138a53");
    check_many('A', 1000, 64, "c2e686823489ced2017f6059b8b239318b6364f6dcd835d0a519105a1eadd6e4");
    check_many('a', 1000000, 997,
               "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}
