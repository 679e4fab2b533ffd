/* SPDX-License-Identifier: ISC */

/* mend.h: a QED to damage, its repair, and what to expect of that. */

#ifndef TESTS_UNIT_QED_MEND_H
#define TESTS_UNIT_QED_MEND_H

#include "qed/tool.h"
#include "unit/qed/fx.h"

#define CLUSTER 4096u
#define TABLE 2u
#define NENT (TABLE * CLUSTER / 8)
#define NCLUSTERS (2 * NENT + 20) /* of the disk: three L1 entries */
#define DISK ((uint64_t)NCLUSTERS * CLUSTER)
#define NSECTORS (NCLUSTERS * 8)
#define MAX_PASSES 40 /* a repair looks at MEM_NFOUND findings */

/* What a repair said, and which sectors of the disk it may change. */
struct told {
	unsigned t_n;
	unsigned t_row[IMG_NROWS];
	uint8_t t_lost[NSECTORS];
};

/* What each sector reads as: a number made of its bytes, 0: it cannot be. */
struct content {
	uint64_t c_sum[NSECTORS];
};

static inline void
tell(void *arg, const struct img_fixed *x)
{
	struct told *t = arg;
	uint64_t i;

	t->t_n++;
	t->t_row[x->fx_row]++;
	assert_non_null(x->fx_text);
	for (i = x->fx_voff / 512; i * 512 < x->fx_voff + x->fx_vlen; i++)
		if (i < NSECTORS)
			t->t_lost[i] = 1;
}

/* A check may allocate; what it took comes back. */
static inline void
done(struct fx *fx)
{
	assert_int_equal(fx->fx_env.e_now, 0);
	mem_free(&fx->fx_mem);
	mem_log_free(&fx->fx_log);
}

static inline void
check(struct fx *fx)
{
	struct img_checked ch;

	memset(&ch, 0, sizeof(ch));
	if (fx_open(fx, IMG_VERIFY) != 0)
		return;
	assert_int_equal(img_check(fx->fx_im, 0, 0, &ch), 0);
	mem_abandon(fx->fx_im, &fx->fx_env);
}

/* Of the last check, how many are corrupt? */
static inline unsigned
corruptions(const struct fx *fx)
{
	unsigned row, n = 0;

	for (row = 0; row < IMG_NROWS; row++)
		if (img_row((enum img_row)row)->r_severity >= IMG_SEV_CORRUPT)
			n += fx->fx_sink.s_per_row[row];
	return (n);
}

static inline int
repair(struct fx *fx, enum img_fix fix, unsigned flags, struct told *t)
{
	unsigned n = fx->fx_sink.s_n;

	if (n > MEM_NFOUND) {
		n = MEM_NFOUND;
		flags |= IMG_SOME;
	}
	return (img_repair(&fx->fx_env.e_env, &fx->fx_mem.m_file, &img_qed,
	    fx->fx_sink.s_found, n, fix, flags, tell, t));
}

/* One check and one repair of what that found. */
static inline void
repair_once(struct fx *fx, enum img_fix fix, struct told *t)
{
	memset(t, 0, sizeof(*t));
	check(fx);
	assert_int_equal(repair(fx, fix, 0, t), 0);
}

/* Repair until nothing is left to do; is the image sound then? */
static inline int
mend(struct fx *fx, struct told *t)
{
	const struct img_finding *fi = fx->fx_sink.s_found;
	uint64_t leaks;
	unsigned before = 0, i;

	for (i = 0; i < MAX_PASSES; i++) {
		before = t->t_n;
		check(fx);
		assert_int_equal(repair(fx, IMG_FIX_LOSSY, 0, t), 0);
		if (t->t_n == before)
			break;
	}
	for (i = 0; i < fx->fx_sink.s_n && i < MEM_NFOUND; i++)
		if (img_row(fi[i].fi_row)->r_severity > IMG_SEV_NOTE)
			return (0);
	return (t->t_n == before &&
	    mkqed_judge(&fx->fx_mem, &leaks)[0] == '\0' && leaks == 0);
}

/* FNV-1a; never 0. */
static inline uint64_t
sum_of(const uint8_t *b)
{
	uint64_t n = UINT64_C(14695981039346656037);
	unsigned i;

	for (i = 0; i < 512; i++)
		n = (n ^ b[i]) * UINT64_C(1099511628211);
	return (n | 1);
}

/* As much of it as can be read, sector by sector. */
static inline void
look(struct fx *fx, struct content *c)
{
	static const uint8_t zeros[512];
	uint64_t i, n, none = sum_of(zeros), end;
	struct img_extent e;
	uint8_t b[512];

	memset(c, 0, sizeof(*c));
	if (fx_open(fx, 0) != 0)
		return;
	end = img_min(img_size(fx->fx_im) / 512, NSECTORS);
	for (i = 0; i < end; i += n) {
		assert_int_equal(img_map(fx->fx_im, i * 512, (end - i) * 512,
				     &e),
		    0);
		n = e.e_len < 512 ? 1 : e.e_len / 512;
		if (e.e_type == IMG_HOLE || e.e_type == IMG_ZERO) {
			for (n += i; i < n; i++)
				c->c_sum[i] = none;
			n = 0;
			continue;
		}
		n = 1;
		if (img_read(fx->fx_im, b, 512, i * 512) == 0)
			c->c_sum[i] = sum_of(b);
	}
	mem_abandon(fx->fx_im, &fx->fx_env);
}

/*
 * Does all that could be read still read the same, but for what the repairs
 * told?
 */
static inline int
is_intact(struct fx *fx, const struct told *t, const struct content *was)
{
	struct content *now = malloc(sizeof(*now));
	int same = 1;
	size_t i;

	assert_non_null(now);
	look(fx, now);
	for (i = 0; i < NSECTORS; i++)
		if ((t == NULL || !t->t_lost[i]) && was->c_sum[i] != 0)
			same &= now->c_sum[i] == was->c_sum[i];
	free(now);
	return (same);
}

/*
 * Clusters of the file: 0 header, 1 L1 table, 3 data, 4 L2 table, 6 to 9
 * data; 10 data, 11 L2 table, 13 and 14 data; 15 data, 16 L2 table, 18 data.
 */
static inline void
make(struct fx *fx)
{
	struct mkqed *k = fx_init(fx, DISK, 12, TABLE);
	uint64_t g;

	mkqed_begin(k);
	for (g = 0; g < 5; g++)
		mkqed_data(k, g);
	mkqed_set(k, 6, 1);
	for (g = NENT; g < NENT + 3; g++)
		mkqed_data(k, g);
	mkqed_set(k, NENT + 4, 1);
	mkqed_data(k, 2 * NENT);
	mkqed_data(k, 2 * NENT + 1);
}

static inline uint64_t
at(struct fx *fx, uint64_t g)
{
	return (mkqed_find(&fx->fx_k, g));
}

static inline uint64_t
l1_at(struct fx *fx, unsigned i)
{
	return (mkqed_l1(&fx->fx_k, (uint64_t)i * NENT));
}

static inline uint64_t
l2_of(struct fx *fx, unsigned i)
{
	return (mkqed_get(&fx->fx_mem, l1_at(fx, i), 8));
}

static inline uint64_t
host(struct fx *fx, uint64_t g)
{
	return (mkqed_entry(&fx->fx_k, g));
}

static inline void
entry(struct fx *fx, uint64_t g, uint64_t n)
{
	mkqed_put(&fx->fx_mem, at(fx, g), n, 8);
}

static inline void
l1_entry(struct fx *fx, unsigned i, uint64_t n)
{
	mkqed_put(&fx->fx_mem, l1_at(fx, i), n, 8);
}

static inline void
field(struct fx *fx, uint64_t off, uint64_t n, unsigned bytes)
{
	mkqed_put(&fx->fx_mem, off, n, bytes);
}

/* That repair does nothing at all. */
static inline void
stays(struct fx *fx, enum img_fix fix, unsigned flags)
{
	static struct told t;
	struct mem was = { 0 };

	memset(&t, 0, sizeof(t));
	mem_copy(&was, &fx->fx_mem);
	check(fx);
	assert_int_equal(repair(fx, fix, flags, &t), 0);
	assert_int_equal(t.t_n, 0);
	assert_true(mem_equal(&was, &fx->fx_mem));
	mem_free(&was);
}

#endif /* TESTS_UNIT_QED_MEND_H */
