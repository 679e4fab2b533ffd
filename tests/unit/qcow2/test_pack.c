/* SPDX-License-Identifier: ISC */

/* Where compressed clusters go, and what they share. */

#include "unit/help/test.h"

#include "qcow2/tool.h"

#define CLUSTER 4096u
#define NCLUSTERS 32u

static struct mem_env env;
static struct mem mem, data;
static struct img *im;
static uint8_t shown[NCLUSTERS][CLUSTER]; /* what the guest should see */

/*
 * Not a compression, but as long as the test wants: a length, a seed, and
 * filling that nothing looks at.
 */
static int
fake_unpack(void *arg, enum img_algo algo, const void *src, uint32_t slen,
    void *dst, uint32_t dlen)
{
	(void)arg;
	assert_int_equal(algo, IMG_DEFLATE);
	assert_true(slen >= 2);
	mem_pattern(dst, dlen, ((const uint8_t *)src)[0],
	    ((const uint8_t *)src)[1]);
	return (0);
}

static void
make(const char *opts)
{
	struct img_create cr = { 0 };
	char all[128];

	mem_env(&env);
	env.e_env.ev_unpack = fake_unpack;
	mem_file(&mem, 0);
	mem_file(&data, NCLUSTERS * CLUSTER);
	memset(shown, 0, sizeof(shown));
	snprintf(all, sizeof(all), "cluster_size=4k%s%s", *opts ? "," : "",
	    opts);
	cr.cr_size = NCLUSTERS * CLUSTER;
	cr.cr_opts = all;
	assert_int_equal(img_create(&env.e_env, &mem.m_file, &img_qcow2, &cr),
	    0);
	assert_int_equal(mem_open(&im, &env, &mem, &img_qcow2, IMG_RDWR, NULL),
	    0);
}

/* All is as it should be, on disk too. */
static void
done(void)
{
	static uint8_t buf[CLUSTER];
	struct img_checked ch;
	struct mem_sink sink;
	unsigned i;

	assert_int_equal(mem_close(im, &env), 0);
	memset(&sink, 0, sizeof(sink));
	assert_int_equal(mem_open(&im, &env, &mem, &img_qcow2, IMG_VERIFY,
			     &sink),
	    0);
	env.e_opening = 1;
	assert_int_equal(img_check(im, 0, 0, &ch), 0);
	env.e_opening = 0;
	assert_int_equal(sink.s_n, 0);
	for (i = 0; i < NCLUSTERS; i++) {
		assert_int_equal(img_read(im, buf, CLUSTER, i * CLUSTER), 0);
		assert_memory_equal(buf, shown[i], CLUSTER);
	}
	assert_int_equal(mem_close(im, &env), 0);
	assert_true(mem_env_sound(&env));
	mem_free(&mem);
	mem_free(&data);
}

static int
place(unsigned i, uint32_t len, uint8_t version)
{
	uint8_t packed[CLUSTER] = { (uint8_t)i, version };
	int error;

	assert_int_equal(img_zero(im, i * CLUSTER, 0), 0);
	error = qcow2_place_packed(im, i * CLUSTER, packed, len);
	if (error == 0)
		mem_pattern(shown[i], CLUSTER, i, version);
	return (error);
}

static void
put(unsigned i, uint8_t version)
{
	mem_pattern(shown[i], CLUSTER, i, version);
	assert_int_equal(img_write(im, shown[i], CLUSTER, i * CLUSTER), 0);
}

/* Where the stream of cluster i starts. */
static uint64_t
at(unsigned i)
{
	struct img_extent e;

	assert_int_equal(img_map(im, i * CLUSTER, CLUSTER, &e), 0);
	assert_int_equal(e.e_type, IMG_PACKED);
	return (e.e_off);
}

/* The refcount of the host cluster that byte off lies in. */
static unsigned
count(uint64_t off)
{
	uint64_t n;

	assert_int_equal(qcow2_count(im, off / CLUSTER, &n), 0);
	return ((unsigned)n);
}

static void
streams_follow_one_another(void **state)
{
	uint64_t off;

	(void)state;
	make("");
	assert_int_equal(place(5, 100, 1), 0);
	assert_int_equal(place(6, 1000, 1), 0);
	assert_int_equal(place(9, 3500, 1), 0);
	assert_int_equal(place(10, 7, 1), 0);
	off = at(5);
	assert_int_equal(off % CLUSTER, 0);
	assert_int_equal(at(6), off + 100);
	assert_int_equal(at(9), off + 1100);
	assert_int_equal(at(10), off + 4600);
	assert_int_equal(count(off), 3);
	assert_int_equal(count(off + CLUSTER), 2);
	done();
}

static void
a_stream_may_fill_a_cluster_to_its_end(void **state)
{
	uint64_t off;

	(void)state;
	make("");
	assert_int_equal(place(0, 4000, 1), 0);
	assert_int_equal(place(1, 96, 1), 0);
	assert_int_equal(place(2, 4095, 1), 0);
	off = at(0);
	assert_int_equal(at(1), off + 4000);
	assert_int_equal(at(2), off + 4096);
	assert_int_equal(count(off), 2);
	assert_int_equal(count(off + CLUSTER), 1);
	done();
}

static void
a_stream_does_not_go_on_where_others_are(void **state)
{
	uint64_t off;

	(void)state;
	make("");
	assert_int_equal(place(0, 3000, 1), 0);
	put(1, 1);
	assert_int_equal(place(2, 3000, 1), 0);
	off = at(2);
	assert_int_equal(off % CLUSTER, 0);
	assert_true(off != at(0) + CLUSTER);
	assert_int_equal(count(at(0)), 1);
	assert_int_equal(count(off), 1);
	/* But a short one finds its place behind it. */
	assert_int_equal(place(3, 1000, 1), 0);
	assert_int_equal(at(3), off + 3000);
	done();
}

static void
a_cluster_is_shared_as_far_as_its_count_reaches(void **state)
{
	unsigned i;

	(void)state;
	make("refcount_bits=2");
	for (i = 0; i < 7; i++)
		assert_int_equal(place(i, 10, 1), 0);
	assert_int_equal(at(2), at(0) + 20);
	assert_int_equal(at(3) % CLUSTER, 0);
	assert_int_equal(at(5), at(3) + 20);
	assert_int_equal(at(6) % CLUSTER, 0);
	assert_int_equal(count(at(0)), 3);
	done();
	make("refcount_bits=1");
	for (i = 0; i < 3; i++) {
		assert_int_equal(place(i, 10, 1), 0);
		assert_int_equal(at(i) % CLUSTER, 0);
	}
	done();
}

static void
what_is_there_stays(void **state)
{
	(void)state;
	make("");
	put(0, 1);
	assert_int_equal(place(1, 50, 1), 0);
	assert_int_equal(place(0, 50, 2), EEXIST);
	assert_int_equal(place(1, 50, 2), EEXIST);
	done();
}

static void
zeros_give_way(void **state)
{
	struct img_extent e;

	(void)state;
	make("");
	put(0, 1);
	assert_int_equal(img_zero(im, 0, CLUSTER), 0);
	assert_int_equal(img_map(im, 0, CLUSTER, &e), 0);
	assert_int_equal(e.e_type, IMG_ZERO);
	assert_int_equal(place(0, 50, 2), 0);
	done();
}

/* The cluster of a stream that went is that of data then. */
static void
nothing_follows_a_stream_that_is_gone(void **state)
{
	struct img_extent e;
	uint64_t off;

	(void)state;
	make("");
	assert_int_equal(place(0, 100, 1), 0);
	off = at(0);
	put(0, 2);
	assert_int_equal(img_flush(im), 0);
	put(1, 1);
	assert_int_equal(img_map(im, CLUSTER, CLUSTER, &e), 0);
	assert_int_equal(e.e_off, off);
	assert_int_equal(place(2, 100, 1), 0);
	assert_true(at(2) / CLUSTER != off / CLUSTER);
	done();
}

/* One of two goes; what shares the cluster with it can still be read. */
static void
a_stream_outlives_its_neighbour(void **state)
{
	(void)state;
	make("");
	assert_int_equal(place(0, 100, 1), 0);
	assert_int_equal(place(1, 100, 1), 0);
	put(0, 2);
	assert_int_equal(img_flush(im), 0);
	assert_int_equal(count(at(1)), 1);
	assert_int_equal(place(2, 100, 1), 0);
	assert_int_equal(at(2), at(1) + 100);
	done();
}

static void
a_stream_that_took_the_place_of_another_is_read_anew(void **state)
{
	static uint8_t buf[CLUSTER];
	uint64_t off;

	(void)state;
	make("");
	assert_int_equal(place(0, 100, 1), 0);
	off = at(0);
	assert_int_equal(img_read(im, buf, CLUSTER, 0), 0);
	assert_int_equal(img_zero(im, 0, CLUSTER), 0);
	memset(shown[0], 0, CLUSTER);
	assert_int_equal(img_flush(im), 0);
	assert_int_equal(place(1, 100, 3), 0);
	assert_int_equal(at(1), off);
	assert_int_equal(img_read(im, buf, CLUSTER, CLUSTER), 0);
	assert_memory_equal(buf, shown[1], CLUSTER);
	done();
}

static void
extended_entries_have_no_bits_for_it(void **state)
{
	(void)state;
	make("cluster_size=16k,extended_l2=on");
	assert_int_equal(qcow2_place_packed(im, 16384, "\1\2", 2), 0);
	mem_pattern(shown[4], 4 * CLUSTER, 1, 2);
	done();
}

static void
impossible_requests_are_refused(void **state)
{
	(void)state;
	make("");
	assert_int_equal(qcow2_place_packed(im, 512, "ab", 2), EINVAL);
	assert_int_equal(qcow2_place_packed(im, 0, "ab", 0), EINVAL);
	assert_int_equal(qcow2_place_packed(im, 0, shown, CLUSTER), EINVAL);
	done();
}

static void
a_data_file_has_no_streams(void **state)
{
	uint32_t n;

	(void)state;
	make("data_file=d");
	assert_int_equal(img_lend_data(im, &data.m_file), 0);
	assert_int_equal(qcow2_place_packed(im, 0, "ab", 2), ENOTSUP);
	assert_int_equal(qcow2_pack(im, shown, shown[1], &n), ENOTSUP);
	assert_int_equal(mem_close(im, &env), 0);
	mem_free(&mem);
	mem_free(&data);
}

/* Each write in turn: what was there before stays, and nothing is wrong. */
static void
a_write_that_fails_leaves_all_as_it_was(void **state)
{
	unsigned n;
	int error;

	(void)state;
	for (n = 1;; n++) {
		make("");
		assert_int_equal(place(0, 3000, 1), 0);
		mem_reset(&mem);
		mem.m_fail[MEM_WRITE] = n;
		error = place(1, 3000, 1);
		mem_reset(&mem);
		if (error == 0)
			break;
		assert_int_equal(error, EIO);
		if (place(2, 50, 1) != 0)
			fail_msg("latched by the failure of write %u", n);
		done();
	}
	assert_int_equal(n, 2);
	done();
}

static int
fake_pack(void *arg, enum img_algo algo, const void *src, uint32_t slen,
    void *dst, uint32_t *dlen)
{
	(void)arg;
	(void)dst;
	assert_int_equal(algo, IMG_DEFLATE);
	assert_ptr_equal(src, shown);
	assert_int_equal(slen, CLUSTER);
	assert_int_equal(*dlen, CLUSTER - 1);
	*dlen = 77;
	return (0);
}

static void
a_cluster_is_packed_to_less_than_a_cluster(void **state)
{
	static uint8_t packed[CLUSTER];
	uint32_t n;

	(void)state;
	make("");
	assert_int_equal(qcow2_pack(im, shown, packed, &n), ENOTSUP);
	assert_int_equal(mem_close(im, &env), 0);
	env.e_env.ev_pack = fake_pack;
	assert_int_equal(mem_open(&im, &env, &mem, &img_qcow2, IMG_RDWR, NULL),
	    0);
	assert_int_equal(qcow2_pack(im, shown, packed, &n), 0);
	assert_int_equal(n, 77);
	done();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams_follow_one_another),
		cmocka_unit_test(a_stream_may_fill_a_cluster_to_its_end),
		cmocka_unit_test(a_stream_does_not_go_on_where_others_are),
		cmocka_unit_test(
		    a_cluster_is_shared_as_far_as_its_count_reaches),
		cmocka_unit_test(what_is_there_stays),
		cmocka_unit_test(zeros_give_way),
		cmocka_unit_test(nothing_follows_a_stream_that_is_gone),
		cmocka_unit_test(a_stream_outlives_its_neighbour),
		cmocka_unit_test(
		    a_stream_that_took_the_place_of_another_is_read_anew),
		cmocka_unit_test(extended_entries_have_no_bits_for_it),
		cmocka_unit_test(impossible_requests_are_refused),
		cmocka_unit_test(a_data_file_has_no_streams),
		cmocka_unit_test(a_write_that_fails_leaves_all_as_it_was),
		cmocka_unit_test(a_cluster_is_packed_to_less_than_a_cluster),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
