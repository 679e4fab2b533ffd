/* SPDX-License-Identifier: ISC */

/* I/O as processes and file systems do it. */

#include "driver/kern.h"

struct k_buf {
	struct buf kb_buf; /* first */
};

static int unlocked_io;

void
k_unlocked_io(int on)
{
	unlocked_io = on;
}

static void
io_enter(void)
{
	if (!unlocked_io)
		kern_lock();
}

static void
io_exit(const char *what)
{
	kern_nothing_held(what);
	if (!unlocked_io)
		kern_unlock();
}

static struct kern_fd
look(int fd)
{
	struct kern_fd f;

	kern_lock();
	f = *kern_descriptor(fd);
	kern_unlock();
	return (f);
}

/* --- read(2), write(2) -------------------------------------------------- */

static long
transfer(int fd, enum uio_rw rw, void *buf, unsigned long len,
    unsigned long long off)
{
	struct kern_fd f = look(fd);
	struct iovec iov = { buf, len };
	struct uio uio = { .uio_iov = &iov,
		.uio_iovcnt = 1,
		.uio_offset = off,
		.uio_resid = len,
		.uio_rw = rw,
		.uio_segflg = UIO_USERSPACE,
		.uio_procp = &kern_proc };
	const struct cdevsw *sw = &cdevsw[major(kern_device(&f))];
	int error;

	if (f.f_block)
		host_panic("test: read and write are for character devices");
	if (f.f_revoked)
		return (-EIO);
	if ((f.f_flags & (rw == UIO_READ ? FREAD : FWRITE)) == 0)
		return (-EBADF);
	io_enter();
	error = rw == UIO_READ ? (*sw->d_read)(kern_device(&f), &uio, 0) :
				 (*sw->d_write)(kern_device(&f), &uio, 0);
	io_exit("read or write");
	/* As sys_read has it: what was done is no error. */
	if (error != 0 && uio.uio_resid == len)
		return (-error);
	return (len - uio.uio_resid);
}

long
k_read(int fd, void *buf, unsigned long len, unsigned long long off)
{
	return (transfer(fd, UIO_READ, buf, len, off));
}

long
k_write(int fd, const void *buf, unsigned long len, unsigned long long off)
{
	return (transfer(fd, UIO_WRITE, (void *)(uintptr_t)buf, len, off));
}

/* --- single bufs -------------------------------------------------------- */

static void
fill(struct buf *bp, const struct kern_fd *f, int flags, void *data, long len,
    long long blkno)
{
	memset(bp, 0, sizeof(*bp));
	bp->b_flags = B_BUSY | flags;
	bp->b_dev = kern_device(f);
	bp->b_data = data;
	bp->b_bcount = len;
	bp->b_bufsize = len;
	bp->b_blkno = blkno;
}

static void
start(const struct kern_fd *f, struct buf *bp)
{
	io_enter();
	if (f->f_block)
		kern_strategy(bdevsw[major(bp->b_dev)].d_strategy, bp);
	else
		kern_strategy(f->f_face == K_QCOW ? bdevsw[18].d_strategy :
						    bdevsw[19].d_strategy,
		    bp);
	io_exit("strategy");
}

struct k_buf *
k_submit(int fd, int write, void *data, long len, long long blkno)
{
	struct kern_fd f = look(fd);
	struct k_buf *kb = host_alloc(sizeof(*kb));

	fill(&kb->kb_buf, &f, write ? B_WRITE : B_READ, data, len, blkno);
	start(&f, &kb->kb_buf);
	return (kb);
}

int
k_done(struct k_buf *kb)
{
	return (kern_isdone(&kb->kb_buf));
}

unsigned long
k_order(struct k_buf *kb)
{
	(void)kern_biowait(&kb->kb_buf);
	return (kb->kb_buf.b_lblkno);
}

int
k_wait(struct k_buf *kb, unsigned long *resid)
{
	int error;

	error = kern_biowait(&kb->kb_buf);
	if (resid != NULL)
		*resid = kb->kb_buf.b_resid;
	host_free(kb);
	return (error);
}

int
k_dirty(int fd, const void *data, unsigned long len, unsigned long long off)
{
	struct kern_fd f = look(fd);
	struct kern_dirty *d = host_alloc(sizeof(*d));
	void *copy = host_alloc(len);

	memcpy(copy, data, len);
	fill(&d->d_buf, &f, B_WRITE, copy, len, off >> DEV_BSHIFT);
	kern_lock();
	kern_add_dirty(&f, d);
	kern_unlock();
	return (0);
}
