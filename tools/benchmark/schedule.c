#include "schedule.h"

#include "loadgen.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED 0x9e3779b97f4a7c15ull
#define DECK 1000		/* calls of a mix, shuffled once */
#define MAX_STEPS 10000000

struct step {
	const struct operation *operation;
	double pause;		/* before it, in units of the mean */
	uint64_t object, offset;
	uint32_t count;		/* 0: object, offset and count are ours to choose */
};

static uint64_t next_random(struct schedule *s)
{
	s->random ^= s->random << 13;
	s->random ^= s->random >> 7;
	s->random ^= s->random << 17;
	return s->random;
}

static struct step *new_step(struct schedule *s)
{
	if (!(s->count & (s->count + 1)) || !s->steps) {
		s->steps = realloc(s->steps, (2 * s->count + 2) * sizeof *s->steps);
		if (!s->steps)
			die("realloc", strerror(errno));
	}
	s->steps[s->count] = (struct step){0};
	return &s->steps[s->count++];
}

static const struct operation *needed_operation(struct schedule *s, const char *name, size_t length)
{
	const struct operation *o = find_operation(name, length);
	if (!o) {
		fprintf(stderr, "loadgen: no operation %.*s\n", (int)length, name);
		exit(2);
	}
	s->needs |= o->needs;
	return o;
}

/* The parts of a mix as a deck of DECK cards, shuffled. */
static void open_mix(struct schedule *s, const char *text)
{
	double total = 0, share[64], sum = 0;
	const struct operation *part[64];
	int parts = 0;
	for (const char *p = text; *p && parts < 64; parts++) {
		size_t length = strcspn(p, "=,");
		char *end = (char *)p + length;
		part[parts] = needed_operation(s, p, length);
		share[parts] = *end == '=' ? strtod(end + 1, &end) : 1;
		if ((*end && *end != ',') || !(share[parts] > 0))
			die(text, "not a mix: it reads like LOOKUP=36,READ=14");
		total += share[parts];
		p = *end ? end + 1 : end;
	}
	if (!parts)
		die("mix", "there is nothing in it");
	for (int i = 0; i < parts; i++)
		for (sum += share[i]; s->count < sum / total * DECK - 0.5;)
			new_step(s)->operation = part[i];
	for (size_t i = s->count; i > 1; i--) {
		size_t other = next_random(s) % i;
		struct step kept = s->steps[i - 1];
		s->steps[i - 1] = s->steps[other];
		s->steps[other] = kept;
	}
}

static void open_recording(struct schedule *s, const char *name)
{
	char line[256], operation[32];
	double at, first = 0, last = 0;
	unsigned long object, offset, count;
	FILE *file = fopen(name, "r");
	if (!file)
		die(name, strerror(errno));
	while (fgets(line, sizeof line, file)) {
		if (sscanf(line, "%lf %31s %lu %lu %lu", &at, operation, &object, &offset, &count) != 5 ||
		    count < 1 || count > BLOCK || at < last || s->count == MAX_STEPS) {
			fprintf(stderr, "loadgen: %s: line %zu is not MICROSECONDS OPERATION OBJECT OFFSET COUNT\n", name,
				s->count + 1);
			exit(2);
		}
		if (!s->count)
			first = last = at;
		struct step *step = new_step(s);
		*step = (struct step){needed_operation(s, operation, strlen(operation)), at - last, object, offset, count};
		last = at;
	}
	fclose(file);
	if (!s->count)
		die(name, "there is no call in it");
	for (size_t i = 0; i < s->count; i++)
		s->steps[i].pause *= last > first ? s->count / (last - first) : 1;
}

void schedule_open(struct schedule *s, const char *text, const char *recording, double rate)
{
	*s = (struct schedule){.name = recording ? "recorded" : text, .random = SEED, .pause = rate > 0 ? 1e9 / rate : 0};
	if (recording)
		open_recording(s, recording);
	else
		open_mix(s, text);
}

/* A REMOVE takes away what a CREATE that was answered has made; when there is nothing, it becomes a CREATE. */
static void name_created(struct schedule *s, struct work *w)
{
	if (!strcmp(w->operation->name, "REMOVE")) {
		if (s->left_count) {
			w->object = s->left[--s->left_count];
			return;
		}
		w->operation = find_operation("CREATE", 6);
	}
	w->object = s->created++;
}

void schedule_next(struct schedule *s, const struct target *t, struct work *w)
{
	const struct step *step = &s->steps[s->at];
	uint64_t turn = s->turns++;
	s->at = s->at + 1 == s->count ? 0 : s->at + 1;
	*w = (struct work){step->operation, step->object, step->offset, step->count};
	if (!step->count) {	/* spreads over the file without repeating a short pattern, unless in sequence */
		int sequence = w->operation->needs & NEEDS_LARGE;
		w->object = turn;
		w->offset = (sequence ? turn % t->large_blocks : turn * 2654435761u % t->blocks) * BLOCK;
		w->count = BLOCK;
	} else {
		w->offset %= (uint64_t)(t->blocks - 1) * BLOCK;
	}
	if (w->operation->needs & NEEDS_CREATED)
		name_created(s, w);
}

double schedule_pause(struct schedule *s)
{
	if (s->steps->count)
		return s->steps[s->at].pause * s->pause;
	return -log(((next_random(s) >> 11) + 1) * 0x1p-53) * s->pause;
}

void schedule_done(struct schedule *s, const struct work *w)
{
	if (strcmp(w->operation->name, "CREATE"))
		return;
	if (s->left_count == s->left_room) {
		s->left_room = s->left_room ? 2 * s->left_room : 1024;
		s->left = realloc(s->left, s->left_room * sizeof *s->left);
		if (!s->left)
			die("realloc", strerror(errno));
	}
	s->left[s->left_count++] = w->object;
}
