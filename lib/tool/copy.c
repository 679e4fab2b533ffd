/* SPDX-License-Identifier: ISC */

/*
 * Copying one disk to another.  The source's extents drive it: what is known
 * to be zeros is never read, and runs of zeros in what is read are left out.
 *
 * Zeros are not settled before their end is known, so that a run is one run
 * however the pieces and extents cut it.
 */

#include "tool/copy.h"

#define PIECE IMG_COPY_PIECE
#define GRAIN 4096u        /* zeros are looked for in blocks of this */
#define NZEROS 65536u      /* zeros at hand for runs too short to leave out */
#define STEP (64ull << 20) /* zeroed between two polls */
#define BUFLEN (PIECE + NZEROS)

/* All before voff is done; what lies behind the source's end says nothing. */
int
img_copy_tell(const struct img_copying *co, uint64_t voff)
{
	if (co->co_env->ev_poll == NULL)
		return (0);
	return (co->co_env->ev_poll(co->co_env->ev_arg,
	    img_min(voff, co->co_size), co->co_size));
}

int
img_copy_put(struct img_copying *co, const unsigned char *b, uint32_t len,
    uint64_t voff)
{
	int error;

	if ((error = img_write(co->co_dst, b, len, voff)) != 0)
		co->co_how->cp_dst = 1;
	return (error);
}

/* Leave zeros out; where old data may be, that takes some doing. */
int
img_copy_leave_out(struct img_copying *co, uint64_t voff, uint64_t len)
{
	uint64_t n;
	int error;

	if (!(co->co_how->cp_flags & IMG_COPY_INPLACE))
		return (0);
	for (; len > 0; voff += n, len -= n) {
		n = img_min(len, STEP);
		if ((error = img_zero(co->co_dst, voff, n)) != 0) {
			co->co_how->cp_dst = 1;
			return (error);
		}
		if ((error = img_copy_tell(co, voff + n)) != 0)
			return (error);
	}
	return (0);
}

static int
long_enough(const struct img_copying *co, uint64_t run)
{
	return (co->co_how->cp_sparse != 0 && run >= co->co_how->cp_sparse);
}

/* The run of zeros ends at voff: leave it out, or write it if it is short. */
static int
settle(struct img_copying *co, uint64_t voff)
{
	uint64_t run = co->co_run;
	uint32_t n;
	int error;

	co->co_run = 0;
	if (co->co_known || long_enough(co, run)) {
		co->co_known = 0;
		return (img_copy_leave_out(co, voff - run, run));
	}
	for (; run > 0; run -= n) {
		n = (uint32_t)img_min(run, NZEROS);
		if ((error = img_copy_put(co, co->co_zeros, n, voff - run)) !=
		    0)
			return (error);
	}
	return (0);
}

/* How many bytes from at on are zeros, in whole blocks or to the end. */
static uint32_t
zeros_at(const struct img_copying *co, uint32_t at, uint32_t len)
{
	uint32_t n, start = at;

	while (at < len) {
		n = (uint32_t)img_min(GRAIN - at % GRAIN, len - at);
		if (!img_is_zero(co->co_buf + at, n))
			break;
		at += n;
	}
	return (at - start);
}

/* The next run from at on that is left out, or the last one; its length. */
static uint32_t
next_run(const struct img_copying *co, uint32_t *at, uint32_t len)
{
	uint32_t n, i = *at;

	while (i < len) {
		n = zeros_at(co, i, len);
		if (n > 0 && (i + n == len || long_enough(co, n))) {
			*at = i;
			return (n);
		}
		i += n;
		i += (uint32_t)img_min(GRAIN - i % GRAIN, len - i);
	}
	*at = len;
	return (0);
}

/* Write len bytes of the buffer, which starts at base, from at on. */
static int
write_some(struct img_copying *co, uint64_t base, uint32_t at, uint32_t len)
{
	uint32_t end = at, run;
	int error;

	while (at < len) {
		run = next_run(co, &end, len);
		error = img_copy_put(co, co->co_buf + at, end - at, base + at);
		if (error != 0)
			return (error);
		at = end += run;
		co->co_run = run;
		/* The last one may go on in the next piece. */
		if (at < len && (error = settle(co, base + at)) != 0)
			return (error);
	}
	return (0);
}

/*
 * A piece of at most PIECE bytes.  The buffer is filled as if its start were
 * aligned, so that blocks of zeros are aligned on the disk.
 */
static int
copy_piece(struct img_copying *co, uint64_t voff, uint32_t len)
{
	uint32_t skew = (uint32_t)(voff % GRAIN), lead;
	uint64_t base = voff - skew;
	int error;

	error = img_copy_read(co, co->co_buf + skew, len, voff);
	if (error != 0) {
		co->co_how->cp_bad_voff = voff;
		return (error);
	}
	len += skew;
	if (co->co_how->cp_sparse == 0)
		return (img_copy_put(co, co->co_buf + skew, len - skew, voff));
	lead = zeros_at(co, skew, len);
	if (skew + lead == len) {
		co->co_run += lead;
		return (0);
	}
	/* Too short together with what came before: data like the rest. */
	if (!co->co_known && !long_enough(co, co->co_run + lead))
		lead = 0;
	co->co_run += lead;
	if ((error = settle(co, voff + lead)) != 0)
		return (error);
	return (write_some(co, base, skew + lead, len));
}

static int
copy_extent(struct img_copying *co, const struct img_extent *e)
{
	uint64_t voff = e->e_voff, left = e->e_len;
	uint32_t n;
	int error;

	for (; left > 0; voff += n, left -= n) {
		n = (uint32_t)img_min(left, PIECE - voff % PIECE);
		if ((error = copy_piece(co, voff, n)) != 0 ||
		    (error = img_copy_tell(co, voff + n - co->co_run)) != 0)
			return (error);
	}
	return (0);
}

static int
copy_step(struct img_copying *co, uint64_t voff, uint64_t *len)
{
	struct img_copy *how = co->co_how;
	struct img_extent e;
	struct img *owner;
	unsigned depth;
	int error;

	error =
	    img_walk(co->co_src, voff, co->co_size - voff, &e, &owner, &depth);
	if (error != 0 || e.e_type == IMG_BAD) {
		how->cp_bad_voff = voff;
		how->cp_bad_row = error != 0 ? IMG_ROW_NONE : e.e_row;
		return (error != 0 ? error : EIO);
	}
	*len = e.e_len;
	if ((e.e_type == IMG_HOLE || e.e_type == IMG_ZERO) &&
	    how->cp_sparse != 0) {
		co->co_run += e.e_len;
		co->co_known = 1;
		return (img_copy_tell(co, voff + e.e_len - co->co_run));
	}
	if (e.e_type == IMG_PACKED)
		img_copy_look_ahead(co, owner, &e);
	return (copy_extent(co, &e));
}

static int
copy_all(struct img_copying *co)
{
	uint64_t len, voff;
	int error;

	for (voff = 0; voff < co->co_size; voff += len)
		if ((error = copy_step(co, voff, &len)) != 0)
			return (error);
	/* However short, zeros at the end need not be there. */
	co->co_known = 1;
	if ((error = settle(co, co->co_size)) != 0)
		return (error);
	return (img_copy_tell(co, co->co_size));
}

int
img_copy(const struct img_env *env, struct img *src, struct img *dst,
    struct img_copy *how)
{
	struct img_copying co;
	int error;

	how->cp_bad_voff = IMG_NOWHERE;
	how->cp_bad_row = IMG_ROW_NONE;
	how->cp_dst = 0;
	if (img_size(src) > img_size(dst))
		return (EINVAL);
	/* A disk that may not be read may not be skipped over either. */
	if ((error = img_read(src, &co, 0, 0)) != 0)
		return (error);
	memset(&co, 0, sizeof(co));
	co.co_env = env;
	co.co_src = src;
	co.co_dst = dst;
	co.co_how = how;
	co.co_size = img_size(src);
	if (how->cp_flags & IMG_COPY_PACK)
		return (img_copy_packed(&co));
	co.co_buf = env->ev_alloc(env->ev_arg, BUFLEN);
	if (co.co_buf == NULL)
		return (ENOMEM);
	co.co_zeros = co.co_buf + PIECE;
	error = copy_all(&co);
	env->ev_free(env->ev_arg, co.co_buf, BUFLEN);
	img_copy_ahead_end(&co);
	return (error);
}
