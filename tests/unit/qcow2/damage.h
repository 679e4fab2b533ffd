/* SPDX-License-Identifier: ISC */

/* damage.h: ways to damage a qcow2, and what to expect of its repair. */

#ifndef TESTS_UNIT_QCOW2_DAMAGE_H
#define TESTS_UNIT_QCOW2_DAMAGE_H

#include "qcow2/tool.h"
#include "unit/qcow2/fx.h"

#define CLUSTER 512u
#define DISK (98304u - 512) /* three L1 entries */
#define NSECTORS 192u
#define MAX_PASSES 4

/* What a repair said, and which sectors of the disk it may change. */
struct told {
	unsigned t_n;
	uint8_t t_lost[NSECTORS];
};

/* What the disk and the snapshot read as. */
struct content {
	uint8_t c_disk[NSECTORS * 512];
	uint8_t c_snap[NSECTORS * 512];
	uint8_t c_ok[NSECTORS]; /* these of the disk can be read at all */
};

static inline void
tell(void *arg, const struct img_fixed *x)
{
	struct told *t = arg;
	uint64_t i;

	t->t_n++;
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
	mem_free(&fx->fx_data);
}

static inline void
check(struct fx *fx)
{
	struct img_checked ch;

	memset(&ch, 0, sizeof(ch));
	if (fx_open(fx, IMG_VERIFY) != 0)
		return;
	assert_int_equal(img_check(fx->fx_im, IMG_DEEP, 0, &ch), 0);
	mem_abandon(fx->fx_im, &fx->fx_env);
}

static inline int
repair(struct fx *fx, enum img_fix fix, unsigned flags, struct told *t)
{
	assert_true(fx->fx_sink.s_n <= MEM_NFOUND);
	return (img_repair(&fx->fx_env.e_env, &fx->fx_mem.m_file, &img_qcow2,
	    fx->fx_sink.s_found, fx->fx_sink.s_n, fix, flags, tell, t));
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
	for (i = 0; i < fx->fx_sink.s_n; i++)
		if (img_row(fi[i].fi_row)->r_severity > IMG_SEV_NOTE &&
		    fi[i].fi_row != IMG_QCOW2_DATA_SHARED)
			return (0);
	return (t->t_n == before &&
	    mkqcow2_judge(&fx->fx_mem, &leaks)[0] == '\0' && leaks == 0);
}

/* As much of it as can be read. */
static inline void
look(struct fx *fx, struct content *c)
{
	uint64_t i;

	memset(c, 0, sizeof(*c));
	if (fx_open(fx, 0) != 0)
		return;
	for (i = 0; i < img_size(fx->fx_im) / 512; i++)
		c->c_ok[i] =
		    img_read(fx->fx_im, c->c_disk + i * 512, 512, i * 512) == 0;
	mem_abandon(fx->fx_im, &fx->fx_env);
	if (fx_open_as(fx, 0, 0, "1") != 0)
		return;
	for (i = 0; i < img_size(fx->fx_im) / 512; i++)
		assert_int_equal(img_read(fx->fx_im, c->c_snap + i * 512, 512,
				     i * 512),
		    0);
	mem_abandon(fx->fx_im, &fx->fx_env);
}

/*
 * Is every byte as it was made, but for what the repairs told, as far as it
 * could be read in between?
 */
static inline int
is_intact(struct fx *fx, const struct told *t, const struct content *was,
    const struct content *could)
{
	struct content now;
	int same = 1;
	size_t i;

	look(fx, &now);
	for (i = 0; i < NSECTORS; i++) {
		if (t->t_lost[i] || (could != NULL && !could->c_ok[i]))
			continue;
		same &= now.c_ok[i] == was->c_ok[i] &&
		    memcmp(now.c_disk + i * 512, was->c_disk + i * 512, 512) ==
			0;
	}
	return (
	    same && memcmp(now.c_snap, was->c_snap, sizeof(now.c_snap)) == 0);
}

static inline void
count(struct fx *fx, uint64_t off, uint64_t n)
{
	mkqcow2_put_count(&fx->fx_mem, off / CLUSTER, n);
}

static inline uint64_t
l1_at(struct fx *fx, unsigned i)
{
	return (fx->fx_k.k_l1 + i * UINT64_C(8));
}

static inline uint64_t
l2_of(struct fx *fx, unsigned i)
{
	return (FX_OFFSET((uint64_t)mem_get32(&fx->fx_mem, l1_at(fx, i)) << 32 |
	    mem_get32(&fx->fx_mem, l1_at(fx, i) + 4)));
}

static inline void
entry(struct fx *fx, uint64_t g, uint64_t e)
{
	mkqcow2_set(&fx->fx_k, g, e, 0);
}

static inline uint64_t
host(struct fx *fx, uint64_t g)
{
	return (FX_OFFSET(mkqcow2_entry(&fx->fx_k, g)));
}

/*
 * The first L2 table is shared with a snapshot, the second is not; data is
 * in 0 to 3 and 64 to 66, and in 70 of the snapshot; zeros are 5 and 67; 10
 * and 11 are compressed.
 */
static inline void
make(struct fx *fx, unsigned order)
{
	struct mkqcow2 *k = fx_init(fx, DISK, 9);
	uint64_t g;

	k->k_order = order;
	mkqcow2_begin(k);
	for (g = 0; g < 4; g++)
		mkqcow2_data(k, g);
	mkqcow2_set(k, 5, 1, 0);
	mkqcow2_pack(k, 10);
	mkqcow2_pack(k, 11);
	mkqcow2_data(k, 70);
	mkqcow2_snapshot(k, "1", "one");
	mem_put64(&fx->fx_mem, k->k_l1 + 8, 0);
	for (g = 64; g < 67; g++)
		mkqcow2_data(k, g);
	mkqcow2_set(k, 67, 1, 0);
	mkqcow2_end(k);
}

/* One damage each. */
static void
l1_reserved(struct fx *fx)
{
	mem_put64(&fx->fx_mem, l1_at(fx, 1),
	    l2_of(fx, 1) | MKQ_COPIED | 1 << 3 | UINT64_C(1) << 60);
}

static void
l1_flags(struct fx *fx)
{
	mem_put64(&fx->fx_mem, l1_at(fx, 2), MKQ_COPIED);
}

static void
l1_unaligned(struct fx *fx)
{
	mem_put64(&fx->fx_mem, l1_at(fx, 2), 0x12345600 | MKQ_COPIED);
}

static void
l1_outside(struct fx *fx)
{
	mem_put64(&fx->fx_mem, l1_at(fx, 2), 0x12345600000 | MKQ_COPIED);
}

static void
flags(struct fx *fx)
{
	mem_put64(&fx->fx_mem, l1_at(fx, 0), l2_of(fx, 0) | MKQ_COPIED);
	mem_put64(&fx->fx_mem, l1_at(fx, 1), l2_of(fx, 1));
	entry(fx, 0, host(fx, 0) | MKQ_COPIED);
	entry(fx, 64, host(fx, 64));
	entry(fx, 10, mkqcow2_entry(&fx->fx_k, 10) | MKQ_COPIED);
}

static void
stray_flags(struct fx *fx)
{
	entry(fx, 67, 1 | MKQ_COPIED);
	entry(fx, 68, MKQ_COPIED);
}

static void
l2_reserved(struct fx *fx)
{
	entry(fx, 64, host(fx, 64) | MKQ_COPIED | 0x1e);
	entry(fx, 65, host(fx, 65) | MKQ_COPIED | UINT64_C(1) << 58);
}

static void
bad_entries(struct fx *fx)
{
	entry(fx, 64, (host(fx, 64) + 1024) << 8 | 0x200 | MKQ_COPIED);
	entry(fx, 68, UINT64_C(1) << 50 | MKQ_COPIED);
	entry(fx, 69, UINT64_C(1) << 40 | 1 | MKQ_COPIED);
}

static void
nothing_counted(struct fx *fx)
{
	uint64_t cl;

	for (cl = 0; cl < fx->fx_mem.m_len / CLUSTER; cl++)
		mkqcow2_put_count(&fx->fx_mem, cl, 0);
}

static void
some_uncounted(struct fx *fx)
{
	count(fx, 0, 0);
	count(fx, l2_of(fx, 1), 0);
	count(fx, host(fx, 64), 0);
	count(fx, host(fx, 0), 0);
	count(fx, fx->fx_k.k_rt, 0);
}

static void
too_low(struct fx *fx)
{
	count(fx, l2_of(fx, 0), 1);
	count(fx, host(fx, 0), 1);
	count(fx, mkqcow2_entry(&fx->fx_k, 10) & 0xfffe00, 1);
}

static void
too_high(struct fx *fx)
{
	count(fx, host(fx, 65), 7);
	count(fx, host(fx, 0), 3);
	count(fx, l2_of(fx, 1), 2);
}

static void
leaks(struct fx *fx)
{
	uint64_t end = fx->fx_mem.m_len;

	mem_set_len(&fx->fx_mem, end + 20 * CLUSTER);
	count(fx, end + CLUSTER, 1);
	count(fx, end + 2 * CLUSTER, 5);
	count(fx, end + 19 * CLUSTER, 1);
}

static void
beyond(struct fx *fx)
{
	count(fx, fx->fx_mem.m_len + 10 * CLUSTER, 3);
}

static void
dirty(struct fx *fx)
{
	mem_put64(&fx->fx_mem, 72, 1);
	too_low(fx);
}

static void
marked(struct fx *fx)
{
	mem_put64(&fx->fx_mem, 72, 2);
	too_low(fx);
}

static void
table_nowhere(struct fx *fx)
{
	mem_put64(&fx->fx_mem, 48, UINT64_C(1) << 40);
}

static void
table_odd(struct fx *fx)
{
	mem_put64(&fx->fx_mem, 48, 100);
}

static void
no_table(struct fx *fx)
{
	mem_put32(&fx->fx_mem, 56, 0);
}

static void
block_nowhere(struct fx *fx)
{
	mem_put64(&fx->fx_mem, fx->fx_k.k_rt, UINT64_C(1) << 40);
}

static void
block_lost(struct fx *fx)
{
	mem_put64(&fx->fx_mem, fx->fx_k.k_rt, 0);
}

static void
block_bits(struct fx *fx)
{
	mem_put32(&fx->fx_mem, fx->fx_k.k_rt + 4,
	    mem_get32(&fx->fx_mem, fx->fx_k.k_rt + 4) | 0x11);
}

static void
block_twice(struct fx *fx)
{
	mem_put64(&fx->fx_mem, fx->fx_k.k_rt + 8,
	    mem_get32(&fx->fx_mem, fx->fx_k.k_rt + 4));
}

static void
block_over_data(struct fx *fx)
{
	mem_put64(&fx->fx_mem, fx->fx_k.k_rt + 16, host(fx, 0));
}

static void
twin_data(struct fx *fx)
{
	/* Its own cluster goes with it. */
	count(fx, host(fx, 66), 0);
	entry(fx, 66, host(fx, 65) | MKQ_COPIED);
}

static void
twins_counted(struct fx *fx)
{
	twin_data(fx);
	count(fx, host(fx, 65), 2);
}

static void
triplets(struct fx *fx)
{
	twin_data(fx);
	entry(fx, 68, host(fx, 65) | MKQ_COPIED);
	entry(fx, 69, host(fx, 64) | MKQ_COPIED);
}

static void
twin_tables(struct fx *fx)
{
	mem_put64(&fx->fx_mem, l1_at(fx, 2), l2_of(fx, 1) | MKQ_COPIED);
}

static void
short_extra(struct fx *fx)
{
	fx->fx_k.k_snap[0].s_extra = 8;
	mem_put32(&fx->fx_mem, fx->fx_k.k_snap_off + 36, 8);
	mem_put(&fx->fx_mem, fx->fx_k.k_snap_off + 48, "1one", 4);
}

static void
header(struct fx *fx)
{
	mem_put(&fx->fx_mem, 106, "\1\2", 2);
	mem_put64(&fx->fx_mem, 88, 3);
}

static void
header_odd(struct fx *fx)
{
	mem_put32(&fx->fx_mem, 100, 107);
	mem_put(&fx->fx_mem, 107, "\0\0\0\0\0\0\0\0\0\0\0\0\0", 13);
}

static void
bitmaps(struct fx *fx)
{
	static const uint8_t ext[24] = { 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 32, 0, 0, 0, 0, 0, 0, 1 };

	mkqcow2_ext(&fx->fx_k, mkqcow2_ext(&fx->fx_k, 112, 0x23852875, ext, 24),
	    0, "", 0);
}

static void
broken_bitmaps(struct fx *fx)
{
	bitmaps(fx);
	mem_put64(&fx->fx_mem, 88, 1);
}

static void
size_odd(struct fx *fx)
{
	mem_put64(&fx->fx_mem, 24, DISK - 100);
}

static void
cut_off(struct fx *fx)
{
	mem_set_len(&fx->fx_mem, fx->fx_mem.m_len - 100);
}

static void
many(struct fx *fx)
{
	dirty(fx);
	flags(fx);
	l1_reserved(fx);
	header(fx);
	leaks(fx);
	bitmaps(fx);
	mem_put64(&fx->fx_mem, 72, 3);
}

static void
many_and_no_table(struct fx *fx)
{
	many(fx);
	no_table(fx);
}

#define D(name)             \
	{                   \
#name, name \
	}

static const struct damage {
	const char *d_name;
	void (*d_do)(struct fx *);
} damages[] = { D(l1_reserved), D(l1_flags), D(l1_unaligned), D(l1_outside),
	D(flags), D(stray_flags), D(l2_reserved), D(bad_entries),
	D(nothing_counted), D(some_uncounted), D(too_low), D(too_high),
	D(leaks), D(beyond), D(dirty), D(marked), D(table_nowhere),
	D(table_odd), D(no_table), D(block_nowhere), D(block_lost),
	D(block_bits), D(block_twice), D(block_over_data), D(twin_data),
	D(twins_counted), D(triplets), D(twin_tables), D(short_extra),
	D(header), D(header_odd), D(bitmaps), D(broken_bitmaps), D(size_odd),
	D(cut_off), D(many), D(many_and_no_table) };

#endif /* TESTS_UNIT_QCOW2_DAMAGE_H */
