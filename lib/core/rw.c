/* SPDX-License-Identifier: ISC */

/*
 * The one file that moves guest bytes: reading, writing, splitting, zero
 * filling, backing chains and copy-up.  Formats only say where bytes live.
 */

#include "core/core.h"

static int
check_range(const struct img *im, uint64_t voff, uint64_t len)
{
	return (img_inside(voff, len, im->im_size) ? 0 : EINVAL);
}

static void
set_extent(struct img_extent *e, enum img_etype type, uint64_t voff,
    uint64_t len)
{
	memset(e, 0, sizeof(*e));
	e->e_type = type;
	e->e_voff = voff;
	e->e_len = len;
	e->e_off = IMG_NOWHERE;
}

/*
 * A loop, not recursion: the depth of a chain is a stranger's choice.  Where
 * a backing image is shorter than what reads through it, zeros follow.
 */
static int
find(struct img *im, uint64_t voff, uint64_t len, struct img_extent *e,
    struct img **owner, unsigned *depth)
{
	unsigned d;
	int error;

	for (d = 0;; d++, im = im->im_back) {
		if (voff >= im->im_size) {
			set_extent(e, IMG_ZERO, voff, len);
			break;
		}
		len = img_min(len, im->im_size - voff);
		error = im->im_fmt->f_map(im, voff, len, e);
		if (error != 0)
			return (error);
		if (e->e_type != IMG_HOLE || im->im_back == NULL)
			break;
		len = e->e_len;
	}
	*owner = im;
	*depth = d;
	return (0);
}

/* Data that is a hole of the host file reads as zeros: say so. */
static int
look_at_host(struct img *im, struct img_extent *e)
{
	struct img_file *f = im->im_file[e->e_file];
	uint64_t len = e->e_len;
	int data, error;

	if (e->e_type != IMG_DATA || f == NULL || f->f_ops->fo_extent == NULL)
		return (0);
	error = f->f_ops->fo_extent(f, e->e_off, &len, &data);
	if (error != 0)
		return (error);
	if (len > 0 && len < e->e_len)
		e->e_len = len;
	if (!data)
		e->e_type = IMG_ZERO;
	return (0);
}

int
img_walk(struct img *im, uint64_t voff, uint64_t len, struct img_extent *e,
    struct img **owner, unsigned *depth)
{
	int error;

	if (len == 0 || check_range(im, voff, len) != 0)
		return (EINVAL);
	error = find(im, voff, len, e, owner, depth);
	if (error != 0)
		return (error);
	return (look_at_host(*owner, e));
}

int
img_map(struct img *im, uint64_t voff, uint64_t len, struct img_extent *e)
{
	int error;

	if (len == 0 || check_range(im, voff, len) != 0)
		return (EINVAL);
	error = im->im_fmt->f_map(im, voff, len, e);
	if (error != 0)
		return (error);
	return (look_at_host(im, e));
}

/* Does b go on where a ends? */
static int
goes_on(const struct img_extent *a, const struct img_extent *b)
{
	if (a->e_type != b->e_type || a->e_type == IMG_PACKED ||
	    a->e_row != b->e_row)
		return (0);
	if (a->e_off == IMG_NOWHERE || b->e_off == IMG_NOWHERE)
		return (a->e_off == b->e_off);
	return (a->e_off + a->e_len == b->e_off);
}

int
img_map_run(struct img *im, uint64_t voff, uint64_t len, struct img_extent *e,
    int (*piece)(struct img *, uint64_t, uint64_t, struct img_extent *))
{
	struct img_extent next;
	uint32_t polls = 0;
	int error;

	error = piece(im, voff, len, e);
	while (error == 0 && e->e_len < len) {
		error = piece(im, voff + e->e_len, len - e->e_len, &next);
		if (error != 0 || !goes_on(e, &next))
			break;
		e->e_len += next.e_len;
		if (++polls % 65536 == 0 && im->im_env->ev_poll != NULL)
			error = im->im_env->ev_poll(im->im_env->ev_arg, 0, 0);
	}
	return (error);
}

int
img_fetch_packed(struct img *im, const struct img_extent *e, void *buf,
    uint32_t *plen)
{
	uint64_t end = im->im_eof[e->e_file];

	if (e->e_off >= end)
		return (EIO);
	*plen = (uint32_t)img_min(e->e_plen, im->im_packmax);
	*plen = (uint32_t)img_min(*plen, end - e->e_off);
	return (img_io_read(im, e->e_file, buf, *plen, e->e_off));
}

/* Bytes out of a packed unit; the last one unpacked is kept. */
static int
read_packed(struct img *im, const struct img_extent *e, void *buf, uint32_t len)
{
	uint64_t in = e->e_voff & (im->im_unit - 1);
	uint32_t plen;
	int error;

	if (im->im_packoff != e->e_off) {
		im->im_packoff = IMG_NOWHERE;
		error = img_fetch_packed(im, e, im->im_packed, &plen);
		if (error == 0)
			error = im->im_fmt->f_unpack(im, e, im->im_packed, plen,
			    im->im_unpacked);
		if (error != 0)
			return (error);
		im->im_packoff = e->e_off;
	}
	memcpy(buf, im->im_unpacked + in, len);
	return (0);
}

/* For a cache of data below the environment: what may be read at once. */
static void
tell_unit(struct img *im, const struct img_extent *e)
{
	struct img_file *f = im->im_file[e->e_file];
	uint64_t in = e->e_voff & (im->im_unit - 1);

	if (f != NULL && f->f_ops->fo_unit != NULL && e->e_off >= in &&
	    im->im_unit > 0)
		f->f_ops->fo_unit(f, e->e_off - in, im->im_unit);
}

static int
read_extent(struct img *im, const struct img_extent *e, void *buf)
{
	uint32_t len = (uint32_t)e->e_len;

	switch (e->e_type) {
	case IMG_HOLE:
	case IMG_ZERO:
		memset(buf, 0, len);
		return (0);
	case IMG_DATA:
		tell_unit(im, e);
		return (img_io_read(im, e->e_file, buf, len, e->e_off));
	case IMG_PACKED:
		return (read_packed(im, e, buf, len));
	case IMG_BAD:
		break;
	}
	return (EIO);
}

/* Without the checks at the door: what the guest saw until now. */
static int
read_all(struct img *im, uint8_t *buf, uint32_t len, uint64_t voff)
{
	struct img_extent e;
	struct img *owner;
	unsigned depth;
	int error = 0;

	while (len > 0 && error == 0) {
		error = find(im, voff, len, &e, &owner, &depth);
		if (error == 0)
			error = read_extent(owner, &e, buf);
		if (error == 0) {
			buf += e.e_len;
			len -= (uint32_t)e.e_len;
			voff += e.e_len;
		}
	}
	return (error);
}

static int
refusal(const struct img *im)
{
	if (img_row(im->im_why.fi_row)->r_severity < IMG_SEV_CORRUPT)
		return (ENOTSUP);
	return (EFTYPE);
}

int
img_read(struct img *im, void *buf, uint32_t len, uint64_t voff)
{
	if (check_range(im, voff, len) != 0)
		return (EINVAL);
	if (im->im_allows < IMG_ALLOW_READ)
		return (refusal(im));
	if ((im->im_needs & IMG_NEEDS_DATA) && im->im_file[1] == NULL)
		return (ENXIO);
	return (read_all(im, buf, len, voff));
}

/*
 * Fill n bytes at off of a fresh unit with what the guest saw at voff until
 * now; beyond the disk that is zeros.  New space that reads as zeros needs
 * no writing of zeros.
 */
static int
fill(struct img *im, const struct img_claim *c, uint64_t voff, uint64_t off,
    uint64_t n)
{
	struct img_extent e;
	struct img *owner;
	unsigned depth;
	int error, zero;

	while (n > 0) {
		error = find(im, voff, n, &e, &owner, &depth);
		if (error != 0)
			return (error);
		zero = e.e_type == IMG_HOLE || e.e_type == IMG_ZERO;
		if (zero && !(c->c_flags & IMG_CLAIM_ZEROED))
			error = img_io_zeros(im, c->c_ext.e_file, off, e.e_len);
		if (!zero) {
			e.e_len = img_min(e.e_len, IMG_BOUNCE);
			error = read_extent(owner, &e, im->im_buf);
			if (error == 0)
				error = img_io_write(im, c->c_ext.e_file,
				    im->im_buf, (uint32_t)e.e_len, off);
		}
		if (error != 0)
			return (error);
		voff += e.e_len;
		off += e.e_len;
		n -= e.e_len;
	}
	return (0);
}

static int
fill_around(struct img *im, const struct img_claim *c)
{
	const struct img_extent *e = &c->c_ext;
	int error;

	error = fill(im, c, e->e_voff - c->c_before, e->e_off - c->c_before,
	    c->c_before);
	if (error == 0)
		error = fill(im, c, e->e_voff + e->e_len, e->e_off + e->e_len,
		    c->c_after);
	return (error);
}

static int
writable(const struct img *im)
{
	if (im->im_latched)
		return (EIO);
	if (!(im->im_flags & IMG_RDWR) || im->im_allows < IMG_ALLOW_WRITE)
		return (EROFS);
	/* Copying up holes as zeros would hide what is behind them. */
	if ((im->im_needs & IMG_NEEDS_BACKING) && im->im_back == NULL)
		return (EROFS);
	if ((im->im_needs & IMG_NEEDS_DATA) && im->im_file[1] == NULL)
		return (ENXIO);
	return (0);
}

/*
 * The first write to a fresh file takes its header away, and the one barrier
 * before the end sees to it that no data is there before the header is gone.
 */
static int
take_header(struct img *im)
{
	int error;

	if (!(im->im_flags & IMG_FRESH) || im->im_begun)
		return (0);
	im->im_begun = 1;
	if (im->im_fmt->f_fresh == NULL)
		return (0);
	im->im_flags &= ~IMG_FRESH;
	error = im->im_fmt->f_fresh(im);
	if (error == 0)
		error = img_io_barrier(im);
	im->im_flags |= IMG_FRESH;
	if (error != 0)
		im->im_latched = 1;
	return (error);
}

int
img_begin(struct img *im, uint64_t voff, uint64_t len, struct img_claim *c)
{
	int error;

	if (len == 0 || check_range(im, voff, len) != 0)
		return (EINVAL);
	error = writable(im);
	if (error != 0)
		return (error);
	memset(c, 0, sizeof(*c));
	im->im_packoff = IMG_NOWHERE; /* its place may be given away */
	error = take_header(im);
	if (error == 0)
		error = im->im_fmt->f_begin(im, voff, len, c);
	if (error != 0 || !(c->c_flags & IMG_CLAIM_FRESH))
		return (error);
	error = fill_around(im, c);
	if (error != 0)
		(void)im->im_fmt->f_end(im, c, 0);
	return (error);
}

int
img_end(struct img *im, struct img_claim *c, int ok)
{
	const struct img_extent *e = &c->c_ext;

	/* The caller may have written by its own means. */
	im->im_unsynced = 1;
	if (!img_inside(e->e_off, e->e_len, im->im_eof[e->e_file]))
		img_io_length(im, e->e_file);
	if (!(c->c_flags & IMG_CLAIM_FRESH))
		return (0);
	return (im->im_fmt->f_end(im, c, ok));
}

int
img_write(struct img *im, const void *buf, uint32_t len, uint64_t voff)
{
	const uint8_t *p = buf;
	struct img_claim c;
	uint32_t n;
	int error, error2;

	if (check_range(im, voff, len) != 0)
		return (EINVAL);
	for (; len > 0; len -= n, p += n, voff += n) {
		error = img_begin(im, voff, len, &c);
		if (error != 0)
			return (error);
		n = (uint32_t)c.c_ext.e_len;
		error = img_io_write(im, c.c_ext.e_file, p, n, c.c_ext.e_off);
		error2 = img_end(im, &c, error == 0);
		if (error != 0 || error2 != 0)
			return (error != 0 ? error : error2);
	}
	return (0);
}

/* Zeros into one claim: in place by the host's own means where it has any. */
static int
zero_claim(struct img *im, uint64_t voff, uint64_t len, uint64_t *done)
{
	struct img_claim c;
	struct img_file *f;
	int error, error2;

	error = img_begin(im, voff, len, &c);
	if (error != 0)
		return (error);
	f = im->im_file[c.c_ext.e_file];
	*done = c.c_ext.e_len;
	if (!(c.c_flags & IMG_CLAIM_ZEROED)) {
		im->im_unsynced = 1;
		if (f->f_ops->fo_zero != NULL &&
		    img_inside(c.c_ext.e_off, *done,
			im->im_eof[c.c_ext.e_file]))
			error = f->f_ops->fo_zero(f, c.c_ext.e_off, *done);
		else
			error = img_io_zeros(im, c.c_ext.e_file, c.c_ext.e_off,
			    *done);
	}
	error2 = img_end(im, &c, error == 0);
	return (error != 0 ? error : error2);
}

/* One step of img_zero: how much it did. */
static int
zero_some(struct img *im, uint64_t voff, uint64_t len, uint64_t *done)
{
	struct img_extent e;
	struct img *owner;
	unsigned depth;
	int error;

	*done = 0;
	if (im->im_fmt->f_zero != NULL) {
		error = im->im_fmt->f_zero(im, voff, len, done);
		if (error != 0 || *done > 0)
			return (error);
	}
	/* Where f_zero can go on, it shall. */
	if (im->im_fmt->f_zero != NULL && (voff & (im->im_unit - 1)) != 0)
		len = img_min(len, im->im_unit - (voff & (im->im_unit - 1)));
	error = find(im, voff, len, &e, &owner, &depth);
	if (error != 0)
		return (error);
	/* A raw data file must have the zeros that an entry tells of, too. */
	if ((e.e_type == IMG_HOLE || e.e_type == IMG_ZERO) &&
	    (e.e_file == 0 || owner != im)) {
		*done = e.e_len;
		return (0);
	}
	return (zero_claim(im, voff, e.e_len, done));
}

int
img_zero(struct img *im, uint64_t voff, uint64_t len)
{
	uint64_t done;
	int error;

	if (check_range(im, voff, len) != 0)
		return (EINVAL);
	error = writable(im);
	if (error == 0)
		error = take_header(im);
	for (; len > 0 && error == 0; len -= done, voff += done)
		error = zero_some(im, voff, len, &done);
	return (error);
}
