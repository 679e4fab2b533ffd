/* SPDX-License-Identifier: ISC */

/* The map of owners: four bits per cluster, and runs for the rest. */

#include "qcow2/owners.h"

#define SHARED 15u /* the state of a cluster that a run tells about */

/* An owner in 32 bits. */
#define VAL_ALIAS 0x80000000u
#define VAL_USE_SHIFT 27

static uint32_t
to_val(const struct qcow2_owner *o)
{
	return ((o->o_alias ? VAL_ALIAS : 0) |
	    (uint32_t)o->o_use << VAL_USE_SHIFT | o->o_count);
}

static void
from_val(uint32_t val, struct qcow2_owner *o)
{
	o->o_alias = (val & VAL_ALIAS) != 0;
	o->o_use = (enum qcow2_use)((val & ~VAL_ALIAS) >> VAL_USE_SHIFT);
	o->o_count = val & QCOW2_OWN_MANY;
}

static uint64_t
npages(uint64_t n)
{
	return ((n + QCOW2_PAGE - 1) / QCOW2_PAGE);
}

/*
 * Half of what may be allocated is for states and pages, so that there is as
 * much for runs.
 */
int
qcow2_own_init(struct qcow2_owners *ow, struct img *im, uint64_t ncl,
    uint64_t max)
{
	uint64_t cost = QCOW2_PAGE / 2 + sizeof(struct qcow2_page);
	uint64_t n = npages(ncl);
	int error;

	memset(ow, 0, sizeof(*ow));
	ow->ow_im = im;
	ow->ow_ncl = ncl;
	while (ncl >> ow->ow_shift >= QCOW2_COARSE)
		ow->ow_shift++;
	error = img_alloc(im, QCOW2_COARSE / 8, &ow->ow_coarse);
	if (error != 0)
		return (error);
	n = img_min(n, im->im_budget / 2 / cost);
	if (max != 0)
		n = img_min(n, npages(max));
	if (n == 0)
		n = 1;
	ow->ow_room = ow->ow_max = n * QCOW2_PAGE;
	error = img_alloc(im, ow->ow_room / 2, &ow->ow_state);
	if (error == 0)
		error = img_alloc(im, n * sizeof(*ow->ow_page), &ow->ow_page);
	return (error);
}

static void
free_runs(struct qcow2_owners *ow, uint64_t from)
{
	struct qcow2_page *pg;
	uint64_t i;

	for (i = npages(from); ow->ow_page != NULL && i < npages(ow->ow_n);
	     i++) {
		pg = &ow->ow_page[i];
		img_free(ow->ow_im, pg->pg_run,
		    (uint64_t)pg->pg_max * sizeof(*pg->pg_run));
		memset(pg, 0, sizeof(*pg));
	}
}

void
qcow2_own_fini(struct qcow2_owners *ow)
{
	if (ow->ow_im == NULL)
		return;
	free_runs(ow, 0);
	img_free(ow->ow_im, ow->ow_page,
	    npages(ow->ow_room) * sizeof(*ow->ow_page));
	img_free(ow->ow_im, ow->ow_state, ow->ow_room / 2);
	img_free(ow->ow_im, ow->ow_coarse, QCOW2_COARSE / 8);
	memset(ow, 0, sizeof(*ow));
}

void
qcow2_own_open(struct qcow2_owners *ow, uint64_t first)
{
	uint32_t i, n = 0;

	free_runs(ow, 0);
	ow->ow_first = first;
	ow->ow_n = img_min(ow->ow_max, ow->ow_ncl - first);
	ow->ow_seq = 0;
	memset(ow->ow_state, 0, (size_t)((ow->ow_n + 1) / 2));
	for (i = 0; i < ow->ow_ncuts; i++)
		if (ow->ow_cut[i].cu_to > first)
			ow->ow_cut[n++] = ow->ow_cut[i];
	ow->ow_ncuts = n;
}

static unsigned
state_at(const struct qcow2_owners *ow, uint64_t i)
{
	return ((ow->ow_state[i / 2] >> (i % 2 * 4)) & 15);
}

static void
set_state(struct qcow2_owners *ow, uint64_t i, unsigned state)
{
	uint8_t *p = &ow->ow_state[i / 2];
	unsigned shift = i % 2 * 4;

	*p = (uint8_t)((*p & ~(15u << shift)) | state << shift);
}

/* The first run that ends behind cluster i of the page. */
static uint32_t
find_run(const struct qcow2_page *pg, uint32_t i)
{
	uint32_t lo = 0, hi = pg->pg_n, mid;

	while (lo < hi) {
		mid = (lo + hi) / 2;
		if ((uint32_t)pg->pg_run[mid].ru_start +
			pg->pg_run[mid].ru_len <=
		    i)
			lo = mid + 1;
		else
			hi = mid;
	}
	return (lo);
}

static int
grow(struct qcow2_owners *ow, struct qcow2_page *pg)
{
	uint32_t max = pg->pg_max == 0 ? 8 : pg->pg_max * 2;
	struct qcow2_run *run;
	int error;

	error = img_alloc(ow->ow_im, (uint64_t)max * sizeof(*run), &run);
	if (error != 0)
		return (error);
	if (pg->pg_n > 0)
		memcpy(run, pg->pg_run, pg->pg_n * sizeof(*run));
	img_free(ow->ow_im, pg->pg_run,
	    (uint64_t)pg->pg_max * sizeof(*pg->pg_run));
	pg->pg_run = run;
	pg->pg_max = max;
	return (0);
}

/* Put n runs in the place of those from lo to hi. */
static void
splice(struct qcow2_page *pg, uint32_t lo, uint32_t hi,
    const struct qcow2_run *run, uint32_t n)
{
	memmove(pg->pg_run + lo + n, pg->pg_run + hi,
	    (pg->pg_n - hi) * sizeof(*run));
	memcpy(pg->pg_run + lo, run, n * sizeof(*run));
	pg->pg_n = pg->pg_n - (hi - lo) + n;
}

static int
ends_at(const struct qcow2_run *r, uint32_t i, uint32_t val)
{
	return (r->ru_val == val && (uint32_t)r->ru_start + r->ru_len == i);
}

/* Cluster i of the page gets a value: split its run, join it with others. */
static int
put_val(struct qcow2_owners *ow, struct qcow2_page *pg, uint32_t i,
    uint32_t val)
{
	uint32_t lo = find_run(pg, i), hi = lo, n = 0;
	struct qcow2_run put[3], old = { 0, 0, 0 }, *mid;
	int error;

	if (pg->pg_n + 2 > pg->pg_max) {
		error = grow(ow, pg);
		if (error != 0)
			return (error);
	}
	if (lo < pg->pg_n && pg->pg_run[lo].ru_start <= i)
		old = pg->pg_run[hi++];
	if (old.ru_len > 0 && old.ru_start < i) {
		put[n] = old;
		put[n++].ru_len = (uint16_t)(i - old.ru_start);
	}
	mid = &put[n++];
	mid->ru_start = (uint16_t)i;
	mid->ru_len = 1;
	mid->ru_val = val;
	if (n == 1 && lo > 0 && ends_at(&pg->pg_run[lo - 1], i, val)) {
		*mid = pg->pg_run[--lo];
		mid->ru_len++;
	}
	if (old.ru_len > 0 && (uint32_t)old.ru_start + old.ru_len > i + 1) {
		put[n].ru_start = (uint16_t)(i + 1);
		put[n].ru_len = (uint16_t)(old.ru_start + old.ru_len - i - 1);
		put[n++].ru_val = old.ru_val;
	} else if (hi < pg->pg_n && pg->pg_run[hi].ru_start == i + 1 &&
	    pg->pg_run[hi].ru_val == val) {
		mid->ru_len = (uint16_t)(mid->ru_len + pg->pg_run[hi++].ru_len);
	}
	splice(pg, lo, hi, put, n);
	return (0);
}

/* The runs became too many: give up the upper half of the window. */
static int
cut_window(struct qcow2_owners *ow)
{
	uint64_t n = npages(ow->ow_n) / 2 * QCOW2_PAGE;
	struct qcow2_cut *cu = &ow->ow_cut[ow->ow_ncuts];

	if (n == 0 || ow->ow_ncuts == QCOW2_NCUTS)
		return (ENOMEM);
	cu->cu_from = ow->ow_first + n;
	cu->cu_to = ow->ow_first + ow->ow_n;
	cu->cu_seq = ow->ow_seq;
	ow->ow_ncuts++;
	free_runs(ow, n);
	ow->ow_n = ow->ow_max = n;
	return (0);
}

/* A cluster of the window that is used more than once, or wrongly. */
static int
put_owner(struct qcow2_owners *ow, uint64_t cl, const struct qcow2_owner *o)
{
	uint64_t i = cl - ow->ow_first;
	int error;

	while (qcow2_own_has(ow, cl)) {
		error = put_val(ow, &ow->ow_page[i / QCOW2_PAGE],
		    (uint32_t)(i % QCOW2_PAGE), to_val(o));
		if (error == 0) {
			set_state(ow, i, SHARED);
			return (0);
		}
		error = cut_window(ow);
		if (error != 0)
			return (error);
	}
	return (0);
}

void
qcow2_own_get(const struct qcow2_owners *ow, uint64_t cl, struct qcow2_owner *o)
{
	uint64_t i = cl - ow->ow_first;
	const struct qcow2_page *pg = &ow->ow_page[i / QCOW2_PAGE];
	unsigned state = state_at(ow, i);

	if (state == SHARED) {
		from_val(pg->pg_run[find_run(pg, i % QCOW2_PAGE)].ru_val, o);
		return;
	}
	o->o_use = (enum qcow2_use)state;
	o->o_count = state != QCOW2_U_NONE;
	o->o_alias = 0;
}

int
qcow2_own_add(struct qcow2_owners *ow, uint64_t cl, enum qcow2_use use,
    struct qcow2_owner *before)
{
	struct qcow2_owner now;
	uint64_t part;

	memset(before, 0, sizeof(*before));
	if (cl >= ow->ow_ncl)
		return (0);
	part = cl >> ow->ow_shift;
	ow->ow_coarse[part / 8] |= (uint8_t)(1u << part % 8);
	if (!qcow2_own_has(ow, cl))
		return (0);
	qcow2_own_get(ow, cl, before);
	if (before->o_use == QCOW2_U_NONE) {
		set_state(ow, cl - ow->ow_first, use);
		return (0);
	}
	now = *before;
	if (now.o_count < QCOW2_OWN_MANY)
		now.o_count++;
	return (put_owner(ow, cl, &now));
}

int
qcow2_own_alias(struct qcow2_owners *ow, uint64_t cl)
{
	struct qcow2_owner o;

	if (!qcow2_own_has(ow, cl))
		return (0);
	qcow2_own_get(ow, cl, &o);
	o.o_alias = 1;
	return (put_owner(ow, cl, &o));
}

int
qcow2_own_seen(const struct qcow2_owners *ow, uint64_t cl)
{
	const struct qcow2_cut *cu = ow->ow_cut;
	uint32_t i;

	for (i = 0; i < ow->ow_ncuts; i++, cu++)
		if (cl >= cu->cu_from && cl < cu->cu_to &&
		    ow->ow_seq < cu->cu_seq)
			return (1);
	return (0);
}

/* How many clusters from index i on, at most n, are in this state. */
static uint64_t
run_of(const struct qcow2_owners *ow, uint64_t i, uint64_t n, unsigned state)
{
	uint64_t k = 0, word, want = state * UINT64_C(0x1111111111111111);

	while (k < n) {
		/* Sixteen at once, which is most of the time. */
		if ((i + k) % 2 == 0 && n - k >= 16) {
			memcpy(&word, ow->ow_state + (i + k) / 2, 8);
			if (word == want) {
				k += 16;
				continue;
			}
		}
		if (state_at(ow, i + k) != state)
			break;
		k++;
	}
	return (k);
}

uint64_t
qcow2_own_run(const struct qcow2_owners *ow, uint64_t cl, uint64_t n,
    struct qcow2_owner *o)
{
	uint64_t i = cl - ow->ow_first;
	const struct qcow2_page *pg = &ow->ow_page[i / QCOW2_PAGE];
	const struct qcow2_run *r;
	unsigned state = state_at(ow, i);

	qcow2_own_get(ow, cl, o);
	if (state != SHARED)
		return (run_of(ow, i, n, state));
	r = &pg->pg_run[find_run(pg, i % QCOW2_PAGE)];
	return (img_min(n, r->ru_start + r->ru_len - i % QCOW2_PAGE));
}

uint64_t
qcow2_own_next(const struct qcow2_owners *ow, uint64_t cl)
{
	uint64_t part = cl >> ow->ow_shift;
	uint64_t end = ((ow->ow_ncl - 1) >> ow->ow_shift) + 1;

	for (; part < end; part++) {
		if (part % 8 == 0 && ow->ow_coarse[part / 8] == 0) {
			part += 7;
			continue;
		}
		if (ow->ow_coarse[part / 8] & 1u << part % 8)
			return (cl > part << ow->ow_shift ?
				cl :
				part << ow->ow_shift);
	}
	return (ow->ow_ncl);
}
