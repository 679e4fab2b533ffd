/* SPDX-License-Identifier: ISC */

/*
 * The header: every field at its limits, which flaw is told first, the
 * geometry of all sizes, and the backing file's name.
 */

#include "unit/qed/fx.h"

#define C UINT64_C(4096)
#define SIZE (16384 * C)
#define END (6 * C) /* of the file that make() makes */

static struct fx fx;
static struct mkqed *k;

/* Header, L1 in clusters 1 and 2, and three that are not in use. */
static void
make(void)
{
	k = fx_init(&fx, SIZE, 12, 2);
	mkqed_begin(k);
	mkqed_take(k, 3);
	assert_int_equal(fx.fx_mem.m_len, END);
}

static void
put(unsigned at, unsigned bytes, uint64_t value)
{
	mkqed_put(&fx.fx_mem, at, value, bytes);
}

/* One number of the header, its row and where that is, what opening gives. */
struct poke {
	unsigned p_at, p_bytes;
	uint64_t p_value;
	enum img_row p_row; /* NONE: it is as good as any */
	unsigned p_where;
	int p_error;
};

#define FINE IMG_ROW_NONE, 0, 0
#define HIGH(n) ((UINT64_C(1) << 63) - (n))

static const struct poke pokes[] = {
	{ 0, 4, 0, IMG_QED_MAGIC, 0, EFTYPE },
	{ 0, 4, 0x51454400, IMG_QED_MAGIC, 0, EFTYPE },
	{ 4, 4, 0, IMG_QED_CLUSTER_SIZE, 4, EFTYPE },
	{ 4, 4, 2048, IMG_QED_CLUSTER_SIZE, 4, EFTYPE },
	{ 4, 4, 4095, IMG_QED_CLUSTER_SIZE, 4, EFTYPE },
	{ 4, 4, 64 << 20 | 1, IMG_QED_CLUSTER_SIZE, 4, EFTYPE },
	{ 4, 4, 128 << 20, IMG_QED_CLUSTER_SIZE, 4, EFTYPE },
	{ 4, 4, UINT32_MAX, IMG_QED_CLUSTER_SIZE, 4, EFTYPE },
	{ 4, 4, 4097, IMG_QED_CLUSTER_POWER, 4, EFTYPE },
	{ 4, 4, 12288, IMG_QED_CLUSTER_POWER, 4, EFTYPE },
	{ 4, 4, (64 << 20) - 4096, IMG_QED_CLUSTER_POWER, 4, EFTYPE },
	{ 8, 4, 0, IMG_QED_TABLE_SIZE, 8, EFTYPE },
	{ 8, 4, 3, IMG_QED_TABLE_SIZE, 8, EFTYPE },
	{ 8, 4, 32, IMG_QED_TABLE_SIZE, 8, EFTYPE },
	{ 8, 4, UINT32_C(1) << 31, IMG_QED_TABLE_SIZE, 8, EFTYPE },
	{ 8, 4, 1, IMG_QED_TABLE_ONE, 8, 0 },
	{ 8, 4, 4, FINE },
	{ 8, 4, 8, IMG_QED_L1_EOF, 40, EFTYPE },
	{ 12, 4, 0, IMG_QED_HEADER_ZERO, 12, 0 },
	{ 12, 4, 2, IMG_QED_HEADER_L1, 40, EFTYPE },
	{ 12, 4, 6, IMG_QED_HEADER_L1, 40, EFTYPE },
	{ 12, 4, 7, IMG_QED_HEADER_EOF, 12, EFTYPE },
	{ 12, 4, 0xfffff, IMG_QED_HEADER_EOF, 12, EFTYPE },
	{ 12, 4, 0x100000, IMG_QED_HEADER_LIMIT, 12, EFTYPE },
	{ 12, 4, 0x100001, IMG_QED_HEADER_LIMIT, 12, EFTYPE },
	{ 12, 4, UINT32_MAX, IMG_QED_HEADER_LIMIT, 12, EFTYPE },
	{ 16, 8, 1, IMG_QED_BACKING_EMPTY, 60, 0 },
	{ 16, 8, 5, IMG_QED_BACKING_EMPTY, 60, 0 },
	{ 16, 8, 2, IMG_QED_DIRTY, 16, 0 },
	{ 16, 8, 4, IMG_QED_NO_PROBE, 16, 0 },
	{ 16, 8, 8, IMG_QED_FEATURES, 16, EFTYPE },
	{ 16, 8, UINT64_C(1) << 32, IMG_QED_FEATURES, 16, EFTYPE },
	{ 16, 8, UINT64_C(1) << 63, IMG_QED_FEATURES, 16, EFTYPE },
	{ 24, 8, 1, IMG_QED_COMPAT, 24, 0 },
	{ 24, 8, UINT64_MAX, IMG_QED_COMPAT, 24, 0 },
	{ 32, 8, 1, IMG_QED_AUTOCLEAR, 32, 0 },
	{ 32, 8, UINT64_C(1) << 63, IMG_QED_AUTOCLEAR, 32, 0 },
	{ 40, 8, 0, IMG_QED_L1_ON_HEADER, 40, EFTYPE },
	{ 40, 8, 63, IMG_QED_L1_ON_HEADER, 40, EFTYPE },
	{ 40, 8, 64, IMG_QED_L1_PLACE, 40, EFTYPE },
	{ 40, 8, C + 8, IMG_QED_L1_PLACE, 40, EFTYPE },
	{ 40, 8, C + 2048, IMG_QED_L1_PLACE, 40, EFTYPE },
	{ 40, 8, 4 * C, FINE },
	{ 40, 8, 5 * C, IMG_QED_L1_EOF, 40, EFTYPE },
	{ 40, 8, 6 * C, IMG_QED_L1_EOF, 40, EFTYPE },
	{ 40, 8, HIGH(3 * C), IMG_QED_L1_EOF, 40, EFTYPE },
	{ 40, 8, HIGH(2 * C), IMG_QED_L1_WRAP, 40, EFTYPE },
	{ 40, 8, HIGH(0), IMG_QED_L1_WRAP, 40, EFTYPE },
	{ 40, 8, UINT64_MAX - C + 1, IMG_QED_L1_WRAP, 40, EFTYPE },
	{ 48, 8, 0, IMG_QED_SIZE_NONE, 48, 0 },
	{ 48, 8, 511, IMG_QED_SIZE_ODD, 48, 0 },
	{ 48, 8, 512, FINE },
	{ 48, 8, SIZE + 1, IMG_QED_SIZE_ODD, 48, 0 },
	{ 48, 8, UINT64_C(1) << 32, FINE }, /* 1024 * 1024 clusters */
	{ 48, 8, (UINT64_C(1) << 32) + 1, IMG_QED_SIZE_LIMIT, 48, EFTYPE },
	{ 48, 8, UINT64_MAX, IMG_QED_SIZE_LIMIT, 48, EFTYPE },
	{ 56, 4, 64, IMG_QED_BACKING_JUNK, 56, 0 },
	{ 60, 4, 1, IMG_QED_BACKING_JUNK, 60, 0 },
};

static void
try_poke(const struct poke *p)
{
	const struct img_finding *fi = &fx.fx_sink.s_found[0];
	int error = fx_try(&fx, 0), rdwr;

	if (error != p->p_error ||
	    fx.fx_sink.s_n != (p->p_row != IMG_ROW_NONE) ||
	    (p->p_row != IMG_ROW_NONE &&
		(fi->fi_row != p->p_row || fi->fi_off != p->p_where)))
		fail_msg("%u := %#lx: error %d, %u rows, first %u at %lu",
		    p->p_at, (unsigned long)p->p_value, error, fx.fx_sink.s_n,
		    img_row(fi->fi_row)->r_number, (unsigned long)fi->fi_off);
	rdwr = fx_try(&fx, IMG_RDWR);
	if (error == 0 && img_row(p->p_row)->r_allows < IMG_ALLOW_WRITE)
		error = EROFS;
	if (rdwr != error)
		fail_msg("%u := %#lx: for writing %d", p->p_at,
		    (unsigned long)p->p_value, rdwr);
}

static void
each_number_has_its_limits(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH_OF(pokes); i++) {
		make();
		put(pokes[i].p_at, pokes[i].p_bytes, pokes[i].p_value);
		try_poke(&pokes[i]);
		fx_done(&fx);
	}
}

/* Everything is wrong; then one thing after the other is put right. */
static void
the_first_flaw_is_told_and_ends_it(void **state)
{
	static const struct poke steps[] = {
		{ 0, 4, 0x00444551, IMG_QED_MAGIC, 0, 0 },
		{ 16, 8, 0, IMG_QED_FEATURES, 0, 0 },
		{ 4, 4, 5000, IMG_QED_CLUSTER_SIZE, 0, 0 },
		{ 4, 4, 4096, IMG_QED_CLUSTER_POWER, 0, 0 },
		{ 8, 4, 2, IMG_QED_TABLE_SIZE, 0, 0 },
		{ 12, 4, 100, IMG_QED_HEADER_LIMIT, 0, 0 },
		{ 48, 8, SIZE, IMG_QED_SIZE_LIMIT, 0, 0 },
		{ 40, 8, 100, IMG_QED_L1_ON_HEADER, 0, 0 },
		{ 40, 8, HIGH(C), IMG_QED_L1_PLACE, 0, 0 },
		{ 40, 8, 5 * C, IMG_QED_L1_WRAP, 0, 0 },
		{ 12, 4, 6, IMG_QED_HEADER_EOF, 0, 0 },
		{ 12, 4, 1, IMG_QED_HEADER_L1, 0, 0 },
		{ 40, 8, C, IMG_QED_L1_EOF, 0, 0 },
	};
	size_t i;

	(void)state;
	make();
	for (i = 0; i < 56; i++)
		put((unsigned)i, 1, 0xff);
	put(4, 4, 0);
	put(40, 8, 8);
	for (i = 0; i < LENGTH_OF(steps); i++) {
		put(24, 8, 0);
		put(32, 8, 0);
		assert_int_equal(fx_try(&fx, 0), EFTYPE);
		fx_only(&fx, steps[i].p_row);
		put(steps[i].p_at, steps[i].p_bytes, steps[i].p_value);
	}
	assert_int_equal(fx_try(&fx, IMG_RDWR), 0);
	assert_int_equal(fx.fx_sink.s_n, 0);
	fx_done(&fx);
}

static void
a_short_file_is_none_of_ours(void **state)
{
	const struct img_format *fmt;
	unsigned len;

	(void)state;
	for (len = 0; len <= 600; len += len < 60 ? 60 : 1) {
		make();
		mem_set_len(&fx.fx_mem, len);
		assert_int_equal(fx_try(&fx, 0), EFTYPE);
		fx_only(&fx, len < 64 ? IMG_QED_SHORT : IMG_QED_HEADER_EOF);
		assert_int_equal(fx.fx_mem.m_past, 0);
		assert_int_equal(img_probe(&fx.fx_env.e_env, &fx.fx_mem.m_file,
				     &fmt),
		    0);
		assert_ptr_equal(fmt, len < 64 ? &img_raw : &img_qed);
		fx_done(&fx);
	}
}

static void
what_is_found_and_wanted_is_said(void **state)
{
	const struct img_finding *fi = &fx.fx_sink.s_found[0];

	(void)state;
	make();
	put(16, 8, 0xf2); /* one of them is known */
	(void)fx_try(&fx, 0);
	assert_int_equal(fi->fi_found, 0xf0);
	put(16, 8, 0);
	put(12, 4, 7);
	(void)fx_try(&fx, 0);
	assert_int_equal(fi->fi_found, 7);
	assert_int_equal(fi->fi_rel, IMG_WANT_MAX);
	assert_int_equal(fi->fi_want, 6);
	put(12, 4, 1);
	put(40, 8, 5 * C);
	(void)fx_try(&fx, 0);
	assert_int_equal(fi->fi_found, 7 * C); /* where it would end */
	assert_int_equal(fi->fi_want, 6 * C);
	put(40, 8, C);
	put(48, 8, SIZE - 1);
	assert_int_equal(fx_open(&fx, 0), 0);
	assert_int_equal(fi->fi_found, SIZE - 1);
	assert_int_equal(fi->fi_want, SIZE); /* whose last sector is not lost */
	assert_int_equal(img_size(fx.fx_im), SIZE - 512);
	fx_close(&fx);
	fx_done(&fx);
}

/* a * b, at most 2^63 - 512, which is what a file's offsets can say. */
static uint64_t
times(uint64_t a, uint64_t b)
{
	uint64_t most = (UINT64_C(1) << 63) - 512;

	return (a > most / b ? most : a * b);
}

static int
opens(uint64_t size, enum img_row row)
{
	int error;

	mkqed_put(&fx.fx_mem, 48, size, 8);
	error = fx_try(&fx, 0);
	if (row != IMG_ROW_NONE && !mem_has(&fx.fx_sink, row))
		fail_msg("%lu: no row", (unsigned long)size);
	assert_int_equal(fx.fx_sink.s_n,
	    (row != IMG_ROW_NONE) + mem_has(&fx.fx_sink, IMG_QED_TABLE_ONE));
	return (error == 0);
}

/* The last cluster of the largest disk is found by its own arithmetic. */
static void
try_last_cluster(uint64_t max)
{
	uint64_t c = k->k_cluster, g = (max - 1) / c;

	mkqed_set(k, g, 0);
	mkqed_set(k, g, mkqed_take(k, 1));
	fx_use(&fx, 0);
	assert_int_equal(img_size(fx.fx_im), max);
	assert_int_equal(img_unit(fx.fx_im), c);
	mem_maps(fx.fx_im, max - 512, 512, IMG_DATA,
	    k->k_next - c + ((max - 512) & (c - 1)), 512);
	fx_close(&fx);
}

static void
all_sizes_of_clusters_and_tables(void **state)
{
	unsigned bits, table;
	uint64_t n, max;

	(void)state;
	for (bits = 12; bits <= 26; bits++)
		for (table = 1; table <= 16; table *= 2) {
			n = ((uint64_t)table << bits) / 8;
			max = times(times(n, n), UINT64_C(1) << bits);
			k = fx_init(&fx, max, bits, table);
			mem_large(&fx.fx_mem);
			mkqed_begin(k);
			assert_int_equal(fx.fx_mem.m_len,
			    (UINT64_C(1) + table) << bits);
			try_last_cluster(max);
			assert_int_equal(mem_has(&fx.fx_sink,
					     IMG_QED_TABLE_ONE),
			    table == 1);
			assert_false(opens(max + 512, IMG_QED_SIZE_LIMIT));
			fx_done(&fx);
		}
}

/* As measured; 64 and more is what qemu's arithmetic has no bits for. */
static void
the_largest_disks_are_the_known_ones(void **state)
{
	static const unsigned known[][6] = {
		{ 12, 30, 32, 34, 36, 38 },
		{ 16, 42, 44, 46, 48, 50 },
		{ 20, 54, 56, 58, 60, 62 },
		{ 21, 57, 59, 61, 63, 65 },
		{ 22, 60, 62, 64, 66, 68 },
		{ 26, 72, 74, 76, 78, 80 },
	};
	enum img_row row;
	unsigned i, j, b;

	(void)state;
	for (i = 0; i < LENGTH_OF(known); i++)
		for (j = 0; j < 5; j++) {
			b = known[i][1 + j];
			row = b >= 64 ? IMG_QED_WRAPS : IMG_ROW_NONE;
			k = fx_init(&fx, 0, known[i][0], 1u << j);
			mkqed_begin(k);
			assert_true(opens(512, row));
			assert_true(opens(0, IMG_QED_SIZE_NONE));
			assert_true(
			    opens(b > 62 ? HIGH(512) : UINT64_C(1) << b, row));
			assert_false(
			    opens((b > 62 ? HIGH(0) : UINT64_C(1) << b) + 512,
				IMG_QED_SIZE_LIMIT));
			fx_done(&fx);
		}
}

/* A name of that length at off, and what is said of it. */
static void
backing(uint32_t off, uint32_t len, enum img_row row)
{
	struct img_ref ref;
	uint32_t i;

	k = fx_init(&fx, SIZE, 12, 2);
	k->k_header = 2;
	mkqed_begin(k);
	put(16, 8, 5);
	put(56, 4, off);
	put(60, 4, len);
	for (i = 0; i < len && off >= 64 && off + i < 2 * C; i++)
		mem_put(&fx.fx_mem, off + i, "n", 1);
	fx_use(&fx, 0);
	if (row == IMG_ROW_NONE)
		assert_int_equal(fx.fx_sink.s_n, 0);
	else
		fx_only(&fx, row);
	assert_int_equal(img_ref(fx.fx_im, 0, &ref), 0);
	assert_int_equal(ref.rf_kind, IMG_REF_BACKING);
	assert_int_equal(ref.rf_name != NULL, row == IMG_ROW_NONE);
	if (row == IMG_ROW_NONE)
		assert_int_equal(strlen(ref.rf_name), len);
	assert_int_equal(img_ref(fx.fx_im, 1, &ref), ENOENT);
	fx_close(&fx);
	assert_int_equal(fx_try(&fx, IMG_RDWR),
	    row == IMG_ROW_NONE ? 0 : EROFS);
	fx_done(&fx);
}

static void
names_lie_in_the_header_s_clusters(void **state)
{
	(void)state;
	backing(64, 1, IMG_ROW_NONE);
	backing(64, 4095, IMG_ROW_NONE);
	backing(64, 4096, IMG_QED_BACKING_NAME);
	backing(64, 2 * C - 64, IMG_QED_BACKING_NAME);
	backing(64, 2 * C - 63, IMG_QED_BACKING_PLACE);
	backing(C - 100, 200, IMG_ROW_NONE); /* in both clusters */
	backing(2 * C - 1023, 1023, IMG_ROW_NONE);
	backing(2 * C - 1022, 1023, IMG_QED_BACKING_PLACE);
	backing(2 * C, 1, IMG_QED_BACKING_PLACE);
	backing(UINT32_MAX, 1, IMG_QED_BACKING_PLACE);
	backing(UINT32_MAX, 2, IMG_QED_BACKING_PLACE);
	backing(64, UINT32_MAX, IMG_QED_BACKING_PLACE);
	backing(0, 4, IMG_QED_BACKING_HEADER);
	backing(63, 100, IMG_QED_BACKING_HEADER);
}

static void
control_bytes_are_no_part_of_a_name(void **state)
{
	struct img_ref ref;
	unsigned b;

	(void)state;
	for (b = 0; b < 256; b++) {
		k = fx_init(&fx, SIZE, 12, 2);
		k->k_backing = "base.raw";
		k->k_features = 4;
		mkqed_begin(k);
		put(64 + 7, 1, b);
		fx_use(&fx, 0);
		assert_int_equal(img_ref(fx.fx_im, 0, &ref), 0);
		if (b < 32 || b == 127) {
			fx_only(&fx, IMG_QED_BACKING_NAME);
			assert_null(ref.rf_name);
		} else {
			assert_int_equal(fx.fx_sink.s_n, 0);
			assert_memory_equal(ref.rf_name, "base.ra", 7);
			assert_int_equal((uint8_t)ref.rf_name[7], b);
		}
		fx_close(&fx);
		fx_done(&fx);
	}
}

static void
features_say_how_to_take_the_backing_file(void **state)
{
	static const struct {
		uint64_t features;
		const char *format;
		enum img_row row;
	} cases[] = {
		{ 1, NULL, IMG_QED_BACKING_PROBED },
		{ 5, "raw", IMG_ROW_NONE },
		{ 7, "raw", IMG_QED_DIRTY_BACKING },
	};
	struct img_ref ref;
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH_OF(cases); i++) {
		k = fx_init(&fx, SIZE, 12, 2);
		k->k_backing = "base";
		k->k_features = cases[i].features;
		mkqed_begin(k);
		fx_use(&fx, 0);
		assert_int_equal(fx.fx_sink.s_n, cases[i].row != IMG_ROW_NONE);
		if (cases[i].row != IMG_ROW_NONE)
			fx_only(&fx, cases[i].row);
		assert_int_equal(img_ref(fx.fx_im, 0, &ref), 0);
		assert_string_equal(ref.rf_name, "base");
		if (cases[i].format == NULL)
			assert_null(ref.rf_format);
		else
			assert_string_equal(ref.rf_format, cases[i].format);
		fx_close(&fx);
		fx_done(&fx);
	}
	make();
	put(16, 8, 1); /* a name of no bytes is none */
	fx_use(&fx, 0);
	assert_int_equal(img_ref(fx.fx_im, 0, &ref), ENOENT);
	fx_close(&fx);
	fx_done(&fx);
}

static void
a_device_is_read_only(void **state)
{
	(void)state;
	k = fx_init(&fx, SIZE, 12, 2);
	mem_free(&fx.fx_mem);
	mem_device(&fx.fx_mem, 64 * C);
	mkqed_begin(k);
	mkqed_data(k, 1);
	fx_use(&fx, IMG_VERIFY);
	fx_only(&fx, IMG_QED_DEVICE);
	mem_reads(fx.fx_im, C, C, 1);
	fx_close(&fx);
	assert_int_equal(fx_try(&fx, IMG_RDWR), EROFS);
	fx_done(&fx);
}

static void
opening_reads_a_constant_number_of_times(void **state)
{
	(void)state;
	k = fx_init(&fx, UINT64_C(64) << 40, 16, 16);
	k->k_backing = "base";
	mkqed_begin(k);
	mem_reset(&fx.fx_mem);
	assert_int_equal(fx_try(&fx, 0), 0);
	assert_true(fx.fx_mem.m_calls[MEM_READ] < 5);
	assert_true(fx.fx_mem.m_rbytes < 4096);
	fx_done(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_number_has_its_limits),
		cmocka_unit_test(the_first_flaw_is_told_and_ends_it),
		cmocka_unit_test(a_short_file_is_none_of_ours),
		cmocka_unit_test(what_is_found_and_wanted_is_said),
		cmocka_unit_test(all_sizes_of_clusters_and_tables),
		cmocka_unit_test(the_largest_disks_are_the_known_ones),
		cmocka_unit_test(names_lie_in_the_header_s_clusters),
		cmocka_unit_test(control_bytes_are_no_part_of_a_name),
		cmocka_unit_test(features_say_how_to_take_the_backing_file),
		cmocka_unit_test(a_device_is_read_only),
		cmocka_unit_test(opening_reads_a_constant_number_of_times),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
