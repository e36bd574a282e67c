/* loadgen: NFS calls, several in flight, and how fast they are answered.
 *
 * A closed loop keeps so many calls in flight; an open loop (--rate) sends so many a second, whether or not
 * earlier ones have been answered. The calls are of one operation, a mix, or those of a recording. One process runs
 * over one transport and prints one JSON object: replies counted within the measured time, their rate and
 * latencies (a call that was sent again counts from its first sending; in an open loop each one counts from
 * when it should have been sent), how many calls were sent again (UDP), and the processor time this generator
 * itself took. Each reply is checked; the first wrong one ends the run with exit status 1. */
#include "engine.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

void die(const char *what, const char *why)
{
	fprintf(stderr, "loadgen: %s: %s\n", what, why);
	exit(1);
}

static int ascending(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

static uint32_t percentile(const struct samples *sorted, double share)
{
	return sorted->count ? sorted->values[(size_t)(share * (sorted->count - 1))] : 0;
}

static void report(struct run *run)
{
	struct rusage usage;
	struct samples *got = &run->latencies, *late = &run->lateness;
	getrusage(RUSAGE_SELF, &usage);
	double cpu = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
	if (got->count)
		qsort(got->values, got->count, sizeof *got->values, ascending);
	if (late->count)
		qsort(late->values, late->count, sizeof *late->values, ascending);
	printf("{\"operation\": \"%s\", \"replies\": %zu, \"seconds\": %.3f, \"rate\": %.1f, \"p50_us\": %u, \"p99_us\": %u, "
	       "\"late_p99_us\": %u, \"answered\": %lu, \"resent\": %lu, \"unexpected\": %lu, \"generator_cpu_seconds\": %.3f}\n",
	       run->schedule.name, got->count, run->options.seconds, got->count / run->options.seconds, percentile(got, 0.5),
	       percentile(got, 0.99), percentile(late, 0.99), run->answered, run->resent, run->unexpected, cpu);
}

static void usage(void)
{
	fprintf(stderr,
		"usage: loadgen (--operation NAME[=SHARE,NAME=SHARE...] | --recording FILE) --port N [--mount-port N]\n"
		"               [--export PATH] [--version 2|3] [--tcp] [--connections 1..64]\n"
		"               [--window CALLS-IN-FLIGHT-PER-CONNECTION] [--rate CALLS-PER-SECOND] [--seconds S]\n"
		"operations:");
	for (const struct operation *o = operations; o->name; o++)
		fprintf(stderr, " %s", o->name);
	fputs("\n", stderr);
	exit(2);
}

static void parse(struct options *o, int argc, char **argv)
{
	static const struct option names[] = {
		{"operation", 1, NULL, 'o'}, {"recording", 1, NULL, 'f'}, {"port", 1, NULL, 'p'},
		{"mount-port", 1, NULL, 'm'}, {"export", 1, NULL, 'e'}, {"version", 1, NULL, 'v'}, {"tcp", 0, NULL, 't'},
		{"connections", 1, NULL, 'c'}, {"window", 1, NULL, 'w'}, {"rate", 1, NULL, 'r'}, {"seconds", 1, NULL, 's'}, {0},
	};
	*o = (struct options){.version = 2, .connections = 1, .export = "/", .seconds = 2};
	for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
		switch (c) {
		case 'o': o->operation = optarg; break;
		case 'f': o->recording = optarg; break;
		case 'p': o->port = atoi(optarg); break;
		case 'm': o->mount_port = atoi(optarg); break;
		case 'e': o->export = optarg; break;
		case 'v': o->version = atoi(optarg); break;
		case 't': o->tcp = 1; break;
		case 'c': o->connections = atoi(optarg); break;
		case 'w': o->window = atoi(optarg); break;
		case 'r': o->rate = atof(optarg); break;
		case 's': o->seconds = atof(optarg); break;
		default: usage();
		}
	}
	if (!o->mount_port)
		o->mount_port = o->port;
	if (o->connections < 1 || o->connections > MAX_CONNECTIONS)
		usage();
	if (!o->window)		/* an open loop should not run out of slots */
		o->window = o->rate > 0 ? MAX_SLOTS / o->connections : 16;
	if (optind < argc || !o->port || !o->operation == !o->recording || (o->version != 2 && o->version != 3) ||
	    o->seconds <= 0 || o->rate < 0 || o->window < 1 || o->connections * o->window > MAX_SLOTS)
		usage();
}

int main(int argc, char **argv)
{
	static struct run run;
	parse(&run.options, argc, argv);
	schedule_open(&run.schedule, run.options.operation, run.options.recording, run.options.rate);
	prepare(&run.target, &run.options, run.schedule.needs);
	run_load(&run);
	report(&run);
	return 0;
}
