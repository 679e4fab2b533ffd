/* SPDX-License-Identifier: ISC */

/* Bufs: queues, tasks that work on them, the end of them; physio(9). */

#include "driver/kern.h"

/* --- bufq --------------------------------------------------------------- */

struct fifo {
	struct bufq_fifo_head f_head;
};

int
bufq_init(struct bufq *bq, int type)
{
	struct fifo *f;

	if (host_fault(F_BUFQ))
		return (ENOMEM);
	memset(bq, 0, sizeof(*bq));
	mtx_init(&bq->bufq_mtx, IPL_BIO);
	f = malloc(sizeof(*f), M_DEVBUF, M_WAITOK);
	SIMPLEQ_INIT(&f->f_head);
	bq->bufq_data = f;
	bq->bufq_type = type;
	return (0);
}

void
bufq_destroy(struct bufq *bq)
{
	if (bq->bufq_data == NULL || bq->bufq_outstanding != 0)
		host_panic("bufq_destroy: %u bufs are under way",
		    bq->bufq_outstanding);
	free(bq->bufq_data, M_DEVBUF, sizeof(struct fifo));
	host_mutex_free((struct host_mutex *)bq->bufq_mtx.mtx_owner);
	memset(bq, 0, sizeof(*bq));
}

void
bufq_queue(struct bufq *bq, struct buf *bp)
{
	struct fifo *f = bq->bufq_data;

	if (bp->b_bq != NULL)
		host_panic("bufq_queue: it is on a queue");
	mtx_enter(&bq->bufq_mtx);
	bp->b_bq = bq;
	bq->bufq_outstanding++;
	SIMPLEQ_INSERT_TAIL(&f->f_head, bp, b_bufq.bufq_data_fifo.bqf_entries);
	mtx_leave(&bq->bufq_mtx);
}

struct buf *
bufq_dequeue(struct bufq *bq)
{
	struct fifo *f = bq->bufq_data;
	struct buf *bp;

	mtx_enter(&bq->bufq_mtx);
	bp = SIMPLEQ_FIRST(&f->f_head);
	if (bp != NULL)
		SIMPLEQ_REMOVE_HEAD(&f->f_head,
		    b_bufq.bufq_data_fifo.bqf_entries);
	mtx_leave(&bq->bufq_mtx);
	return (bp);
}

void
bufq_done(struct bufq *bq, struct buf *bp)
{
	mtx_enter(&bq->bufq_mtx);
	if (bq->bufq_outstanding-- == 0)
		host_panic("bufq_done: of none");
	mtx_leave(&bq->bufq_mtx);
	bp->b_bq = NULL;
}

/* --- done --------------------------------------------------------------- */

static daddr_t ndone;

/* Which one it was is told in a field that no driver may look at. */
static void
set_done(void *arg)
{
	struct buf *bp = arg;

	bp->b_lblkno = ++ndone;
	bp->b_flags |= B_DONE;
}

static int
is_done(void *arg)
{
	return ((((struct buf *)arg)->b_flags & B_DONE) != 0);
}

void
biodone(struct buf *bp)
{
	if (kern_level() < IPL_BIO)
		host_panic("biodone: below splbio");
	if (is_done(bp))
		host_panic("biodone: twice");
	if (bp->b_resid > (size_t)bp->b_bcount)
		host_panic("biodone: %zu of %ld bytes left", bp->b_resid,
		    bp->b_bcount);
	if ((bp->b_flags & B_ERROR) == 0 && bp->b_error != 0)
		host_panic("biodone: an error without B_ERROR");
	if (bp->b_bq != NULL)
		bufq_done(bp->b_bq, bp);
	if ((bp->b_flags & B_READ) == 0)
		host_biodone(bp->b_data, bp->b_bcount - bp->b_resid,
		    (unsigned long long)bp->b_blkno << DEV_BSHIFT, bp->b_error);
	kern_change(set_done, bp);
	/* It may be gone now. */
}

int
kern_isdone(struct buf *bp)
{
	return (is_done(bp));
}

int
kern_biowait(struct buf *bp)
{
	kern_sleeps("biowait");
	kern_wait_for(is_done, bp);
	if ((bp->b_flags & B_ERROR) == 0)
		return (0);
	return (bp->b_error != 0 ? bp->b_error : EIO);
}

/* Nothing is allocated on the way. */
void
kern_strategy(void (*strategy)(struct buf *), struct buf *bp)
{
	(void)kern_noalloc_depth(1);
	(*strategy)(bp);
	(void)kern_noalloc_depth(-1);
}

/* --- physio(9) ---------------------------------------------------------- */

void
minphys(struct buf *bp)
{
	if (bp->b_bcount > MAXPHYS)
		bp->b_bcount = MAXPHYS;
}

static int
piece(void (*strategy)(struct buf *), dev_t dev, int flags,
    void (*limit)(struct buf *), struct uio *uio, size_t *done)
{
	struct iovec *iov = uio->uio_iov;
	struct buf *bp = host_alloc(sizeof(*bp));
	size_t todo;
	int error;

	memset(bp, 0, sizeof(*bp));
	bp->b_flags = B_BUSY | B_PHYS | B_RAW | flags;
	bp->b_dev = dev;
	bp->b_proc = uio->uio_procp;
	bp->b_data = iov->iov_base;
	bp->b_blkno = btodb(uio->uio_offset);
	bp->b_bcount = MIN(iov->iov_len, LONG_MAX);
	(*limit)(bp);
	todo = bp->b_bcount;
	kern_strategy(strategy, bp);
	error = kern_biowait(bp);
	if (bp->b_resid > (size_t)bp->b_bcount || (size_t)bp->b_bcount > todo)
		host_panic("physio: impossible counts");
	*done = bp->b_bcount - bp->b_resid;
	iov->iov_base = (caddr_t)iov->iov_base + *done;
	iov->iov_len -= *done;
	uio->uio_offset += *done;
	uio->uio_resid -= *done;
	if (*done == todo)
		*done = SIZE_MAX; /* go on */
	host_free(bp);
	return (error);
}

int
physio(void (*strategy)(struct buf *), dev_t dev, int flags,
    void (*limit)(struct buf *), struct uio *uio)
{
	size_t done = SIZE_MAX;
	int error = 0;

	if ((uio->uio_offset % DEV_BSIZE) != 0)
		return (EINVAL);
	while (error == 0 && done == SIZE_MAX && uio->uio_iov->iov_len > 0)
		error = piece(strategy, dev, flags, limit, uio, &done);
	return (error);
}

/* --- task(9): one thread per queue -------------------------------------- */

struct taskq {
	struct task_list tq_list;
	struct host_mutex *tq_mtx;
	struct host_thread *tq_thread;
	int tq_running, tq_dead;
};

static int held; /* no task starts */

void
task_set(struct task *t, void (*fn)(void *), void *arg)
{
	memset(t, 0, sizeof(*t));
	t->t_func = fn;
	t->t_arg = arg;
}

static int
waits(struct taskq *tq)
{
	return (TAILQ_EMPTY(&tq->tq_list) ||
	    __atomic_load_n(&held, __ATOMIC_RELAXED));
}

static void
serve(void *arg)
{
	struct taskq *tq = arg;
	struct task *t, todo;

	(void)kern_noalloc_depth(1);
	host_mutex_lock(tq->tq_mtx);
	for (;;) {
		while (waits(tq) && !tq->tq_dead)
			host_mutex_wait(tq->tq_mtx);
		if (TAILQ_EMPTY(&tq->tq_list))
			break;
		t = TAILQ_FIRST(&tq->tq_list);
		TAILQ_REMOVE(&tq->tq_list, t, t_entry);
		t->t_flags &= ~TASK_ONQUEUE;
		todo = *t;
		tq->tq_running = 1;
		host_mutex_unlock(tq->tq_mtx);
		kern_lock();
		(*todo.t_func)(todo.t_arg);
		kern_nothing_held("taskq");
		kern_unlock();
		host_mutex_lock(tq->tq_mtx);
		tq->tq_running = 0;
		host_mutex_wake(tq->tq_mtx);
	}
	host_mutex_unlock(tq->tq_mtx);
}

/* For k_release, which has to tell one of them. */
static struct taskq *all[16];
static struct host_mutex *all_mtx;

void
kern_buf_init(void)
{
	all_mtx = host_mutex_new();
}

struct taskq *
taskq_create(const char *name, unsigned int n, int ipl, unsigned int flags)
{
	struct taskq *tq;
	int i;

	kern_sleeps("taskq_create");
	if (n != 1 || flags != 0)
		host_panic("taskq_create: not as the harness has it");
	if (host_fault(F_TASKQ))
		return (NULL);
	tq = host_alloc(sizeof(*tq));
	memset(tq, 0, sizeof(*tq));
	TAILQ_INIT(&tq->tq_list);
	tq->tq_mtx = host_mutex_new();
	tq->tq_thread = host_thread_new(serve, tq);
	kern_count(&kern_ntaskqs, 1);
	host_mutex_lock(all_mtx);
	for (i = 0; all[i] != NULL; i++)
		;
	all[i] = tq;
	host_mutex_unlock(all_mtx);
	return (tq);
}

void
taskq_destroy(struct taskq *tq)
{
	int i, n;

	kern_sleeps("taskq_destroy");
	host_mutex_lock(all_mtx);
	for (i = 0; all[i] != tq; i++)
		;
	all[i] = NULL;
	host_mutex_unlock(all_mtx);
	n = kern_unlock_all();
	host_mutex_lock(tq->tq_mtx);
	tq->tq_dead = 1;
	host_mutex_wake(tq->tq_mtx);
	host_mutex_unlock(tq->tq_mtx);
	host_thread_join(tq->tq_thread);
	kern_relock(n);
	host_mutex_free(tq->tq_mtx);
	kern_count(&kern_ntaskqs, -1);
	host_free(tq);
}

void
taskq_barrier(struct taskq *tq)
{
	int n;

	kern_sleeps("taskq_barrier");
	n = kern_unlock_all();
	host_mutex_lock(tq->tq_mtx);
	while (!TAILQ_EMPTY(&tq->tq_list) || tq->tq_running)
		host_mutex_wait(tq->tq_mtx);
	host_mutex_unlock(tq->tq_mtx);
	kern_relock(n);
}

int
task_add(struct taskq *tq, struct task *t)
{
	int added = 0;

	host_yield(); /* whatever it does can have happened before */
	host_mutex_lock(tq->tq_mtx);
	if ((t->t_flags & TASK_ONQUEUE) == 0) {
		t->t_flags |= TASK_ONQUEUE;
		TAILQ_INSERT_TAIL(&tq->tq_list, t, t_entry);
		host_mutex_wake(tq->tq_mtx);
		added = 1;
	}
	host_mutex_unlock(tq->tq_mtx);
	return (added);
}

void
k_hold(void)
{
	__atomic_store_n(&held, 1, __ATOMIC_RELAXED);
}

void
k_release(void)
{
	int i;

	__atomic_store_n(&held, 0, __ATOMIC_RELAXED);
	for (i = 0; i < 16; i++) {
		if (all[i] == NULL)
			continue;
		host_mutex_lock(all[i]->tq_mtx);
		host_mutex_wake(all[i]->tq_mtx);
		host_mutex_unlock(all[i]->tq_mtx);
	}
}
