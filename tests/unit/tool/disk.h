/* SPDX-License-Identifier: ISC */

/*
 * disk.h: a disk in memory whose allocation is drawn as a string, a letter
 * per block:
 *	h hole		z zeros		d data
 *	0 data, but all of it zeros	b an entry that breaks the format
 */

#ifndef TESTS_UNIT_TOOL_DISK_H
#define TESTS_UNIT_TOOL_DISK_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "img_host.h"
#include "core/core.h"

struct disk {
	struct img_file d_file;
	struct img *d_img;
	char *d_map; /* the drawing; changes with what is written */
	unsigned char *d_bytes;
	uint64_t d_size;
	uint32_t d_block;
	unsigned d_maps, d_reads, d_writes, d_zeros; /* calls so far ... */
	unsigned d_fail; /* ... and which write fails */
	int d_unread;    /* errno of every read */
	enum img_allows d_allows;
};

static inline struct disk *
disk_of(struct img_file *f)
{
	return ((struct disk *)f);
}

static inline int
disk_read(struct img_file *f, void *buf, uint32_t len, uint64_t off)
{
	struct disk *d = disk_of(f);

	d->d_reads++;
	if (d->d_unread == 0)
		memcpy(buf, d->d_bytes + off, len);
	return (d->d_unread);
}

static inline int
disk_write(struct img_file *f, const void *buf, uint32_t len, uint64_t off)
{
	struct disk *d = disk_of(f);
	uint64_t i;

	if (++d->d_writes == d->d_fail)
		return (ENOSPC);
	memcpy(d->d_bytes + off, buf, len);
	for (i = off / d->d_block; i * d->d_block < off + len; i++)
		d->d_map[i] = 'd';
	return (0);
}

static inline int
disk_sync(struct img_file *f)
{
	(void)f;
	return (0);
}

static inline int
disk_length(struct img_file *f, uint64_t *len)
{
	*len = disk_of(f)->d_size;
	return (0);
}

static const struct img_fileops disk_ops = {
	.fo_read = disk_read,
	.fo_write = disk_write,
	.fo_barrier = disk_sync,
	.fo_length = disk_length,
};

static inline int
disk_map(struct img *im, uint64_t voff, uint64_t len, struct img_extent *e)
{
	struct disk *d = disk_of(im->im_file[0]);
	uint64_t i = voff / d->d_block, j = i;
	char c = d->d_map[i] == '0' ? 'd' : d->d_map[i], k;

	d->d_maps++;
	do {
		j++;
		k = d->d_map[j] == '0' ? 'd' : d->d_map[j];
	} while (k == c && j * d->d_block < voff + len);
	memset(e, 0, sizeof(*e));
	e->e_voff = e->e_off = voff;
	e->e_len = j * d->d_block - voff;
	if (e->e_len > len)
		e->e_len = len;
	e->e_type = c == 'h' ? IMG_HOLE :
	    c == 'z'         ? IMG_ZERO :
	    c == 'b'         ? IMG_BAD :
			       IMG_DATA;
	if (c == 'b')
		e->e_row = IMG_VHD_BAT_RANGE;
	return (0);
}

static inline int
disk_begin(struct img *im, uint64_t voff, uint64_t len, struct img_claim *c)
{
	(void)im;
	c->c_ext.e_voff = c->c_ext.e_off = voff;
	c->c_ext.e_len = len;
	c->c_ext.e_type = IMG_DATA;
	return (0);
}

static inline int
disk_zero(struct img *im, uint64_t voff, uint64_t len, uint64_t *done)
{
	struct disk *d = disk_of(im->im_file[0]);
	uint64_t i;

	d->d_zeros++;
	memset(d->d_bytes + voff, 0, (size_t)len);
	for (i = voff / d->d_block; i * d->d_block < voff + len; i++)
		d->d_map[i] = 'z';
	*done = len;
	return (0);
}

static inline int
disk_open(struct img *im)
{
	im->im_size = disk_of(im->im_file[0])->d_size;
	im->im_allows = disk_of(im->im_file[0])->d_allows;
	return (0);
}

static inline int
disk_flush(struct img *im)
{
	(void)im;
	return (0);
}

static const struct img_format disk_format = {
	.f_name = "drawn",
	.f_open = disk_open,
	.f_map = disk_map,
	.f_begin = disk_begin,
	.f_zero = disk_zero,
	.f_flush = disk_flush,
};

/* The disk of that drawing, its last block short by less bytes. */
static inline struct disk *
disk_draw_as(const char *map, uint32_t block, uint32_t less,
    enum img_allows allows)
{
	struct img_args args = { .a_format = &disk_format,
		.a_flags = IMG_RDWR };
	struct disk *d = calloc(1, sizeof(*d));
	uint64_t i;

	assert_non_null(d);
	d->d_file.f_ops = &disk_ops;
	d->d_block = block;
	d->d_allows = allows;
	d->d_size = strlen(map) * block - less;
	d->d_map = strdup(map);
	d->d_bytes = calloc(1, strlen(map) * block + 1);
	assert_true(d->d_map != NULL && d->d_bytes != NULL);
	/* No block like another, and none with a zero in it. */
	for (i = 0; i < d->d_size; i++)
		if (map[i / block] == 'd')
			d->d_bytes[i] =
			    (unsigned char)(1 + (i + i / block) % 255);
	if (allows < IMG_ALLOW_WRITE)
		args.a_flags = 0;
	assert_int_equal(img_open(&d->d_img, img_host_env(), &d->d_file, &args),
	    0);
	return (d);
}

static inline struct disk *
disk_draw(const char *map)
{
	return (disk_draw_as(map, 4096, 0, IMG_ALLOW_WRITE));
}

static inline void
disk_free(struct disk *d)
{
	assert_int_equal(img_close(d->d_img), 0);
	free(d->d_map);
	free(d->d_bytes);
	free(d);
}

#endif /* TESTS_UNIT_TOOL_DISK_H */
