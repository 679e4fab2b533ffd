/* SPDX-License-Identifier: ISC */

/*
 * Where everything of a new image lies: the header, the refcount table, all
 * refcount blocks, the L1 table and, with preallocation, L2 tables and data,
 * without gaps.
 */

#include "qcow2/create.h"

/* A divided by a power of two, rounded up. */
static uint64_t
up(uint64_t n, uint32_t bits)
{
	return ((n >> bits) + ((n & ((UINT64_C(1) << bits) - 1)) != 0));
}

static int
too_large(const struct qcow2_plan *pl, const char *what)
{
	return (img_create_error(pl->pl_cr, EFBIG, what, NULL));
}

static int
plan_map(struct qcow2_plan *pl)
{
	uint32_t esz = pl->pl_extended ? 4 : 3;

	if (pl->pl_cr->cr_size > INT64_MAX - (IMG_SECTOR - 1))
		return (too_large(pl, "size is too large"));
	pl->pl_size = img_roundup(pl->pl_cr->cr_size, IMG_SECTOR);
	pl->pl_l1_n = up(pl->pl_size, 2 * pl->pl_bits - esz);
	if (pl->pl_l1_n > QCOW2_L1_MAX)
		return (too_large(pl,
		    "size is too large for this "
		    "cluster_size"));
	pl->pl_l1 = up(pl->pl_l1_n * 8, pl->pl_bits);
	if (pl->pl_prealloc == QCOW2_P_OFF)
		return (0);
	pl->pl_l2 = pl->pl_l1_n;
	pl->pl_nmap = up(pl->pl_size, pl->pl_bits);
	if (pl->pl_data_file[0] == '\0')
		pl->pl_data = pl->pl_nmap;
	return (0);
}

/*
 * vmd's refcount table cannot grow: let it cover the disk twice, as vmd frees
 * nothing that it replaces.
 */
static uint64_t
least_table(const struct qcow2_plan *pl)
{
	uint32_t covered = 2 * pl->pl_bits + 3 - pl->pl_order;

	return (pl->pl_vmd ?
		up(up(2 * pl->pl_size, covered) * 8 + 64, pl->pl_bits) :
		1);
}

/* Refcount blocks count themselves: more of them until they suffice. */
static int
plan_counts(struct qcow2_plan *pl)
{
	uint64_t rest = 1 + pl->pl_l1 + pl->pl_l2 + pl->pl_data, n;

	pl->pl_rt = least_table(pl);
	do {
		n = pl->pl_rt + pl->pl_rb;
		pl->pl_total = rest + n;
		pl->pl_rb = up(pl->pl_total, pl->pl_bits + 3 - pl->pl_order);
		if (up(pl->pl_rb * 8, pl->pl_bits) > pl->pl_rt)
			pl->pl_rt = up(pl->pl_rb * 8, pl->pl_bits);
	} while (pl->pl_rt + pl->pl_rb != n);
	if (pl->pl_rt << pl->pl_bits > QCOW2_RT_MAX ||
	    pl->pl_total > QCOW2_HOST_MAX >> pl->pl_bits)
		return (too_large(pl, "size is too large to preallocate"));
	return (0);
}

int
qcow2_plan(struct qcow2_plan *pl)
{
	struct img_file *f = pl->pl_file;
	int error;

	error = f->f_ops->fo_length(f, &pl->pl_len);
	if (error != 0)
		return (error);
	if (!(f->f_flags & IMG_FILE_FIXED) && pl->pl_len != 0)
		return (img_create_error(pl->pl_cr, EINVAL, "file is not empty",
		    NULL));
	error = plan_map(pl);
	if (error == 0)
		error = plan_counts(pl);
	if (error != 0)
		return (error);
	if ((f->f_flags & IMG_FILE_FIXED) &&
	    pl->pl_total << pl->pl_bits > pl->pl_len)
		return (img_create_error(pl->pl_cr, ENOSPC,
		    "device is too small for the image", NULL));
	return (0);
}
