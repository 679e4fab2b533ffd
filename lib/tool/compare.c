/* SPDX-License-Identifier: ISC */

/*
 * Comparing two disks, by extents: what both know to be zeros is not read.
 * Past its end a disk is taken to go on with zeros.
 */

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "img.h"
#include "core/env.h"

#define PIECE (1u << 20) /* bytes read of each at once */
#define GRAIN 4096u      /* of these the first that differ are searched */

struct side {
	struct img *si_im;
	uint64_t si_size;
	uint64_t si_end; /* the extent that was walked last ends here ... */
	int si_zero;     /* ... and is zeros without reading */
	unsigned char *si_buf;
};

struct compare {
	const struct img_env *co_env;
	struct side co_side[2];
	uint64_t co_size; /* of the longer one */
	unsigned co_flags;
	struct img_compared *co_res;
};

/* Learn what is at voff, unless the last extent said it already. */
static int
look(struct side *s, uint64_t voff, uint64_t size)
{
	struct img_extent e;
	struct img *owner;
	unsigned depth;
	int error;

	if (voff < s->si_end)
		return (0);
	if (voff >= s->si_size) {
		s->si_zero = 1;
		s->si_end = size;
		return (0);
	}
	error = img_walk(s->si_im, voff, s->si_size - voff, &e, &owner, &depth);
	if (error != 0 || e.e_type == IMG_BAD)
		return (error != 0 ? error : EIO);
	s->si_zero = e.e_type == IMG_HOLE || e.e_type == IMG_ZERO;
	s->si_end = voff + e.e_len;
	return (0);
}

static int
look_both(struct compare *co, uint64_t voff)
{
	int error, i;

	for (i = 0; i < 2; i++) {
		error = look(&co->co_side[i], voff, co->co_size);
		if (error != 0) {
			co->co_res->cm_error_in = i;
			return (error);
		}
	}
	return (0);
}

/* The first of n bytes that differ; n if none does. */
static uint32_t
first_diff(const unsigned char *a, const unsigned char *b, uint32_t n)
{
	uint32_t i = 0;

	while (n - i >= GRAIN && memcmp(a + i, b + i, GRAIN) == 0)
		i += GRAIN;
	while (i < n && a[i] == b[i])
		i++;
	return (i);
}

static uint32_t
first_nonzero(const unsigned char *b, uint32_t n)
{
	uint32_t i = 0;

	while (n - i >= GRAIN && img_is_zero(b + i, GRAIN))
		i += GRAIN;
	while (i < n && b[i] == 0)
		i++;
	return (i);
}

/* Read what is not zeros anyway of n bytes; where they differ, or n. */
static int
read_piece(struct compare *co, uint64_t voff, uint32_t n, uint32_t *diff)
{
	struct side *s = co->co_side;
	int error, i;

	for (i = 0; i < 2; i++) {
		if (s[i].si_zero)
			continue;
		error = img_read(s[i].si_im, s[i].si_buf, n, voff);
		if (error != 0) {
			co->co_res->cm_error_in = i;
			return (error);
		}
	}
	if (s[0].si_zero || s[1].si_zero)
		*diff = first_nonzero(s[s[0].si_zero].si_buf, n);
	else
		*diff = first_diff(s[0].si_buf, s[1].si_buf, n);
	return (0);
}

/* One extent or piece: how far it went, short of len if they differ there. */
static int
compare_step(struct compare *co, uint64_t voff, uint64_t *len, uint64_t *same)
{
	const struct side *s = co->co_side;
	uint32_t diff;
	int error;

	if ((error = look_both(co, voff)) != 0)
		return (error);
	*len = *same = img_min(s[0].si_end, s[1].si_end) - voff;
	if ((co->co_flags & IMG_COMPARE_STRICT) && s[0].si_zero != s[1].si_zero)
		*same = 0;
	else if (!s[0].si_zero || !s[1].si_zero) {
		*len = img_min(*len, PIECE - voff % PIECE);
		error = read_piece(co, voff, (uint32_t)*len, &diff);
		*same = diff;
	}
	return (error);
}

static int
compare_all(struct compare *co)
{
	const struct img_env *env = co->co_env;
	uint64_t voff, len, same;
	int error;

	for (voff = 0; voff < co->co_size; voff += len) {
		if ((error = compare_step(co, voff, &len, &same)) != 0) {
			co->co_res->cm_voff = voff;
			return (error);
		}
		if (same < len) {
			co->co_res->cm_voff = voff + same;
			return (0);
		}
		if (env->ev_poll != NULL &&
		    (error = env->ev_poll(env->ev_arg, voff + len,
			 co->co_size)) != 0)
			return (error);
	}
	co->co_res->cm_equal = 1;
	return (0);
}

/* A disk that may not be read may not be skipped over either. */
static int
check_readable(struct compare *co)
{
	int error, i;

	for (i = 0; i < 2; i++) {
		error = img_read(co->co_side[i].si_im, co, 0, 0);
		if (error != 0) {
			co->co_res->cm_error_in = i;
			return (error);
		}
	}
	return (0);
}

static void
set_side(struct side *s, struct img *im)
{
	memset(s, 0, sizeof(*s));
	s->si_im = im;
	s->si_size = img_size(im);
}

int
img_compare(const struct img_env *env, struct img *a, struct img *b,
    unsigned flags, struct img_compared *res)
{
	struct compare co = { .co_env = env, .co_flags = flags };
	unsigned char *buf;
	uint64_t less;
	int error;

	memset(res, 0, sizeof(*res));
	res->cm_voff = res->cm_extra = IMG_NOWHERE;
	co.co_res = res;
	set_side(&co.co_side[0], a);
	set_side(&co.co_side[1], b);
	less = img_min(img_size(a), img_size(b));
	co.co_size = img_size(a) + img_size(b) - less;
	if ((error = check_readable(&co)) != 0)
		return (error);
	if (less < co.co_size)
		res->cm_extra = less;
	if (less < co.co_size && (flags & IMG_COMPARE_STRICT)) {
		res->cm_voff = less;
		return (0);
	}
	if ((buf = env->ev_alloc(env->ev_arg, 2 * PIECE)) == NULL)
		return (ENOMEM);
	co.co_side[0].si_buf = buf;
	co.co_side[1].si_buf = buf + PIECE;
	error = compare_all(&co);
	env->ev_free(env->ev_arg, buf, 2 * PIECE);
	return (error);
}
