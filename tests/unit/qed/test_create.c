/* SPDX-License-Identifier: ISC */

/* New QED images: what is refused, and what fails on the way. */

#include "unit/help/test.h"

#include "qed/disk.h"
#include "tool/tool.h"
#include "unit/help/mkqed.h"

#define K 1024u
#define MIB (1024u * K)

static struct mem_env env;
static struct mem mem;
static struct img_create cr;

static int
make(const char *opts, uint64_t size)
{
	memset(&cr, 0, sizeof(cr));
	cr.cr_size = size;
	cr.cr_opts = opts;
	return (img_create(&env.e_env, &mem.m_file, &img_qed, &cr));
}

static int
setup(void **state)
{
	(void)state;
	mem_env(&env);
	mem_file(&mem, 0);
	return (0);
}

static int
teardown(void **state)
{
	(void)state;
	mem_free(&mem);
	return (mem_env_sound(&env) ? 0 : -1);
}

static void
again(void)
{
	mem_free(&mem);
	mem_file(&mem, 0);
}

/* By the bytes alone, and by the check. */
static void
sound(void)
{
	struct img_checked ch;
	struct mem_sink sink;
	uint64_t leaks;
	struct img *im;

	assert_string_equal(mkqed_judge(&mem, &leaks), "");
	assert_int_equal(leaks, 0);
	memset(&sink, 0, sizeof(sink));
	assert_int_equal(mem_open(&im, &env, &mem, &img_qed, IMG_VERIFY, &sink),
	    0);
	env.e_opening = 1; /* a check may allocate */
	assert_int_equal(img_check(im, IMG_DEEP, 0, &ch), 0);
	env.e_opening = 0;
	assert_true(mem_worst(&sink) == IMG_SEV_NOTE);
	assert_int_equal(ch.ch_allocated, 0);
	assert_int_equal(mem_close(im, &env), 0);
}

static void
the_header_is_as_the_document_has_it(void **state)
{
	static const uint8_t want[64] = { 'Q', 'E', 'D', 0, 0, 0x10, 0, 0, 2, 0,
		0, 0, 1, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0x02,
		0x10, 0, 0, 0, 0, 0, 64, 0, 0, 0, 4, 0, 0, 0 };
	uint8_t got[68];

	(void)state;
	assert_int_equal(make("cluster_size=4k,table_size=2,backing_file=base,"
			      "backing_fmt=raw",
			     MIB + 1),
	    0);
	mem_get(&mem, 0, got, sizeof(got));
	assert_memory_equal(got, want, sizeof(want));
	assert_memory_equal(got + 64, "base", 4);
	assert_true(mem_is(&mem, 68, 3 * 4 * K - 68, 0));
	assert_int_equal(mem.m_len, 3 * 4 * K);
	sound();
}

static void
every_geometry_is_sound(void **state)
{
	char opts[64];
	unsigned bits, table;

	(void)state;
	for (bits = 12; bits <= 20; bits += 2)
		for (table = 1; table <= 16; table *= 4) {
			mem_free(&mem);
			mem_file(&mem, 0);
			mem_large(&mem);
			snprintf(opts, sizeof(opts),
			    "cluster_size=%u,table_size=%u", 1u << bits, table);
			assert_int_equal(make(opts, MIB), 0);
			assert_int_equal(mem.m_len,
			    (uint64_t)(1 + table) << bits);
			sound();
		}
}

/* An L1 table of a gigabyte is a hole. */
static void
the_l1_table_is_not_written(void **state)
{
	(void)state;
	mem_large(&mem);
	assert_int_equal(make("cluster_size=64M,table_size=16", MIB), 0);
	assert_int_equal(mem.m_len, UINT64_C(17) << 26);
	assert_true(mem.m_wbytes <= 4 * K);
}

static void
only_raw_is_recorded_of_a_format(void **state)
{
	static const char *const formats[] = { "raw", "qcow2", "vhd", "vpc",
		"qed" };
	char opts[64];
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH_OF(formats); i++) {
		again();
		snprintf(opts, sizeof(opts), "backing_file=b,backing_fmt=%s",
		    formats[i]);
		assert_int_equal(make(opts, MIB), 0);
		assert_int_equal(mkqed_get(&mem, QED_H_FEATURES, 8),
		    i == 0 ? 5 : 1);
	}
}

static void
a_file_must_be_empty(void **state)
{
	(void)state;
	mem_set_len(&mem, 1);
	assert_int_equal(make(NULL, MIB), EINVAL);
	assert_string_equal(cr.cr_error, "file is not empty");
	assert_int_equal(mem.m_calls[MEM_WRITE], 0);
	assert_int_equal(mem.m_len, 1);
}

static void
a_device_is_refused_and_left_alone(void **state)
{
	(void)state;
	mem_free(&mem);
	mem_device(&mem, 16 * MIB);
	assert_int_equal(make(NULL, MIB), ENOTSUP);
	assert_string_equal(cr.cr_error, "a QED cannot be on a device");
	assert_int_equal(mem.m_calls[MEM_WRITE], 0);
	assert_int_equal(mem.m_calls[MEM_RESIZE], 0);
	/* Nor is what has a length, but new space of old bytes. */
	again();
	mem.m_file.f_flags = 0;
	assert_int_equal(make(NULL, MIB), ENOTSUP);
}

static void
a_mistake_is_told_and_nothing_written(void **state)
{
	static const char *const bad[] = { "cluster_size=2k",
		"cluster_size=128M", "cluster_size=5000", "table_size=0",
		"table_size=3", "table_size=32", "backing_file=b",
		"backing_fmt=raw", "backing_file=b,backing_fmt=vmdk",
		"backing_file=b,backing_fmt=a-format-of-a-long-name",
		"backing_file=a\nb,backing_fmt=raw",
		"backing_file=a\177b,backing_fmt=raw", "compat=1.1" };
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH_OF(bad); i++) {
		assert_int_equal(make(bad[i], MIB), EINVAL);
		assert_true(cr.cr_error[0] != '\0');
		assert_int_equal(mem.m_calls[MEM_WRITE], 0);
		assert_int_equal(mem.m_len, 0);
	}
}

static void
sizes_end_where_the_tables_do(void **state)
{
	(void)state;
	assert_int_equal(make("cluster_size=4k,table_size=1", 1u << 30), 0);
	sound();
	again();
	assert_int_equal(make("cluster_size=4k,table_size=1", (1u << 30) + 1),
	    EFBIG);
	assert_true(cr.cr_error[0] != '\0');
	/* Where tables end nowhere, offsets do. */
	assert_int_equal(make("cluster_size=4M", UINT64_MAX), EFBIG);
	assert_int_equal(make("cluster_size=4M", INT64_MAX), EFBIG);
	mem_large(&mem);
	assert_int_equal(make("cluster_size=4M",
			     (uint64_t)INT64_MAX - IMG_SECTOR + 1),
	    0);
	sound();
}

static void
what_fails_is_told(void **state)
{
	static const enum mem_op ops[] = { MEM_WRITE, MEM_LENGTH, MEM_RESIZE };
	unsigned i;

	(void)state;
	for (i = 0; i < LENGTH_OF(ops); i++) {
		again();
		mem.m_fail[ops[i]] = 1;
		mem.m_error = EDOM;
		assert_int_equal(make(NULL, MIB), EDOM);
	}
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_header_is_as_the_document_has_it),
		TEST(every_geometry_is_sound),
		TEST(the_l1_table_is_not_written),
		TEST(only_raw_is_recorded_of_a_format),
		TEST(a_file_must_be_empty),
		TEST(a_device_is_refused_and_left_alone),
		TEST(a_mistake_is_told_and_nothing_written),
		TEST(sizes_end_where_the_tables_do),
		TEST(what_fails_is_told),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
