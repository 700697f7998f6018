/* SPDX-License-Identifier: Apache-2.0
 *
 * Scenarios as data: a definition and a script of what happens to one run of it.
 *
 *   start JSON                     the start event          ok STEP/N JSON      task.completed
 *   fail STEP/N TYPE [MEMBERS]     task.failed; MEMBERS are further JSON members, as "x":1
 *   lost STEP/N                    task.lost                cancel [JSON]       run.cancel
 *   timer                          timer.fired now          expired             run.expired
 *   pause, resume                  terminate [JSON]        vars JSON         skip STEP [JSON]
 *   child STEP/N STATUS [JSON]     child.finished (STATUS started: child.started)
 *   parent attached|detached|deep JSON                      a start as the child of another run
 *   queued JSON, refused JSON      a start that waits or fails for its key; begin, asked, released
 *   approve|reject|retry STEP WHO [MEMBERS]                 signal NAME [JSON]
 * Each may end in " -> EFFECTS": what it must cause, as in "task a/1, cancel b/2", or "nothing", or
 * "ignored".
 *   after MS     time passes       due MS       the run is due, counted from the start
 *   gen G        a new generation  from G       results carry another generation ("from": the same)
 *   usage IN OUT USD               what the next result carries
 *   state STEP STATE               run STATUS               result JSON (of a completed run)
 *   error JSON (members that the run's error must have)     payload STEP/N JSON
 *   field NAME VALUE (of the store; "absent", "present")               header STEP/N NAME VALUE */
#ifndef TUTTI_TEST_SCENARIO_H
#define TUTTI_TEST_SCENARIO_H

void scenario(const char *definition, const char *script);

#endif
