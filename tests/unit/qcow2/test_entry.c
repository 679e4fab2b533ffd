/* SPDX-License-Identifier: ISC */

/* What an entry means, in which order it is asked, and what it breaks. */

#include "unit/qcow2/fx.h"

#define SIZE (64u << 20)

static struct fx fx;
static struct mkqcow2 *k;

/* A handle on an image of that kind, with some room in the file. */
static void
open_kind(unsigned version, unsigned bits, uint64_t incompat)
{
	k = fx_init(&fx, SIZE, bits);
	k->k_version = version;
	k->k_incompat = incompat;
	k->k_data = incompat & 4 ? "d" : NULL;
	mkqcow2_begin(k);
	mkqcow2_end(k);
	mem_set_len(&fx.fx_mem, 256 * k->k_cluster);
	fx_use(&fx, 0);
}

static void
done(void)
{
	fx_close(&fx);
	fx_done(&fx);
}

static struct qcow2_entry
judge(uint64_t raw, uint64_t bits, uint64_t voff)
{
	struct qcow2_entry n;

	qcow2_judge(fx.fx_im, raw, bits, voff, &n);
	return (n);
}

static void
is(uint64_t raw, enum qcow2_type type, uint64_t off, enum img_row row)
{
	struct qcow2_entry n = judge(raw, 0, 0);

	if (n.n_type != type || n.n_off != off || n.n_row != row)
		fail_msg("%#lx: type %d, off %#lx, row %u", (unsigned long)raw,
		    n.n_type, (unsigned long)n.n_off,
		    img_row(n.n_row)->r_number);
}

static void
whether_it_is_compressed_is_asked_first(void **state)
{
	struct qcow2_entry n;

	(void)state;
	open_kind(3, 16, 0);
	/* As measured: bit 0 is part of the offset, not a zero flag. */
	n = judge(UINT64_C(0x4bc0000000055f08), 0, 0);
	assert_int_equal(n.n_type, QCOW2_T_PACKED);
	assert_int_equal(n.n_off, 0x55f08);
	assert_int_equal(n.n_plen, 24312);
	n = judge(UINT64_C(0x4c00000000061d39), 0, 0);
	assert_int_equal(n.n_type, QCOW2_T_PACKED);
	assert_int_equal(n.n_off, 0x61d39);
	assert_int_equal(n.n_plen, 24775);
	assert_int_equal(n.n_row, IMG_ROW_NONE);
	done();
	open_kind(3, 9, 0);
	n = judge(UINT64_C(0x6000000000000b39), 0, 0);
	assert_int_equal(n.n_off, 0xb39);
	assert_int_equal(n.n_plen, 2 * 512 - 0x139);
	done();
}

static void
then_the_zero_flag_then_the_offset(void **state)
{
	(void)state;
	open_kind(3, 16, 0);
	is(0, QCOW2_T_EMPTY, 0, IMG_ROW_NONE);
	is(1, QCOW2_T_ZERO, 0, IMG_ROW_NONE);
	is(MKQ_COPIED | 1, QCOW2_T_ZERO, 0, IMG_ROW_NONE);
	is(MKQ_COPIED, QCOW2_T_EMPTY, 0, IMG_ROW_NONE);
	is(0x80000, QCOW2_T_DATA, 0x80000, IMG_ROW_NONE);
	is(0x80001, QCOW2_T_ZERO_ALLOC, 0x80000, IMG_ROW_NONE);
	is(MKQ_COPIED | 0x80001, QCOW2_T_ZERO_ALLOC, 0x80000, IMG_ROW_NONE);
	/* Reserved bits are not part of the offset. */
	is(UINT64_C(0x3f000000000801fe), QCOW2_T_DATA, 0x80000, IMG_ROW_NONE);
	is(0x80200, QCOW2_T_DATA, 0x80200, IMG_QCOW2_DATA_ALIGN);
	is(0x80201, QCOW2_T_ZERO_ALLOC, 0x80200, IMG_QCOW2_ZERO_ALIGN);
	is(256 * 65536, QCOW2_T_DATA, 256 * 65536, IMG_QCOW2_DATA_RANGE);
	is(255 * 65536, QCOW2_T_DATA, 255 * 65536, IMG_ROW_NONE);
	done();
	open_kind(2, 16, 0);
	is(1, QCOW2_T_ZERO, 0, IMG_QCOW2_ZERO_V2);
	is(0x80001, QCOW2_T_ZERO_ALLOC, 0x80000, IMG_QCOW2_ZERO_V2);
	is(UINT64_C(0x4bc0000000055f09), QCOW2_T_PACKED, 0x55f09, IMG_ROW_NONE);
	done();
}

static void
the_width_of_a_length_follows_the_cluster_size(void **state)
{
	uint64_t raw, off, len;
	unsigned bits;
	struct qcow2_entry n;

	(void)state;
	for (bits = 9; bits <= 21; bits++) {
		open_kind(3, bits, 0);
		off = 100 * k->k_cluster + 77;
		for (len = 1; len <= 2 * k->k_cluster - 1024;
		     len += 1 + len * 2) {
			raw = qcow2_packed_entry(qcow2(fx.fx_im), off,
			    (uint32_t)len);
			/* Straight from the description. */
			assert_int_equal(raw >> (70 - bits) &
				((1u << (bits - 8)) - 1),
			    (off + len - 1) / 512 - off / 512);
			assert_int_equal(raw >> 62, 1);
			n = judge(raw, 0, 0);
			assert_int_equal(n.n_off, off);
			assert_int_equal(n.n_row, IMG_ROW_NONE);
			assert_true(n.n_plen >= len && n.n_plen < len + 512);
		}
		done();
	}
}

static void
what_no_entry_can_say_is_none(void **state)
{
	struct qcow2 q;

	(void)state;
	memset(&q, 0, sizeof(q));
	q.q_bits = 16;
	assert_int_equal(qcow2_packed_entry(&q, UINT64_C(1) << 54, 10), 0);
	assert_int_equal(qcow2_packed_entry(&q, 0x55f08, 256 * 512 + 512), 0);
	q.q_bits = 9; /* 61 bits, but hosts end at 2^56 */
	assert_int_equal(qcow2_packed_entry(&q, UINT64_C(1) << 56, 10), 0);
	assert_int_not_equal(qcow2_packed_entry(&q, (UINT64_C(1) << 56) - 100,
				 10),
	    0);
}

static void
a_stream_may_be_said_to_end_in_the_file_s_last_cluster(void **state)
{
	struct qcow2_entry n;

	(void)state;
	open_kind(3, 16, 0);
	mem_set_len(&fx.fx_mem, 10 * 65536 + 300);
	fx_close(&fx);
	fx_use(&fx, 0);
	/* 100 bytes in it are there; 47 sectors are said. */
	n = judge(UINT64_C(47) << 54 | MKQ_PACKED | (10 * 65536 + 200), 0, 0);
	assert_int_equal(n.n_row, IMG_ROW_NONE);
	n = judge(UINT64_C(130) << 54 | MKQ_PACKED | (10 * 65536 + 200), 0, 0);
	assert_int_equal(n.n_row, IMG_QCOW2_PACKED_RANGE);
	n = judge(MKQ_PACKED | (10 * 65536 + 300), 0, 0);
	assert_int_equal(n.n_row, IMG_QCOW2_PACKED_RANGE);
	done();
}

static void
subclusters_decide_with_the_offset(void **state)
{
	static const struct {
		uint64_t raw, bits;
		enum qcow2_type type;
		enum img_row row;
	} cases[] = {
		{ 0, 0, QCOW2_T_EMPTY, IMG_ROW_NONE },
		{ 1, 0, QCOW2_T_EMPTY, IMG_ROW_NONE }, /* no zero flag here */
		{ 0x80000, 0, QCOW2_T_SUB, IMG_ROW_NONE },
		{ 0x80000, UINT32_MAX, QCOW2_T_DATA, IMG_ROW_NONE },
		{ 0x80000, 5, QCOW2_T_SUB, IMG_ROW_NONE },
		{ 0, UINT64_C(5) << 32, QCOW2_T_SUB, IMG_ROW_NONE },
		{ 0, UINT64_C(0xffffffff) << 32, QCOW2_T_ZERO, IMG_ROW_NONE },
		{ 0x80000, UINT64_C(0xffffffff) << 32, QCOW2_T_ZERO_ALLOC,
		    IMG_ROW_NONE },
		{ 0, 1, QCOW2_T_SUB, IMG_QCOW2_SUB_NOWHERE },
		{ 0, UINT32_MAX, QCOW2_T_DATA, IMG_QCOW2_SUB_NOWHERE },
		{ 0x80000, UINT64_C(0x8000000080000000), QCOW2_T_SUB,
		    IMG_QCOW2_SUB_BOTH },
	};
	struct qcow2_entry n;
	size_t i;

	(void)state;
	open_kind(3, 14, 16);
	for (i = 0; i < LENGTH_OF(cases); i++) {
		n = judge(cases[i].raw, cases[i].bits, 0);
		if (n.n_type != cases[i].type || n.n_row != cases[i].row)
			fail_msg("case %u: type %d, row %u", (unsigned)i,
			    n.n_type, img_row(n.n_row)->r_number);
	}
	done();
}

static void
in_a_data_file_offset_0_is_a_place(void **state)
{
	struct qcow2_entry n;

	(void)state;
	open_kind(3, 16, 4);
	n = judge(MKQ_COPIED, 0, 0);
	assert_int_equal(n.n_type, QCOW2_T_DATA);
	assert_int_equal(n.n_row, IMG_ROW_NONE);
	assert_int_equal(judge(0, 0, 0).n_type, QCOW2_T_EMPTY);
	assert_int_equal(judge(MKQ_COPIED, 0, 65536).n_row,
	    IMG_QCOW2_FILE_OFFSET);
	assert_int_equal(judge(MKQ_COPIED | 65536, 0, 65536 + 5).n_row,
	    IMG_ROW_NONE);
	assert_int_equal(judge(MKQ_COPIED | 65536, 0, 0).n_row,
	    IMG_QCOW2_FILE_OFFSET);
	assert_int_equal(judge(UINT64_C(0x4bc0000000055f08), 0, 0).n_row,
	    IMG_QCOW2_PACKED_FILE);
	done();
}

/* All rows that do not forbid use, in their order; ended by NONE. */
static void
flaws(uint64_t raw, uint64_t bits, const enum img_row *want)
{
	struct qcow2_entry n = judge(raw, bits, 0);
	unsigned step = 0;

	do {
		assert_int_equal(qcow2_l2_flaw(fx.fx_im, &n, &step), *want);
	} while (*want++ != IMG_ROW_NONE);
}

static void
flaws_are_told_one_by_one(void **state)
{
	static const enum img_row
	    none[] = { IMG_ROW_NONE },
	    reserved[] = { IMG_QCOW2_L2_RESERVED, IMG_ROW_NONE },
	    stray[] = { IMG_QCOW2_STRAY_COPIED, IMG_ROW_NONE },
	    both[] = { IMG_QCOW2_L2_RESERVED, IMG_QCOW2_STRAY_COPIED,
		    IMG_ROW_NONE },
	    packed[] = { IMG_QCOW2_PACKED_COPIED, IMG_ROW_NONE },
	    bitmap[] = { IMG_QCOW2_SUB_PACKED, IMG_ROW_NONE },
	    bit0[] = { IMG_QCOW2_SUB_ZERO_BIT, IMG_ROW_NONE },
	    file[] = { IMG_QCOW2_FILE_NOT_COPIED, IMG_ROW_NONE };

	(void)state;
	open_kind(3, 16, 0);
	flaws(0x80000, 0, none);
	flaws(0x80002, 0, reserved);
	flaws(UINT64_C(1) << 61 | 0x80000, 0, reserved);
	flaws(MKQ_COPIED, 0, stray);
	flaws(MKQ_COPIED | 1, 0, stray);
	flaws(MKQ_COPIED | 2, 0, both);
	flaws(UINT64_C(0xcbc0000000055f08), 0, packed);
	flaws(UINT64_C(0x7fc00000000551ff), 0, none); /* all in its fields */
	done();
	open_kind(3, 14, 16);
	flaws(UINT64_C(0x4bc0000000055f08), 1, bitmap);
	flaws(0x80001, 0, bit0);
	done();
	open_kind(3, 16, 4);
	flaws(MKQ_COPIED, 0, none);
	flaws(0x80000, 0, file);
	done();
}

static void
l1_entries_have_flaws_too(void **state)
{
	unsigned step;

	(void)state;
	open_kind(3, 16, 0);
	step = 0;
	assert_int_equal(qcow2_l1_flaw(fx.fx_im, 0, &step), IMG_ROW_NONE);
	step = 0;
	assert_int_equal(qcow2_l1_flaw(fx.fx_im, MKQ_COPIED, &step),
	    IMG_QCOW2_L1_EMPTY);
	assert_int_equal(qcow2_l1_flaw(fx.fx_im, MKQ_COPIED, &step),
	    IMG_ROW_NONE);
	step = 0;
	assert_int_equal(qcow2_l1_flaw(fx.fx_im, 0x80000 | MKQ_COPIED, &step),
	    IMG_ROW_NONE);
	step = 0;
	assert_int_equal(qcow2_l1_flaw(fx.fx_im, 0x80001, &step),
	    IMG_QCOW2_L1_RESERVED);
	done();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whether_it_is_compressed_is_asked_first),
		cmocka_unit_test(then_the_zero_flag_then_the_offset),
		cmocka_unit_test(
		    the_width_of_a_length_follows_the_cluster_size),
		cmocka_unit_test(what_no_entry_can_say_is_none),
		cmocka_unit_test(
		    a_stream_may_be_said_to_end_in_the_file_s_last_cluster),
		cmocka_unit_test(subclusters_decide_with_the_offset),
		cmocka_unit_test(in_a_data_file_offset_0_is_a_place),
		cmocka_unit_test(flaws_are_told_one_by_one),
		cmocka_unit_test(l1_entries_have_flaws_too),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
