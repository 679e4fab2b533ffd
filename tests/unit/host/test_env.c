/* SPDX-License-Identifier: ISC */

/* Decompression, signals, waiting and seeds of the host's environment. */

#include "unit/host/folder.h"

#include <sys/resource.h>

#include <zlib.h>

#define LEN 10000u

static unsigned char plain[LEN], packed[2 * LEN], out[LEN + 1];

/* Compress with that window; how long the result is. */
static uint32_t
pack(int window)
{
	z_stream z = { 0 };
	unsigned i;

	for (i = 0; i < LEN; i++)
		plain[i] = (unsigned char)(i * i / 7);
	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, window, 9,
			     Z_DEFAULT_STRATEGY),
	    Z_OK);
	z.next_in = plain;
	z.avail_in = LEN;
	z.next_out = packed;
	z.avail_out = sizeof(packed);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	assert_int_equal(deflateEnd(&z), Z_OK);
	return ((uint32_t)(sizeof(packed) - z.avail_out));
}

static int
unpack(enum img_algo algo, uint32_t slen, uint32_t dlen)
{
	const struct img_env *env = img_host_env();
	unsigned char *src = malloc(slen);
	int error;

	/* An exact copy, so that a read beyond it is noticed. */
	assert_non_null(src);
	memcpy(src, packed, slen);
	memset(out, 0xaa, sizeof(out));
	error = env->ev_unpack(env->ev_arg, algo, src, slen, out, dlen);
	free(src);
	assert_int_equal(out[LEN], 0xaa);
	return (error);
}

static void
streams_of_any_window_are_unpacked(void **state)
{
	static const int windows[] = { -9, -12, -15 };
	unsigned i;

	(void)state;
	for (i = 0; i < 3; i++) {
		assert_int_equal(unpack(IMG_DEFLATE, pack(windows[i]), LEN), 0);
		assert_memory_equal(out, plain, LEN);
	}
}

static void
what_follows_a_stream_is_ignored(void **state)
{
	uint32_t n = pack(-12);

	(void)state;
	memset(packed + n, 0xff, 600);
	assert_int_equal(unpack(IMG_DEFLATE, n + 600, LEN), 0);
	assert_memory_equal(out, plain, LEN);
}

static void
a_stream_that_gives_more_is_cut(void **state)
{
	(void)state;
	assert_int_equal(unpack(IMG_DEFLATE, pack(-12), LEN - 100), 0);
	assert_memory_equal(out, plain, LEN - 100);
	assert_int_equal(out[LEN - 100], 0xaa);
}

static void
a_stream_that_gives_less_is_an_error(void **state)
{
	uint32_t n = pack(-12);

	(void)state;
	assert_int_equal(unpack(IMG_DEFLATE, n / 2, LEN), EIO);
	assert_int_equal(unpack(IMG_DEFLATE, n, LEN + 1), EIO);
	assert_int_equal(unpack(IMG_DEFLATE, 0, LEN), EIO);
}

static void
a_stream_with_a_header_or_damage_is_an_error(void **state)
{
	(void)state;
	assert_int_equal(unpack(IMG_DEFLATE, pack(12), LEN), EIO);
	memset(packed, 0xff, LEN);
	assert_int_equal(unpack(IMG_DEFLATE, LEN, LEN), EIO);
}

static void
what_is_not_built_in_says_so(void **state)
{
	(void)state;
	assert_int_equal(unpack(IMG_ZSTD, pack(-12), LEN), ENOTSUP);
}

static int
poll_env(void)
{
	return (img_host_env()->ev_poll(img_host_env()->ev_arg, 1, 2));
}

static void
terminated(void)
{
	host_catch_signals();
	CHILD_ASSERT(poll_env() == 0 && host_signal() == 0);
	raise(SIGTERM);
	CHILD_ASSERT(poll_env() == EINTR && host_signal() == SIGTERM);
}

static void
a_signal_ends_what_polls(void **state)
{
	(void)state;
	assert_int_equal(in_child(terminated), 0);
}

static void
hung_up(void)
{
	signal(SIGHUP, SIG_IGN);
	host_catch_signals();
	raise(SIGHUP);
	CHILD_ASSERT(poll_env() == 0 && host_signal() == 0);
}

static void
an_ignored_signal_stays_ignored(void **state)
{
	(void)state;
	assert_int_equal(in_child(hung_up), 0);
}

static void
wait_for_input(void)
{
	char c;
	int fd[2];
	size_t got;

	host_catch_signals();
	CHILD_ASSERT(pipe(fd) == 0);
	signal(SIGALRM, SIG_DFL);
	alarm(20);
	if (fork() == 0) {
		usleep(50000);
		kill(getppid(), SIGINT);
		_exit(0);
	}
	CHILD_ASSERT(host_read(fd[0], &c, 1, &got) == EINTR);
	/* And at once from now on, though nothing interrupts the wait. */
	CHILD_ASSERT(host_read(fd[0], &c, 1, &got) == EINTR);
	CHILD_ASSERT(host_write(fd[1], &c, 1) == EINTR);
}

static void
a_signal_ends_a_wait_for_input(void **state)
{
	(void)state;
	assert_int_equal(in_child(wait_for_input), 0);
}

static void
write_to_nobody(void)
{
	static char buf[100000];
	int fd[2];

	host_catch_signals();
	CHILD_ASSERT(pipe(fd) == 0);
	close(fd[0]);
	CHILD_ASSERT(host_write(fd[1], buf, sizeof(buf)) == EPIPE);
}

static void
a_closed_pipe_is_an_error_not_a_signal(void **state)
{
	(void)state;
	assert_int_equal(in_child(write_to_nobody), 0);
}

static void
limited(void)
{
	struct rlimit rl = { 100, 100 };
	struct img_file *f;
	char buf[101] = "";

	host_catch_signals();
	CHILD_ASSERT(
	    img_host_open(&f, "file", IMG_HOST_RDWR | IMG_HOST_CREATE) == 0);
	CHILD_ASSERT(setrlimit(RLIMIT_FSIZE, &rl) == 0);
	CHILD_ASSERT(f->f_ops->fo_write(f, buf, 101, 0) == EFBIG);
}

static void
a_file_over_the_limit_is_an_error_not_a_signal(void **state)
{
	(void)state;
	assert_int_equal(in_child(limited), 0);
}

static void
a_slow_pipe_is_read_and_written_whole(void **state)
{
	static char buf[300000];
	size_t got, i;
	int fd[2];

	(void)state;
	assert_int_equal(pipe(fd), 0);
	if (fork() == 0) {
		close(fd[0]);
		fcntl(fd[1], F_SETFL, O_NONBLOCK);
		for (i = 0; i < sizeof(buf); i++)
			buf[i] = (char)(i * i / 3);
		_exit(host_write(fd[1], buf, sizeof(buf)));
	}
	close(fd[1]);
	assert_int_equal(host_read(fd[0], buf, sizeof(buf), &got), 0);
	assert_int_equal(got, sizeof(buf));
	for (i = 0; i < sizeof(buf); i++)
		assert_int_equal(buf[i], (char)(i * i / 3));
	assert_int_equal(host_read(fd[0], buf, 1, &got), 0);
	assert_int_equal(got, 0);
	close(fd[0]);
}

static int
note(void *arg, uint64_t done, uint64_t total)
{
	*(uint64_t *)arg = done * 10 + total;
	return (7);
}

static void
progress_is_passed_on(void **state)
{
	uint64_t noted = 0;

	(void)state;
	host_set_poll(note, &noted);
	assert_int_equal(poll_env(), 7);
	assert_int_equal(noted, 12);
	host_set_poll(NULL, NULL);
	assert_int_equal(poll_env(), 0);
}

static void
the_epoch_makes_seeds_repeatable(void **state)
{
	static const char *bad[] = { "", "x", "-1", "1x", " 1", "0x10",
		"9223372036854775808", "99999999999999999999" };
	struct img_create cr = { 0 };
	unsigned i;

	(void)state;
	setenv("SOURCE_DATE_EPOCH", "1700000000", 1);
	assert_int_equal(host_seed(&cr), 0);
	assert_int_equal(cr.cr_time, 1700000000);
	assert_int_equal(cr.cr_repeatable, 1);
	setenv("SOURCE_DATE_EPOCH", "9223372036854775807", 1);
	assert_int_equal(host_seed(&cr), 0);
	assert_int_equal(cr.cr_time, INT64_MAX);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		setenv("SOURCE_DATE_EPOCH", bad[i], 1);
		assert_int_equal(host_seed(&cr), EINVAL);
	}
	unsetenv("SOURCE_DATE_EPOCH");
}

static void
without_an_epoch_seeds_differ(void **state)
{
	struct img_create a = { 0 }, b = { 0 };

	(void)state;
	unsetenv("SOURCE_DATE_EPOCH");
	assert_int_equal(host_seed(&a), 0);
	assert_int_equal(host_seed(&b), 0);
	assert_int_equal(a.cr_repeatable, 0);
	assert_true(a.cr_time > 1700000000);
	assert_memory_not_equal(a.cr_random, b.cr_random, 16);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, folder_make, folder_remove)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(streams_of_any_window_are_unpacked),
		TEST(what_follows_a_stream_is_ignored),
		TEST(a_stream_that_gives_more_is_cut),
		TEST(a_stream_that_gives_less_is_an_error),
		TEST(a_stream_with_a_header_or_damage_is_an_error),
		TEST(what_is_not_built_in_says_so),
		TEST(a_signal_ends_what_polls),
		TEST(an_ignored_signal_stays_ignored),
		TEST(a_signal_ends_a_wait_for_input),
		TEST(a_closed_pipe_is_an_error_not_a_signal),
		TEST(a_file_over_the_limit_is_an_error_not_a_signal),
		TEST(a_slow_pipe_is_read_and_written_whole),
		TEST(progress_is_passed_on),
		TEST(the_epoch_makes_seeds_repeatable),
		TEST(without_an_epoch_seeds_differ),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
