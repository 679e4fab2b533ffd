/* SPDX-License-Identifier: ISC */

/*
 * What entries of L1 and L2 tables mean, and which row they break.  Whether
 * an entry is compressed is asked first: in such a one the other flags are
 * bits of the offset.
 */

#include "qcow2/qcow2.h"

/* Bits of the offset in the entry of a compressed cluster. */
static uint32_t
packed_split(const struct qcow2 *q)
{
	return (70 - q->q_bits);
}

uint64_t
qcow2_packed_entry(const struct qcow2 *q, uint64_t off, uint32_t len)
{
	uint32_t x = packed_split(q);
	uint64_t n;

	n = ((off + len - 1) >> 9) - (off >> 9);
	if (off >= QCOW2_HOST_MAX || off >> x != 0 || n >> (62 - x) != 0)
		return (0);
	return (QCOW2_PACKED | n << x | off);
}

/* The row for data that lies over metadata of this use. */
static enum img_row
data_over(enum qcow2_use use)
{
	switch (use) {
	case QCOW2_U_NONE:
		return (IMG_ROW_NONE);
	case QCOW2_U_HEADER:
		return (IMG_QCOW2_DATA_HEADER);
	case QCOW2_U_L1:
	case QCOW2_U_RT:
		return (IMG_QCOW2_DATA_META);
	default:
		return (IMG_QCOW2_DATA_OTHER);
	}
}

static void
judge_packed(const struct img *im, struct qcow2_entry *n)
{
	const struct qcow2 *q = qcow2(im);
	uint32_t x = packed_split(q);
	uint64_t nsec = n->n_raw >> x & ((UINT64_C(1) << (62 - x)) - 1);

	n->n_type = QCOW2_T_PACKED;
	n->n_off = n->n_raw & ((UINT64_C(1) << x) - 1);
	n->n_plen = (uint32_t)((nsec + 1) << 9) -
	    (uint32_t)(n->n_off & (IMG_SECTOR - 1));
	if (qcow2_data_file(q))
		n->n_row = IMG_QCOW2_PACKED_FILE;
	else if (n->n_off >= QCOW2_HOST_MAX)
		n->n_row = IMG_QCOW2_PACKED_HIGH;
	else if (n->n_off >= im->im_eof[0] ||
	    n->n_off + n->n_plen > img_roundup(im->im_eof[0], q->q_cluster))
		n->n_row = IMG_QCOW2_PACKED_RANGE;
	else
		n->n_row = data_over(qcow2_over(q, n->n_off, n->n_plen));
}

/* The offset of a cluster that is not compressed. */
static enum img_row
judge_offset(const struct img *im, const struct qcow2_entry *n, uint64_t voff,
    int zero)
{
	const struct qcow2 *q = qcow2(im);

	if (!qcow2_aligned(q, n->n_off))
		return (zero ? IMG_QCOW2_ZERO_ALIGN : IMG_QCOW2_DATA_ALIGN);
	if (qcow2_data_file(q)) {
		voff &= ~(uint64_t)(q->q_cluster - 1);
		return (
		    n->n_off == voff ? IMG_ROW_NONE : IMG_QCOW2_FILE_OFFSET);
	}
	if (n->n_off >= im->im_eof[0])
		return (IMG_QCOW2_DATA_RANGE);
	return (data_over(qcow2_over(q, n->n_off, q->q_cluster)));
}

static void
judge_extended(struct qcow2_entry *n, int there)
{
	uint64_t alloc = n->n_bits & QCOW2_SUB_ALLOC;
	uint64_t zero = n->n_bits >> 32;

	if (alloc & zero)
		n->n_row = IMG_QCOW2_SUB_BOTH;
	else if (alloc != 0 && !there)
		n->n_row = IMG_QCOW2_SUB_NOWHERE;
	if (alloc == QCOW2_SUB_ALLOC)
		n->n_type = QCOW2_T_DATA;
	else if (zero == QCOW2_SUB_ALLOC)
		n->n_type = there ? QCOW2_T_ZERO_ALLOC : QCOW2_T_ZERO;
	else if (there || zero != 0 || alloc != 0)
		n->n_type = QCOW2_T_SUB;
}

void
qcow2_judge(const struct img *im, uint64_t raw, uint64_t bits, uint64_t voff,
    struct qcow2_entry *n)
{
	const struct qcow2 *q = qcow2(im);
	int zero = !q->q_extended && (raw & QCOW2_ZERO), there;

	memset(n, 0, sizeof(*n));
	n->n_raw = raw;
	n->n_bits = bits;
	n->n_copied = (raw & QCOW2_COPIED) != 0;
	if (raw & QCOW2_PACKED) {
		judge_packed(im, n);
		return;
	}
	n->n_off = raw & QCOW2_OFFSET;
	/* In a data file offset 0 is as good as any. */
	there = n->n_off != 0 || (qcow2_data_file(q) && n->n_copied);
	if (q->q_extended)
		judge_extended(n, there);
	else if (zero)
		n->n_type = there ? QCOW2_T_ZERO_ALLOC : QCOW2_T_ZERO;
	else if (there)
		n->n_type = QCOW2_T_DATA;
	if (n->n_row == IMG_ROW_NONE && there)
		n->n_row = judge_offset(im, n, voff, zero);
	if (zero && q->q_version < 3)
		n->n_row = IMG_QCOW2_ZERO_V2;
}

uint64_t
qcow2_l2_off(const struct img *im, uint64_t l1, enum img_row *row)
{
	const struct qcow2 *q = qcow2(im);
	uint64_t off = l1 & QCOW2_OFFSET;

	*row = IMG_ROW_NONE;
	if (off == 0)
		return (0);
	if (!qcow2_aligned(q, off))
		*row = IMG_QCOW2_L2_ALIGN;
	else if (qcow2_over(q, off, q->q_cluster) != QCOW2_U_NONE)
		*row = IMG_QCOW2_L2_META;
	else if (!img_inside(off, q->q_cluster, im->im_eof[0]))
		*row = IMG_QCOW2_L2_RANGE;
	return (off);
}

enum img_row
qcow2_l1_flaw(const struct img *im, uint64_t l1, unsigned *step)
{
	(void)im;
	if ((*step)++ != 0 || l1 == 0)
		return (IMG_ROW_NONE);
	if ((l1 & QCOW2_OFFSET) == 0)
		return (IMG_QCOW2_L1_EMPTY);
	return (l1 & QCOW2_L1_RESERVED ? IMG_QCOW2_L1_RESERVED : IMG_ROW_NONE);
}

/* Is this the flaw of that number? */
static enum img_row
l2_flaw(const struct qcow2 *q, const struct qcow2_entry *n, unsigned step)
{
	int packed = n->n_type == QCOW2_T_PACKED, there = n->n_off != 0;

	switch (step) {
	case 0:
		return (!packed && (n->n_raw & QCOW2_L2_RESERVED) ?
			IMG_QCOW2_L2_RESERVED :
			IMG_ROW_NONE);
	case 1:
		return (
		    !packed && !there && n->n_copied && !qcow2_data_file(q) ?
			IMG_QCOW2_STRAY_COPIED :
			IMG_ROW_NONE);
	case 2:
		return (packed && n->n_copied ? IMG_QCOW2_PACKED_COPIED :
						IMG_ROW_NONE);
	case 3:
		return (packed && n->n_bits != 0 ? IMG_QCOW2_SUB_PACKED :
						   IMG_ROW_NONE);
	case 4:
		return (!packed && q->q_extended && (n->n_raw & QCOW2_ZERO) ?
			IMG_QCOW2_SUB_ZERO_BIT :
			IMG_ROW_NONE);
	default:
		return (!packed && there && !n->n_copied && qcow2_data_file(q) ?
			IMG_QCOW2_FILE_NOT_COPIED :
			IMG_ROW_NONE);
	}
}

enum img_row
qcow2_l2_flaw(const struct img *im, const struct qcow2_entry *n, unsigned *step)
{
	enum img_row row = IMG_ROW_NONE;

	while (row == IMG_ROW_NONE && *step <= 5)
		row = l2_flaw(qcow2(im), n, (*step)++);
	return (row);
}
