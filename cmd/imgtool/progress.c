/* SPDX-License-Identifier: ISC */

/*
 * How far the work is: on a terminal while it runs, anywhere on request by
 * SIGUSR1 or, where there is one, SIGINFO (control-T).
 */

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "imgtool.h"
#include "host/host.h"

#define INTERVAL 0.2 /* seconds between two pictures of a terminal's line */

static volatile sig_atomic_t asked;
static const char *what;
static int show;       /* on the terminal, all the time */
static int drawn;      /* a line without its end stands there */
static double started; /* seconds on a clock that only runs on */
static double last;

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((double)ts.tv_sec + (double)ts.tv_nsec / 1e9);
}

static void
on_request(int sig)
{
	(void)sig;
	asked = 1;
}

void
progress_start(const char *name, int wanted)
{
	struct sigaction sa = { .sa_handler = on_request,
		.sa_flags = SA_RESTART };

	what = name;
	show = wanted && isatty(STDERR_FILENO);
	started = now();
	last = 0;
	sigemptyset(&sa.sa_mask);
	sigaction(SIGUSR1, &sa, NULL);
#ifdef SIGINFO
	sigaction(SIGINFO, &sa, NULL);
#endif
	host_set_poll(progress_poll, NULL);
}

static void
print_left(double s)
{
	if (s >= 5940)
		fprintf(stderr, ", %.0f h left", s / 3600);
	else if (s >= 99)
		fprintf(stderr, ", %.0f min left", s / 60);
	else
		fprintf(stderr, ", %.0f s left", s);
}

static void
print_line(double t, uint64_t done, uint64_t total)
{
	char a[SIZE_TEXT], b[SIZE_TEXT];
	double rate = t > 0 ? (double)done / t : 0;

	fprintf(stderr, "%s: ", what);
	if (total > 0)
		fprintf(stderr, "%.1f%%, %s of %s",
		    100 * (double)done / (double)total, size_text(a, done),
		    size_text(b, total));
	else
		fprintf(stderr, "%s", size_text(a, done));
	if (t >= 0.5)
		fprintf(stderr, ", %s/s",
		    size_text(a, rate < 1e18 ? (uint64_t)rate : 0));
	if (t >= 0.5 && rate > 0 && total > done)
		print_left((double)(total - done) / rate);
}

int
progress_poll(void *arg, uint64_t done, uint64_t total)
{
	double t;

	(void)arg;
	if (!asked && !show)
		return (0);
	t = now();
	if (asked) {
		asked = 0;
		if (drawn)
			fputc('\n', stderr);
		print_line(t - started, done, total);
		fputc('\n', stderr);
		drawn = 0;
	} else if (t - last >= INTERVAL || (done == total && total > 0)) {
		last = t;
		fputc('\r', stderr);
		print_line(t - started, done, total);
		fputs("\033[K", stderr);
		drawn = 1;
	}
	return (0);
}

void
progress_end(void)
{
	if (drawn)
		fputc('\n', stderr);
	drawn = 0;
}
