/* Limits per address, and the pool's bounded queue. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include "tests/test.h"
#include "web/limit.h"

static struct address v4(uint32_t n)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(n)};
    return address_of((struct sockaddr *)&in);
}

TEST(limit_counts_connections_per_address)
{
    struct limit *l = limit_new(2);
    struct address a = v4(0x7f000001), b = v4(0x7f000002);
    CHECK(limit_enter(l, &a));
    CHECK(limit_enter(l, &a));
    CHECK(!limit_enter(l, &a));
    CHECK(limit_enter(l, &b));
    limit_leave(l, &a);
    CHECK(limit_enter(l, &a));
    limit_free(l);
}

TEST(limit_takes_a_network_of_ipv6_for_one_address)
{
    struct sockaddr_in6 in = {.sin6_family = AF_INET6};
    inet_pton(AF_INET6, "2001:db8:1:2::1", &in.sin6_addr);
    struct address a = address_of((struct sockaddr *)&in);
    inet_pton(AF_INET6, "2001:db8:1:2:ffff::9", &in.sin6_addr);
    struct address b = address_of((struct sockaddr *)&in);
    inet_pton(AF_INET6, "2001:db8:1:3::1", &in.sin6_addr);
    struct address c = address_of((struct sockaddr *)&in);
    CHECK(memcmp(&a, &b, sizeof(a)) == 0);
    CHECK(memcmp(&a, &c, sizeof(a)) != 0);
}

TEST(limit_makes_wrong_keys_wait_and_forgives_with_time)
{
    struct limit *l = limit_new(2);
    struct address a = v4(1), b = v4(2);
    for (int i = 0; i < LIMIT_FAILURES_MAX - 1; i++)
        CHECK_INT(limit_failures(l, &a, 1000, true), 0);
    CHECK(limit_failures(l, &a, 1000, true) > 0);
    CHECK(limit_failures(l, &a, 1000, false) > 0);
    CHECK_INT(limit_failures(l, &b, 1000, false), 0);
    CHECK_INT(limit_failures(l, &a, 1000 + 60000, false), 0);
    limit_free(l);
}

TEST(limit_stays_bounded_under_many_addresses)
{
    struct limit *l = limit_new(2);
    struct address held = v4(5);
    CHECK(limit_enter(l, &held));
    CHECK(limit_enter(l, &held));
    for (uint32_t i = 0; i < 10000; i++) {
        struct address a = v4(0x0a000000 + i);
        CHECK(limit_enter(l, &a));
        limit_leave(l, &a);
        limit_failures(l, &a, 1000 + i, true);
    }
    CHECK(!limit_enter(l, &held)); /* what is connected is not forgotten */
    limit_free(l);
}
