/* SPDX-License-Identifier: ISC */

/*
 * Looking ahead in a source that is compressed: one thread reads the packed
 * units that follow, all processors unpack them, and the copy then takes the
 * bytes from here.  Without processors to spare img_read does the same, unit
 * by unit.
 */

#include "tool/copy.h"

#define ROOM (8u << 20) /* of packed bytes, and of unpacked ones */
#define NUNITS 128u
#define NEXTENTS 512u /* that are looked at to find these */

struct unit {
	struct img *u_owner;
	struct img_extent u_ext;
	uint8_t *u_packed;
	uint8_t *u_bytes;
	uint32_t u_plen;
	int u_error;
};

struct img_copy_ahead {
	uint8_t *ah_packed; /* ROOM bytes */
	uint8_t *ah_bytes;  /* ROOM bytes */
	uint32_t ah_npacked, ah_nbytes;
	unsigned ah_n;
	unsigned ah_next; /* units before it have been asked for */
	struct unit ah_unit[NUNITS];
};

static void
unpack(void *arg, unsigned i)
{
	struct unit *u = &((struct img_copy_ahead *)arg)->ah_unit[i];
	struct img *im = u->u_owner;

	u->u_error = im->im_fmt->f_unpack(im, &u->u_ext, u->u_packed, u->u_plen,
	    u->u_bytes);
}

/* Read what the extent packs; ENOSPC where there is no room for it. */
static int
add(struct img_copy_ahead *ah, struct img *owner, const struct img_extent *e)
{
	struct unit *u = &ah->ah_unit[ah->ah_n];
	int error;

	if (ah->ah_n == NUNITS || owner->im_packmax > ROOM - ah->ah_npacked ||
	    owner->im_unit > ROOM - ah->ah_nbytes)
		return (ENOSPC);
	u->u_owner = owner;
	u->u_ext = *e;
	u->u_packed = ah->ah_packed + ah->ah_npacked;
	u->u_bytes = ah->ah_bytes + ah->ah_nbytes;
	error = img_fetch_packed(owner, e, u->u_packed, &u->u_plen);
	if (error != 0)
		return (error);
	ah->ah_npacked += u->u_plen;
	ah->ah_nbytes += owner->im_unit;
	ah->ah_n++;
	return (0);
}

/* Once; without memory the copy goes on as if there were one processor. */
static struct img_copy_ahead *
get_ready(struct img_copying *co)
{
	const struct img_env *env = co->co_env;
	struct img_copy_ahead *ah = co->co_ahead;

	if (ah != NULL || env->ev_parallel == NULL || co->co_tried)
		return (ah);
	co->co_tried = 1;
	ah = env->ev_alloc(env->ev_arg, sizeof(*ah));
	if (ah == NULL)
		return (NULL);
	co->co_ahead = ah;
	ah->ah_packed = env->ev_alloc(env->ev_arg, ROOM);
	ah->ah_bytes = env->ev_alloc(env->ev_arg, ROOM);
	if (ah->ah_packed == NULL || ah->ah_bytes == NULL)
		img_copy_ahead_end(co);
	return (co->co_ahead);
}

void
img_copy_ahead_end(struct img_copying *co)
{
	const struct img_env *env = co->co_env;
	struct img_copy_ahead *ah = co->co_ahead;

	if (ah == NULL)
		return;
	if (ah->ah_packed != NULL)
		env->ev_free(env->ev_arg, ah->ah_packed, ROOM);
	if (ah->ah_bytes != NULL)
		env->ev_free(env->ev_arg, ah->ah_bytes, ROOM);
	env->ev_free(env->ev_arg, ah, sizeof(*ah));
	co->co_ahead = NULL;
}

/* The unit that has the bytes at voff, or NULL. */
static const struct unit *
unit_at(struct img_copy_ahead *ah, uint64_t voff)
{
	const struct img_extent *e;

	for (; ah->ah_next < ah->ah_n; ah->ah_next++) {
		e = &ah->ah_unit[ah->ah_next].u_ext;
		if (voff < e->e_voff)
			break;
		if (voff - e->e_voff < e->e_len)
			return (&ah->ah_unit[ah->ah_next]);
	}
	return (NULL);
}

/* What is not packed is passed over: it is met again in its turn. */
static void
gather(struct img_copying *co, struct img_copy_ahead *ah, struct img *owner,
    const struct img_extent *first)
{
	struct img_extent e = *first;
	uint64_t voff;
	unsigned depth, i;

	for (i = 0; i < NEXTENTS; i++) {
		if (e.e_type == IMG_PACKED && add(ah, owner, &e) != 0)
			break;
		voff = e.e_voff + e.e_len;
		if (voff >= co->co_size ||
		    img_walk(co->co_src, voff, co->co_size - voff, &e, &owner,
			&depth) != 0)
			break;
	}
}

void
img_copy_look_ahead(struct img_copying *co, struct img *owner,
    const struct img_extent *e)
{
	struct img_copy_ahead *ah = get_ready(co);

	if (ah == NULL || unit_at(ah, e->e_voff) != NULL)
		return;
	ah->ah_n = ah->ah_next = 0;
	ah->ah_npacked = ah->ah_nbytes = 0;
	gather(co, ah, owner, e);
	co->co_env->ev_parallel(co->co_env->ev_arg, ah->ah_n, unpack, ah);
}

int
img_copy_read(struct img_copying *co, void *buf, uint32_t len, uint64_t voff)
{
	const struct unit *u = NULL;
	uint64_t in;

	if (co->co_ahead != NULL)
		u = unit_at(co->co_ahead, voff);
	if (u == NULL)
		return (img_read(co->co_src, buf, len, voff));
	if (u->u_error == 0) {
		in = voff & (u->u_owner->im_unit - 1);
		memcpy(buf, u->u_bytes + in, len);
	}
	return (u->u_error);
}
