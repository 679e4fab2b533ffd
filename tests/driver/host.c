/* SPDX-License-Identifier: ISC */

/* The C library for the kernel's half: memory, threads, messages. */

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "driver/host.h"

/* With one processor the kernel takes this for its struct cpu_info. */
char cpu_info_full_primary[65536] __attribute__((aligned(4096)));

static struct {
	pthread_mutex_t l_mtx;
	char l_text[8192];
	size_t l_len;
} line = { .l_mtx = PTHREAD_MUTEX_INITIALIZER };

void *
host_alloc(unsigned long n)
{
	void *p = calloc(1, n > 0 ? n : 1);

	if (p == NULL)
		host_panic("the host has no memory");
	return (p);
}

void
host_free(void *p)
{
	free(p);
}

void
host_panic(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "harness: ");
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "\n");
	va_end(ap);
	abort();
}

int
host_vsnprintf(char *s, unsigned long n, const char *fmt, va_list ap)
{
	return (vsnprintf(s, n, fmt, ap));
}

void
host_log(const char *text)
{
	size_t n = strlen(text);

	pthread_mutex_lock(&line.l_mtx);
	if (line.l_len + n < sizeof(line.l_text)) {
		memcpy(line.l_text + line.l_len, text, n + 1);
		line.l_len += n;
	}
	pthread_mutex_unlock(&line.l_mtx);
}

const char *
host_logged(void)
{
	return (line.l_text);
}

void
host_log_clear(void)
{
	line.l_len = 0;
	line.l_text[0] = '\0';
}

/* --- threads ------------------------------------------------------------ */

struct host_mutex {
	pthread_mutex_t m_mtx;
	pthread_cond_t m_cond;
};

struct host_mutex *
host_mutex_new(void)
{
	struct host_mutex *m = host_alloc(sizeof(*m));

	pthread_mutex_init(&m->m_mtx, NULL);
	pthread_cond_init(&m->m_cond, NULL);
	return (m);
}

void
host_mutex_free(struct host_mutex *m)
{
	pthread_cond_destroy(&m->m_cond);
	pthread_mutex_destroy(&m->m_mtx);
	free(m);
}

void
host_mutex_lock(struct host_mutex *m)
{
	pthread_mutex_lock(&m->m_mtx);
}

void
host_mutex_unlock(struct host_mutex *m)
{
	pthread_mutex_unlock(&m->m_mtx);
}

void
host_mutex_wait(struct host_mutex *m)
{
	pthread_cond_wait(&m->m_cond, &m->m_mtx);
}

void
host_mutex_wake(struct host_mutex *m)
{
	pthread_cond_broadcast(&m->m_cond);
}

struct host_thread {
	pthread_t t_id;
	void (*t_fn)(void *);
	void *t_arg;
};

static void *
run(void *arg)
{
	struct host_thread *t = arg;

	(*t->t_fn)(t->t_arg);
	return (NULL);
}

struct host_thread *
host_thread_new(void (*fn)(void *), void *arg)
{
	struct host_thread *t = host_alloc(sizeof(*t));

	t->t_fn = fn;
	t->t_arg = arg;
	if (pthread_create(&t->t_id, NULL, run, t) != 0)
		host_panic("the host has no threads");
	return (t);
}

void
host_thread_join(struct host_thread *t)
{
	pthread_join(t->t_id, NULL);
	free(t);
}

/* Let others go first, sometimes for long. */
void
host_yield(void)
{
	static unsigned long n;

	if (__atomic_add_fetch(&n, 1, __ATOMIC_RELAXED) % 7 == 0)
		usleep(500);
	else
		sched_yield();
}

/* --- failures ----------------------------------------------------------- */

static long chances[F_NKINDS], first[F_NKINDS], failures;
static int forever[F_NKINDS];

void
host_fail(enum k_fault kind, int n, int all)
{
	first[kind] = n > 0 ? chances[kind] + n : 0;
	forever[kind] = all;
}

long
host_chances(enum k_fault kind)
{
	return (chances[kind]);
}

long
host_failures(void)
{
	return (failures);
}

void
host_fail_reset(void)
{
	memset(chances, 0, sizeof(chances));
	memset(first, 0, sizeof(first));
	failures = 0;
}

int
host_fault(enum k_fault kind)
{
	long n = __atomic_add_fetch(&chances[kind], 1, __ATOMIC_RELAXED);

	if (first[kind] == 0 ||
	    (forever[kind] ? n < first[kind] : n != first[kind]))
		return (0);
	__atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED);
	return (1);
}
