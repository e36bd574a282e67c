/* local: what the kernel's file system takes for what a server has to do for one call. No network, no RPC, no
 * server: the lower bound of a store. Durable changes are made by as many threads as there would be calls in
 * flight, so that they can share the disk's syncs; all else by one. Prints what loadgen prints. */
#include "calls.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MAX_THREADS 64
#define MOST_SAMPLES (1 << 20)	/* of one thread; its first ones */

struct thread {
	pthread_t id;
	int number;
	uint64_t calls;
	uint32_t count, samples[MOST_SAMPLES];	/* microseconds */
};

static int many, created, file, large;
static unsigned blocks, large_blocks;
static uint64_t until;
static int threads = 1;	/* tell their turns apart */
static void (*work)(uint64_t turn);

static uint64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "local: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void get_attributes_of(uint64_t turn)
{
	struct stat s;
	char name[32];
	snprintf(name, sizeof name, "file-%02u", (unsigned)(turn % MANY));
	if (fstatat(many, name, &s, AT_SYMLINK_NOFOLLOW))
		die(name);
}

static void read_from(int fd, uint64_t offset)
{
	static __thread char block[BLOCK];
	if (pread(fd, block, BLOCK, offset) != BLOCK)
		die("pread");
}

static void read_block(uint64_t turn) { read_from(file, turn * 2654435761u % blocks * BLOCK); }
static void read_next(uint64_t turn) { read_from(large, turn % large_blocks * BLOCK); }

static void write_block(uint64_t turn)
{
	static __thread char block[BLOCK];
	memcpy(block, &turn, sizeof turn);
	if (pwrite(file, block, BLOCK, turn * 2654435761u % blocks * BLOCK) != BLOCK || fdatasync(file))
		die("pwrite");
}

static void create(uint64_t turn)
{
	char name[32];
	snprintf(name, sizeof name, "%016llx", (unsigned long long)turn);
	int fd = openat(created, name, O_CREAT | O_EXCL | O_WRONLY, 0644);
	if (fd < 0 || close(fd) || fsync(created))
		die(name);
}

static void read_directory(uint64_t turn)
{
	static char room[1 << 16];
	long n;
	(void)turn;
	lseek(many, 0, SEEK_SET);
	while ((n = syscall(SYS_getdents64, many, room, sizeof room)) > 0)
		;
	if (n < 0)
		die("getdents64");
}

static const struct { const char *name; void (*work)(uint64_t); int durable; } operations[] = {
	{"GETATTR", get_attributes_of, 0}, {"LOOKUP", get_attributes_of, 0}, {"READ", read_block, 0},
	{"SEQREAD", read_next, 0}, {"WRITE", write_block, 1}, {"CREATE", create, 1}, {"READDIR", read_directory, 0},
};

static void *run(void *argument)
{
	struct thread *t = argument;
	uint64_t before = now();
	while (before < until) {
		work(t->calls++ * threads + t->number);
		uint64_t after = now();
		if (t->count < MOST_SAMPLES)
			t->samples[t->count++] = (after - before) / 1000;
		before = after;
	}
	return NULL;
}

static int ascending(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

static void report(struct thread *all, int count, double seconds)
{
	uint64_t calls = 0;
	size_t have = 0;
	uint32_t *samples = malloc(count * sizeof all->samples);
	for (int i = 0; i < count; i++) {
		calls += all[i].calls;
		memcpy(samples + have, all[i].samples, all[i].count * sizeof *samples);
		have += all[i].count;
	}
	qsort(samples, have, sizeof *samples, ascending);
	printf("{\"rate\": %.1f, \"p50_us\": %u, \"p99_us\": %u, \"resent\": 0, \"late_p99_us\": 0, \"answered\": %llu}\n", calls / seconds,
	       samples[have / 2], samples[(size_t)(0.99 * (have - 1))], (unsigned long long)calls);
}

static int opened(int dir, const char *name, int flags)
{
	int fd = openat(dir, name, flags | O_CLOEXEC);
	if (fd < 0)
		die(name);
	return fd;
}

static unsigned blocks_of(int fd)
{
	struct stat s;
	if (fstat(fd, &s) || s.st_size < BLOCK)
		die("fstat");
	return s.st_size / BLOCK;
}

int main(int argc, char **argv)
{
	size_t at = 0, kinds = sizeof operations / sizeof *operations;
	while (argc == 5 && at < kinds && strcmp(operations[at].name, argv[2]))
		at++;
	threads = argc == 5 ? atoi(argv[3]) : 0;
	double seconds = argc == 5 ? atof(argv[4]) : 0;
	if (threads < 1 || threads > MAX_THREADS || seconds <= 0 || at == kinds) {
		fprintf(stderr, "usage: local DIRECTORY GETATTR|LOOKUP|READ|SEQREAD|WRITE|CREATE|READDIR THREADS SECONDS\n");
		return 2;
	}
	char fresh[64];
	snprintf(fresh, sizeof fresh, "created-%llx", (unsigned long long)now());
	int top = opened(AT_FDCWD, argv[1], O_DIRECTORY);
	many = opened(top, "many", O_DIRECTORY);
	file = opened(top, "file", O_RDWR);
	large = opened(top, "large", O_RDONLY);
	blocks = blocks_of(file);
	large_blocks = blocks_of(large);
	if (mkdirat(top, fresh, 0755))
		die(fresh);
	created = opened(top, fresh, O_DIRECTORY);
	work = operations[at].work;
	threads = operations[at].durable ? threads : 1;
	struct thread *all = calloc(threads, sizeof *all);
	until = now() + (uint64_t)(seconds * 1e9);
	for (int i = 0; i < threads; i++) {
		all[i].number = i;
		if (pthread_create(&all[i].id, NULL, run, &all[i]))
			die("pthread_create");
	}
	for (int i = 0; i < threads; i++)
		pthread_join(all[i].id, NULL);
	report(all, threads, seconds);
	return 0;
}
