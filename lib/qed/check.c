/* SPDX-License-Identifier: ISC */

/*
 * Stage CHECK of QED: what is allocated, what is there but out of reach, and
 * space that nothing leads to.  Who owns what was VERIFY's business.
 */

#include "qed/tool.h"

const struct img_tool img_tool_qed = {
	.t_format = &img_qed,
	.t_opts = qed_opts,
	.t_info = qed_info,
	.t_check = qed_check,
	.t_repair = qed_repair,
	.t_create = qed_create,
};

struct check {
	struct img_checked *ck_ch;
	int ck_deep;
	uint64_t ck_last; /* data cluster before, of the same table; 0: none */
	uint64_t ck_used; /* entries in use of the table at hand */
	uint64_t ck_zeros;
	uint64_t ck_zero_at; /* the first of them */
	uint64_t ck_beyond;  /* entries beyond the end of the disk */
	uint64_t ck_beyond_at;
	uint64_t ck_top; /* the end of the guest's last data */
};

static void
raise_n(struct img *im, enum img_row row, uint64_t off, uint64_t n)
{
	struct img_finding fi;

	memset(&fi, 0, sizeof(fi));
	fi.fi_row = row;
	fi.fi_off = off;
	fi.fi_n = n;
	img_raise_finding(im, &fi);
}

static void
set_end(struct check *ck, uint64_t end)
{
	if (end > ck->ck_ch->ch_end)
		ck->ck_ch->ch_end = end;
}

static int
count_entry(struct img *im, void *arg, uint64_t voff, uint64_t at,
    const struct qed_entry *n)
{
	struct check *ck = arg;
	struct qed *q = qed(im);

	ck->ck_used++;
	if (voff >= im->im_size && ck->ck_beyond++ == 0)
		ck->ck_beyond_at = at;
	if (n->n_type == QED_T_ZERO) {
		if (ck->ck_zeros++ == 0)
			ck->ck_zero_at = at;
		return (0);
	}
	ck->ck_ch->ch_allocated++;
	if (ck->ck_last != 0 && n->n_raw != ck->ck_last + q->q_cluster)
		ck->ck_ch->ch_fragmented++;
	ck->ck_last = n->n_raw;
	if (n->n_off == 0)
		return (0);
	set_end(ck, n->n_off + q->q_cluster);
	if (voff <= INT64_MAX - (uint64_t)q->q_cluster)
		ck->ck_top = voff + q->q_cluster;
	return (0);
}

/* Does the host file have holes in the table at off? */
static int
look_for_hole(struct img *im, uint64_t off)
{
	struct img_file *f = im->im_file[0];
	uint64_t at = off, len, end;
	int data, error;

	if (f->f_ops->fo_extent == NULL)
		return (0);
	end = img_min(off + qed(im)->q_table_len, im->im_eof[0]);
	for (; at < end; at += len) {
		len = end - at;
		error = f->f_ops->fo_extent(f, at, &len, &data);
		if (error != 0)
			return (error);
		if (!data || len == 0)
			break;
	}
	if (at < end)
		img_raise(im, IMG_QED_TABLE_HOLE, at);
	return (0);
}

/* A table by itself: its entries are counted here, to know how many it has. */
static int
count_table(struct img *im, void *arg, uint32_t i, const struct qed_entry *n,
    int *down)
{
	static const struct qed_walker entries = { NULL, count_entry };
	struct qed *q = qed(im);
	struct check *ck = arg;
	uint64_t at = q->q_l1_off + (uint64_t)i * 8;
	int error = 0;

	if (*down) {
		ck->ck_last = 0;
		ck->ck_used = 0;
		set_end(ck, n->n_off + q->q_table_len);
		error = qed_walk_l2(im, &entries, ck, i, n->n_off);
		if (error == 0 && ck->ck_used == 0 && ck->ck_deep)
			img_raise_num(im, IMG_QED_L2_EMPTY, at, IMG_WANT_ANY,
			    n->n_off, 0);
		if (error == 0 && ck->ck_deep)
			error = look_for_hole(im, n->n_off);
	}
	*down = 0;
	return (error);
}

/* What the entries of a sound image leave to say. */
static void
tell_entries(struct img *im, const struct check *ck)
{
	uint64_t size = img_le64(qed(im)->q_head + QED_H_SIZE);

	if (size == 0 && ck->ck_top > 0)
		img_raise_num(im, IMG_QED_SIZE_ZERO, QED_H_SIZE, IMG_WANT_MIN,
		    0, ck->ck_top);
	else if (ck->ck_beyond > 0 && size % IMG_SECTOR == 0)
		raise_n(im, IMG_QED_BEYOND, ck->ck_beyond_at, ck->ck_beyond);
	if (ck->ck_deep && ck->ck_zeros > 0 &&
	    !(im->im_needs & IMG_NEEDS_BACKING))
		raise_n(im, IMG_QED_ZERO_PLAIN, ck->ck_zero_at, ck->ck_zeros);
}

int
qed_check(struct img *im, unsigned flags, int64_t now, struct img_checked *ch)
{
	static const struct qed_walker tables = { count_table, NULL };
	struct qed *q = qed(im);
	struct check ck;
	int error;

	(void)now; /* nothing in a QED is held against the clock */
	memset(&ck, 0, sizeof(ck));
	ck.ck_ch = ch;
	ck.ck_deep = (flags & IMG_DEEP) != 0;
	ch->ch_units = (im->im_size >> q->q_bits) +
	    ((im->im_size & (q->q_cluster - 1)) != 0);
	ch->ch_end = q->q_l1_off + q->q_table_len;
	error = qed_walk(im, &tables, &ck);
	if (error != 0)
		return (error);
	tell_entries(im, &ck);
	if (ck.ck_deep)
		error = look_for_hole(im, q->q_l1_off);
	/* What nothing leads to cannot be told where an entry is wrong. */
	return (error == 0 && !q->q_broken ? qed_check_leaks(im) : error);
}
