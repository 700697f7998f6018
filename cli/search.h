/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs from the index (tutti-indexer), for what Redis cannot answer. */
#ifndef TUTTI_CLI_SEARCH_H
#define TUTTI_CLI_SEARCH_H

#include "cli/cli.h"

/* Whether an option was given that only the index can serve; e says which, for use without one. */
bool search_needed(const struct cli_config *c, struct err *e);
/* Asks the index at c->index_url, page by page, for up to c->limit runs: {"runs": [...], "next":
 * cursor or null}; a new reference. ERR_INVALID: a filter; ERR_UNAVAILABLE: no answer. */
MUST_CHECK bool search_runs(struct cli *cli, json_t **ret, struct err *e);

/* Runs from Redis, of which a bounded number is looked at: {"runs": [...]}; a new reference. */
MUST_CHECK bool list_runs(struct cli *cli, json_t **ret, struct err *e);

#endif
