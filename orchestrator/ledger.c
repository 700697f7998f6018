/* SPDX-License-Identifier: Apache-2.0
 *
 * The ledger: what a partition's fold keeps beside the runs, a text under each name, such as who
 * waits for a start key (turns.c). The owner has all of it in memory; a commit writes what changed
 * into one hash, a floor of snapshots holds all of it as it stood there. It is folded from the log
 * alone, never from the state of a run: after a rebuild a run may be ahead of the place that the
 * replay has reached, the ledger never is. */
#include <stdlib.h>

#include "orchestrator/internal.h"

struct ledger_item *ledger_find(const struct ledger *l, struct bytes name)
{
    return l->entries.count ? map_get(&l->entries, name) : NULL;
}

struct ledger_item *ledger_make(struct ledger *l, struct bytes name)
{
    struct ledger_item *entry = ledger_find(l, name);
    if (entry) return entry;
    entry = xcalloc(1, sizeof *entry);
    entry->name = xstrndup(name.data, name.len);
    map_put(&l->entries, bytes_of(entry->name), entry);
    return entry;
}

void ledger_touch(struct ledger *l, struct ledger_item *entry)
{
    if (entry->changed) return;
    entry->changed = true;
    entry->next_changed = l->changed;
    l->changed = entry;
}

static void entry_free(struct ledger_item *entry)
{
    free(entry->name);
    buf_done(&entry->value);
    free(entry);
}

void ledger_changes(struct ledger *l, struct args *sets, struct args *deletes)
{
    while (l->changed) {
        struct ledger_item *entry = l->changed;
        l->changed = entry->next_changed;
        entry->changed = false;
        if (entry->value.len) {
            args_add(sets, bytes_of(entry->name));
            args_add(sets, buf_bytes(&entry->value));
            continue;
        }
        args_add(deletes, bytes_of(entry->name));
        map_remove(&l->entries, bytes_of(entry->name));
        entry_free(entry);
    }
}

void ledger_done(struct ledger *l)
{
    size_t pos = 0;
    for (struct ledger_item *entry; (entry = map_next(&l->entries, &pos));) entry_free(entry);
    map_done(&l->entries);
    *l = (struct ledger){ 0 };
}
