/* SPDX-License-Identifier: Apache-2.0
 *
 * The attributes of a run by which it can be found: what its definition's `attributes` make of its
 * start. */
#ifndef TUTTI_INDEX_ATTRIBUTES_H
#define TUTTI_INDEX_ATTRIBUTES_H

#include "common/definition/definition.h"
#include "common/proto/message.h"

/* *ret: a new reference to an object of scalars; members that are none are left out. ERR_INVALID,
 * ERR_LIMIT: an expression failed on this input. ERR_UNSUPPORTED: the input is a claim check. ev: a
 * run.start. */
MUST_CHECK bool attributes_make(const struct definition *def, const struct event *ev,
                                int64_t started_ms, json_t **ret, struct err *e);

#endif
