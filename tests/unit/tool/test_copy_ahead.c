/* SPDX-License-Identifier: ISC */

/* Copying out of an image that is compressed. */

#include "unit/tool/packing.h"

static unsigned most; /* jobs at once */

static void
count_jobs(void *arg, unsigned n, void (*job)(void *, unsigned), void *jobarg)
{
	if (n > most)
		most = n;
	img_host_env()->ev_parallel(arg, n, job, jobarg);
}

/* Out of the packed image into an empty disk of that drawing. */
static int
copy_out(struct disk *to)
{
	memset(&how, 0, sizeof(how));
	how.cp_sparse = U;
	return (img_copy(&env.e_env, dst, to->d_img, &how));
}

static struct disk *
empty(const struct disk *like)
{
	memset(drawing, 'h', sizeof(drawing) - 1);
	drawing[(like->d_size + U - 1) / U] = '\0';
	return (disk_draw_as(drawing, U,
	    (uint32_t)(strlen(drawing) * U - like->d_size), IMG_ALLOW_WRITE));
}

static void
threads_do_not_change_what_is_read(void **state)
{
	struct disk *src = mixed(), *to;
	char want[4 * BATCH + 1];
	unsigned threads;

	(void)state;
	make(src->d_size);
	assert_int_equal(copy(src, U, 0), 0);
	want[0] = '\0';
	for (threads = 0; threads < 5; threads++) {
		to = empty(src);
		if (threads > 0)
			env.e_env.ev_parallel = count_jobs;
		host_set_threads(threads);
		assert_int_equal(copy_out(to), 0);
		assert_memory_equal(to->d_bytes, src->d_bytes, src->d_size);
		if (want[0] == '\0')
			strcpy(want, to->d_map);
		assert_string_equal(to->d_map, want);
		disk_free(to);
	}
	assert_true(most > 16);
	host_set_threads(0);
	disk_free(src);
	done();
}

static void
a_stream_that_is_broken_is_told_by_its_place(void **state)
{
	struct disk *src = disk_draw("ddhddddd"), *to = empty(src);
	struct img_extent e;

	(void)state;
	make(src->d_size);
	assert_int_equal(copy(src, U, 0), 0);
	assert_int_equal(img_map(dst, 5 * U, U, &e), 0);
	mem_put(&mem, e.e_off, "\377\377\377\377\377\377", 6);
	env.e_env.ev_parallel = count_jobs;
	assert_int_equal(copy_out(to), EIO);
	assert_int_equal(how.cp_bad_voff, 5 * U);
	assert_int_equal(how.cp_dst, 0);
	assert_memory_equal(to->d_bytes, src->d_bytes, 5 * U);
	disk_free(to);
	disk_free(src);
	done();
}

static void
a_stream_that_cannot_be_read_is_told_by_its_place(void **state)
{
	struct disk *src = disk_draw("dddddddd"), *to = empty(src);
	uint64_t n;

	(void)state;
	make(src->d_size);
	assert_int_equal(copy(src, U, 0), 0);
	env.e_env.ev_parallel = count_jobs;
	for (n = 1; n <= 8; n++) {
		mem_reset(&mem);
		mem.m_fail[MEM_READ] = n;
		mem.m_forever = 1;
		assert_int_equal(copy_out(to), EIO);
		assert_int_equal(how.cp_bad_voff, (n - 1) * U);
		assert_int_equal(how.cp_dst, 0);
	}
	mem_reset(&mem);
	disk_free(to);
	disk_free(src);
	done();
}

static void
without_memory_it_goes_on_without_looking_ahead(void **state)
{
	struct disk *src = disk_draw("dddddddd"), *to;
	unsigned n;

	(void)state;
	make(src->d_size);
	assert_int_equal(copy(src, U, 0), 0);
	env.e_env.ev_parallel = count_jobs;
	for (n = 1; n <= 4; n++) {
		to = empty(src);
		env.e_fail = env.e_allocs + n;
		assert_int_equal(copy_out(to), n == 1 ? ENOMEM : 0);
		if (n > 1)
			assert_memory_equal(to->d_bytes, src->d_bytes,
			    src->d_size);
		disk_free(to);
	}
	disk_free(src);
	done();
}

/* Pieces of one unit show between what the image has itself. */
static void
units_of_a_backing_image_may_show_in_part(void **state)
{
	struct disk *src = disk_draw("dddddddddddddddd"), *to = empty(src);
	struct img_create cr = { .cr_size = src->d_size,
		.cr_opts = "cluster_size=512,backing_file=b,backing_fmt=raw" };
	struct mem_env top_env;
	struct mem top;
	struct img *base, *im;
	unsigned i;

	(void)state;
	make_with(src->d_size, "cluster_size=16k");
	assert_int_equal(copy(src, U, 0), 0);
	base = dst;
	mem_env(&top_env);
	mem_file(&top, 0);
	assert_int_equal(img_create(&top_env.e_env, &top.m_file, &img_qcow2,
			     &cr),
	    0);
	assert_int_equal(mem_open(&im, &top_env, &top, &img_qcow2, IMG_RDWR,
			     NULL),
	    0);
	assert_int_equal(img_lend(im, base), 0);
	for (i = 1; i < 16; i += 3) {
		src->d_bytes[i * 3000] ^= 0x55;
		assert_int_equal(img_write(im,
				     src->d_bytes + i * 3000 / 512 * 512, 512,
				     i * 3000 / 512 * 512),
		    0);
	}
	env.e_env.ev_parallel = count_jobs;
	dst = im;
	assert_int_equal(copy_out(to), 0);
	assert_memory_equal(to->d_bytes, src->d_bytes, src->d_size);
	assert_int_equal(mem_close(im, &top_env), 0);
	mem_free(&top);
	dst = base;
	disk_free(to);
	disk_free(src);
	done();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_do_not_change_what_is_read),
		cmocka_unit_test(a_stream_that_is_broken_is_told_by_its_place),
		cmocka_unit_test(
		    a_stream_that_cannot_be_read_is_told_by_its_place),
		cmocka_unit_test(
		    without_memory_it_goes_on_without_looking_ahead),
		cmocka_unit_test(units_of_a_backing_image_may_show_in_part),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
