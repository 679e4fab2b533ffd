/* SPDX-License-Identifier: ISC */

/*
 * Raw bytes to a descriptor that is perhaps a pipe.
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "imgtool.h"
#include "host/host.h"

#define ZERO_STEP (64u << 20) /* zeros between two looks at the signals */

static const char zeros[65536];

size_t
zero_run(const char *p, size_t len, uint64_t where, int *zero)
{
	size_t n, at = 0;
	int z;

	for (; at < len; at += n) {
		n = GRAIN - (size_t)((where + at) % GRAIN);
		if (n > len - at)
			n = len - at;
		z = p[at] == 0 && memcmp(p + at, p + at + 1, n - 1) == 0;
		if (at == 0)
			*zero = z;
		else if (z != *zero)
			break;
	}
	return (at);
}

void
stream_init(struct stream *s, int fd, const char *name, int sparse)
{
	struct stat st;
	int fl = fcntl(fd, F_GETFL);

	memset(s, 0, sizeof(*s));
	s->st_fd = fd;
	s->st_name = name;
	s->st_sparse = sparse && fl != -1 && (fl & O_APPEND) == 0 &&
	    fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0 &&
	    lseek(fd, 0, SEEK_CUR) == 0;
}

static int
put(struct stream *s, const char *p, size_t len)
{
	int error = host_write(s->st_fd, p, len);

	if (error == 0) {
		s->st_done += len;
		s->st_skipped = 0;
	}
	return (error);
}

static int
put_zeros(struct stream *s, uint64_t len)
{
	size_t n;
	int error = 0;

	if (s->st_sparse) {
		if (lseek(s->st_fd, (off_t)len, SEEK_CUR) == -1)
			return (errno);
		s->st_done += len;
		s->st_skipped = 1;
		return (0);
	}
	for (; len > 0 && error == 0; len -= n) {
		n = len < sizeof(zeros) ? (size_t)len : sizeof(zeros);
		error = put(s, zeros, n);
	}
	return (error);
}

int
stream_write(struct stream *s, const void *buf, size_t len)
{
	const char *p = buf;
	int error = 0, zero = 0;
	size_t n;

	for (; len > 0 && error == 0; p += n, len -= n) {
		n = s->st_sparse ? zero_run(p, len, s->st_done, &zero) : len;
		error = zero ? put_zeros(s, n) : put(s, p, n);
	}
	if (error != 0)
		complain_errno(s->st_name, error);
	return (error);
}

int
stream_zero(struct stream *s, uint64_t len)
{
	int error = put_zeros(s, len);

	if (error != 0)
		complain_errno(s->st_name, error);
	return (error);
}

int
stream_finish(struct stream *s)
{
	if (s->st_skipped && ftruncate(s->st_fd, (off_t)s->st_done) == -1) {
		complain_errno(s->st_name, errno);
		return (errno);
	}
	return (0);
}

/* One run of guest bytes, or a part of it; *n says how long it was. */
static int
step(struct stream *s, struct image *i, uint64_t voff, uint64_t len, void *buf,
    uint64_t *n)
{
	struct img_extent e;
	struct img *owner;
	unsigned depth;
	int error;

	error = img_walk(i->i_img, voff, len, &e, &owner, &depth);
	if (error == 0 && e.e_type == IMG_BAD)
		error = EIO;
	if (error == 0 && (e.e_type == IMG_HOLE || e.e_type == IMG_ZERO)) {
		*n = e.e_len < ZERO_STEP ? e.e_len : ZERO_STEP;
		return (stream_zero(s, *n));
	}
	*n = e.e_len < STREAM_BUF ? e.e_len : STREAM_BUF;
	if (error == 0)
		error = img_read(i->i_img, buf, (uint32_t)*n, voff);
	if (error != 0) {
		image_complain(i, error, voff);
		return (error);
	}
	return (stream_write(s, buf, (size_t)*n));
}

int
stream_guest(struct stream *s, struct image *i, uint64_t voff, uint64_t len,
    void *buf)
{
	const struct img_env *env = img_host_env();
	uint64_t at, n;
	int error;

	for (at = 0; at < len; at += n) {
		error = step(s, i, voff + at, len - at, buf, &n);
		if (error != 0)
			return (error);
		error = env->ev_poll(env->ev_arg, at + n, len);
		if (error != 0) {
			complain_errno(s->st_name, error);
			return (error);
		}
	}
	return (0);
}
