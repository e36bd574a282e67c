/* Calls in flight over UDP or TCP: sent, sent again when they are late (UDP), their replies checked and timed. */
#ifndef ENGINE_H
#define ENGINE_H

#include "loadgen.h"
#include "schedule.h"

#define MAX_CONNECTIONS 64
#define MAX_SLOTS 1024

struct samples {
	uint32_t *values;	/* microseconds */
	size_t count, room;
};

struct run {
	struct options options;
	struct schedule schedule;
	struct target target;
	struct connection *connections[MAX_CONNECTIONS];
	struct slot *slots;
	int slot_count, in_flight, epoll;
	uint32_t free[MAX_SLOTS], free_first, free_count;	/* a ring of slot numbers: longest free, first used */
	uint64_t measure_from, measure_until;	/* ns, of CLOCK_MONOTONIC */
	struct samples latencies, lateness;	/* lateness: how much later than it should a call was sent */
	unsigned long answered, resent, unexpected;	/* in the whole run, warm-up and all */
};

/* Opens the connections, drives the load and returns when every call is answered. */
void run_load(struct run *run);

#endif
