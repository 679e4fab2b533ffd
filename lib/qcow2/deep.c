/* SPDX-License-Identifier: ISC */

/*
 * The deep check: every compressed cluster is decompressed, those of the
 * disk and those that only snapshots have.
 */

#include "qcow2/check.h"

struct deep {
	struct img *de_im;
	const struct qcow2_tree *de_before; /* was looked at before, or NULL */
	const char *de_name;
	uint8_t *de_packed;
	uint32_t de_max; /* of de_packed: twice what an entry can ask for */
	uint8_t *de_unit;
};

/*
 * An L2 table that the active tree or the snapshot before has in the same
 * place was looked at already.
 */
static int
was_seen(struct img *im, const struct qcow2_tree *t, uint32_t i, uint64_t l2,
    int *seen)
{
	uint64_t l1;
	int error;

	*seen = 0;
	if (t == NULL || i >= t->t_n)
		return (0);
	error = qcow2_l1_get(im, t, i, &l1);
	if (error == 0)
		*seen = (l1 & QCOW2_OFFSET) == l2;
	return (error);
}

static int
deep_l1(struct img *im, void *arg, const struct qcow2_tree *t, uint32_t i,
    uint64_t l1, uint64_t l2, enum img_row row, int *down)
{
	struct deep *de = arg;
	int error, seen;

	(void)l1;
	(void)row;
	if (t->t_active || !*down)
		return (0);
	error = was_seen(im, &qcow2(im)->q_active, i, l2, &seen);
	if (error == 0 && !seen)
		error = was_seen(im, de->de_before, i, l2, &seen);
	if (error == 0 && seen)
		*down = 0;
	return (error);
}

/* Decompress what len bytes from the entry's offset on are, 0s past the end. */
static int
unpack(struct deep *de, const struct qcow2_entry *n, uint32_t len)
{
	struct img *im = de->de_im;
	uint32_t there;
	struct img_extent e;
	int error;

	there = (uint32_t)img_min(len, im->im_eof[0] - n->n_off);
	error = img_io_read(im, 0, de->de_packed, there, n->n_off);
	if (error != 0)
		return (error);
	memset(de->de_packed + there, 0, len - there);
	memset(&e, 0, sizeof(e));
	e.e_type = IMG_PACKED;
	e.e_off = n->n_off;
	e.e_plen = n->n_plen;
	error = qcow2_unpack(im, &e, de->de_packed, len, de->de_unit);
	return (error == EIO ? EFTYPE : error);
}

static int
judge(struct deep *de, const struct qcow2_entry *n, enum img_row *row)
{
	struct img *im = de->de_im;
	uint32_t more;
	int error;

	*row = IMG_ROW_NONE;
	error = unpack(de, n, n->n_plen);
	if (error != EFTYPE)
		return (error);
	*row = IMG_QCOW2_PACKED_DATA;
	/* The last sector is seldom whole: few streams end where it does. */
	if (n->n_plen > im->im_eof[0] - n->n_off + IMG_SECTOR) {
		*row = IMG_QCOW2_PACKED_RANGE;
		return (0);
	}
	more = (uint32_t)img_min(de->de_max, im->im_eof[0] - n->n_off);
	if (more <= n->n_plen)
		return (0);
	error = unpack(de, n, more);
	if (error == 0)
		*row = IMG_QCOW2_PACKED_SHORT;
	return (error == EFTYPE ? 0 : error);
}

static int
deep_l2(struct img *im, void *arg, const struct qcow2_tree *t, uint64_t voff,
    uint64_t at, const struct qcow2_entry *n)
{
	const struct img_env *env = im->im_env;
	struct deep *de = arg;
	struct img_finding fi;
	int error = 0;

	if (n->n_type != QCOW2_T_PACKED || n->n_row != IMG_ROW_NONE)
		return (0);
	if (env->ev_poll != NULL)
		error = env->ev_poll(env->ev_arg, img_min(voff, t->t_size),
		    t->t_size);
	memset(&fi, 0, sizeof(fi));
	if (error == 0)
		error = judge(de, n, &fi.fi_row);
	if (error != 0 || fi.fi_row == IMG_ROW_NONE)
		return (error);
	fi.fi_off = at;
	fi.fi_rel = IMG_WANT_ANY;
	fi.fi_found = n->n_raw;
	fi.fi_name = de->de_name;
	if (t->t_active && voff < t->t_size) {
		fi.fi_voff = voff;
		fi.fi_vlen = img_min(qcow2(im)->q_cluster, t->t_size - voff);
	}
	img_raise_finding(im, &fi);
	return (0);
}

static const struct qcow2_walker walker = { deep_l1, deep_l2 };

static int
deep_snapshots(struct deep *de)
{
	struct img *im = de->de_im;
	struct qcow2_tree t, before;
	struct qcow2_snap s;
	char id[QCOW2_TEXT_MAX + 1];
	int error;

	memset(&s, 0, sizeof(s));
	s.s_next = qcow2(im)->q_snap_off;
	while ((error = qcow2_snap_next(im, &s)) == 0) {
		if (qcow2_snap_tree(im, &s, &t) != 0)
			continue;
		error = qcow2_text(im, s.s_id_off, s.s_id_len, id);
		de->de_name = id;
		if (error == 0)
			error = qcow2_walk(im, &t, &walker, de);
		de->de_name = NULL;
		if (error != 0)
			return (error);
		before = t;
		de->de_before = &before;
	}
	return (error == ENOENT || error == EFTYPE ? 0 : error);
}

int
qcow2_check_deep(struct img *im)
{
	struct qcow2 *q = qcow2(im);
	struct deep de;
	int error;

	if (im->im_env->ev_unpack == NULL || q->q_crypt != 0 ||
	    (q->q_algo == IMG_ZSTD && !(im->im_env->ev_can & IMG_CAN_ZSTD)))
		return (0);
	memset(&de, 0, sizeof(de));
	de.de_im = im;
	de.de_max = 4 * q->q_cluster;
	error = img_alloc(im, de.de_max, &de.de_packed);
	if (error == 0)
		error = img_alloc(im, q->q_cluster, &de.de_unit);
	if (error == 0)
		error = qcow2_walk(im, &q->q_active, &walker, &de);
	if (error == 0)
		error = deep_snapshots(&de);
	img_free(im, de.de_unit, q->q_cluster);
	img_free(im, de.de_packed, de.de_max);
	return (error);
}
