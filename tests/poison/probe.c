/* SPDX-License-Identifier: Apache-2.0
 *
 * A bug to recover from: an event whose value names poison ends the orchestrator that folds it. */
#include <stdlib.h>
#include <string.h>

#include "orchestrator/internal.h"

void fold_probe(const struct event *ev)
{
    static const char word[] = "poison";
    if (ev->value.len && memmem(ev->value.data, ev->value.len, word, sizeof word - 1)) abort();
}
