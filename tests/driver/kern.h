/* SPDX-License-Identifier: ISC */

/*
 * kern.h: what the mocks of the kernel share.  They keep the contracts of
 * the functions that they stand for, and panic where a caller breaks one.
 */

#ifndef TESTS_DRIVER_KERN_H
#define TESTS_DRIVER_KERN_H

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/proc.h>
#include <sys/conf.h>
#include <sys/disk.h>
#include <sys/disklabel.h>
#include <sys/dkio.h>
#include <sys/buf.h>
#include <sys/fcntl.h>
#include <sys/lock.h>
#include <sys/malloc.h>
#include <sys/mount.h>
#include <sys/mutex.h>
#include <sys/namei.h>
#include <sys/rwlock.h>
#include <sys/stat.h>
#include <sys/task.h>
#include <sys/ucred.h>
#include <sys/uio.h>
#include <sys/vnode.h>

#include "driver/harness.h"

/* Locks that may be held together, for the order among them. */
enum kern_class { CL_DISK, CL_OTHER, CL_VNODE, CL_NCLASSES };

/* kern_sync.c */
void kern_lock(void); /* the big one; recursive */
void kern_unlock(void);
int kern_level(void);
int kern_unlock_all(void); /* before a sleep ... */
void kern_relock(int);     /* ... and after it */
/* This may sleep: not with a mutex, and not above IPL_NONE. */
void kern_sleeps(const char *what);
void kern_nothing_held(const char *where);
void kern_enter(void *volatile *lock, const void *id, enum kern_class);
void kern_exit(void *volatile *lock, const void *id);
int kern_holds(const void *id);
/* As if a lock of that class were held, for the order alone. */
void kern_pretend(const void *id, enum kern_class);
void kern_forget(const void *id);
/* Wait until *flag; kern_wake after it was set by kern_set. */
void kern_wait_for(int (*ready)(void *), void *);
void kern_change(void (*change)(void *), void *);

/* kern_mem.c */
extern struct proc kern_proc;       /* of every process */
int kern_noalloc_depth(int change); /* of this thread */
void kern_count(long *, long change);
extern long kern_ncreds, kern_nallocs, kern_nbytes, kern_nlabels;
extern long kern_ntaskqs, kern_nvnodes;
int kern_cred_live(const struct ucred *);

/* kern_buf.c */
void kern_buf_init(void);
void kern_strategy(void (*)(struct buf *), struct buf *);
int kern_biowait(struct buf *);
int kern_isdone(struct buf *);

struct kern_fd {
	int f_used, f_revoked, f_flags;
	int f_face, f_unit, f_part, f_block;
};

/* A buffer whose write was delayed. */
struct kern_dirty {
	struct kern_dirty *d_next;
	struct buf d_buf;
};

/* kern_user.c */
struct kern_fd *kern_descriptor(int);
dev_t kern_device(const struct kern_fd *);
void kern_add_dirty(const struct kern_fd *, struct kern_dirty *);
void kern_revoke(int (*)(dev_t, int, int, struct proc *), int unit);

#endif /* TESTS_DRIVER_KERN_H */
