/* RPC messages and what NFS puts into them, as bytes: one set of functions serves
 * version 2 (RFC 1094) and version 3 (RFC 1813). */
#ifndef CALLS_H
#define CALLS_H

#include <stddef.h>
#include <stdint.h>

#define BLOCK 8192		/* bytes of one READ or WRITE, at most */
#define MAX_MESSAGE 65536
#define MANY 64			/* files in the directory that LOOKUP and READDIR are about */

struct buffer {
	unsigned char *data;
	size_t size, used;
};

struct handle {
	uint32_t size;
	unsigned char data[64];
};

/* What the calls of one run work on. */
struct target {
	int version;		/* of NFS: 2 or 3 */
	struct handle root, directory, file, large, link, many[MANY], created;
	uint32_t blocks, large_blocks;	/* of `file` and of `large`, each BLOCK bytes */
	uint32_t run;		/* tells the names that this run creates from those of others */
};

/* A reply while it is read; `bad` says what is wrong with it, once something is. */
struct reply {
	const unsigned char *data;
	size_t size, at;
	const char *bad;
	uint32_t status;
};

void put32(struct buffer *b, uint32_t value);
void put64(struct buffer *b, uint64_t value);
void put_opaque(struct buffer *b, const void *data, uint32_t size);
void put_header(struct buffer *b, uint32_t xid, uint32_t program, uint32_t version, uint32_t procedure);
void put_handle(struct buffer *b, const struct target *t, const struct handle *h);
void put_new_attributes(struct buffer *b, const struct target *t, uint32_t mode);

void spoil(struct reply *r, const char *why);
uint32_t get32(struct reply *r);
const unsigned char *get_bytes(struct reply *r, uint32_t size);
void get_handle(struct reply *r, const struct target *t, struct handle *h);
void get_attributes(struct reply *r, const struct target *t, uint64_t *size);
void get_post_op_attributes(struct reply *r, const struct target *t, uint64_t *size);
void get_wcc_data(struct reply *r, const struct target *t);

/* Reads the header of the reply and stops at its results; `bad` when it is not an accepted SUCCESS. */
struct reply open_reply(const unsigned char *data, size_t size);

#endif
