/* SPDX-License-Identifier: ISC */

/* A host file or disk device as a struct img_file, over a descriptor. */

#include <sys/types.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/fs.h>
#include <linux/loop.h>
#include <sys/sysmacros.h>
#endif
#ifdef __OpenBSD__
#include <sys/disklabel.h>
#include <sys/dkio.h>
#elif !defined(__linux__)
#include <sys/disk.h>
#endif

#include "host/host.h"

#define ZEROS 65536u
#define ZERO_ALIGN 4096u /* a multiple of every sector size in use */

struct host_file {
	struct img_file hf_file; /* first: an img_file is a host_file */
	int hf_fd;
};

static const unsigned char zeros[ZEROS];

static int
file_fd(const struct img_file *f)
{
	return (((const struct host_file *)f)->hf_fd);
}

/* off_t is signed; every call below would fail in its own way. */
static int
range(uint64_t off, uint64_t len)
{
	return (off <= INT64_MAX && len <= INT64_MAX - off ? 0 : EFBIG);
}

static int
file_read(struct img_file *f, void *buf, uint32_t len, uint64_t off)
{
	unsigned char *p = buf;
	ssize_t n;
	int error;

	if ((error = range(off, len)) != 0)
		return (error);
	while (len > 0) {
		n = pread(file_fd(f), p, len, (off_t)off);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return (errno);
		if (n == 0)
			return (EIO);
		p += n;
		off += (uint64_t)n;
		len -= (uint32_t)n;
	}
	return (0);
}

static int
file_write(struct img_file *f, const void *buf, uint32_t len, uint64_t off)
{
	const unsigned char *p = buf;
	ssize_t n;
	int error;

	if ((error = range(off, len)) != 0)
		return (error);
	while (len > 0) {
		n = pwrite(file_fd(f), p, len, (off_t)off);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return (errno);
		if (n == 0)
			return (ENOSPC);
		p += n;
		off += (uint64_t)n;
		len -= (uint32_t)n;
	}
	return (0);
}

static int
file_barrier(struct img_file *f)
{
	int error;

	do {
#if defined(_POSIX_SYNCHRONIZED_IO) && _POSIX_SYNCHRONIZED_IO > 0
		error = fdatasync(file_fd(f)) == -1 ? errno : 0;
#else
		error = fsync(file_fd(f)) == -1 ? errno : 0;
#endif
	} while (error == EINTR);
	return (error);
}

static int
file_length(struct img_file *f, uint64_t *len)
{
	struct stat st;

	if (fstat(file_fd(f), &st) == -1)
		return (errno);
	*len = (uint64_t)st.st_size;
	return (0);
}

static int
file_resize(struct img_file *f, uint64_t len)
{
	int error;

	if ((error = range(len, 0)) != 0)
		return (error);
	do {
		error = ftruncate(file_fd(f), (off_t)len) == -1 ? errno : 0;
	} while (error == EINTR);
	return (error);
}

#if defined(SEEK_DATA) && defined(SEEK_HOLE)
/* A system that cannot tell says "data": true, and merely slower. */
static int
file_extent(struct img_file *f, uint64_t off, uint64_t *len, int *data)
{
	off_t at, end;
	int error;

	if ((error = range(off, *len)) != 0)
		return (error);
	at = lseek(file_fd(f), (off_t)off, SEEK_DATA);
	if (at == -1) {
		/* ENXIO: no data from here to the end of the file. */
		*data = errno != ENXIO;
		return (0);
	}
	*data = (uint64_t)at == off;
	end = *data ? lseek(file_fd(f), (off_t)off, SEEK_HOLE) : at;
	/* A file that shrinks meanwhile must not give an empty extent. */
	if (end > (off_t)off && (uint64_t)end - off < *len)
		*len = (uint64_t)end - off;
	return (0);
}
#endif

static int
write_zeros(struct img_file *f, uint64_t off, uint64_t len)
{
	uint32_t n;
	int error;

	for (; len > 0; off += n, len -= n) {
		n = len < ZEROS ? (uint32_t)len : ZEROS;
		if ((error = file_write(f, zeros, n, off)) != 0)
			return (error);
	}
	return (0);
}

/* What the system can do by itself; not 0 when it did nothing. */
static int
punch(struct img_file *f, uint64_t off, uint64_t len)
{
#ifdef FALLOC_FL_PUNCH_HOLE
	int error;

	do {
		error = fallocate(file_fd(f),
			    FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			    (off_t)off, (off_t)len) == -1 ?
		    errno :
		    0;
	} while (error == EINTR);
	return (error);
#else
	(void)f;
	(void)off;
	(void)len;
	return (ENOTSUP);
#endif
}

static int
file_zero(struct img_file *f, uint64_t off, uint64_t len)
{
	int error;

	if (len == 0 || (error = range(off, len)) != 0)
		return (len == 0 ? 0 : error);
	return (punch(f, off, len) == 0 ? 0 : write_zeros(f, off, len));
}

#if defined(_POSIX_ADVISORY_INFO) && _POSIX_ADVISORY_INFO > 0
static int
file_reserve(struct img_file *f, uint64_t off, uint64_t len)
{
	int error;

	if (len == 0 || (error = range(off, len)) != 0)
		return (len == 0 ? 0 : error);
	do {
		error = posix_fallocate(file_fd(f), (off_t)off, (off_t)len);
	} while (error == EINTR);
	/* What file systems say that cannot: the latter, ZFS. */
	if (error == EOPNOTSUPP || error == EINVAL)
		error = ENOTSUP;
	return (error);
}
#else
#define file_reserve NULL
#endif

#ifdef BLKZEROOUT
/* The device zeroes whole sectors; the ragged ends are written. */
static int
device_zero(struct img_file *f, uint64_t off, uint64_t len)
{
	uint64_t end = off + len, r[2];
	int error;

	if ((error = range(off, len)) != 0)
		return (error);
	r[0] = (off + ZERO_ALIGN - 1) / ZERO_ALIGN * ZERO_ALIGN;
	r[1] = end / ZERO_ALIGN * ZERO_ALIGN;
	if (r[1] <= r[0])
		return (write_zeros(f, off, len));
	r[1] -= r[0];
	if (ioctl(file_fd(f), BLKZEROOUT, r) == -1)
		return (write_zeros(f, off, len));
	if ((error = write_zeros(f, off, r[0] - off)) != 0)
		return (error);
	return (write_zeros(f, r[0] + r[1], end - r[0] - r[1]));
}
#else
#define device_zero write_zeros
#endif

/* The bytes a disk has, by asking its driver; not 0 for no disk. */
static int
disk_size(int fd, uint64_t *len)
{
#if defined(BLKGETSIZE64)
	return (ioctl(fd, BLKGETSIZE64, len) == -1 ? errno : 0);
#elif defined(DIOCGMEDIASIZE)
	off_t n;

	if (ioctl(fd, DIOCGMEDIASIZE, &n) == -1)
		return (errno);
	*len = (uint64_t)n;
	return (0);
#elif defined(DIOCGDINFO)
	struct disklabel dl;
	struct stat st;

	if (fstat(fd, &st) == -1 || ioctl(fd, DIOCGDINFO, &dl) == -1)
		return (errno);
	*len =
	    DL_GETPSIZE(&dl.d_partitions[DISKPART(st.st_rdev)]) * dl.d_secsize;
	return (0);
#else
	(void)fd;
	(void)len;
	return (ENOTTY);
#endif
}

static int
device_length(struct img_file *f, uint64_t *len)
{
	off_t end;

	if (disk_size(file_fd(f), len) == 0)
		return (0);
	if ((end = lseek(file_fd(f), 0, SEEK_END)) == -1)
		return (errno);
	*len = (uint64_t)end;
	return (0);
}

static int
device_resize(struct img_file *f, uint64_t len)
{
	(void)f;
	(void)len;
	return (EINVAL);
}

static const struct img_fileops file_ops = { file_read, file_write,
	file_barrier, file_length, file_resize,
#if defined(SEEK_DATA) && defined(SEEK_HOLE)
	file_extent,
#else
	NULL,
#endif
	file_zero, file_reserve, NULL };

static const struct img_fileops device_ops = { file_read, file_write,
	file_barrier, device_length, device_resize, NULL, device_zero, NULL,
	NULL };

/*
 * 0 for what may hold an image.  With an fd, a character device is asked
 * whether it is a disk, as the disks of BSD are; without, it may be.
 */
static int
check_kind(const struct stat *st, int fd)
{
	uint64_t len;

	if (S_ISREG(st->st_mode) || S_ISBLK(st->st_mode))
		return (0);
	if (S_ISDIR(st->st_mode))
		return (EISDIR);
#ifndef __linux__
	if (S_ISCHR(st->st_mode) && (fd == -1 || disk_size(fd, &len) == 0))
		return (0);
#else
	(void)fd;
	(void)len;
#endif
	return (EINVAL);
}

int
img_host_fdopen(struct img_file **out, int fd)
{
	struct host_file *hf;
	struct stat st;
	int error, fl;

	if (fstat(fd, &st) == -1 || (fl = fcntl(fd, F_GETFL)) == -1)
		return (errno);
	if ((error = check_kind(&st, fd)) != 0)
		return (error);
	/* Appending descriptors write at the end whatever pwrite says. */
	if ((fl & O_APPEND) != 0 && (fl & O_ACCMODE) != O_RDONLY)
		return (EINVAL);
	if ((hf = calloc(1, sizeof(*hf))) == NULL)
		return (ENOMEM);
	hf->hf_fd = fd;
	if (S_ISREG(st.st_mode)) {
		hf->hf_file.f_ops = &file_ops;
		hf->hf_file.f_flags = IMG_FILE_ZEROES;
	} else {
		hf->hf_file.f_ops = &device_ops;
		hf->hf_file.f_flags = IMG_FILE_FIXED;
	}
	*out = &hf->hf_file;
	return (0);
}

int
img_host_open(struct img_file **out, const char *path, unsigned flags)
{
	struct stat st;
	int error = 0, fd, fl;

	/* Look first: opening some devices already does something. */
	if (stat(path, &st) == 0 && (error = check_kind(&st, -1)) != 0)
		return (error);
	fl = O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	fl |= (flags & (IMG_HOST_RDWR | IMG_HOST_CREATE)) != 0 ? O_RDWR :
								 O_RDONLY;
	if ((flags & IMG_HOST_CREATE) != 0)
		fl |= O_CREAT | O_EXCL;
#ifdef __linux__ /* elsewhere O_EXCL alone says nothing */
	if ((flags & IMG_HOST_EXCL) != 0)
		fl |= O_EXCL;
#endif
	if ((fd = open(path, fl, 0666)) == -1)
		return (errno);
	if ((error = img_host_fdopen(out, fd)) != 0) {
		close(fd);
		return (error);
	}
	/* It was against a FIFO that takes the place of the file looked at. */
	if ((fl = fcntl(fd, F_GETFL)) == -1 ||
	    fcntl(fd, F_SETFL, fl & ~O_NONBLOCK) == -1) {
		error = errno;
		(void)img_host_close(*out);
	}
	return (error);
}

int
img_host_fd(const struct img_file *f)
{
	return (file_fd(f));
}

int
img_host_close(struct img_file *f)
{
	int error;

	/* EINTR too means closed; trying again could hit another file. */
	error = close(file_fd(f)) == -1 && errno != EINTR ? errno : 0;
	free(f);
	return (error);
}

/* Which file is behind a loop device, as the stat of that file. */
static void
see_through(struct stat *st, int fd)
{
#ifdef LOOP_GET_STATUS64
	struct loop_info64 li;

	if (fd == -1 || ioctl(fd, LOOP_GET_STATUS64, &li) == -1)
		return;
	/* The kernel's own coding: 8 low bits minor, 12 major, the rest. */
	st->st_dev = makedev((li.lo_device >> 8) & 0xfff,
	    (li.lo_device & 0xff) | ((li.lo_device >> 12) & 0xfff00));
	st->st_ino = li.lo_inode;
	st->st_mode = S_IFREG;
#else
	(void)st;
	(void)fd;
#endif
}

static int
same(struct stat *a, int afd, struct stat *b, int bfd)
{
	if (S_ISBLK(a->st_mode) && S_ISBLK(b->st_mode) &&
	    a->st_rdev == b->st_rdev)
		return (1);
	if (S_ISBLK(a->st_mode))
		see_through(a, afd);
	if (S_ISBLK(b->st_mode))
		see_through(b, bfd);
	return (a->st_dev == b->st_dev && a->st_ino == b->st_ino);
}

int
host_same_fd(const struct img_file *a, int fd)
{
	struct stat sa, sb;

	if (fstat(file_fd(a), &sa) == -1 || fstat(fd, &sb) == -1)
		return (0);
	return (same(&sa, file_fd(a), &sb, fd));
}

int
host_same_file(const struct img_file *a, const struct img_file *b)
{
	return (host_same_fd(a, file_fd(b)));
}

int
host_same_path(const struct img_file *a, const char *path)
{
	struct stat sa, sb;
	int fd = -1, is;

	if (fstat(file_fd(a), &sa) == -1 || stat(path, &sb) == -1)
		return (0);
	if (S_ISBLK(sb.st_mode))
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	is = same(&sa, file_fd(a), &sb, fd);
	if (fd != -1)
		close(fd);
	return (is);
}
