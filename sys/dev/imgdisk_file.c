/* SPDX-License-Identifier: ISC */

/* The image library's environment: vnodes and malloc(9). */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/proc.h>
#include <sys/disk.h>
#include <sys/disklabel.h>
#include <sys/buf.h>
#include <sys/fcntl.h>
#include <sys/lock.h>
#include <sys/malloc.h>
#include <sys/mount.h>
#include <sys/namei.h>
#include <sys/task.h>
#include <sys/ucred.h>
#include <sys/vnode.h>

#include "dev/imgdiskvar.h"

static void *
imgdisk_alloc(void *arg, size_t n)
{
	/* How much is asked for comes from an image: never M_WAITOK alone. */
	return (malloc(n, M_DEVBUF, M_WAITOK | M_CANFAIL | M_ZERO));
}

static void
imgdisk_free(void *arg, void *p, size_t n)
{
	free(p, M_DEVBUF, n);
}

const struct img_env imgdisk_env = {
	.ev_alloc = imgdisk_alloc,
	.ev_free = imgdisk_free,
};

static int
imgdisk_rdwr(struct img_file *f, enum uio_rw rw, void *buf, uint32_t len,
    uint64_t off)
{
	struct imgdisk_file *vf = (struct imgdisk_file *)f;
	size_t resid = 0;
	int error, flags;

	if (len > INT_MAX || off > INT64_MAX - len)
		return (EFBIG);
	flags = IO_NOCACHE | IO_NOLIMIT;
	if (rw == UIO_WRITE && vf->if_sync)
		flags |= IO_SYNC;
	error = vn_rdwr(rw, vf->if_vp, buf, len, off, UIO_SYSSPACE, flags,
	    vf->if_cred, &resid, curproc);
	if (error == 0 && resid != 0)
		error = EIO;
	return (error);
}

static int
imgdisk_read(struct img_file *f, void *buf, uint32_t len, uint64_t off)
{
	return (imgdisk_rdwr(f, UIO_READ, buf, len, off));
}

static int
imgdisk_write(struct img_file *f, const void *buf, uint32_t len, uint64_t off)
{
	return (imgdisk_rdwr(f, UIO_WRITE, (void *)(uintptr_t)buf, len, off));
}

static int
imgdisk_barrier(struct img_file *f)
{
	struct imgdisk_file *vf = (struct imgdisk_file *)f;
	int error;

	error = vn_lock(vf->if_vp, LK_EXCLUSIVE | LK_RETRY);
	if (error == 0) {
		error = VOP_FSYNC(vf->if_vp, vf->if_cred, MNT_WAIT, curproc);
		VOP_UNLOCK(vf->if_vp);
	}
	return (error);
}

static int
imgdisk_length(struct img_file *f, uint64_t *len)
{
	struct imgdisk_file *vf = (struct imgdisk_file *)f;
	struct vattr va;
	int error;

	error = vn_lock(vf->if_vp, LK_SHARED | LK_RETRY);
	if (error == 0) {
		error = VOP_GETATTR(vf->if_vp, &va, vf->if_cred, curproc);
		VOP_UNLOCK(vf->if_vp);
	}
	if (error == 0)
		*len = va.va_size;
	return (error);
}

static int
imgdisk_resize(struct img_file *f, uint64_t len)
{
	struct imgdisk_file *vf = (struct imgdisk_file *)f;
	struct vattr va;
	int error;

	vattr_null(&va);
	va.va_size = len;
	error = vn_lock(vf->if_vp, LK_EXCLUSIVE | LK_RETRY);
	if (error == 0) {
		error = VOP_SETATTR(vf->if_vp, &va, vf->if_cred, curproc);
		VOP_UNLOCK(vf->if_vp);
	}
	return (error);
}

const struct img_fileops imgdisk_fileops = {
	.fo_read = imgdisk_read,
	.fo_write = imgdisk_write,
	.fo_barrier = imgdisk_barrier,
	.fo_length = imgdisk_length,
	.fo_resize = imgdisk_resize,
};
