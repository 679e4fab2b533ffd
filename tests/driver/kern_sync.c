/* SPDX-License-Identifier: ISC */

/* Locks, sleeping, interrupt levels; and the order of locks. */

#include "driver/kern.h"

#define MAXHELD 8

struct held {
	const void *h_id;
	enum kern_class h_class;
};

static __thread struct held held[MAXHELD];
static __thread int nheld, nmutex, level, depth;

static struct host_mutex *big, *sleepq;
static unsigned long nwakes; /* by sleepq */
static int order[CL_NCLASSES][CL_NCLASSES];

/* --- the kernel lock ---------------------------------------------------- */

static struct host_mutex *
made(struct host_mutex **m)
{
	struct host_mutex *new, *none = NULL;

	new = __atomic_load_n(m, __ATOMIC_ACQUIRE);
	if (new != NULL)
		return (new);
	new = host_mutex_new();
	if (__atomic_compare_exchange_n(m, &none, new, 0, __ATOMIC_ACQ_REL,
		__ATOMIC_ACQUIRE))
		return (new);
	host_mutex_free(new);
	return (none);
}

void
kern_lock(void)
{
	if (depth++ == 0)
		host_mutex_lock(made(&big));
}

void
kern_unlock(void)
{
	if (depth <= 0)
		host_panic("kernel lock: not held");
	if (--depth == 0)
		host_mutex_unlock(big);
}

int
kern_unlock_all(void)
{
	int n = depth;

	if (n > 0)
		host_mutex_unlock(big);
	depth = 0;
	return (n);
}

void
kern_relock(int n)
{
	if (n > 0)
		host_mutex_lock(big);
	depth = n;
}

/* --- what may be held --------------------------------------------------- */

void
kern_sleeps(const char *what)
{
	if (nmutex != 0)
		host_panic("%s: sleeps with a mutex held", what);
	if (level != IPL_NONE)
		host_panic("%s: sleeps at level %d", what, level);
}

void
kern_nothing_held(const char *where)
{
	kern_sleeps(where);
	if (nheld != 0)
		host_panic("%s: a lock is still held", where);
}

int
kern_holds(const void *id)
{
	int i;

	for (i = 0; i < nheld; i++)
		if (held[i].h_id == id)
			return (1);
	return (0);
}

/* What witness(4) does, with classes instead of locks. */
void
kern_pretend(const void *id, enum kern_class class)
{
	int i;

	for (i = 0; i < nheld; i++) {
		if (held[i].h_class == class)
			host_panic("lock order: two of class %d", class);
		__atomic_store_n(&order[held[i].h_class][class], 1,
		    __ATOMIC_RELAXED);
		if (__atomic_load_n(&order[class][held[i].h_class],
			__ATOMIC_RELAXED))
			host_panic("lock order reversal: %d, then %d",
			    held[i].h_class, class);
	}
	if (nheld == MAXHELD)
		host_panic("too many locks");
	held[nheld].h_id = id;
	held[nheld++].h_class = class;
}

void
kern_forget(const void *id)
{
	int i;

	for (i = 0; i < nheld && held[i].h_id != id; i++)
		;
	if (i == nheld)
		host_panic("unlocks what it does not hold");
	held[i] = held[--nheld];
}

void
kern_enter(void *volatile *lock, const void *id, enum kern_class class)
{
	int n;

	kern_sleeps("a lock");
	if (kern_holds(id))
		host_panic("recursion on a lock");
	n = kern_unlock_all();
	host_mutex_lock(made((struct host_mutex **)lock));
	kern_relock(n);
	kern_pretend(id, class);
}

void
kern_exit(void *volatile *lock, const void *id)
{
	kern_forget(id);
	host_mutex_unlock((struct host_mutex *)*lock);
}

/* --- rwlock(9) ---------------------------------------------------------- */

void
_rw_init_flags(struct rwlock *rwl, const char *name, int flags,
    const struct lock_type *type, int trace)
{
	memset(rwl, 0, sizeof(*rwl));
	rwl->rwl_name = name;
}

void
rw_enter_write(struct rwlock *rwl)
{
	kern_enter((void *volatile *)&rwl->rwl_owner, rwl, CL_OTHER);
}

void
rw_exit_write(struct rwlock *rwl)
{
	kern_exit((void *volatile *)&rwl->rwl_owner, rwl);
}

int
disk_lock(struct disk *dk)
{
	if (host_fault(F_DISKLOCK))
		return (EINTR);
	disk_lock_nointr(dk);
	return (0);
}

void
disk_lock_nointr(struct disk *dk)
{
	kern_enter((void *volatile *)&dk->dk_lock.rwl_owner, &dk->dk_lock,
	    CL_DISK);
}

void
disk_unlock(struct disk *dk)
{
	kern_exit((void *volatile *)&dk->dk_lock.rwl_owner, &dk->dk_lock);
}

/* --- mutex(9), spl(9) --------------------------------------------------- */

void
__mtx_init(struct mutex *mtx, int ipl)
{
	memset(mtx, 0, sizeof(*mtx));
	mtx->mtx_wantipl = ipl;
	mtx->mtx_owner = host_mutex_new();
}

void
mtx_enter(struct mutex *mtx)
{
	if (nmutex != 0)
		host_panic("mutex: a second one");
	if (mtx->mtx_wantipl < level)
		host_panic("mutex: entered above its level");
	host_mutex_lock((struct host_mutex *)mtx->mtx_owner);
	nmutex++;
}

void
mtx_leave(struct mutex *mtx)
{
	if (nmutex-- != 1)
		host_panic("mutex: not held");
	host_mutex_unlock((struct host_mutex *)mtx->mtx_owner);
}

int
splraise(int new)
{
	int old = level;

	if (new > level)
		level = new;
	return (old);
}

int
spllower(int new)
{
	int old = level;

	level = new;
	return (old);
}

int
kern_level(void)
{
	return (level);
}

/* --- sleeping ----------------------------------------------------------- */

int
msleep_nsec(const volatile void *id, struct mutex *mtx, int prio,
    const char *why, uint64_t nsecs)
{
	unsigned long seen;
	int n;

	if (nmutex != 1 || level != IPL_NONE)
		host_panic("msleep: %s: wrong state", why);
	if (nsecs != INFSLP || (prio & PCATCH))
		host_panic("msleep: %s: not as the harness has it", why);
	host_mutex_lock(made(&sleepq));
	seen = nwakes;
	mtx_leave(mtx);
	n = kern_unlock_all();
	while (nwakes == seen)
		host_mutex_wait(sleepq);
	host_mutex_unlock(sleepq);
	kern_relock(n);
	mtx_enter(mtx);
	return (0);
}

void
wakeup(const volatile void *id)
{
	host_mutex_lock(made(&sleepq));
	nwakes++;
	host_mutex_wake(sleepq);
	host_mutex_unlock(sleepq);
}

void
kern_wait_for(int (*ready)(void *), void *arg)
{
	int n = kern_unlock_all();

	host_mutex_lock(made(&sleepq));
	while (!ready(arg))
		host_mutex_wait(sleepq);
	host_mutex_unlock(sleepq);
	kern_relock(n);
}

void
kern_change(void (*change)(void *), void *arg)
{
	host_mutex_lock(made(&sleepq));
	change(arg);
	nwakes++;
	host_mutex_wake(sleepq);
	host_mutex_unlock(sleepq);
}
