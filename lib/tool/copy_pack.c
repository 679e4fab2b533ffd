/* SPDX-License-Identifier: ISC */

/*
 * Copying into an image that compresses.  Batches of whole units go through
 * three stages: read, packed by all processors, placed.  While one batch is
 * packed, one thread places the batch before it and reads the one behind;
 * only that thread touches the two images, and what it does depends on the
 * batches alone.  So the result is the same whatever the number of threads.
 */

#include "tool/copy.h"

#define BATCH (4u << 20) /* bytes of a batch, in units of usual sizes */
#define UNITS_MIN 4u
#define UNITS_MAX 1024u

enum state {
	ZEROS,  /* known, however long: nothing was read */
	PLAIN,  /* written as it is */
	PACKED, /* to be packed, then placed */
};

struct unit {
	uint64_t u_voff;
	uint64_t u_len; /* of the source's bytes; less only at its end */
	enum state u_state;
	uint32_t u_at; /* which unit of the buffers; not with ZEROS */
	uint32_t u_plen;
	int u_error;
};

struct batch {
	struct unit *b_unit; /* pk_max */
	uint8_t *b_plain;    /* pk_max units */
	uint8_t *b_packed;
	unsigned b_n;
	unsigned b_used; /* units of the buffers */
};

#define NBATCHES 3

struct packer {
	struct img_copying *pk_co;
	const struct img_tool *pk_tool;
	uint32_t pk_unit; /* bytes */
	unsigned pk_max;  /* units of a batch */
	struct batch pk_batch[NBATCHES];
	struct batch *pk_reading; /* what each stage has, or NULL */
	struct batch *pk_packing;
	struct batch *pk_placing;
	uint64_t pk_voff; /* all before was read */
	int pk_error;     /* of placing and reading */
};

static int
src_failed(struct img_copying *co, int error, uint64_t voff, enum img_row row)
{
	co->co_how->cp_bad_voff = voff;
	co->co_how->cp_bad_row = row;
	return (error);
}

static int
dst_failed(struct img_copying *co, int error)
{
	co->co_how->cp_dst = 1;
	return (error);
}

/*
 * The extent at voff; whole units of zeros are told in *zeros.  Where bytes
 * count as they are, none are left out.
 */
static int
look(struct packer *pk, uint64_t voff, uint64_t len, struct img_extent *e,
    uint64_t *zeros)
{
	struct img_copying *co = pk->pk_co;
	struct img *owner;
	unsigned depth;
	int error;

	*zeros = 0;
	error = img_walk(co->co_src, voff, len, e, &owner, &depth);
	if (error != 0 || e->e_type == IMG_BAD)
		return (src_failed(co, error != 0 ? error : EIO, voff,
		    error != 0 ? IMG_ROW_NONE : e->e_row));
	if (e->e_type != IMG_HOLE && e->e_type != IMG_ZERO)
		return (0);
	*zeros = e->e_len;
	if (voff + e->e_len < co->co_size)
		*zeros -= e->e_len % pk->pk_unit;
	return (0);
}

/* Extent by extent, so that an error has its place. */
static int
read_range(struct packer *pk, uint8_t *buf, uint64_t voff, uint64_t len)
{
	struct img_copying *co = pk->pk_co;
	struct img_extent e;
	uint64_t zeros;
	uint32_t n;
	int error;

	for (; len > 0; voff += n, buf += n, len -= n) {
		error = look(pk, voff, len, &e, &zeros);
		if (error != 0)
			return (error);
		n = (uint32_t)img_min(e.e_len, IMG_COPY_PIECE);
		error = img_read(co->co_src, buf, n, voff);
		if (error != 0)
			return (src_failed(co, error, voff, IMG_ROW_NONE));
	}
	return (0);
}

static struct unit *
add(struct packer *pk, struct batch *b, enum state state, uint64_t len)
{
	struct unit *u = &b->b_unit[b->b_n++];

	u->u_voff = pk->pk_voff;
	u->u_len = len;
	u->u_state = state;
	u->u_error = 0;
	u->u_at = b->b_used;
	pk->pk_voff += len;
	return (u);
}

/*
 * A unit that the source ends within is packed with zeros behind it: those
 * are there anyway, but where a backing image shows through.
 */
static int
may_pad(const struct packer *pk, uint64_t end)
{
	const struct img *dst = pk->pk_co->co_dst;

	return (dst->im_back == NULL ||
	    img_roundup(end, IMG_SECTOR) >= img_size(dst));
}

static int
add_units(struct packer *pk, struct batch *b, uint64_t len)
{
	struct img_copying *co = pk->pk_co;
	uint64_t voff = pk->pk_voff, room;
	uint8_t *buf = b->b_plain + (size_t)b->b_used * pk->pk_unit;
	uint64_t n;
	int error;

	room = (uint64_t)(pk->pk_max - b->b_n) * pk->pk_unit;
	len = img_min(room, len + pk->pk_unit - 1);
	len = img_min(len - len % pk->pk_unit, co->co_size - voff);
	error = read_range(pk, buf, voff, len);
	for (; len > 0 && error == 0; len -= n) {
		n = img_min(len, pk->pk_unit);
		if (n == pk->pk_unit || may_pad(pk, pk->pk_voff + n))
			(void)add(pk, b, PACKED, n);
		else
			(void)add(pk, b, PLAIN, n);
		if (n < pk->pk_unit)
			memset(buf + (pk->pk_voff - voff), 0,
			    pk->pk_unit - (size_t)n);
		b->b_used++;
	}
	return (error);
}

/* Read until the batch is full. */
static int
fill(struct packer *pk, struct batch *b)
{
	struct img_copying *co = pk->pk_co;
	struct img_extent e;
	uint64_t zeros;
	int error = 0;

	b->b_n = b->b_used = 0;
	while (b->b_n < pk->pk_max && pk->pk_voff < co->co_size && error == 0) {
		error = look(pk, pk->pk_voff, co->co_size - pk->pk_voff, &e,
		    &zeros);
		if (error != 0)
			break;
		if (zeros > 0 && co->co_how->cp_sparse != 0)
			(void)add(pk, b, ZEROS, zeros);
		else
			error = add_units(pk, b, e.e_len);
	}
	return (error);
}

/* One unit, by any thread. */
static void
pack(struct packer *pk, struct batch *b, struct unit *u)
{
	size_t at = (size_t)u->u_at * pk->pk_unit;

	if (u->u_state == ZEROS)
		return;
	if (pk->pk_co->co_how->cp_sparse != 0 &&
	    img_is_zero(b->b_plain + at, (size_t)u->u_len)) {
		u->u_state = ZEROS;
		return;
	}
	if (u->u_state == PLAIN)
		return;
	u->u_error = pk->pk_tool->t_pack(pk->pk_co->co_dst, b->b_plain + at,
	    b->b_packed + at, &u->u_plen);
	if (u->u_error == ENOSPC) {
		u->u_error = 0;
		u->u_state = PLAIN;
	}
}

/* One unit ends where the next one begins, on the disk and in the buffers. */
static int
goes_on(const struct batch *b, unsigned i)
{
	return (i < b->b_n && b->b_unit[i].u_state == PLAIN &&
	    b->b_unit[i].u_error == 0);
}

/* Units from i on that are written as they are, in one go; *i is the last. */
static int
place_plain(struct packer *pk, struct batch *b, unsigned *i)
{
	const struct unit *u = &b->b_unit[*i];
	uint64_t len = u->u_len;

	while (goes_on(b, *i + 1))
		len += b->b_unit[++*i].u_len;
	return (
	    img_copy_put(pk->pk_co, b->b_plain + (size_t)u->u_at * pk->pk_unit,
		(uint32_t)len, u->u_voff));
}

static int
place_packed(struct packer *pk, struct batch *b, unsigned *i)
{
	struct unit *u = &b->b_unit[*i];
	struct img *dst = pk->pk_co->co_dst;
	int error;

	/* What every write begins with, and t_place does not know of. */
	error = img_zero(dst, u->u_voff, 0);
	if (error == 0)
		error = pk->pk_tool->t_place(dst, u->u_voff,
		    b->b_packed + (size_t)u->u_at * pk->pk_unit, u->u_plen);
	if (error == EEXIST) {
		u->u_state = PLAIN;
		return (place_plain(pk, b, i));
	}
	return (error == 0 ? 0 : dst_failed(pk->pk_co, error));
}

static int
place(struct packer *pk, struct batch *b)
{
	struct unit *u;
	unsigned i;
	int error = 0;

	for (i = 0; i < b->b_n && error == 0; i++) {
		u = &b->b_unit[i];
		if (u->u_error != 0)
			error = dst_failed(pk->pk_co, u->u_error);
		else if (u->u_state == ZEROS)
			error =
			    img_copy_leave_out(pk->pk_co, u->u_voff, u->u_len);
		else if (u->u_state == PLAIN)
			error = place_plain(pk, b, &i);
		else
			error = place_packed(pk, b, &i);
	}
	return (error);
}

/* Job 0 is the one that touches the images. */
static void
job(void *arg, unsigned i)
{
	struct packer *pk = arg;

	if (i > 0) {
		pack(pk, pk->pk_packing, &pk->pk_packing->b_unit[i - 1]);
		return;
	}
	if (pk->pk_placing != NULL)
		pk->pk_error = place(pk, pk->pk_placing);
	if (pk->pk_error == 0 && pk->pk_reading != NULL)
		pk->pk_error = fill(pk, pk->pk_reading);
}

static void
run(struct packer *pk)
{
	const struct img_env *env = pk->pk_co->co_env;
	unsigned n = 1, i;

	if (pk->pk_packing != NULL)
		n += pk->pk_packing->b_n;
	if (env->ev_parallel != NULL) {
		env->ev_parallel(env->ev_arg, n, job, pk);
		return;
	}
	for (i = 0; i < n; i++)
		job(pk, i);
}

/* Batch i is read in turn i, packed in the next one, then placed. */
static int
copy_all(struct packer *pk)
{
	struct img_copying *co = pk->pk_co;
	struct batch *last;
	unsigned turn;
	int error = 0;

	for (turn = 0; error == 0; turn++) {
		last = pk->pk_placing = pk->pk_packing;
		pk->pk_packing = pk->pk_reading;
		pk->pk_reading = NULL;
		if (pk->pk_voff < co->co_size)
			pk->pk_reading = &pk->pk_batch[turn % NBATCHES];
		else if (pk->pk_packing == NULL && last == NULL)
			break;
		run(pk);
		error = pk->pk_error;
		if (error == 0 && last != NULL && last->b_n > 0)
			error = img_copy_tell(co,
			    last->b_unit[last->b_n - 1].u_voff +
				last->b_unit[last->b_n - 1].u_len);
	}
	return (error);
}

static int
allocate(struct packer *pk)
{
	const struct img_env *env = pk->pk_co->co_env;
	size_t bytes = (size_t)pk->pk_max * pk->pk_unit;
	struct batch *b;
	int error = 0;

	for (b = pk->pk_batch; b < pk->pk_batch + NBATCHES; b++) {
		b->b_unit =
		    env->ev_alloc(env->ev_arg, pk->pk_max * sizeof(*b->b_unit));
		b->b_plain = env->ev_alloc(env->ev_arg, bytes);
		b->b_packed = env->ev_alloc(env->ev_arg, bytes);
		if (b->b_unit == NULL || b->b_plain == NULL ||
		    b->b_packed == NULL)
			error = ENOMEM;
	}
	return (error);
}

static void
release(struct packer *pk)
{
	const struct img_env *env = pk->pk_co->co_env;
	size_t bytes = (size_t)pk->pk_max * pk->pk_unit;
	struct batch *b;

	for (b = pk->pk_batch; b < pk->pk_batch + NBATCHES; b++) {
		if (b->b_unit != NULL)
			env->ev_free(env->ev_arg, b->b_unit,
			    pk->pk_max * sizeof(*b->b_unit));
		if (b->b_plain != NULL)
			env->ev_free(env->ev_arg, b->b_plain, bytes);
		if (b->b_packed != NULL)
			env->ev_free(env->ev_arg, b->b_packed, bytes);
	}
}

int
img_copy_packed(struct img_copying *co)
{
	struct packer pk;
	int error;

	memset(&pk, 0, sizeof(pk));
	pk.pk_co = co;
	pk.pk_tool = img_tool_of(img_format_of(co->co_dst));
	pk.pk_unit = img_unit(co->co_dst);
	if (pk.pk_tool->t_pack == NULL)
		return (dst_failed(co, ENOTSUP));
	pk.pk_max = BATCH / pk.pk_unit;
	if (pk.pk_max < UNITS_MIN)
		pk.pk_max = UNITS_MIN;
	if (pk.pk_max > UNITS_MAX)
		pk.pk_max = UNITS_MAX;
	error = allocate(&pk);
	if (error == 0)
		error = copy_all(&pk);
	release(&pk);
	return (error);
}
