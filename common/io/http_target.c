/* SPDX-License-Identifier: Apache-2.0 */
#include "common/io/http_target.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

/* --- URLs --- */

static char *part(CURLU *parsed, CURLUPart what, unsigned flags)
{
    char *text = NULL;
    if (curl_url_get(parsed, what, &text, flags) != CURLUE_OK) return NULL;
    char *ours = xstrdup(text); /* curl's memory is freed by curl's function only */
    curl_free(text);
    return ours;
}

bool http_target_parse(const char *url, struct http_target *ret, struct err *e)
{
    CURLU *parsed = curl_url();
    ASSERT(parsed);
    CURLUcode code = curl_url_set(parsed, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME);
    if (code != CURLUE_OK) {
        curl_url_cleanup(parsed);
        return err_fail(e, ERR_INVALID, "URL: %s", curl_url_strerror(code));
    }
    AUTO_FREE char *scheme = part(parsed, CURLUPART_SCHEME, 0);
    bool web = scheme && (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    struct http_target t = {
        .url = part(parsed, CURLUPART_URL, 0),
        .host = part(parsed, CURLUPART_HOST, 0),
        .port = part(parsed, CURLUPART_PORT, CURLU_DEFAULT_PORT),
    };
    curl_url_cleanup(parsed);
    if (!web || !t.url || !t.host || !t.host[0] || !t.port) {
        http_target_done(&t);
        return err_fail(e, ERR_INVALID, "URL: only http and https with a host, not '%.40s'",
                        scheme ? scheme : "");
    }
    t.origin = xasprintf("%s://%s:%s", scheme, t.host, t.port);
    *ret = t;
    return true;
}

void http_target_done(struct http_target *t)
{
    free(t->url);
    free(t->host);
    free(t->port);
    free(t->origin);
    *t = (struct http_target){ 0 };
}

/* Whether entry is host or host:port, where host may lack the brackets of an IPv6 address. */
static bool names(const char *entry, const struct http_target *t)
{
    size_t len = strlen(t->host);
    if (strncasecmp(entry, t->host, len) == 0) {
        if (entry[len] == '\0') return true;
        return entry[len] == ':' && strcmp(entry + len + 1, t->port) == 0;
    }
    return t->host[0] == '[' && strlen(entry) == len - 2 &&
           strncasecmp(entry, t->host + 1, len - 2) == 0;
}

bool http_target_listed(const struct http_target *t, const char *const *hosts)
{
    for (; hosts && *hosts; hosts++)
        if (names(*hosts, t)) return true;
    return false;
}

/* --- addresses --- */

struct net4 {
    uint32_t prefix;
    unsigned bits;
};
#define IP4(a, b, c, d) \
    (((uint32_t)(a) << 24) | ((uint32_t)(b) << 16) | ((uint32_t)(c) << 8) | (uint32_t)(d))

static bool public4(uint32_t address)
{
    static const struct net4 closed[] = {
        { IP4(0, 0, 0, 0), 8 },       /* this network */
        { IP4(10, 0, 0, 0), 8 },      /* private */
        { IP4(100, 64, 0, 0), 10 },   /* shared, carrier-grade NAT */
        { IP4(127, 0, 0, 0), 8 },     /* loopback */
        { IP4(169, 254, 0, 0), 16 },  /* link-local, metadata services */
        { IP4(172, 16, 0, 0), 12 },   /* private */
        { IP4(192, 0, 0, 0), 24 },    /* protocol assignments */
        { IP4(192, 0, 2, 0), 24 },    /* documentation */
        { IP4(192, 168, 0, 0), 16 },  /* private */
        { IP4(198, 18, 0, 0), 15 },   /* benchmarks */
        { IP4(198, 51, 100, 0), 24 }, /* documentation */
        { IP4(203, 0, 113, 0), 24 },  /* documentation */
        { IP4(224, 0, 0, 0), 3 },     /* multicast, reserved, broadcast */
    };
    for (size_t i = 0; i < ARRAY_LEN(closed); i++)
        if (((address ^ closed[i].prefix) >> (32 - closed[i].bits)) == 0) return false;
    return true;
}

static uint32_t word(const unsigned char *p)
{
    return IP4(p[0], p[1], p[2], p[3]);
}

static bool public6(const unsigned char a[16])
{
    static const unsigned char zero[12] = { 0 };
    static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
    static const unsigned char nat64[12] = { 0x00, 0x64, 0xff, 0x9b };
    /* ::/96 holds :: and ::1 as 0.0.0.0 and 0.0.0.1, which are closed as IPv4 addresses too. */
    if (memcmp(a, zero, 12) == 0 || memcmp(a, mapped, 12) == 0 || memcmp(a, nat64, 12) == 0)
        return public4(word(a + 12));
    if (a[0] == 0x20 && a[1] == 0x02) return public4(word(a + 2)); /* 6to4 */
    if (word(a) == 0x20010000) return false;                       /* Teredo */
    if (word(a) == 0x20010db8) return false;                       /* documentation */
    return (a[0] & 0xe0) == 0x20; /* 2000::/3 is all that is assigned as global unicast */
}

bool http_address_public(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof in);
        return public4(ntohl(in.sin_addr.s_addr));
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, address, sizeof in6);
        return public6(in6.sin6_addr.s6_addr);
    }
    return false;
}

bool http_address_text_public(const char *address)
{
    struct in_addr four;
    struct in6_addr six;
    if (inet_pton(AF_INET, address, &four) == 1) return public4(ntohl(four.s_addr));
    return inet_pton(AF_INET6, address, &six) == 1 && public6(six.s6_addr);
}
