/* SPDX-License-Identifier: ISC */

/* Memory, signals and waiting over POSIX. */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#ifdef __APPLE__
#include <sys/random.h>
#endif

#include "host/host.h"

static const int caught[] = { SIGINT, SIGTERM, SIGHUP };
#define NCAUGHT (sizeof(caught) / sizeof(caught[0]))

static volatile sig_atomic_t got_signal;
static int (*poll_fn)(void *, uint64_t, uint64_t);
static void *poll_arg;

static void *
env_alloc(void *arg, size_t len)
{
	(void)arg;
	return (calloc(1, len));
}

static void
env_free(void *arg, void *p, size_t len)
{
	(void)arg;
	(void)len;
	free(p);
}

static int
env_poll(void *arg, uint64_t done, uint64_t total)
{
	(void)arg;
	if (got_signal != 0)
		return (EINTR);
	return (poll_fn == NULL ? 0 : poll_fn(poll_arg, done, total));
}

static const struct img_env host_env = {
	.ev_alloc = env_alloc,
	.ev_free = env_free,
	.ev_unpack = host_unpack,
	.ev_pack = host_pack,
	.ev_parallel = host_parallel,
	.ev_poll = env_poll,
	.ev_can = HOST_CAN,
};

const struct img_env *
img_host_env(void)
{
	return (&host_env);
}

void
host_set_poll(int (*fn)(void *, uint64_t, uint64_t), void *arg)
{
	poll_fn = fn;
	poll_arg = arg;
}

static void
on_signal(int sig)
{
	got_signal = sig;
}

void
host_catch_signals(void)
{
	struct sigaction sa, old;
	size_t i;

	memset(&sa, 0, sizeof(sa));
	sigemptyset(&sa.sa_mask);
	sa.sa_handler = on_signal;
	for (i = 0; i < NCAUGHT; i++) {
		if (sigaction(caught[i], NULL, &old) == 0 &&
		    old.sa_handler != SIG_IGN)
			(void)sigaction(caught[i], &sa, NULL);
	}
	sa.sa_handler = SIG_IGN;
	(void)sigaction(SIGPIPE, &sa, NULL);
	(void)sigaction(SIGXFSZ, &sa, NULL);
}

int
host_signal(void)
{
	return (got_signal);
}

/*
 * Wait until fd can be read or written.  The signals are held back except
 * during the wait itself, or one that comes just before would be missed and
 * the wait last until the other side does something.
 */
static int
wait_for(int fd, short events)
{
	struct pollfd pfd = { fd, events, 0 };
	sigset_t hold, old;
	size_t i;
	int error = 0;

	sigemptyset(&hold);
	for (i = 0; i < NCAUGHT; i++)
		sigaddset(&hold, caught[i]);
	if (sigprocmask(SIG_BLOCK, &hold, &old) == -1)
		return (errno);
	while (got_signal == 0 && ppoll(&pfd, 1, NULL, &old) == -1) {
		if (errno != EINTR) {
			error = errno;
			break;
		}
	}
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	return (got_signal != 0 ? EINTR : error);
}

int
host_read(int fd, void *buf, size_t len, size_t *got)
{
	unsigned char *p = buf;
	size_t done = 0;
	ssize_t n;
	int error;

	while (done < len) {
		if ((error = wait_for(fd, POLLIN)) != 0)
			return (error);
		n = read(fd, p + done, len - done);
		if (n == 0)
			break;
		if (n > 0)
			done += (size_t)n;
		else if (errno != EINTR && errno != EAGAIN)
			return (errno);
	}
	*got = done;
	return (0);
}

int
host_write(int fd, const void *buf, size_t len)
{
	const unsigned char *p = buf;
	ssize_t n;
	int error;

	while (len > 0) {
		if ((error = wait_for(fd, POLLOUT)) != 0)
			return (error);
		n = write(fd, p, len);
		if (n == 0)
			return (ENOSPC);
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		} else if (errno != EINTR && errno != EAGAIN)
			return (errno);
	}
	return (0);
}

int
host_seed(struct img_create *cr)
{
	const char *s = getenv("SOURCE_DATE_EPOCH");
	int64_t t = 0;

	if (s == NULL) {
		cr->cr_time = (int64_t)time(NULL);
		cr->cr_repeatable = 0;
		return (getentropy(cr->cr_random, sizeof(cr->cr_random)) == -1 ?
			errno :
			0);
	}
	if (*s == '\0')
		return (EINVAL);
	for (; *s != '\0'; s++) {
		if (*s < '0' || *s > '9' || t > (INT64_MAX - (*s - '0')) / 10)
			return (EINVAL);
		t = t * 10 + (*s - '0');
	}
	cr->cr_time = t;
	cr->cr_repeatable = 1;
	return (0);
}

int
host_why(char *why, size_t whylen, const char *words, int error)
{
	if (whylen > 0)
		(void)snprintf(why, whylen, "%s", words == NULL ? "" : words);
	return (error);
}
