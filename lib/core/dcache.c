/* SPDX-License-Identifier: ISC */

/* Units of data in slots, written through; see dcache.h. */

#include "core/dcache.h"

static struct img_dcache *
dcache(struct img_file *f)
{
	return ((struct img_dcache *)(void *)f);
}

static uint8_t *
slot_data(struct img_dcache *dc, const struct img_dslot *ds)
{
	return (dc->dc_data + (size_t)(ds - dc->dc_slot) * dc->dc_slotlen);
}

static struct img_dslot *
lookup(struct img_dcache *dc, uint64_t off)
{
	struct img_dslot *ds;
	uint32_t i;

	for (i = 0; i < dc->dc_nslots; i++) {
		ds = &dc->dc_slot[i];
		if (off >= ds->ds_off && off - ds->ds_off < ds->ds_len)
			return (ds);
	}
	return (NULL);
}

/* The slot that is empty, or was not used for the longest time. */
static struct img_dslot *
victim(struct img_dcache *dc)
{
	struct img_dslot *ds = dc->dc_slot;
	uint32_t i;

	for (i = 1; i < dc->dc_nslots && ds->ds_len > 0; i++)
		if (dc->dc_slot[i].ds_len == 0 ||
		    dc->dc_tick - dc->dc_slot[i].ds_used >
			dc->dc_tick - ds->ds_used)
			ds = &dc->dc_slot[i];
	return (ds);
}

/*
 * Read the piece of the unit that off lies in; NULL where that cannot be, or
 * fails: then what was asked for is read alone.
 */
static struct img_dslot *
fill(struct img_dcache *dc, uint64_t off)
{
	struct img_dslot *ds;
	uint64_t in, end, base;

	if (off < dc->dc_unit_off || off - dc->dc_unit_off >= dc->dc_unit_len ||
	    dc->dc_nslots == 0)
		return (NULL);
	in = (off - dc->dc_unit_off) & ~(uint64_t)(dc->dc_slotlen - 1);
	base = dc->dc_unit_off + in;
	end = base + img_min(dc->dc_unit_len - in, dc->dc_slotlen);
	end = img_min(end, dc->dc_length);
	if (off >= end)
		return (NULL);
	ds = victim(dc);
	ds->ds_len = 0;
	if (dc->dc_lower->f_ops->fo_read(dc->dc_lower, slot_data(dc, ds),
		(uint32_t)(end - base), base) != 0)
		return (NULL);
	ds->ds_off = base;
	ds->ds_len = (uint32_t)(end - base);
	return (ds);
}

static int
dc_read(struct img_file *f, void *buf, uint32_t len, uint64_t off)
{
	struct img_dcache *dc = dcache(f);
	struct img_dslot *ds;
	uint8_t *p = buf;
	uint32_t in, n;

	for (; len > 0; len -= n, p += n, off += n) {
		ds = lookup(dc, off);
		if (ds == NULL)
			ds = fill(dc, off);
		if (ds == NULL)
			return (dc->dc_lower->f_ops->fo_read(dc->dc_lower, p,
			    len, off));
		ds->ds_used = ++dc->dc_tick;
		in = (uint32_t)(off - ds->ds_off);
		n = (uint32_t)img_min(len, ds->ds_len - in);
		memcpy(p, slot_data(dc, ds) + in, n);
	}
	return (0);
}

/* What the slots have of [off, off + len) is p, or is not known any more. */
static void
update(struct img_dcache *dc, const uint8_t *p, uint64_t len, uint64_t off)
{
	struct img_dslot *ds;
	uint64_t from, to;
	uint32_t i;

	for (i = 0; i < dc->dc_nslots; i++) {
		ds = &dc->dc_slot[i];
		if (!img_overlap(ds->ds_off, ds->ds_len, off, len))
			continue;
		from = ds->ds_off > off ? ds->ds_off : off;
		to = img_min(ds->ds_off + ds->ds_len, off + len);
		if (p == NULL)
			ds->ds_len = 0;
		else
			memcpy(slot_data(dc, ds) + (from - ds->ds_off),
			    p + (from - off), (size_t)(to - from));
	}
}

static int
dc_write(struct img_file *f, const void *buf, uint32_t len, uint64_t off)
{
	struct img_dcache *dc = dcache(f);
	int error;

	error = dc->dc_lower->f_ops->fo_write(dc->dc_lower, buf, len, off);
	update(dc, error == 0 ? buf : NULL, len, off);
	if (error == 0 && off + len > dc->dc_length)
		dc->dc_length = off + len;
	return (error);
}

static int
dc_barrier(struct img_file *f)
{
	struct img_file *lower = dcache(f)->dc_lower;

	return (lower->f_ops->fo_barrier(lower));
}

static int
dc_length(struct img_file *f, uint64_t *len)
{
	struct img_dcache *dc = dcache(f);
	int error;

	error = dc->dc_lower->f_ops->fo_length(dc->dc_lower, len);
	if (error == 0)
		dc->dc_length = *len;
	return (error);
}

static int
dc_resize(struct img_file *f, uint64_t len)
{
	struct img_dcache *dc = dcache(f);
	uint64_t from = img_min(len, dc->dc_length);
	int error;

	error = dc->dc_lower->f_ops->fo_resize(dc->dc_lower, len);
	update(dc, NULL, UINT64_MAX - from, from);
	if (error == 0)
		dc->dc_length = len;
	return (error);
}

static void
dc_unit(struct img_file *f, uint64_t off, uint64_t len)
{
	dcache(f)->dc_unit_off = off;
	dcache(f)->dc_unit_len = len;
}

static const struct img_fileops dcache_ops = {
	.fo_read = dc_read,
	.fo_write = dc_write,
	.fo_barrier = dc_barrier,
	.fo_length = dc_length,
	.fo_resize = dc_resize,
	.fo_unit = dc_unit,
};

int
img_dcache_init(struct img_dcache *dc, const struct img_env *env,
    struct img_file *lower)
{
	memset(dc, 0, sizeof(*dc));
	dc->dc_file.f_ops = &dcache_ops;
	dc->dc_file.f_flags = lower->f_flags;
	dc->dc_lower = lower;
	dc->dc_env = env;
	return (lower->f_ops->fo_length(lower, &dc->dc_length));
}

int
img_dcache_slots(struct img_dcache *dc, uint32_t nslots, uint32_t unit)
{
	const struct img_env *env = dc->dc_env;
	uint32_t len = (uint32_t)img_min(unit, IMG_DCACHE_SLOT_MAX);

	if (dc->dc_nslots != 0 || (len & (len - 1)) != 0)
		return (EINVAL);
	if (nslots == 0 || len == 0)
		return (0);
	if (nslots > IMG_DCACHE_NSLOTS_MAX)
		return (EINVAL);
	dc->dc_slot = env->ev_alloc(env->ev_arg,
	    (size_t)nslots * sizeof(struct img_dslot));
	dc->dc_data = env->ev_alloc(env->ev_arg, (size_t)nslots * len);
	dc->dc_nslots = nslots;
	dc->dc_slotlen = len;
	if (dc->dc_slot != NULL && dc->dc_data != NULL)
		return (0);
	img_dcache_fini(dc);
	return (ENOMEM);
}

void
img_dcache_fini(struct img_dcache *dc)
{
	const struct img_env *env = dc->dc_env;
	size_t n = dc->dc_nslots;

	if (dc->dc_slot != NULL)
		env->ev_free(env->ev_arg, dc->dc_slot,
		    n * sizeof(struct img_dslot));
	if (dc->dc_data != NULL)
		env->ev_free(env->ev_arg, dc->dc_data, n * dc->dc_slotlen);
	dc->dc_slot = NULL;
	dc->dc_data = NULL;
	dc->dc_nslots = 0;
}
