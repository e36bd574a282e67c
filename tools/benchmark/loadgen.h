#ifndef LOADGEN_H
#define LOADGEN_H

#include "calls.h"

#define NFS_PROGRAM 100003
#define MOUNT_PROGRAM 100005

struct options {
	int tcp, version, connections, window;
	uint16_t port, mount_port;
	const char *export, *operation, *recording;
	double seconds, rate;
};

/* Ends the program with status 1 and one line. */
_Noreturn void die(const char *what, const char *why);

/* A socket connected to 127.0.0.1:PORT. */
int connect_to(uint16_t port, int tcp);

/* Mounts the export and makes, or finds from the run before, what the operations work on: bench/ with 64 files, a
 * file of 4 MiB, and, where the operations need them (operations.h), an empty directory, a link, a larger file. */
void prepare(struct target *t, const struct options *o, int needs);

#endif
