/* SPDX-License-Identifier: ISC */

/* Threads, signals, waiting and seeds of the host's environment. */

#include "unit/host/folder.h"

#include <sys/resource.h>

#include <pthread.h>

static struct {
	pthread_mutex_t w_lock;
	pthread_cond_t w_cond;
	unsigned w_done[1000];
	unsigned w_here;   /* jobs that have begun ... */
	unsigned w_meet;   /* ... and so many wait for one another */
	pthread_t w_first; /* the caller's thread */
	unsigned w_open;   /* jobs elsewhere that a signal could end */
} works = { .w_lock = PTHREAD_MUTEX_INITIALIZER,
	.w_cond = PTHREAD_COND_INITIALIZER };

static void
job(void *arg, unsigned i)
{
	struct timespec until = { time(NULL) + 20, 0 };
	sigset_t set;

	assert_ptr_equal(arg, &works);
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	pthread_mutex_lock(&works.w_lock);
	works.w_done[i]++;
	works.w_here++;
	if (!pthread_equal(pthread_self(), works.w_first))
		works.w_open += !sigismember(&set, SIGINT);
	pthread_cond_broadcast(&works.w_cond);
	while (works.w_here < works.w_meet)
		if (pthread_cond_timedwait(&works.w_cond, &works.w_lock,
			&until) != 0)
			break;
	pthread_mutex_unlock(&works.w_lock);
}

static void
run_jobs(unsigned njobs, unsigned nthreads, unsigned meet)
{
	const struct img_env *env = img_host_env();

	memset(works.w_done, 0, sizeof(works.w_done));
	works.w_here = works.w_open = 0;
	works.w_meet = meet;
	works.w_first = pthread_self();
	host_set_threads(nthreads);
	env->ev_parallel(env->ev_arg, njobs, job, &works);
	host_set_threads(0);
}

static void
every_job_is_done_once(void **state)
{
	static const unsigned njobs[] = { 0, 1, 2, 3, 1000 };
	unsigned i, j, threads;

	(void)state;
	for (i = 0; i < sizeof(njobs) / sizeof(njobs[0]); i++)
		for (threads = 0; threads < 9; threads++) {
			run_jobs(njobs[i], threads, 0);
			assert_int_equal(works.w_here, njobs[i]);
			for (j = 0; j < njobs[i]; j++)
				assert_int_equal(works.w_done[j], 1);
		}
}

static void
jobs_run_at_once(void **state)
{
	time_t began = time(NULL);

	(void)state;
	run_jobs(5, 5, 5);
	assert_int_equal(works.w_here, 5);
	assert_true(time(NULL) - began < 15);
}

static void
signals_are_left_to_the_caller(void **state)
{
	sigset_t set;

	(void)state;
	run_jobs(3, 3, 3);
	assert_int_equal(works.w_open, 0);
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	assert_false(sigismember(&set, SIGINT));
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
		TEST(every_job_is_done_once),
		TEST(jobs_run_at_once),
		TEST(signals_are_left_to_the_caller),
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
