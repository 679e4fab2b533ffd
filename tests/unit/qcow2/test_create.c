/* SPDX-License-Identifier: ISC */

/* New qcow2 images: their tables, their order, and what ends the making. */

#include "unit/help/test.h"

#include "qcow2/disk.h"
#include "tool/tool.h"

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
	return (img_create(&env.e_env, &mem.m_file, &img_qcow2, &cr));
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

/* The check has nothing to say, and all of the disk reads as zeros. */
static void
sound(uint64_t size)
{
	static uint8_t buf[64 * K];
	struct img_checked ch;
	struct mem_sink sink;
	struct img *im;
	uint64_t off;
	uint32_t n;

	memset(&sink, 0, sizeof(sink));
	assert_int_equal(mem_open(&im, &env, &mem, &img_qcow2, IMG_VERIFY,
			     &sink),
	    0);
	assert_int_equal(img_size(im), size);
	env.e_opening = 1; /* a check may allocate */
	assert_int_equal(img_check(im, IMG_DEEP, 0, &ch), 0);
	env.e_opening = 0;
	assert_int_equal(sink.s_n, 0);
	for (off = 0; off < size; off += n) {
		n = (uint32_t)img_min(sizeof(buf), size - off);
		assert_int_equal(img_read(im, buf, n, off), 0);
		assert_true(img_is_zero(buf, n));
	}
	assert_int_equal(mem_close(im, &env), 0);
}

static void
every_cluster_is_counted_once(void **state)
{
	static const uint32_t clusters[] = { 512, 4 * K, 64 * K };
	char opts[128];
	unsigned i, order, all;

	(void)state;
	for (i = 0; i < LENGTH_OF(clusters); i++)
		for (order = 0; order <= 6; order++)
			for (all = 0; all < 2; all++) {
				snprintf(opts, sizeof(opts),
				    "cluster_size=%u,refcount_bits=%u,"
				    "preallocation=%s",
				    clusters[i], 1u << order,
				    all ? "metadata" : "off");
				again();
				assert_int_equal(make(opts, 3 * MIB + 512), 0);
				sound(3 * MIB + 512);
			}
}

/* 64 counts in a block, 64 blocks in a cluster of the table. */
static void
a_table_of_many_clusters_counts_itself(void **state)
{
	(void)state;
	assert_int_equal(make("cluster_size=512,refcount_bits=64,"
			      "preallocation=metadata",
			     20 * MIB),
	    0);
	assert_true(mem_get32(&mem, QCOW2_H_RT_CLUSTERS) >= 10);
	sound(20 * MIB);
}

static void
sizes_are_whole_sectors(void **state)
{
	static const uint64_t sizes[] = { 0, 1, 512, 513, 65536, 65537 };
	unsigned i;

	(void)state;
	for (i = 0; i < LENGTH_OF(sizes); i++) {
		again();
		assert_int_equal(make(NULL, sizes[i]), 0);
		sound((sizes[i] + 511) / 512 * 512);
	}
	again();
	assert_int_equal(make("cluster_size=2M", INT64_MAX), EFBIG);
	assert_int_equal(make("cluster_size=2M", UINT64_MAX), EFBIG);
	assert_int_equal(mem.m_calls[MEM_WRITE], 0);
}

static void
the_header_comes_last(void **state)
{
	struct mem_log log = { NULL, 0, 0 };
	const struct mem_logged *l;
	size_t i;

	(void)state;
	mem.m_log = &log;
	assert_int_equal(make("preallocation=full,cluster_size=4k", 100 * K),
	    0);
	for (i = 0; i < log.lg_n; i++) {
		l = &log.lg_op[i];
		if (l->l_op == MEM_WRITE)
			assert_int_equal(l->l_off == 0, i + 1 == log.lg_n);
	}
	mem_log_free(&log);
}

/* Over an image on a device; the writes it took. */
static uint64_t
make_over(uint64_t fail, int *error)
{
	mem_free(&mem);
	mem_device(&mem, 8 * MIB);
	assert_int_equal(make(NULL, MIB), 0);
	mem_reset(&mem);
	mem.m_fail[MEM_WRITE] = fail;
	mem.m_half = 1;
	*error = make("preallocation=metadata,cluster_size=16k", MIB);
	return (mem.m_calls[MEM_WRITE]);
}

/* The last write is of one sector, which is written or not. */
static void
what_was_interrupted_is_no_image(void **state)
{
	const struct img_format *fmt;
	uint64_t n, all;
	int error;

	(void)state;
	all = make_over(0, &error);
	assert_int_equal(error, 0);
	assert_true(all > 5);
	for (n = 1; n <= all; n++) {
		(void)make_over(n, &error);
		assert_int_equal(error, EIO);
		mem_reset(&mem);
		if (n == all)
			mem_put(&mem, 0, "\0\0\0", 4);
		assert_int_equal(img_probe(&env.e_env, &mem.m_file, &fmt), 0);
		assert_string_equal(img_format_name(fmt), "raw");
	}
}

static void
on_a_device_nothing_shows_of_what_was_there(void **state)
{
	static const char *const opts[] = { "preallocation=off",
		"preallocation=metadata", "preallocation=falloc",
		"preallocation=full", "preallocation=metadata,extended_l2=on",
		"cluster_size=512", "preallocation=metadata,refcount_bits=1" };
	unsigned i;

	(void)state;
	for (i = 0; i < LENGTH_OF(opts); i++) {
		mem_free(&mem);
		mem_device(&mem, 4 * MIB);
		assert_int_equal(make(opts[i], 2 * MIB), 0);
		sound(2 * MIB);
	}
}

/* Header, table, block, L1 and L2 table, 16 clusters of data. */
static void
a_device_must_have_room(void **state)
{
	(void)state;
	mem_free(&mem);
	mem_device(&mem, 21 * 64 * K);
	assert_int_equal(make("preallocation=metadata", MIB), 0);
	sound(MIB);
	mem_free(&mem);
	mem_device(&mem, 21 * 64 * K - 512);
	assert_int_equal(make("preallocation=metadata", MIB), ENOSPC);
	assert_true(cr.cr_error[0] != '\0');
	assert_int_equal(mem.m_calls[MEM_WRITE], 0);
}

static void
a_file_must_be_empty(void **state)
{
	(void)state;
	mem_set_len(&mem, 1);
	assert_int_equal(make(NULL, MIB), EINVAL);
	assert_true(cr.cr_error[0] != '\0');
	assert_int_equal(mem.m_calls[MEM_WRITE], 0);
}

/* 112 of header, 16 say that it is raw, 8 end the extensions. */
static void
names_may_fill_the_first_cluster(void **state)
{
	char opts[1024] = "cluster_size=512,backing_fmt=raw,backing_file=";
	size_t n = strlen(opts);

	(void)state;
	memset(opts + n, 'n', 512 - 136);
	opts[n + 512 - 136] = '\0';
	assert_int_equal(make(opts, MIB), 0);
	assert_true(mem_is(&mem, 136, 512 - 136, 'n'));
	assert_int_equal(mem_get32(&mem, QCOW2_H_BACKING_LEN), 512 - 136);
	again();
	memcpy(opts + n + 512 - 136, "n", 2);
	assert_int_equal(make(opts, MIB), EINVAL);
	assert_true(cr.cr_error[0] != '\0');
	assert_int_equal(mem.m_calls[MEM_WRITE], 0);
	assert_int_equal(mem.m_len, 0);
}

static void
zstd_is_refused_where_it_cannot_be_used(void **state)
{
	(void)state;
	assert_int_equal(make("compression_type=zstd", MIB), ENOTSUP);
	env.e_env.ev_can = IMG_CAN_ZSTD;
	assert_int_equal(make("compression_type=zstd", MIB), 0);
}

static uint64_t reserved;

static int
reserve(struct img_file *f, uint64_t off, uint64_t len)
{
	(void)f;
	assert_int_equal(off, 0);
	reserved = len;
	return (0);
}

static int
cannot(struct img_file *f, uint64_t off, uint64_t len)
{
	(void)f;
	(void)off;
	(void)len;
	return (ENOTSUP);
}

static void
space_is_reserved_for_the_whole_file(void **state)
{
	(void)state;
	mem.m_ops.fo_reserve = reserve;
	assert_int_equal(make("preallocation=falloc", MIB), 0);
	assert_int_equal(reserved, 21 * 64 * K);
	sound(MIB);
	again();
	mem.m_ops.fo_reserve = cannot;
	assert_int_equal(make("preallocation=falloc", MIB), ENOTSUP);
	assert_true(cr.cr_error[0] != '\0');
	again();
	mem.m_ops.fo_reserve = NULL;
	assert_int_equal(make("preallocation=falloc", MIB), ENOTSUP);
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
	again();
	env.e_fail = env.e_allocs + 1;
	assert_int_equal(make(NULL, MIB), ENOMEM);
	env.e_fail = 0;
}

static void
it_ends_when_it_is_told_to(void **state)
{
	(void)state;
	env.e_poll_end = env.e_polls + 3;
	assert_int_equal(make("preallocation=full", 100 * MIB), EINTR);
	assert_true(mem.m_calls[MEM_WRITE] <= 3);
}

/* A cluster of the table is good for 16 TiB of the file. */
static void
the_refcount_table_for_vmd_covers_the_disk_twice(void **state)
{
	static const struct {
		uint64_t size;
		uint32_t clusters;
	} want[] = { { MIB, 1 }, { UINT64_C(7) << 40, 1 },
		{ UINT64_C(9) << 40, 2 }, { UINT64_C(20) << 40, 3 } };
	unsigned i;

	(void)state;
	for (i = 0; i < LENGTH_OF(want); i++) {
		again();
		assert_int_equal(make("profile=vmd", want[i].size), 0);
		assert_int_equal(mem_get32(&mem, QCOW2_H_RT_CLUSTERS),
		    want[i].clusters);
		assert_int_equal(mem_get32(&mem, QCOW2_H_LENGTH), 104);
		assert_int_equal(mem.m_len % (64 * K), 0);
	}
}

static void
for_vmd_the_backing_file_is_a_qcow2(void **state)
{
	(void)state;
	assert_int_equal(make("profile=vmd,backing_file=b", MIB), 0);
	assert_true(mem_is(&mem, 128, 1, 'b'));
	again();
	assert_int_equal(make("profile=vmd,backing_file=b,backing_fmt=qcow2",
			     MIB),
	    0);
	again();
	assert_int_equal(make("profile=vmd,backing_file=b,backing_fmt=raw",
			     MIB),
	    EINVAL);
}

/* What is before a colon would be a protocol to qemu. */
static void
a_name_with_a_colon_is_made_a_path(void **state)
{
	static const struct {
		const char *opts;
		const char *name;
	} want[] = { { "a:b", "./a:b" }, { ":", "./:" }, { "a/b:c", "a/b:c" },
		{ "/a:b", "/a:b" }, { "./a:b", "./a:b" } };
	char opts[64], name[16];
	unsigned i;

	(void)state;
	for (i = 0; i < LENGTH_OF(want); i++) {
		again();
		snprintf(opts, sizeof(opts), "%s,backing_file=%s",
		    "cluster_size=4k,backing_fmt=raw", want[i].opts);
		assert_int_equal(make(opts, MIB), 0);
		memset(name, 0, sizeof(name));
		mem_get(&mem, 136, name, mem_get32(&mem, QCOW2_H_BACKING_LEN));
		assert_string_equal(name, want[i].name);
	}
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_cluster_is_counted_once),
		TEST(a_table_of_many_clusters_counts_itself),
		TEST(sizes_are_whole_sectors),
		TEST(the_header_comes_last),
		TEST(what_was_interrupted_is_no_image),
		TEST(on_a_device_nothing_shows_of_what_was_there),
		TEST(a_device_must_have_room),
		TEST(a_file_must_be_empty),
		TEST(names_may_fill_the_first_cluster),
		TEST(zstd_is_refused_where_it_cannot_be_used),
		TEST(space_is_reserved_for_the_whole_file),
		TEST(what_fails_is_told),
		TEST(it_ends_when_it_is_told_to),
		TEST(the_refcount_table_for_vmd_covers_the_disk_twice),
		TEST(for_vmd_the_backing_file_is_a_qcow2),
		TEST(a_name_with_a_colon_is_made_a_path),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
