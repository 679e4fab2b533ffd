/* SPDX-License-Identifier: ISC */

/*
 * Work for all processors.  The threads live as long as one call: starting
 * them costs little beside what they are for, and none is left behind to
 * surprise a fork.
 */

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "host/host.h"

#define THREADS_MAX 64u

struct pool {
	pthread_mutex_t po_lock;
	void (*po_job)(void *, unsigned);
	void *po_arg;
	unsigned po_next; /* the first job that nobody took; under po_lock */
	unsigned po_n;
};

static unsigned wanted;

void
host_set_threads(unsigned n)
{
	wanted = n;
}

static unsigned
nthreads(unsigned njobs)
{
	long n = (long)wanted;

	if (wanted == 0)
		n = sysconf(_SC_NPROCESSORS_ONLN);
	if (n < 1)
		n = 1;
	if (n > (long)THREADS_MAX)
		n = (long)THREADS_MAX;
	return (njobs < (unsigned)n ? njobs : (unsigned)n);
}

static void *
work(void *arg)
{
	struct pool *po = arg;
	unsigned i;

	for (;;) {
		(void)pthread_mutex_lock(&po->po_lock);
		i = po->po_next;
		if (i < po->po_n)
			po->po_next++;
		(void)pthread_mutex_unlock(&po->po_lock);
		if (i >= po->po_n)
			return (NULL);
		po->po_job(po->po_arg, i);
	}
}

void
host_parallel(void *arg, unsigned n, void (*job)(void *, unsigned),
    void *jobarg)
{
	struct pool po = { PTHREAD_MUTEX_INITIALIZER, job, jobarg, 0, n };
	pthread_t thread[THREADS_MAX];
	unsigned started = 0, want = nthreads(n);
	sigset_t all, old;

	(void)arg;
	/* Signals are the caller's: they end what it waits for. */
	sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, &old);
	/* The caller works too; fewer than wanted do as well. */
	while (started + 1 < want &&
	    pthread_create(&thread[started], NULL, work, &po) == 0)
		started++;
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	(void)work(&po);
	while (started > 0)
		(void)pthread_join(thread[--started], NULL);
	(void)pthread_mutex_destroy(&po.po_lock);
}
