/* The operations that the load consists of: their arguments, and how their results are checked. */
#ifndef OPERATIONS_H
#define OPERATIONS_H

#include "calls.h"

enum { NEEDS_CREATED = 1, NEEDS_LINK = 2, NEEDS_LARGE = 4 };	/* in struct operation */

/* One call to make. */
struct work {
	const struct operation *operation;
	uint64_t object;	/* which file: of the many, or of those that are created */
	uint64_t offset;	/* of READ and WRITE, and how much: at most BLOCK */
	uint32_t count;
};

struct operation {
	const char *name;
	uint32_t procedure[2];	/* in version 2, in version 3 */
	void (*arguments)(struct buffer *, const struct target *, const struct work *);
	void (*check)(struct reply *, const struct target *, const struct work *);
	int needs;
};

extern const struct operation operations[];	/* ends with a NULL name */

/* NULL when there is none of that name. */
const struct operation *find_operation(const char *name, size_t length);

#endif
