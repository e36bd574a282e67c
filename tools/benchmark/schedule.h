/* Which call comes next, and when: one operation, a mix of several, or what a recording holds. */
#ifndef SCHEDULE_H
#define SCHEDULE_H

#include "operations.h"

struct step;		/* a line of a recording, or one part of a mix */

struct schedule {
	const char *name;
	int needs;		/* of all its operations together */
	struct step *steps;	/* in the order in which they come, again and again */
	size_t count, at;
	double pause;		/* ns between two calls, on the average; 0: closed loop */
	uint64_t turns, random, created, *left, left_count, left_room;
};

/* `text` is an operation, or a mix as "LOOKUP=36,READ=14"; or `recording` is a file with lines of
 * "MICROSECONDS OPERATION OBJECT OFFSET COUNT". Ends the program where they cannot be understood. */
void schedule_open(struct schedule *s, const char *text, const char *recording, double rate);

/* The next call. */
void schedule_next(struct schedule *s, const struct target *t, struct work *w);

/* Nanoseconds from the call that came last to the next one (open loop). Arrivals are as random as those of many
 * independent callers (exponential pauses), or as they were recorded; the same in every run. */
double schedule_pause(struct schedule *s);

/* A call of `schedule_next` was answered: what it created may now be removed. */
void schedule_done(struct schedule *s, const struct work *w);

#endif
