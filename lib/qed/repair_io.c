/* SPDX-License-Identifier: ISC */

/* Repair of QED: the view that plans see, lists of changes, the writing. */

#include <stdlib.h>

#include "qed/repair.h"

#define MAX_PAIRS (2u << 20) /* 32 MiB; more are for another repair */

int
qed_pairs_add(struct qed_repair *r, struct qed_pairs *ps, uint64_t at,
    uint64_t n)
{
	const struct img_env *env = r->r_rp->rp_env;
	size_t max = ps->ps_max == 0 ? 64 : ps->ps_max * 2;
	struct qed_pair *p;

	if (ps->ps_n == MAX_PAIRS)
		return (ENOMEM);
	if (ps->ps_n == ps->ps_max) {
		p = env->ev_alloc(env->ev_arg, max * sizeof(*p));
		if (p == NULL)
			return (ENOMEM);
		if (ps->ps_n > 0)
			memcpy(p, ps->ps_pair, ps->ps_n * sizeof(*p));
		if (ps->ps_pair != NULL)
			env->ev_free(env->ev_arg, ps->ps_pair,
			    ps->ps_max * sizeof(*p));
		ps->ps_pair = p;
		ps->ps_max = max;
	}
	ps->ps_pair[ps->ps_n].p_at = at;
	ps->ps_pair[ps->ps_n++].p_n = n;
	return (0);
}

void
qed_pairs_free(struct qed_repair *r, struct qed_pairs *ps)
{
	const struct img_env *env = r->r_rp->rp_env;

	if (ps->ps_pair != NULL)
		env->ev_free(env->ev_arg, ps->ps_pair,
		    ps->ps_max * sizeof(*ps->ps_pair));
	memset(ps, 0, sizeof(*ps));
}

static int
by_place(const void *a, const void *b)
{
	const struct qed_pair *x = a, *y = b;

	return ((x->p_at > y->p_at) - (x->p_at < y->p_at));
}

/* Several for one place say the same. */
void
qed_pairs_sort(struct qed_pairs *ps)
{
	struct qed_pair *p = ps->ps_pair;
	size_t i, n = 0;

	if (ps->ps_n == 0)
		return;
	qsort(p, ps->ps_n, sizeof(*p), by_place);
	for (i = 0; i < ps->ps_n; i++)
		if (i == 0 || p[i].p_at != p[n - 1].p_at)
			p[n++] = p[i];
	ps->ps_n = n;
}

const struct qed_pair *
qed_pairs_from(const struct qed_pairs *ps, uint64_t at)
{
	size_t lo = 0, hi = ps->ps_n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (ps->ps_pair[mid].p_at < at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return (lo < ps->ps_n ? &ps->ps_pair[lo] : NULL);
}

int
qed_pairs_has(const struct qed_pairs *ps, uint64_t at)
{
	const struct qed_pair *p = qed_pairs_from(ps, at);

	return (p != NULL && p->p_at == at);
}

/* --- the view ----------------------------------------------------------- */

/* Lay the n bytes of src, which are at `at', over what was read. */
static void
overlay(uint8_t *buf, uint64_t off, uint64_t len, const uint8_t *src,
    uint64_t at, uint64_t n)
{
	uint64_t from = off > at ? off : at;
	uint64_t to = img_min(off + len, at + n);

	if (from < to)
		memcpy(buf + (from - off), src + (from - at),
		    (size_t)(to - from));
}

static void
overlay_pairs(const struct qed_pairs *ps, uint8_t *buf, uint64_t off,
    uint64_t len)
{
	const struct qed_pair *p = qed_pairs_from(ps, off < 7 ? 0 : off - 7);
	const struct qed_pair *end = ps->ps_pair + ps->ps_n;
	uint8_t b[8];

	for (; p != NULL && p < end && p->p_at < off + len; p++) {
		img_put_le64(b, p->p_n);
		overlay(buf, off, len, b, p->p_at, sizeof(b));
	}
}

/* Below the copies. */
static int
read_old(struct qed_repair *r, uint8_t *buf, uint32_t len, uint64_t off)
{
	struct img_file *f = r->r_rp->rp_file;
	uint32_t there = 0;
	int error = 0;

	if (off < r->r_len)
		there = (uint32_t)img_min(len, r->r_len - off);
	if (there > 0)
		error = f->f_ops->fo_read(f, buf, there, off);
	if (error != 0)
		return (error);
	memset(buf + there, 0, len - there);
	overlay_pairs(&r->r_mend, buf, off, len);
	if (r->r_islate)
		overlay_pairs(&r->r_late, buf, off, len);
	overlay(buf, off, len, r->r_head, 0, r->r_headlen);
	return (0);
}

/* Within one of them. */
static int
read_copy(struct qed_repair *r, uint8_t *buf, uint32_t len, uint64_t off)
{
	const struct qed_pair *p = r->r_copy.ps_pair;
	uint64_t in = off - r->r_base;
	int error;

	p += in >> r->r_q.q_bits;
	error = read_old(r, buf, len, p->p_n + (off - p->p_at));
	if (error == 0)
		overlay_pairs(&r->r_late, buf, off, len);
	return (error);
}

uint64_t
qed_view_len(const struct qed_repair *r)
{
	if (!r->r_islate)
		return (r->r_newlen);
	return (r->r_base + ((uint64_t)r->r_copy.ps_n << r->r_q.q_bits));
}

static int
view_read(struct img_file *f, void *buf, uint32_t len, uint64_t off)
{
	struct qed_repair *r = qed_repair_of(f);
	uint8_t *p = buf;
	uint64_t next;
	uint32_t n;
	int error = 0;

	if (!img_inside(off, len, qed_view_len(r)))
		return (EIO);
	for (; len > 0 && error == 0; len -= n, off += n, p += n) {
		if (!r->r_islate || off < r->r_base) {
			next = r->r_islate ? r->r_base : UINT64_MAX;
			n = (uint32_t)img_min(len, next - off);
			error = read_old(r, p, n, off);
		} else {
			next = r->r_q.q_cluster;
			next -= off & (next - 1);
			n = (uint32_t)img_min(len, next);
			error = read_copy(r, p, n, off);
		}
	}
	return (error);
}

static int
view_length(struct img_file *f, uint64_t *len)
{
	*len = qed_view_len(qed_repair_of(f));
	return (0);
}

const struct img_fileops qed_view_ops = {
	.fo_read = view_read,
	.fo_write = img_view_write,
	.fo_barrier = img_view_barrier,
	.fo_length = view_length,
	.fo_resize = img_view_resize,
};

/* --- writing ------------------------------------------------------------ */

int
qed_fix_barrier(struct qed_repair *r)
{
	struct img_file *f = r->r_rp->rp_file;

	return (f->f_ops->fo_barrier(f));
}

int
qed_fix_resize(struct qed_repair *r, uint64_t len)
{
	struct img_file *f = r->r_rp->rp_file;

	return (f->f_ops->fo_resize(f, len));
}

int
qed_fix_entry(struct qed_repair *r, uint64_t at, uint64_t n)
{
	struct img_file *f = r->r_rp->rp_file;
	uint8_t b[8];

	img_put_le64(b, n);
	return (f->f_ops->fo_write(f, b, sizeof(b), at));
}

int
qed_fix_head(struct qed_repair *r, const uint8_t *head)
{
	struct img_file *f = r->r_rp->rp_file;
	int error;

	error = f->f_ops->fo_write(f, head, r->r_headlen, 0);
	return (error != 0 ? error : qed_fix_barrier(r));
}

/* All copies, each read as the view has it; new space is zeros. */
static int
write_copies(struct qed_repair *r)
{
	const struct img_env *env = r->r_rp->rp_env;
	struct img_file *f = r->r_rp->rp_file;
	uint64_t off, end = qed_view_len(r);
	uint8_t *buf = r->r_im->im_buf;
	uint32_t n;
	int error;

	error = qed_fix_resize(r, end);
	for (off = r->r_base; off < end && error == 0; off += n) {
		n = (uint32_t)img_min(IMG_BOUNCE, end - off);
		error = view_read(&r->r_view, buf, n, off);
		if (error == 0 && !img_is_zero(buf, n))
			error = f->f_ops->fo_write(f, buf, n, off);
		if (error == 0 && env->ev_poll != NULL)
			error = env->ev_poll(env->ev_arg, off - r->r_base,
			    end - r->r_base);
	}
	return (error != 0 ? error : qed_fix_barrier(r));
}

/* Entries that lead to copies; those in copies of tables are written. */
static int
write_late(struct qed_repair *r)
{
	const struct qed_pair *p = r->r_late.ps_pair;
	int error = 0;
	size_t i;

	for (i = 0; i < r->r_late.ps_n && error == 0; i++, p++)
		if (p->p_at < r->r_base)
			error = qed_fix_entry(r, p->p_at, p->p_n);
	return (error != 0 ? error : qed_fix_barrier(r));
}

int
qed_fix_entries(struct qed_repair *r)
{
	const struct qed_pair *p = r->r_mend.ps_pair;
	int error = 0;
	size_t i;

	for (i = 0; i < r->r_mend.ps_n && error == 0; i++, p++)
		error = qed_fix_entry(r, p->p_at, p->p_n);
	if (error == 0 && r->r_mend.ps_n > 0)
		error = qed_fix_barrier(r);
	if (error == 0 && r->r_newlen > r->r_len) {
		error = qed_fix_resize(r, r->r_newlen);
		if (error == 0)
			error = qed_fix_barrier(r);
	}
	if (error != 0 || r->r_copy.ps_n == 0)
		return (error);
	error = write_copies(r);
	if (error != 0) {
		/* Nothing leads there yet. */
		(void)qed_fix_resize(r, r->r_newlen);
		return (error);
	}
	return (write_late(r));
}
