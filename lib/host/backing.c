/* SPDX-License-Identifier: ISC */

/*
 * An image for a virtual machine monitor, from descriptors that somebody with
 * more rights opened.  One lock, because an image is used by one thread at a
 * time: what takes long is the host's reading and writing, and that of one
 * image goes to one disk.
 */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "img_host.h"

struct img_backing {
	pthread_mutex_t b_lock;
	unsigned b_n; /* images that are open, top first */
	struct img *b_img[IMG_CHAIN_MAX];
	struct img_file *b_file[IMG_CHAIN_MAX];
};

/* What image i needs must be the next one, and nothing else. */
static int
backing_format(struct img *im, const struct img_format **fmt)
{
	struct img_ref ref;
	int error;

	error = img_ref(im, 0, &ref);
	if (error != 0)
		return (error == ENOENT ? EINVAL : error);
	*fmt = NULL;
	if (ref.rf_format != NULL && ref.rf_format[0] != '\0') {
		*fmt = img_format_find(ref.rf_format);
		if (*fmt == NULL)
			return (ENOTSUP);
	}
	return (0);
}

/* No descriptor is a data file. */
static int
check_refs(struct img *im)
{
	struct img_ref ref;
	unsigned i;

	for (i = 0; img_ref(im, i, &ref) == 0; i++)
		if (ref.rf_kind != IMG_REF_BACKING)
			return (ENOTSUP);
	return (0);
}

/* The image in fd, behind those that are open; fd is used up. */
static int
open_next(struct img_backing *b, int fd, const struct img_args *top)
{
	struct img_args a = { .a_flags = 0 };
	unsigned i = b->b_n;
	int error = 0;

	if (i == 0)
		a = *top;
	else
		error = backing_format(b->b_img[i - 1], &a.a_format);
	if (error == 0)
		error = img_host_fdopen(&b->b_file[i], fd);
	if (error != 0) {
		(void)close(fd);
		return (error);
	}
	error = img_open(&b->b_img[i], img_host_env(), b->b_file[i], &a);
	if (error != 0) {
		(void)img_host_close(b->b_file[i]);
		return (error);
	}
	b->b_n++;
	error = check_refs(b->b_img[i]);
	if (error == 0 && i > 0)
		error = img_lend(b->b_img[i - 1], b->b_img[i]);
	return (error);
}

/* Is there an image that still needs another one? */
static int
is_complete(const struct img_backing *b)
{
	struct img_ref ref;

	return (img_ref(b->b_img[b->b_n - 1], 0, &ref) == ENOENT);
}

int
img_backing_open(struct img_backing **bp, const int *fds, unsigned n,
    const struct img_args *top)
{
	struct img_backing *b;
	unsigned i;
	int error;

	b = calloc(1, sizeof(*b));
	error = b == NULL ? ENOMEM : 0;
	if (error == 0)
		error = pthread_mutex_init(&b->b_lock, NULL);
	if (error != 0) {
		free(b);
		b = NULL;
	} else if (n == 0 || n > IMG_CHAIN_MAX)
		error = EINVAL;
	for (i = 0; i < n; i++) {
		if (error == 0)
			error = open_next(b, fds[i], top);
		else
			(void)close(fds[i]);
	}
	if (error == 0 && !is_complete(b))
		error = ENXIO;
	if (error == 0)
		*bp = b;
	else if (b != NULL)
		(void)img_backing_close(b);
	return (error);
}

uint64_t
img_backing_size(const struct img_backing *b)
{
	return (img_size(b->b_img[0]));
}

int
img_backing_pread(struct img_backing *b, void *buf, uint32_t len, uint64_t off)
{
	int error;

	(void)pthread_mutex_lock(&b->b_lock);
	error = img_read(b->b_img[0], buf, len, off);
	(void)pthread_mutex_unlock(&b->b_lock);
	return (error);
}

int
img_backing_pwrite(struct img_backing *b, const void *buf, uint32_t len,
    uint64_t off)
{
	int error;

	(void)pthread_mutex_lock(&b->b_lock);
	error = img_write(b->b_img[0], buf, len, off);
	(void)pthread_mutex_unlock(&b->b_lock);
	return (error);
}

int
img_backing_flush(struct img_backing *b)
{
	int error;

	(void)pthread_mutex_lock(&b->b_lock);
	error = img_flush(b->b_img[0]);
	(void)pthread_mutex_unlock(&b->b_lock);
	return (error);
}

int
img_backing_close(struct img_backing *b)
{
	unsigned i;
	int error = 0, error2;

	for (i = 0; i < b->b_n; i++) {
		error2 = img_close(b->b_img[i]);
		error = error != 0 ? error : error2;
		error2 = img_host_close(b->b_file[i]);
		error = error != 0 ? error : error2;
	}
	(void)pthread_mutex_destroy(&b->b_lock);
	free(b);
	return (error);
}
