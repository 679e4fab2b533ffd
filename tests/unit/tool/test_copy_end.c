/* SPDX-License-Identifier: ISC */

/* What ends a copy into an image that compresses, and whose fault that is. */

#include "unit/tool/packing.h"

static void
the_place_of_a_bad_entry_is_told(void **state)
{
	static const unsigned at[] = { 0, 1, 5, BATCH - 1, BATCH, 2 * BATCH,
		3 * BATCH + 7 };
	struct disk *src;
	unsigned i;

	(void)state;
	for (i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		memset(drawing, 'd', sizeof(drawing) - 1);
		drawing[at[i]] = 'b';
		src = disk_draw(drawing);
		make(src->d_size);
		assert_int_equal(copy(src, U, 0), EIO);
		assert_int_equal(how.cp_bad_voff, (uint64_t)at[i] * U);
		assert_int_equal(how.cp_bad_row, IMG_VHD_BAT_RANGE);
		assert_int_equal(how.cp_dst, 0);
		disk_free(src);
		done();
	}
}

static void
the_place_of_a_failing_read_is_told(void **state)
{
	struct disk *src = disk_draw("hhdd");

	(void)state;
	src->d_unread = EDOM;
	make(src->d_size);
	assert_int_equal(copy(src, U, 0), EDOM);
	assert_int_equal(how.cp_bad_voff, 2 * U);
	assert_int_equal(how.cp_bad_row, IMG_ROW_NONE);
	assert_int_equal(how.cp_dst, 0);
	disk_free(src);
	done();
}

static int
no_memory(void *arg, enum img_algo algo, const void *src, uint32_t slen,
    void *to, uint32_t *dlen)
{
	(void)arg;
	(void)algo;
	(void)src;
	(void)slen;
	(void)to;
	(void)dlen;
	return (ENOMEM);
}

static void
what_the_destination_does_is_its_fault(void **state)
{
	struct disk *src = disk_draw("dd");

	(void)state;
	make(src->d_size);
	mem.m_fail[MEM_WRITE] = mem.m_calls[MEM_WRITE] + 1;
	mem.m_error = ENOSPC;
	assert_int_equal(copy(src, U, 0), ENOSPC);
	assert_int_equal(how.cp_dst, 1);
	assert_int_equal(how.cp_bad_voff, IMG_NOWHERE);
	done();
	make(src->d_size);
	dst_env.e_env.ev_pack = no_memory;
	assert_int_equal(copy(src, U, 0), ENOMEM);
	assert_int_equal(how.cp_dst, 1);
	disk_free(src);
	done();
}

static void
what_forbids_writing_forbids_packing(void **state)
{
	struct disk *src = disk_draw("dd");

	(void)state;
	make(src->d_size);
	assert_int_equal(mem_close(dst, &dst_env), 0);
	assert_int_equal(mem_open(&dst, &dst_env, &mem, &img_qcow2, 0, NULL),
	    0);
	assert_int_equal(copy(src, U, 0), EROFS);
	assert_int_equal(how.cp_dst, 1);
	disk_free(src);
	done();
}

/* As for any first write. */
static void
an_image_that_was_begun_has_no_header(void **state)
{
	struct disk *src = disk_draw("ddd");

	(void)state;
	make(src->d_size);
	assert_int_equal(mem_close(dst, &dst_env), 0);
	assert_int_equal(mem_open(&dst, &dst_env, &mem, &img_qcow2,
			     IMG_RDWR | IMG_FRESH, NULL),
	    0);
	assert_int_equal(copy(src, U, 0), 0);
	assert_true(mem_is(&mem, 0, 512, 0));
	assert_int_equal(img_flush(dst), 0);
	assert_false(mem_is(&mem, 0, 512, 0));
	check_result(src, "ppp");
	disk_free(src);
	done();
}

static void
not_every_format_can_pack(void **state)
{
	struct disk *src = disk_draw("dd");
	struct img *raw;

	(void)state;
	make(src->d_size);
	assert_int_equal(img_close(dst), 0);
	assert_int_equal(mem_open(&raw, &dst_env, &mem, &img_raw, IMG_RDWR,
			     NULL),
	    0);
	dst = raw;
	assert_int_equal(copy(src, U, 0), ENOTSUP);
	assert_int_equal(how.cp_dst, 1);
	disk_free(src);
	assert_int_equal(img_close(dst), 0);
	mem_free(&mem);
}

static struct {
	uint64_t t_last, t_end;
	unsigned t_n, t_stop;
} told;

static int
listen(void *arg, uint64_t now, uint64_t end)
{
	(void)arg;
	assert_true(now >= told.t_last && now <= end);
	told.t_last = now;
	told.t_end = end;
	return (++told.t_n == told.t_stop ? EINTR : 0);
}

static void
progress_is_told_and_can_end_it(void **state)
{
	struct disk *src = mixed();
	unsigned i, n;

	(void)state;
	make(src->d_size);
	env.e_env.ev_poll = listen;
	memset(&told, 0, sizeof(told));
	assert_int_equal(copy(src, U, 0), 0);
	assert_int_equal(told.t_last, src->d_size);
	assert_int_equal(told.t_end, src->d_size);
	assert_true(told.t_n >= 3);
	n = told.t_n;
	done();
	for (i = 1; i <= n; i++) {
		make(src->d_size);
		env.e_env.ev_poll = listen;
		memset(&told, 0, sizeof(told));
		told.t_stop = i;
		assert_int_equal(copy(src, U, 0), EINTR);
		assert_int_equal(told.t_n, i);
		assert_int_equal(how.cp_dst, 0);
		done();
	}
	disk_free(src);
}

static void
memory_may_be_short(void **state)
{
	struct disk *src = disk_draw("dd");
	unsigned n;
	int error;

	(void)state;
	for (n = 1;; n++) {
		make(src->d_size);
		env.e_fail = n;
		error = copy(src, U, 0);
		done();
		if (error == 0)
			break;
		assert_int_equal(error, ENOMEM);
	}
	assert_true(n > 3);
	disk_free(src);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_place_of_a_bad_entry_is_told),
		cmocka_unit_test(the_place_of_a_failing_read_is_told),
		cmocka_unit_test(what_the_destination_does_is_its_fault),
		cmocka_unit_test(what_forbids_writing_forbids_packing),
		cmocka_unit_test(an_image_that_was_begun_has_no_header),
		cmocka_unit_test(not_every_format_can_pack),
		cmocka_unit_test(progress_is_told_and_can_end_it),
		cmocka_unit_test(memory_may_be_short),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
