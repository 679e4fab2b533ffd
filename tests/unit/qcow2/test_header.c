/* SPDX-License-Identifier: ISC */

/*
 * The header: every field at its limits, what a header of that version and
 * length does not have, extensions, names, and where the tables may be.
 */

#include "unit/qcow2/fx.h"

#define C 4096u
#define SIZE (1024u * C)

static struct fx fx;
static struct mkqcow2 *k;

static void
make(unsigned version, unsigned length)
{
	k = fx_init(&fx, SIZE, 12);
	k->k_version = version;
	k->k_length = length;
	mkqcow2_begin(k);
	mkqcow2_data(k, 1);
	mkqcow2_end(k);
}

/* One number of the header, its row, and what opening gives. */
struct poke {
	unsigned p_at, p_bytes;
	uint64_t p_value;
	enum img_row p_row; /* NONE: it is as good as any */
	int p_error;
};

#define FINE IMG_ROW_NONE, 0

static const struct poke pokes[] = {
	{ 4, 4, 1, IMG_QCOW2_MAGIC, EFTYPE },
	{ 4, 4, 4, IMG_QCOW2_MAGIC, EFTYPE },
	{ 20, 4, 8, IMG_QCOW2_CLUSTER_BITS, EFTYPE },
	{ 20, 4, 22, IMG_QCOW2_CLUSTER_BITS, EFTYPE },
	{ 20, 4, 0, IMG_QCOW2_CLUSTER_BITS, EFTYPE },
	{ 20, 4, 64, IMG_QCOW2_CLUSTER_BITS, EFTYPE },
	{ 20, 4, UINT32_MAX, IMG_QCOW2_CLUSTER_BITS, EFTYPE },
	{ 24, 8, SIZE - 511, IMG_QCOW2_SIZE_ODD, 0 }, { 24, 8, 512, FINE },
	{ 24, 8, 0, FINE },
	{ 24, 8, UINT64_C(1) << 63, IMG_QCOW2_SIZE_LIMIT, EFTYPE },
	{ 24, 8, UINT64_MAX, IMG_QCOW2_SIZE_LIMIT, EFTYPE },
	{ 24, 8, SIZE + 512, IMG_QCOW2_L1_SHORT, 0 },
	{ 24, 8, UINT64_C(1) << 62, IMG_QCOW2_L1_SHORT, 0 },
	{ 32, 4, 1, IMG_QCOW2_ENCRYPTED, 0 },
	{ 32, 4, 3, IMG_QCOW2_CRYPT_METHOD, 0 },
	{ 36, 4, 1, IMG_QCOW2_L1_SHORT, 0 },
	{ 36, 4, 0, IMG_QCOW2_L1_SHORT, 0 }, { 36, 4, 3, FINE },
	{ 36, 4, 4194305, IMG_QCOW2_L1_LIMIT, EFTYPE },
	{ 36, 4, 4194304, IMG_QCOW2_L1_RANGE, 0 },
	{ 36, 4, 0x20000000, IMG_QCOW2_L1_LIMIT, EFTYPE },
	{ 40, 8, 0, IMG_QCOW2_L1_PLACE, EFTYPE },
	{ 40, 8, 2 * C + 512, IMG_QCOW2_L1_ALIGN, EFTYPE },
	{ 40, 8, C, IMG_QCOW2_L1_PLACE, EFTYPE },
	{ 40, 8, 64 * C, IMG_QCOW2_L1_RANGE, 0 },
	{ 40, 8, UINT64_MAX - C + 1, IMG_QCOW2_L1_RANGE, 0 },
	{ 48, 8, 0, IMG_QCOW2_RT_PLACE, 0 },
	{ 48, 8, C + 8, IMG_QCOW2_RT_ALIGN, 0 },
	{ 48, 8, 64 * C, IMG_QCOW2_RT_PLACE, 0 },
	{ 48, 8, UINT64_MAX - C + 1, IMG_QCOW2_RT_PLACE, 0 },
	{ 48, 8, 2 * C, IMG_QCOW2_L1_PLACE, EFTYPE },
	{ 56, 4, 0, IMG_QCOW2_RT_NONE, 0 },
	{ 56, 4, 2049, IMG_QCOW2_RT_LIMIT, 0 },
	{ 56, 4, UINT32_MAX, IMG_QCOW2_RT_LIMIT, 0 },
	{ 60, 4, 1, IMG_QCOW2_SNAP_HEADER, 0 }, /* at offset 0 */
	{ 60, 4, 65537, IMG_QCOW2_SNAP_HEADER, 0 },
	{ 64, 8, 3 * C, FINE }, /* stale, of none */
	{ 64, 8, 12345, IMG_QCOW2_SNAP_HEADER, 0 },
	{ 64, 8, UINT64_C(1) << 63, IMG_QCOW2_SNAP_HEADER, 0 },
	{ 72, 8, 1, IMG_QCOW2_DIRTY, 0 }, { 72, 8, 2, IMG_QCOW2_MARKED, 0 },
	{ 72, 8, 4, IMG_QCOW2_DATA_FILE_NAME, 0 },
	{ 72, 8, 8, IMG_QCOW2_COMPRESSION_BIT, EFTYPE },
	{ 72, 8, 16, IMG_QCOW2_SUBCLUSTER, EFTYPE },
	{ 72, 8, 32, IMG_QCOW2_INCOMPATIBLE, EFTYPE },
	{ 72, 8, UINT64_C(1) << 63, IMG_QCOW2_INCOMPATIBLE, EFTYPE },
	{ 80, 8, UINT64_MAX, FINE }, { 88, 8, UINT64_C(1) << 40, FINE },
	{ 88, 8, 1, IMG_QCOW2_BITMAPS_BIT, 0 },
	{ 88, 8, 2, IMG_QCOW2_RAW_BIT, 0 },
	{ 96, 4, 7, IMG_QCOW2_REFCOUNT_ORDER, EFTYPE },
	{ 96, 4, 64, IMG_QCOW2_REFCOUNT_ORDER, EFTYPE },
	{ 100, 4, 103, IMG_QCOW2_HEADER_LENGTH, EFTYPE },
	{ 100, 4, 0, IMG_QCOW2_HEADER_LENGTH, EFTYPE },
	{ 100, 4, C + 1, IMG_QCOW2_HEADER_LENGTH, EFTYPE },
	{ 104, 1, 1, IMG_QCOW2_COMPRESSION_BIT, EFTYPE },
	{ 104, 1, 2, IMG_QCOW2_COMPRESSION_TYPE, EFTYPE },
	{ 105, 1, 1, IMG_QCOW2_PADDING, 0 },
	{ 111, 1, 1, IMG_QCOW2_PADDING, 0 },
	{ 8, 8, 4000, FINE }, /* a name of no bytes */
	{ 16, 4, 5, FINE },   /* bytes of no name */
};

static void
put(unsigned at, unsigned bytes, uint64_t value)
{
	uint8_t b[8];
	unsigned i;

	for (i = 0; i < bytes; i++)
		b[i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
	mem_put(&fx.fx_mem, at, b, bytes);
}

static void
each_number_has_its_limits(void **state)
{
	const struct poke *p;
	size_t i;
	int error;

	(void)state;
	for (i = 0; i < LENGTH_OF(pokes); i++) {
		p = &pokes[i];
		make(3, 112);
		put(p->p_at, p->p_bytes, p->p_value);
		error = fx_try(&fx, 0);
		if (error != p->p_error ||
		    fx.fx_sink.s_n != (p->p_row != IMG_ROW_NONE) ||
		    (p->p_row != IMG_ROW_NONE &&
			!mem_has(&fx.fx_sink, p->p_row)))
			fail_msg("%u := %#lx: error %d, %u rows, first %u",
			    p->p_at, (unsigned long)p->p_value, error,
			    fx.fx_sink.s_n,
			    img_row(fx.fx_sink.s_found[0].fi_row)->r_number);
		fx_done(&fx);
	}
}

/* Whatever stands where there is no such field. */
static void
version_2_has_no_fields_of_version_3(void **state)
{
	(void)state;
	make(2, 0);
	mkqcow2_ext(k, mkqcow2_ext(k, 72, 0x12345678, "\377\377\377\377", 4), 0,
	    "", 0);
	put(96, 8, UINT64_MAX);
	assert_int_equal(fx_try(&fx, IMG_RDWR | IMG_VERIFY), 0);
	assert_int_equal(fx.fx_sink.s_n, 0);
	fx_done(&fx);
}

static void
a_header_is_as_long_as_it_says(void **state)
{
	static const unsigned lengths[] = { 104, 112, 128, 512, 3000 };
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH_OF(lengths); i++) {
		k = fx_init(&fx, SIZE, 12);
		k->k_length = lengths[i];
		k->k_format = "raw"; /* an extension, right behind it */
		mkqcow2_begin(k);
		mkqcow2_end(k);
		assert_int_equal(fx_open(&fx, IMG_RDWR), 0);
		assert_int_equal(fx.fx_sink.s_n, 0);
		assert_string_equal(qcow2(fx.fx_im)->q_format, "raw");
		fx_close(&fx);
		fx_done(&fx);
	}
	make(3, 105); /* extensions follow it at once, odd as it is */
	assert_int_equal(fx_try(&fx, IMG_RDWR), 0);
	fx_only(&fx, IMG_QCOW2_HEADER_ODD);
	fx_done(&fx);
	/* Without the field there is no compression type, and no padding. */
	k = fx_init(&fx, SIZE, 12);
	k->k_length = 104;
	mkqcow2_begin(k);
	mkqcow2_end(k);
	mkqcow2_ext(k, mkqcow2_ext(k, 104, 0x01010101, "x", 1), 0, "", 0);
	assert_int_equal(fx_try(&fx, 0), 0);
	assert_int_equal(fx.fx_sink.s_n, 0);
	put(72, 8, 8);
	assert_int_equal(fx_try(&fx, 0), EFTYPE);
	fx_only(&fx, IMG_QCOW2_COMPRESSION_BIT);
	fx_done(&fx);
}

static void
unknown_features_are_called_by_their_names(void **state)
{
	uint8_t table[96];

	(void)state;
	make(3, 112);
	put(72, 8, UINT64_C(1) << 17);
	assert_int_equal(fx_try(&fx, 0), EFTYPE);
	assert_null(fx.fx_sink.s_found[0].fi_name);
	assert_int_equal(fx.fx_sink.s_found[0].fi_found, 1 << 17);
	fx_done(&fx);
	/* One of another kind has the same bit; ours fills its field. */
	make(3, 112);
	memset(table, 0, sizeof(table));
	table[0] = 1;
	table[1] = 17;
	memcpy(table + 2, "compatible", 10);
	table[49] = 17;
	memset(table + 50, 'n', 46);
	mkqcow2_ext(k, mkqcow2_ext(k, 112, 0x6803f857, table, 96), 0, "", 0);
	assert_int_equal(fx_try(&fx, 0), 0);
	assert_int_equal(fx.fx_sink.s_n, 0);
	put(72, 8, UINT64_C(1) << 17);
	assert_int_equal(fx_open(&fx, 0), EFTYPE);
	fx_only(&fx, IMG_QCOW2_INCOMPATIBLE);
	assert_non_null(fx.fx_sink.s_found[0].fi_name);
	fx_done(&fx);
}

/* An extension at the header's end: that row alone, or none. */
static void
extension(uint32_t type, const char *bytes, uint32_t len, enum img_row row)
{
	make(3, 112);
	mkqcow2_ext(k, mkqcow2_ext(k, 112, type, bytes, len), 0, "", 0);
	assert_int_equal(fx_try(&fx, 0), 0);
	if (row == IMG_ROW_NONE)
		assert_int_equal(fx.fx_sink.s_n, 0);
	else
		fx_only(&fx, row);
	fx_done(&fx);
}

static void
extensions_are_what_their_type_wants(void **state)
{
	(void)state;
	extension(0x99999999, "anything", 8, IMG_ROW_NONE);
	extension(0xe2792aca, "qcow2", 5, IMG_ROW_NONE);
	extension(0xe2792aca, "nonsense", 8, IMG_QCOW2_BACKING_FORMAT);
	extension(0xe2792aca, "sixteen bytes...", 16, IMG_QCOW2_BACKING_FORMAT);
	extension(0x0537be77, "0123456789abcdef", 16, IMG_QCOW2_LUKS_EXT);
	extension(0x44415441, "stale", 5, IMG_ROW_NONE);
	/* Bitmaps mean nothing while their bit is clear. */
	extension(0x23852875, "x", 1, IMG_ROW_NONE);
}

static void
extensions_end_inside_their_area(void **state)
{
	(void)state;
	make(3, 112);
	mem_put32(&fx.fx_mem, 112, 0x99999999);
	mem_put32(&fx.fx_mem, 116, C - 120); /* up to the end: no end marker */
	assert_int_equal(fx_try(&fx, 0), 0);
	fx_only(&fx, IMG_QCOW2_EXT_NO_END);
	mem_put32(&fx.fx_mem, 116, C - 119);
	assert_int_equal(fx_try(&fx, 0), 0);
	fx_only(&fx, IMG_QCOW2_EXT_LENGTH);
	mem_put32(&fx.fx_mem, 116, UINT32_MAX);
	assert_int_equal(fx_try(&fx, 0), 0);
	fx_only(&fx, IMG_QCOW2_EXT_LENGTH);
	assert_int_equal(fx_try(&fx, IMG_RDWR), EROFS);
	fx_done(&fx);
	/* The name of the backing file ends the area too. */
	make(3, 112);
	mem_put64(&fx.fx_mem, 8, 128);
	mem_put32(&fx.fx_mem, 112, 0x99999999);
	mem_put32(&fx.fx_mem, 116, 9);
	assert_int_equal(fx_try(&fx, 0), 0);
	fx_only(&fx, IMG_QCOW2_EXT_LENGTH);
	fx_done(&fx);
}

static void
twins_are_told_apart_by_what_they_say(void **state)
{
	uint64_t off;

	(void)state;
	make(3, 112);
	off = mkqcow2_ext(k, 112, 0xe2792aca, "raw", 3);
	off = mkqcow2_ext(k, off, 0xe2792aca, "raw", 3);
	mkqcow2_ext(k, off, 0, "", 0);
	assert_int_equal(fx_try(&fx, 0), 0);
	fx_only(&fx, IMG_QCOW2_EXT_TWICE);
	off = mkqcow2_ext(k, 112, 0xe2792aca, "raw", 3);
	mkqcow2_ext(k, off, 0xe2792aca, "vpc", 3);
	assert_int_equal(fx_open(&fx, 0), 0);
	fx_only(&fx, IMG_QCOW2_EXT_DIFFER);
	assert_string_equal(qcow2(fx.fx_im)->q_format, "vpc"); /* the last */
	fx_close(&fx);
	fx_done(&fx);
}

/* A name of that length at off, and what is said of it. */
static void
backing(uint64_t off, uint32_t len, enum img_row row, int usable)
{
	struct img_ref ref;
	uint32_t i;

	make(3, 112);
	mkqcow2_ext(k, mkqcow2_ext(k, 112, 0xe2792aca, "raw", 3), 0, "", 0);
	mem_put64(&fx.fx_mem, 8, off);
	mem_put32(&fx.fx_mem, 16, len);
	for (i = 0; i < len && off >= 136 && off + i < C; i++)
		mem_put(&fx.fx_mem, off + i, "n", 1);
	assert_int_equal(fx_open(&fx, 0), 0);
	if (row == IMG_ROW_NONE)
		assert_int_equal(fx.fx_sink.s_n, 0);
	else
		assert_true(mem_has(&fx.fx_sink, row));
	assert_int_equal(img_ref(fx.fx_im, 0, &ref), 0);
	assert_int_equal(ref.rf_kind, IMG_REF_BACKING);
	assert_int_equal(ref.rf_name != NULL, usable);
	if (usable)
		assert_int_equal(strlen(ref.rf_name), len);
	assert_int_equal(img_ref(fx.fx_im, 1, &ref), ENOENT);
	mem_abandon(fx.fx_im, &fx.fx_env);
	fx_done(&fx);
}

static void
names_lie_in_the_first_cluster(void **state)
{
	(void)state;
	backing(136, 1, IMG_ROW_NONE, 1);
	backing(136, 1023, IMG_ROW_NONE, 1);
	backing(C - 1023, 1023, IMG_ROW_NONE, 1);
	backing(136, 1024, IMG_QCOW2_BACKING_PLACE, 0);
	backing(C - 1022, 1023, IMG_QCOW2_BACKING_PLACE, 0);
	backing(C, 1, IMG_QCOW2_BACKING_PLACE, 0);
	backing(UINT64_MAX, 2, IMG_QCOW2_BACKING_PLACE, 0);
	backing(100, 4, IMG_QCOW2_BACKING_OVERLAP, 0); /* and NULs in it */
}

static void
a_name_with_a_nul_is_none(void **state)
{
	struct img_ref ref;

	(void)state;
	k = fx_init(&fx, SIZE, 12);
	k->k_backing = "base.raw";
	mkqcow2_begin(k);
	mkqcow2_end(k);
	assert_int_equal(fx_open(&fx, 0), 0);
	fx_only(&fx, IMG_QCOW2_BACKING_PROBED);
	assert_int_equal(img_ref(fx.fx_im, 0, &ref), 0);
	assert_string_equal(ref.rf_name, "base.raw");
	assert_null(ref.rf_format);
	fx_close(&fx);
	mem_put(&fx.fx_mem, mem_get32(&fx.fx_mem, 12) + 4, "", 1);
	assert_int_equal(fx_open(&fx, 0), 0);
	assert_true(mem_has(&fx.fx_sink, IMG_QCOW2_BACKING_NUL));
	assert_int_equal(img_ref(fx.fx_im, 0, &ref), 0);
	assert_null(ref.rf_name);
	fx_close(&fx);
	fx_done(&fx);
}

static void
the_size_is_whole_sectors_and_the_last_is_not_lost(void **state)
{
	(void)state;
	make(3, 112);
	put(24, 8, SIZE - 511);
	assert_int_equal(fx_open(&fx, 0), 0);
	assert_int_equal(img_size(fx.fx_im), SIZE - 512);
	assert_int_equal(fx.fx_sink.s_found[0].fi_want, SIZE);
	fx_close(&fx);
	/* Writing could write the smaller size back: refused. */
	assert_int_equal(fx_try(&fx, IMG_RDWR), EROFS);
	fx_done(&fx);
}

static void
opening_reads_a_constant_number_of_times(void **state)
{
	(void)state;
	k = fx_init(&fx, UINT64_C(64) << 30, 12); /* 32768 L1 entries */
	k->k_rt_n = 100;
	mkqcow2_begin(k);
	mkqcow2_end(k);
	mem_reset(&fx.fx_mem);
	assert_int_equal(fx_try(&fx, 0), 0);
	assert_true(fx.fx_mem.m_calls[MEM_READ] < 8);
	fx_done(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_number_has_its_limits),
		cmocka_unit_test(version_2_has_no_fields_of_version_3),
		cmocka_unit_test(a_header_is_as_long_as_it_says),
		cmocka_unit_test(unknown_features_are_called_by_their_names),
		cmocka_unit_test(extensions_are_what_their_type_wants),
		cmocka_unit_test(extensions_end_inside_their_area),
		cmocka_unit_test(twins_are_told_apart_by_what_they_say),
		cmocka_unit_test(names_lie_in_the_first_cluster),
		cmocka_unit_test(a_name_with_a_nul_is_none),
		cmocka_unit_test(
		    the_size_is_whole_sectors_and_the_last_is_not_lost),
		cmocka_unit_test(opening_reads_a_constant_number_of_times),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
