// SPDX-License-Identifier: Apache-2.0
//
// The shim over RE2, the only C++ of the tree.
#include "common/cel/regex.h"

#include <re2/re2.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace {

// Of a compiled pattern with its automaton: a pattern that needs more is refused when it is compiled, a search that
// would need more takes the slower of RE2's ways, which is linear too.
constexpr int64_t kMemoryMax = 1 << 20;

re2::StringPiece piece(const char *text, size_t len)
{
    return re2::StringPiece(text ? text : "", len);
}

} // namespace

struct regex {
    regex(re2::StringPiece pattern, const RE2::Options &options) : re(pattern, options)
    {
    }
    RE2 re;
};

struct regex *regex_compile(const char *pattern, size_t len, char *ret_error, size_t error_size)
{
    RE2::Options options(RE2::Quiet); // it would print to stderr
    options.set_max_mem(kMemoryMax);
    options.set_never_capture(true);
    auto *r = new regex(piece(pattern, len), options);
    if (r->re.ok()) return r;
    const std::string &error = r->re.error();
    size_t cut = std::min(error.size(), error_size - 1);
    std::memcpy(ret_error, error.data(), cut);
    ret_error[cut] = '\0';
    delete r;
    return nullptr;
}

void regex_free(struct regex *r)
{
    delete r;
}

size_t regex_size(const struct regex *r)
{
    return static_cast<size_t>(std::max(r->re.ProgramSize(), 1));
}

bool regex_search(const struct regex *r, const char *text, size_t len)
{
    return RE2::PartialMatch(piece(text, len), r->re);
}
