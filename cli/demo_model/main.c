/* SPDX-License-Identifier: Apache-2.0
 *
 * tutti-demo-model: a stand-in for a language model, for demos and tests. It reads neither
 * environment nor files, so that nothing meant for other programs can change what it does. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/demo_model/serve.h"

static const char help[] =
    "Usage: tutti-demo-model [OPTION]...\n"
    "\n"
    "Answers OpenAI's chat completions on 127.0.0.1 by rules: sentences and figures\n"
    "of the prompt, chosen by cue words. It is no language model. Once ready it prints\n"
    "the line \"listening on 127.0.0.1:PORT\".\n"
    "\n"
    "  -p, --port PORT          Port; 0 takes any free one (default 8089)\n"
    "      --delay MS           Wait so many milliseconds before each answer\n"
    "      --fail STATUS:COUNT  Answer the first COUNT requests with this HTTP status\n"
    "      --garbage            Answer what is no JSON\n"
    "      --prose              Answer with prose where JSON was asked for\n"
    "      --hang               Never answer\n"
    "  -h, --help               Show this help\n"
    "  -V, --version            Show the version\n";

enum { OPT_DELAY = 256, OPT_FAIL, OPT_GARBAGE, OPT_PROSE, OPT_HANG };
static const struct option long_options[] = {
    { "port", required_argument, NULL, 'p' },
    { "delay", required_argument, NULL, OPT_DELAY },
    { "fail", required_argument, NULL, OPT_FAIL },
    { "garbage", no_argument, NULL, OPT_GARBAGE },
    { "prose", no_argument, NULL, OPT_PROSE },
    { "hang", no_argument, NULL, OPT_HANG },
    { "help", no_argument, NULL, 'h' },
    { "version", no_argument, NULL, 'V' },
    { 0 },
};

/* A whole number within bounds that ends at `end`. */
static bool number(const char *text, char end, unsigned long min, unsigned long max, uint32_t *ret,
                   const char **ret_behind)
{
    char *behind;
    errno = 0;
    unsigned long value = strtoul(text, &behind, 10);
    if (text[0] < '0' || text[0] > '9' || errno || *behind != end || value < min || value > max)
        return false;
    *ret = (uint32_t)value;
    *ret_behind = behind;
    return true;
}

/* false: the option is wrong, and was complained about. */
static bool take(int option, const char *value, struct serve_options *ret)
{
    uint32_t port = 0;
    const char *rest;
    switch (option) {
    case 'p':
        if (!number(value, '\0', 0, 65535, &port, &rest)) break;
        ret->port = (uint16_t)port;
        return true;
    case OPT_DELAY:
        if (!number(value, '\0', 0, 3600000, &ret->delay_ms, &rest)) break;
        return true;
    case OPT_FAIL:
        if (!number(value, ':', 400, 599, &ret->fail_status, &rest) ||
            !number(rest + 1, '\0', 0, UINT32_MAX, &ret->fail_count, &rest))
            break;
        return true;
    case OPT_GARBAGE: return ret->garbage = true;
    case OPT_PROSE: return ret->prose = true;
    case OPT_HANG: return ret->hang = true;
    default: return false; /* getopt has complained */
    }
    fprintf(stderr, "tutti-demo-model: '%s' is not allowed; see --help\n", value);
    return false;
}

int main(int argc, char **argv)
{
    struct serve_options options = { .port = 8089 };
    for (int option; (option = getopt_long(argc, argv, "p:hV", long_options, NULL)) != -1;) {
        if (option == 'h' || option == 'V') {
            fputs(option == 'h' ? help : "tutti-demo-model " TUTTI_VERSION "\n", stdout);
            return 0;
        }
        if (!take(option, optarg, &options)) return 2;
    }
    if (optind < argc) {
        fprintf(stderr, "tutti-demo-model: unexpected argument '%s'\n", argv[optind]);
        return 2;
    }
    /* Blocked before there are threads, so that only sigwait gets them. */
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    signal(SIGPIPE, SIG_IGN);
    struct err e;
    struct serve *serve = serve_start(&options, &e);
    if (!serve) {
        fprintf(stderr, "tutti-demo-model: %s\n", e.text);
        return 1;
    }
    printf("listening on 127.0.0.1:%u\n", serve_port(serve));
    fflush(stdout);
    int which;
    sigwait(&ends, &which);
    serve_stop(serve);
    return 0;
}
