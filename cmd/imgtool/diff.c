/* SPDX-License-Identifier: ISC */

/*
 * Filling an image that reads through to another one: only what differs from
 * what it shows already is stored, so that it reads like the source whatever
 * the image behind it holds.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "convert.h"
#include "host/host.h"

#define PIECE (1u << 20) /* what is compared at once */

struct side {
	struct image *s_image;
	struct img_extent s_ext; /* what is at hand; it may end later */
	unsigned s_depth;
	char *s_buf;
};

static int
is_zero(const struct img_extent *e)
{
	return (e->e_type == IMG_HOLE || e->e_type == IMG_ZERO);
}

static int
look(struct side *s, uint64_t voff, uint64_t len)
{
	struct img *owner;
	int error;

	error = img_walk(s->s_image->i_img, voff, len, &s->s_ext, &owner,
	    &s->s_depth);
	return (error == 0 && s->s_ext.e_type == IMG_BAD ? EIO : error);
}

/* Do both show the same bytes of the same file? */
static int
is_shared(const struct side *a, const struct side *b)
{
	const struct img_extent *x = &a->s_ext, *y = &b->s_ext;

	return (x->e_type == y->e_type && x->e_off == y->e_off &&
	    x->e_file == 0 && y->e_file == 0 && x->e_off != IMG_NOWHERE &&
	    host_same_file(img_chain_file(a->s_image->i_chain, a->s_depth),
		img_chain_file(b->s_image->i_chain, b->s_depth)));
}

static int
fetch(struct side *s, uint64_t voff, uint32_t len)
{
	if (is_zero(&s->s_ext)) {
		memset(s->s_buf, 0, len);
		return (0);
	}
	return (img_read(s->s_image->i_img, s->s_buf, len, voff));
}

/* What is to be done with a unit. */
enum todo { LEAVE, WRITE, ZERO };

static enum todo
judge(const struct side *dst, const char *want, uint32_t at, uint32_t n,
    int sparse)
{
	if (memcmp(want + at, dst->s_buf + at, n) == 0)
		return (LEAVE);
	if (sparse && want[at] == 0 &&
	    memcmp(want + at, want + at + 1, n - 1) == 0)
		return (ZERO);
	return (WRITE);
}

/* The bytes from at on that are to be treated alike. */
static uint32_t
run_length(const struct side *dst, const char *want, uint64_t voff, uint32_t at,
    uint32_t len, int sparse, enum todo *todo)
{
	uint32_t unit = img_unit(dst->s_image->i_img), end = at, n;
	enum todo t;

	if (unit == 0 || unit > PIECE)
		unit = GRAIN;
	for (; end < len; end += n) {
		n = unit - (uint32_t)((voff + end) % unit);
		if (n > len - end)
			n = len - end;
		t = judge(dst, want, end, n, sparse);
		if (end > at && t != *todo)
			break;
		*todo = t;
	}
	return (end - at);
}

/* Store those units of the piece that differ. */
static int
store(struct side *dst, const char *want, uint64_t voff, uint32_t len,
    int sparse)
{
	struct img *im = dst->s_image->i_img;
	enum todo todo = LEAVE;
	uint32_t at, n;
	int error = 0;

	for (at = 0; at < len && error == 0; at += n) {
		n = run_length(dst, want, voff, at, len, sparse, &todo);
		if (todo == WRITE)
			error = img_write(im, want + at, n, voff + at);
		else if (todo == ZERO)
			error = img_zero(im, voff + at, n);
	}
	return (error);
}

/* One run that is of one kind on both sides; its length. */
static int
step(struct side *src, struct side *dst, uint64_t voff, uint64_t len,
    int sparse, uint64_t *n, int *of_src)
{
	int error;

	*of_src = 1;
	if ((error = look(src, voff, len)) != 0)
		return (error);
	*n = src->s_ext.e_len;
	*of_src = 0;
	if ((error = look(dst, voff, *n)) != 0)
		return (error);
	*n = dst->s_ext.e_len;
	if ((is_zero(&src->s_ext) && is_zero(&dst->s_ext)) ||
	    is_shared(src, dst))
		return (0);
	if (is_zero(&src->s_ext))
		return (img_zero(dst->s_image->i_img, voff, *n));
	if (*n > PIECE - voff % PIECE)
		*n = PIECE - voff % PIECE;
	if ((error = fetch(dst, voff, (uint32_t)*n)) != 0)
		return (error);
	*of_src = 1;
	if ((error = fetch(src, voff, (uint32_t)*n)) != 0)
		return (error);
	*of_src = 0;
	return (store(dst, src->s_buf, voff, (uint32_t)*n, sparse));
}

int
copy_diff(struct job *j, struct image *dst)
{
	struct side a = { .s_image = &j->j_src }, b = { .s_image = dst };
	const struct img_env *env = img_host_env();
	uint64_t voff, n;
	int error = 0, of_src = 0;

	if ((a.s_buf = malloc(2 * PIECE)) == NULL)
		error = ENOMEM;
	else
		b.s_buf = a.s_buf + PIECE;
	for (voff = 0; voff < j->j_size && error == 0; voff += n) {
		error = step(&a, &b, voff, j->j_size - voff, j->j_sparse != 0,
		    &n, &of_src);
		if (error == 0)
			error = env->ev_poll(env->ev_arg, voff + n, j->j_size);
		if (error != 0)
			break;
	}
	free(a.s_buf);
	if (error != 0 && error != EINTR && of_src)
		image_complain(&j->j_src, error, voff);
	else if (error != 0)
		complain_errno(dst->i_name, error);
	return (error);
}
