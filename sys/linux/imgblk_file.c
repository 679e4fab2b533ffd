// SPDX-License-Identifier: ISC

/* The image library's environment: a struct file, and kvmalloc. */

#include <linux/file.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>

#include "imgblk.h"

static void *
imgblk_alloc(void *arg, size_t n)
{
	return (kvzalloc(n, GFP_KERNEL));
}

static void
imgblk_free(void *arg, void *p, size_t n)
{
	kvfree(p);
}

/* Tables can be large, and a kernel without preemption waits for us. */
static int
imgblk_poll(void *arg, uint64_t done, uint64_t total)
{
	cond_resched();
	return (fatal_signal_pending(current) ? EINTR : 0);
}

const struct img_env imgblk_env = {
	.ev_alloc = imgblk_alloc,
	.ev_free = imgblk_free,
	.ev_poll = imgblk_poll,
};

int
imgblk_errno(int error)
{
	return (error == EFTYPE ? -EUCLEAN : -error);
}

static struct file *
host(struct img_file *f)
{
	return (((struct imgblk_file *)f)->f_host);
}

static int
imgblk_read(struct img_file *f, void *buf, uint32_t len, uint64_t off)
{
	loff_t pos = off;
	ssize_t n;

	while (len > 0) {
		n = kernel_read(host(f), buf, len, &pos);
		if (n <= 0)
			return (n == 0 ? EIO : (int)-n);
		buf += n;
		len -= n;
	}
	return (0);
}

static int
imgblk_write(struct img_file *f, const void *buf, uint32_t len, uint64_t off)
{
	loff_t pos = off;
	ssize_t n;

	while (len > 0) {
		n = kernel_write(host(f), buf, len, &pos);
		if (n <= 0)
			return (n == 0 ? ENOSPC : (int)-n);
		buf += n;
		len -= n;
	}
	return (0);
}

static int
imgblk_barrier(struct img_file *f)
{
	return (-vfs_fsync(host(f), 1));
}

static int
imgblk_length(struct img_file *f, uint64_t *len)
{
	*len = i_size_read(file_inode(host(f)));
	return (0);
}

static int
imgblk_resize(struct img_file *f, uint64_t len)
{
	return ((int)-vfs_truncate(&host(f)->f_path, len));
}

static const struct img_fileops imgblk_fileops = {
	.fo_read = imgblk_read,
	.fo_write = imgblk_write,
	.fo_barrier = imgblk_barrier,
	.fo_length = imgblk_length,
	.fo_resize = imgblk_resize,
};

int
imgblk_file_open(struct imgblk_file *f, const char *path, bool readonly)
{
	struct file *host;

	host = filp_open(path,
	    (readonly ? O_RDONLY : O_RDWR) | O_LARGEFILE | O_NONBLOCK, 0);
	if (IS_ERR(host))
		return (PTR_ERR(host));
	if (!S_ISREG(file_inode(host)->i_mode)) {
		filp_close(host, NULL);
		return (-EINVAL);
	}
	f->f_host = host;
	f->f_file.f_ops = &imgblk_fileops;
	f->f_file.f_flags = IMG_FILE_ZEROES;
	return (0);
}

void
imgblk_file_close(struct imgblk_file *f)
{
	if (f->f_host != NULL)
		filp_close(f->f_host, NULL);
	f->f_host = NULL;
}
