/* SPDX-License-Identifier: ISC */

/*
 * imgdiskvar.h: disks out of images, as qcow(4) and vhd(4).  imgdisk*.c is
 * all of them; qcow.c and vhd.c are what the kernel's tables call and what
 * differs.  Where bytes live is the business of the image library, which is
 * compiled as it stands: it is called by one thread at a time, may sleep and
 * allocates nothing after the attach.
 *
 * Locks, in this order:
 *	dk_lock		opens, label, attaching and detaching: sc_state
 *	sc_mtx		sc_state and sc_nuse for strategy, which never sleeps
 * and none of them is held while a vnode is locked: who opens a block device
 * comes with a vnode's lock and takes dk_lock.  A label is read with dk_lock
 * held, but in the task's thread.
 */

#ifndef _DEV_IMGDISKVAR_H_
#define _DEV_IMGDISKVAR_H_

#include "core/dcache.h"
#include "dev/imgdiskio.h"

#define IMGDISK_NPEND 64 /* bufs that a write waits for until it is flushed */
#define IMGDISK_SECBITS_MIN 9
#define IMGDISK_SECBITS_MAX 16
#define IMGDISK_BUDGET (16 * 1024 * 1024) /* bytes a handle may allocate */
#define IMGDISK_NSLOTS 4 /* of the cache of data, if not told otherwise */

struct imgdisk_softc;

/* The environment's file: a vnode, and whose rights it is used with. */
struct imgdisk_file {
	struct img_file if_file; /* first */
	struct vnode *if_vp;
	struct ucred *if_cred;
	int if_mode; /* FREAD, FWRITE: as vn_open had it */
	int if_sync; /* writes are stable when they return */
};

/* What a unit is.  Opens succeed up to ATTACHED, strategy up to LEAVING. */
enum imgdisk_state {
	IMGDISK_FREE,
	IMGDISK_ATTACHING, /* the image is being looked at */
	IMGDISK_ATTACHED,
	IMGDISK_LEAVING, /* no opens; what is dirty may still come */
	IMGDISK_GONE     /* no I/O; waiting for what is under way */
};

struct imgdisk_softc {
	struct device sc_dev;
	struct disk sc_dk;
	const struct imgdisk_face *sc_face;
	int sc_unit;
	struct mutex sc_mtx;
	enum imgdisk_state sc_state;
	u_int sc_nuse; /* of the image, outside the task */
	int sc_haslabel;
	int sc_readonly;
	u_int sc_secbits; /* log2 of the sector size */
	uint64_t sc_nsec; /* sectors of the disk */
	char *sc_name;    /* of the file, as it was given */
	struct imgdisk_file sc_file;
	struct img_dcache sc_dcache;
	struct img *sc_img;
	struct taskq *sc_taskq;
	struct task sc_task;
	struct bufq sc_bufq;
	/* Of the task alone: writes whose pointers are not durable yet. */
	struct buf *sc_pend[IMGDISK_NPEND];
	u_int sc_npend;
	int sc_unflushed; /* tables changed since the last flush */
	LIST_ENTRY(imgdisk_softc) sc_link; /* of all that are attached */
};

/* What distinguishes qcow(4) from vhd(4). */
struct imgdisk_face {
	const char *fa_name; /* "qcow" */
	const struct img_format *fa_format;
	int (*fa_open)(dev_t, int, int, struct proc *);
	void (*fa_strategy)(struct buf *);
	struct imgdisk_softc **fa_unit; /* fa_nunits of them */
	int fa_nunits;
	int *fa_nslots; /* of the cache of data; 0: none */
};

/* An attach as the face's ioctl has it, in kernel memory. */
struct imgdisk_attach {
	const char *ia_file; /* in user space */
	int ia_readonly;
	u_int ia_secbits; /* log2 of the sector size; 0: 9 */
};

/* What a control ioctl wants; a face has numbers of its own for these. */
enum imgdisk_verb {
	IMGDISK_ATTACH, /* struct imgdisk_attach */
	IMGDISK_DETACH, /* unsigned int */
	IMGDISK_FNAME,  /* struct imgdisk_fname */
	IMGDISK_STAT,   /* struct stat */
	IMGDISK_LIST    /* struct imgdisk_unit */
};

/* imgdisk.c */
void imgdisk_units(struct imgdisk_face *, int);
struct imgdisk_softc *imgdisk_lookup(const struct imgdisk_face *, dev_t);
int imgdisk_open(const struct imgdisk_face *, dev_t, int, int);
int imgdisk_close(const struct imgdisk_face *, dev_t, int);

/* imgdisk_ioctl.c */
int imgdisk_control(const struct imgdisk_face *, dev_t, enum imgdisk_verb,
    void *, int, struct proc *);
int imgdisk_ioctl(const struct imgdisk_face *, dev_t, u_long, caddr_t, int);
/* imgdisk.c too: a label as the on-disk one, or as if there were none. */
void imgdisk_getlabel(struct imgdisk_softc *, dev_t, struct disklabel *, int);

/* imgdisk_attach.c */
int imgdisk_attach(struct imgdisk_softc *, const struct imgdisk_attach *,
    struct proc *);
int imgdisk_detach(struct imgdisk_softc *, dev_t, int, struct proc *);

/* imgdisk_io.c */
int imgdisk_take(struct imgdisk_softc *);
void imgdisk_drop(struct imgdisk_softc *);
void imgdisk_strategy(const struct imgdisk_face *, struct buf *);
void imgdisk_task(void *);

/* imgdisk_file.c */
extern const struct img_env imgdisk_env;
extern const struct img_fileops imgdisk_fileops;

#endif /* _DEV_IMGDISKVAR_H_ */
