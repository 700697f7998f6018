/* SPDX-License-Identifier: Apache-2.0
 *
 * What the scheduler and the fault injector know of the fakes behind common/io's headers. */
#ifndef TUTTI_SIM_FAKES_H
#define TUTTI_SIM_FAKES_H

#include "common/io/blob.h"
#include "common/io/bus.h"
#include "common/io/http_pool.h"
#include "common/io/store.h"
#include "sim/world.h"

/* Makes p the process whose code runs; returns the one before. */
struct proc *proc_enter(struct proc *p);

/* --- bus_fake.c: one process's end of Kafka --- */
/* Hands to the process what is ready, and wakes it for what is not. */
void bus_fake_deliver(struct bus *bus);
void bus_fake_wake(struct bus *bus);

/* --- store_fake.c: one process's end of Redis --- */
void store_fake_deliver(struct store *s);
void store_fake_wake(struct store *s);
/* The connection breaks: what is under way gets no reply, done or not. */
void store_fake_break(struct store *s);

/* --- pool_fake.c: tools that answer or not --- */
void pool_fake_deliver(struct http_pool *pool);
void pool_fake_wake(struct http_pool *pool);

/* --- blob_fake.c: the payload store --- */
struct blobs_world *blobs_world_new(struct world *w);
struct blobs_world *blobs_world_free(struct blobs_world *b); /* NULL is fine; returns NULL */
void blob_fake_deliver(struct blob_store *s);

#endif
