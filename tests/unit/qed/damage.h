/* SPDX-License-Identifier: ISC */

/* damage.h: ways to damage a QED. */

#ifndef TESTS_UNIT_QED_DAMAGE_H
#define TESTS_UNIT_QED_DAMAGE_H

#include "unit/qed/mend.h"

/* One damage each. */
static void
header_zero(struct fx *fx)
{
	field(fx, 12, 0, 4);
}

static void
no_probe(struct fx *fx)
{
	field(fx, 16, 4, 8);
}

static void
backing_empty(struct fx *fx)
{
	field(fx, 16, 5, 8);
	field(fx, 56, 64, 4);
}

static void
backing_junk(struct fx *fx)
{
	field(fx, 56, 64, 4);
	field(fx, 60, 5, 4);
}

static void
size_odd(struct fx *fx)
{
	field(fx, 48, DISK - 100, 8);
}

static void
size_zero(struct fx *fx)
{
	field(fx, 48, 0, 8);
}

static void
dirty(struct fx *fx)
{
	field(fx, 16, 2, 8);
}

/* L1 entries */
static void
l1_low_bits(struct fx *fx)
{
	l1_entry(fx, 1, l2_of(fx, 1) | 8);
}

static void
l1_nonsense(struct fx *fx)
{
	l1_entry(fx, 1, 0x12345);
}

static void
l1_one(struct fx *fx)
{
	l1_entry(fx, 2, 1);
}

static void
l1_header(struct fx *fx)
{
	/* A header of two clusters, the second of which leads nowhere else. */
	fx_done(fx);
	fx_init(fx, DISK, 12, TABLE)->k_header = 2;
	mkqed_begin(&fx->fx_k);
	mkqed_data(&fx->fx_k, 0);
	mkqed_data(&fx->fx_k, NENT);
	mkqed_data(&fx->fx_k, 1);
	l1_entry(fx, 1, CLUSTER);
}

static void
l1_outside(struct fx *fx)
{
	l1_entry(fx, 1, 100 * CLUSTER);
}

static void
l1_huge(struct fx *fx)
{
	l1_entry(fx, 0, UINT64_C(1) << 63);
}

static void
l1_self(struct fx *fx)
{
	l1_entry(fx, 2, fx->fx_k.k_l1);
}

static void
l1_over(struct fx *fx)
{
	l1_entry(fx, 2, fx->fx_k.k_l1 + CLUSTER);
}

static void
twin_tables(struct fx *fx)
{
	l1_entry(fx, 1, l2_of(fx, 2));
}

static void
triplet_tables(struct fx *fx)
{
	l1_entry(fx, 0, l2_of(fx, 1));
	l1_entry(fx, 2, l2_of(fx, 1));
}

/* Tables that share one of their clusters; the second has nonsense in it. */
static void
table_shifted(struct fx *fx)
{
	l1_entry(fx, 2, l2_of(fx, 1) + CLUSTER);
}

static void
table_is_data(struct fx *fx)
{
	l1_entry(fx, 2, host(fx, 2));
}

/* L2 entries */
static void
twin_data(struct fx *fx)
{
	entry(fx, 3, host(fx, 2));
}

static void
twins_apart(struct fx *fx)
{
	entry(fx, NENT + 1, host(fx, 2));
	entry(fx, 2 * NENT, host(fx, 2));
	entry(fx, 4, host(fx, 2));
}

static void
twins_all_over(struct fx *fx)
{
	twin_data(fx);
	twins_apart(fx);
	l1_entry(fx, 2, l2_of(fx, 0));
}

static void
data_is_l1(struct fx *fx)
{
	entry(fx, 1, fx->fx_k.k_l1);
}

static void
data_is_table(struct fx *fx)
{
	entry(fx, 1, l2_of(fx, 1));
	entry(fx, NENT, l2_of(fx, 0) + CLUSTER);
}

static void
data_is_header(struct fx *fx)
{
	l1_header(fx);
	l1_entry(fx, 1, 0);
	entry(fx, 1, CLUSTER);
}

static void
data_low_bits(struct fx *fx)
{
	entry(fx, 1, host(fx, 1) | 1);
	entry(fx, 2, host(fx, 2) + 512);
	/* Of these, something else has the cluster. */
	entry(fx, NENT, host(fx, 3) | 1);
	entry(fx, NENT + 1, l2_of(fx, 2) | 64);
}

static void
data_small(struct fx *fx)
{
	entry(fx, 1, 2);
	entry(fx, 7, 4095);
}

static void
data_outside(struct fx *fx)
{
	entry(fx, 1, fx->fx_mem.m_len);
	entry(fx, 2, fx->fx_mem.m_len + 70 * CLUSTER);
}

static void
data_huge(struct fx *fx)
{
	entry(fx, 1, UINT64_C(1) << 63 | host(fx, 1));
}

/* The end of the file */
static void
data_cut(struct fx *fx)
{
	mem_set_len(&fx->fx_mem, fx->fx_mem.m_len - 1000);
}

/* 200 entries of it are left, and half of one more. */
static void
table_cut(struct fx *fx)
{
	entry(fx, 2 * NENT + 1, 0);
	entry(fx, 2 * NENT + 20, 1);
	mkqed_put(&fx->fx_mem, at(fx, 2 * NENT) + 1604, 0x12345678, 4);
	mem_set_len(&fx->fx_mem, l2_of(fx, 2) + 1604);
}

static void
table_cut_even(struct fx *fx)
{
	entry(fx, 2 * NENT + 1, 0);
	mem_set_len(&fx->fx_mem, l2_of(fx, 2) + CLUSTER);
}

static void
cut_and_outside(struct fx *fx)
{
	data_outside(fx);
	entry(fx, NENT + 9, 60 * CLUSTER);
	data_cut(fx);
}

/* Space */
static void
leak_end(struct fx *fx)
{
	uint8_t b[512];

	memset(b, 0xee, sizeof(b));
	mem_put(&fx->fx_mem, fx->fx_mem.m_len + 3 * CLUSTER - 512, b, 512);
}

static void
leak_tail(struct fx *fx)
{
	mem_set_len(&fx->fx_mem, fx->fx_mem.m_len + 100);
}

/* The first of these is data, the last as well. */
static void
leak_inside(struct fx *fx)
{
	entry(fx, 1, 0);
	entry(fx, NENT + 1, 0);
}

/* All that is behind the hole are tables. */
static void
leak_of_tables(struct fx *fx)
{
	uint64_t g;

	for (g = 0; g < 3 * (uint64_t)NENT; g++)
		if (g % NENT != 5 && at(fx, g) != 0 && host(fx, g) > 1)
			entry(fx, g, 0);
	entry(fx, 6, fx->fx_k.k_l1 + TABLE * CLUSTER);
}

static void
leak_gap(struct fx *fx)
{
	fx_done(fx);
	fx_init(fx, DISK, 12, TABLE)->k_l1 = 3 * CLUSTER;
	mkqed_begin(&fx->fx_k);
	mkqed_data(&fx->fx_k, 0);
	mkqed_data(&fx->fx_k, 1);
	mkqed_data(&fx->fx_k, NENT);
}

static void
leak_and_dirty(struct fx *fx)
{
	dirty(fx);
	leak_inside(fx);
	leak_end(fx);
	leak_tail(fx);
	backing_junk(fx);
}

static void
table_lost(struct fx *fx)
{
	l1_entry(fx, 1, 0);
}

static void
unknown_bits(struct fx *fx)
{
	field(fx, 32, 0x30, 8);
	leak_and_dirty(fx);
	twin_data(fx);
}

static void
many(struct fx *fx)
{
	header_zero(fx);
	field(fx, 16, 6, 8); /* dirty, and no_probe */
	data_small(fx);
	data_low_bits(fx);
	l1_outside(fx);
	twin_data(fx);
	data_cut(fx);
}

#define D(name)             \
	{                   \
#name, name \
	}

static const struct damage {
	const char *d_name;
	void (*d_do)(struct fx *);
} damages[] = { D(header_zero), D(no_probe), D(backing_empty), D(backing_junk),
	D(size_odd), D(size_zero), D(dirty), D(l1_low_bits), D(l1_nonsense),
	D(l1_one), D(l1_header), D(l1_outside), D(l1_huge), D(l1_self),
	D(l1_over), D(twin_tables), D(triplet_tables), D(table_shifted),
	D(table_is_data), D(twin_data), D(twins_apart), D(twins_all_over),
	D(data_is_l1), D(data_is_table), D(data_is_header), D(data_low_bits),
	D(data_small), D(data_outside), D(data_huge), D(data_cut), D(table_cut),
	D(table_cut_even), D(cut_and_outside), D(leak_end), D(leak_tail),
	D(leak_inside), D(leak_of_tables), D(leak_gap), D(leak_and_dirty),
	D(table_lost), D(unknown_bits), D(many) };

#endif /* TESTS_UNIT_QED_DAMAGE_H */
