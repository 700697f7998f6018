/* SPDX-License-Identifier: Apache-2.0
 *
 * Deliberate bugs, to prove that the simulator would find them. They exist in its test build only
 * (TUTTI_MUTANTS), where one can be switched on; everywhere else MUTANT(x) is the constant false.
 * Those of Lua scripts are made by rewriting a line of the script (sim/mutants.c). */
#ifndef TUTTI_MUTANT_H
#define TUTTI_MUTANT_H

#include "common/base/base.h"

/* X(enumerator, what the bug does) */
#define MUTANTS(X)                                                                     \
    X(NONE, "nothing")                                                                 \
    X(NO_FENCE, "a commit looks at the epoch neither before EXEC nor in it")           \
    X(NO_WATCH, "EXEC does not care whether what was looked at has changed")           \
    X(NO_OFFSET_CHECK, "a commit does not look at the offset")                         \
    X(EARLY_COMMIT, "a batch is committed before its outputs are acknowledged")        \
    X(EARLY_NOTE, "Kafka is told of what is folded and not committed yet")             \
    X(REEMIT_ALL, "a recovery sends everything pending again")                         \
    X(NO_REPLAY_FROM, "takeover.lua forgets where the doubt began")                    \
    X(FORGET_TIMER, "a new owner does not take over the due times")                    \
    X(STALE_FAILURE, "a failure of an attempt that is not current counts")             \
    X(NO_GENERATION, "a worker does not look at the generation of a task")             \
    X(NO_LOST, "a worker calls again when a lease has run out")                        \
    X(GAP, "a worker commits an offset above tasks that are not done")                 \
    X(NO_MARKS, "a recovery does not look who has a task")                             \
    X(SHORT_MARKS, "marks of tasks end before their deadlines")                        \
    X(RULE_1, "a read of state does not compare the place it stands for")              \
    X(RULE_3, "takeover.lua forgets a rebuild that was not finished")                  \
    X(RULE_4, "an idle partition does not compare its place")                          \
    X(RULE_5, "a finished run has no snapshot")                                        \
    X(RULE_6, "a snapshot below the floor counts")                                     \
    X(RULE_7, "a doubt below the log start looks at the runs only that the log names") \
    X(RULE_8, "a commit of a running partition does not end the doubt")                \
    X(RULE_9, "a failed delivery is a seek back under the old claim")                  \
    X(VOTE_TWICE, "a person's second vote counts")                                     \
    X(UNDO_ORDER, "what can be undone is loaded the other way round")                  \
    X(UNDO_UNSAVED, "what can be undone is not stored")                                \
    X(SIGNAL_DROPPED, "signals that came early are not loaded")                        \
    X(WAIT_UNTIMED, "a step that waits is loaded without its time")                    \
    X(PAGE_UNSAVED, "a page of a map is stored once only")                             \
    X(CHILD_START, "a recovery does not start a child again")                          \
    X(CHILD_END, "a recovery does not tell the parent again that its child has ended") \
    X(CHILD_CANCEL, "a recovery does not cancel a child again")                        \
    X(CHILD_LEFT, "a run that ends leaves its children")                               \
    X(RESUME_SILENT, "a resume does not issue again what was out")                     \
    X(KEY_TAKEN, "a start begins although its key is taken")                           \
    X(UNDO_OLDEST, "the oldest is undone first")                                       \
    X(UNDO_SHORT, "the newest is not undone")

enum mutant {
#define X(name, text) MUTANT_##name,
    MUTANTS(X)
#undef X
        MUTANT_COUNT
};

#ifdef TUTTI_MUTANTS
bool mutant_on(enum mutant mutant);
#define MUTANT(name) mutant_on(MUTANT_##name)
#else
#define MUTANT(name) false
#endif

#endif
