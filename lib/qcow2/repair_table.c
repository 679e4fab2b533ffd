/* SPDX-License-Identifier: ISC */

/*
 * Repair of qcow2: all refcounts written anew, behind the end of the file:
 * the table, then the blocks, of which the last ones count them all.  Only
 * what has references gets a block, so a large file that is mostly empty
 * stays so.
 *
 *	1. blocks and table, where nothing was; barrier
 *	2. the header's sector, which leads there; barrier
 *
 * A cut before 2 leaves a file that is longer.  What the old table and blocks
 * used is free afterwards, as long as it is certain that no structure was
 * missed; else everything keeps a refcount that had one or may have had one.
 */

#include "qcow2/repair.h"

#define NO_BLOCK UINT64_MAX

struct table {
	struct qcow2_repair *tb_r;
	int tb_exact;
	int tb_old;       /* there are old refcounts */
	uint64_t tb_ncl;  /* clusters of the file; the table comes next */
	uint64_t tb_rtcl; /* clusters of the table */
	uint8_t *tb_rt;
	uint64_t tb_next; /* where the next block goes */
	uint64_t tb_cur;  /* the block in tb_buf */
	uint8_t *tb_buf;
};

/* Clusters for a table that reaches as far as itself and its blocks. */
static int
measure(const struct qcow2 *q, struct table *tb)
{
	uint64_t end, nblocks, was;

	do {
		was = tb->tb_rtcl;
		end = tb->tb_ncl + was;
		for (;;) {
			nblocks = (end >> q->q_rb_bits) + 1;
			if (tb->tb_ncl + was + nblocks <= end)
				break;
			end = tb->tb_ncl + was + nblocks;
		}
		tb->tb_rtcl = qcow2_nclusters(q, 0, nblocks * 8);
	} while (tb->tb_rtcl > was);
	if (tb->tb_rtcl << q->q_bits > QCOW2_RT_MAX ||
	    end > QCOW2_HOST_MAX >> q->q_bits)
		return (EFBIG);
	return (0);
}

static int
write_block(struct table *tb)
{
	struct qcow2 *q = qcow2(tb->tb_r->r_out);
	uint64_t off = tb->tb_next << q->q_bits;

	if (tb->tb_cur == NO_BLOCK)
		return (0);
	img_put_be64(tb->tb_rt + tb->tb_cur * 8, off);
	tb->tb_cur = NO_BLOCK;
	tb->tb_next++;
	return (qcow2_fix_put(tb->tb_r, tb->tb_buf, q->q_cluster, off));
}

/* The refcount of n clusters from cl on; ascending. */
static int
put(struct table *tb, uint64_t cl, uint64_t n, uint64_t count)
{
	struct qcow2 *q = qcow2(tb->tb_r->r_out);
	uint64_t mask = (UINT64_C(1) << q->q_rb_bits) - 1;
	int error;

	for (; n > 0; n--, cl++) {
		if (cl >> q->q_rb_bits != tb->tb_cur) {
			error = write_block(tb);
			if (error != 0)
				return (error);
			tb->tb_cur = cl >> q->q_rb_bits;
			memset(tb->tb_buf, 0, q->q_cluster);
		}
		qcow2_count_put(tb->tb_buf, q->q_order, (uint32_t)(cl & mask),
		    count);
	}
	return (0);
}

static int
each(void *arg, const struct qcow2_diff *d)
{
	struct table *tb = arg;
	uint64_t n = d->d_owner.o_count, stored;

	if (d->d_cl >= tb->tb_ncl)
		return (0);
	if (!tb->tb_exact) {
		stored = d->d_known && tb->tb_old ? d->d_stored : 1;
		if (stored > n)
			n = stored;
	}
	n = img_min(n, qcow2_count_max(qcow2(tb->tb_r->r_out)));
	return (n == 0 ? 0 : put(tb, d->d_cl, d->d_n, n));
}

/* The blocks that count the table and all blocks. */
static int
finish(struct table *tb)
{
	struct qcow2 *q = qcow2(tb->tb_r->r_out);
	uint64_t first = tb->tb_ncl >> q->q_rb_bits, n = 0, was, end;
	int error = 0;

	if (tb->tb_cur != first)
		error = write_block(tb);
	do {
		was = n;
		end = tb->tb_next + was;
		n = ((end - 1) >> q->q_rb_bits) - first + 1;
	} while (n != was);
	if (error == 0)
		error = put(tb, tb->tb_ncl, end - tb->tb_ncl, 1);
	return (error != 0 ? error : write_block(tb));
}

static void
lead_there(void *arg, uint8_t *sector)
{
	const struct table *tb = arg;
	struct qcow2 *q = qcow2(tb->tb_r->r_out);

	img_put_be64(sector + QCOW2_H_RT_OFF, tb->tb_ncl << q->q_bits);
	img_put_be32(sector + QCOW2_H_RT_CLUSTERS, (uint32_t)tb->tb_rtcl);
}

/* Count all, and put the counts into blocks or only look whether it is all. */
static int
tally(struct table *tb, qcow2_diff_fn *fn, int *whole)
{
	struct qcow2_tally ta;
	int error;

	error = qcow2_tally_init(&ta, tb->tb_r->r_out, 0);
	ta.ta_anew = 1;
	ta.ta_twins = tb->tb_r->r_twins;
	ta.ta_each = fn;
	ta.ta_arg = tb;
	if (error == 0)
		error = qcow2_tally(&ta);
	*whole = ta.ta_whole;
	qcow2_tally_fini(&ta);
	return (error);
}

static int
write_all(struct table *tb)
{
	struct qcow2_repair *r = tb->tb_r;
	struct qcow2 *q = qcow2(r->r_out);
	uint64_t at;
	int error, whole;

	error = tally(tb, NULL, &whole);
	tb->tb_exact = r->r_free && whole;
	if (error == 0)
		error = tally(tb, each, &whole);
	if (error == 0)
		error = finish(tb);
	for (at = 0; at < tb->tb_rtcl && error == 0; at++)
		error = qcow2_fix_put(r, tb->tb_rt + (at << q->q_bits),
		    q->q_cluster, (tb->tb_ncl + at) << q->q_bits);
	return (error != 0 ? error : qcow2_fix_head(r, lead_there, tb));
}

/*
 * Entries that lead behind the end of the file: it will be longer, and they
 * must not lead into it meanwhile.
 */
static int
clear_entries(struct qcow2_repair *r)
{
	struct qcow2 *q = qcow2(r->r_out);
	uint8_t zero[8];
	uint64_t raw, rb;
	uint32_t i, n = 0;
	int error = 0;

	memset(zero, 0, sizeof(zero));
	for (i = 0; i < q->q_rt_n && error == 0; i++) {
		error = qcow2_rt_get(r->r_out, i, &raw);
		rb = raw & ~QCOW2_RT_RESERVED;
		if (error != 0 || rb == 0 ||
		    qcow2_rb_judge(r->r_out, rb) != IMG_QCOW2_RB_RANGE)
			continue;
		n++;
		error = qcow2_fix_put(r, zero, sizeof(zero),
		    q->q_rt_off + (uint64_t)i * 8);
	}
	return (error == 0 && n > 0 ? qcow2_fix_barrier(r) : error);
}

int
qcow2_write_table(struct qcow2_repair *r)
{
	struct table tb;
	struct qcow2 *q;
	uint64_t len;
	int error;

	error = qcow2_fix_open(r);
	if (error != 0)
		return (error);
	q = qcow2(r->r_out);
	memset(&tb, 0, sizeof(tb));
	tb.tb_r = r;
	tb.tb_old = q->q_rt_n > 0;
	tb.tb_ncl = qcow2_nclusters(q, 0, r->r_out->im_eof[0]);
	tb.tb_cur = NO_BLOCK;
	error = measure(q, &tb);
	len = tb.tb_rtcl << q->q_bits;
	tb.tb_next = tb.tb_ncl + tb.tb_rtcl;
	if (error == 0)
		error = img_alloc(r->r_out, len, &tb.tb_rt);
	if (error == 0)
		error = img_alloc(r->r_out, q->q_cluster, &tb.tb_buf);
	if (error == 0)
		error = clear_entries(r);
	if (error == 0)
		error = write_all(&tb);
	img_free(r->r_out, tb.tb_buf, q->q_cluster);
	img_free(r->r_out, tb.tb_rt, len);
	return (qcow2_fix_close(r, error));
}
