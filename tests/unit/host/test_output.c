/* SPDX-License-Identifier: ISC */

/* Results appear when they are complete, whole, and leave no trace else. */

#include "unit/host/folder.h"

#ifdef __linux__
#include <sys/xattr.h>
#endif

static char why[100];

static int
try_open(struct host_output **out, const char *path, unsigned flags)
{
	return (host_output_open(out, path, flags, why, sizeof(why)));
}

static struct host_output *
opened(const char *path, unsigned flags)
{
	struct host_output *out;

	assert_int_equal(try_open(&out, path, flags), 0);
	assert_string_equal(why, "");
	return (out);
}

static void
put(struct host_output *out, const char *text)
{
	struct img_file *f = host_output_file(out);

	assert_int_equal(f->f_ops->fo_write(f, text, (uint32_t)strlen(text), 0),
	    0);
}

/* Write text to path in one go. */
static int
replace(const char *path, unsigned flags, const char *text)
{
	struct host_output *out = opened(path, flags);

	put(out, text);
	return (host_output_commit(out));
}

/* The ways to have a temporary file: the test runs with each. */
static const unsigned ways[] = { 0, HOST_NAMED };
#define NWAYS (sizeof(ways) / sizeof(ways[0]))

static void
a_new_name_appears_with_commit(void **state)
{
	struct host_output *out;
	struct stat st;
	unsigned i;

	(void)state;
	umask(027);
	for (i = 0; i < NWAYS; i++) {
		out = opened("new", ways[i]);
		assert_int_equal(host_output_is_device(out), 0);
		put(out, "text");
		assert_int_equal(access("new", F_OK), -1);
		assert_int_equal(folder_count("."), ways[i] != 0);
		assert_int_equal(host_output_commit(out), 0);
		assert_file("new", "text");
		assert_int_equal(folder_count("."), 1);
		assert_int_equal(stat("new", &st), 0);
		assert_int_equal(st.st_mode & 07777, 0640);
		assert_int_equal(unlink("new"), 0);
	}
}

static void
an_existing_file_stays_whole_until_commit(void **state)
{
	struct host_output *out;
	unsigned i;

	(void)state;
	for (i = 0; i < NWAYS; i++) {
		put_file("file", "old and longer");
		out = opened("file", ways[i]);
		put(out, "new");
		assert_file("file", "old and longer");
		assert_int_equal(host_output_commit(out), 0);
		assert_file("file", "new");
		assert_int_equal(folder_count("."), 1);
	}
}

static void
abort_leaves_no_trace(void **state)
{
	struct host_output *out;
	unsigned i;

	(void)state;
	for (i = 0; i < NWAYS; i++) {
		out = opened("new", ways[i]);
		put(out, "text");
		host_output_abort(out);
		assert_int_equal(folder_count("."), 0);
	}
	put_file("file", "old");
	for (i = 0; i < NWAYS; i++) {
		out = opened("file", ways[i]);
		put(out, "text");
		host_output_abort(out);
		assert_file("file", "old");
		assert_int_equal(folder_count("."), 1);
	}
	host_output_abort(NULL);
}

static void
die_while_writing(void)
{
	struct host_output *a, *b;

	CHILD_ASSERT(try_open(&a, "new", 0) == 0);
	CHILD_ASSERT(try_open(&b, "file", 0) == 0);
	put(a, "text");
	put(b, "text");
	kill(getpid(), SIGKILL);
}

static void
sigkill_leaves_nothing(void **state)
{
	int status;

	(void)state;
	put_file("file", "old");
#ifdef O_TMPFILE
	if ((status = open(".", O_TMPFILE | O_RDWR, 0600)) == -1)
		skip();
	close(status);
	status = in_child(die_while_writing);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_int_equal(folder_count("."), 1);
	assert_file("file", "old");
#else
	(void)status;
	skip();
#endif
}

static void
no_clobber_refuses_what_exists(void **state)
{
	struct host_output *out;

	(void)state;
	put_file("file", "old");
	assert_int_equal(try_open(&out, "file", HOST_NOCLOBBER), EEXIST);
	assert_int_equal(symlink("file", "link"), 0);
	assert_int_equal(try_open(&out, "link", HOST_NOCLOBBER), EEXIST);
	assert_file("file", "old");
	assert_int_equal(replace("new", HOST_NOCLOBBER, "text"), 0);
	assert_file("new", "text");
}

static void
a_name_taken_meanwhile_is_kept_or_replaced_as_asked(void **state)
{
	struct host_output *out;
	unsigned i;

	(void)state;
	for (i = 0; i < NWAYS; i++) {
		out = opened("name", ways[i] | HOST_NOCLOBBER);
		put(out, "ours");
		put_file("name", "theirs");
		assert_int_equal(host_output_commit(out), EEXIST);
		assert_file("name", "theirs");
		assert_int_equal(folder_count("."), 1);
		assert_int_equal(unlink("name"), 0);

		out = opened("name", ways[i]);
		put(out, "ours");
		put_file("name", "theirs");
		assert_int_equal(host_output_commit(out), 0);
		assert_file("name", "ours");
		assert_int_equal(folder_count("."), 1);
		assert_int_equal(unlink("name"), 0);
	}
}

static void
a_failed_commit_leaves_no_trace(void **state)
{
	struct host_output *out;
	unsigned i;

	(void)state;
	for (i = 0; i < NWAYS; i++) {
		out = opened("name", ways[i]);
		assert_int_equal(mkdir("name", 0777), 0);
		assert_int_equal(host_output_commit(out), EISDIR);
		assert_int_equal(folder_count("."), 1);
		assert_int_equal(rmdir("name"), 0);
	}
}

static void
a_link_target_is_replaced_not_the_link(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(mkdir("a", 0777), 0);
	assert_int_equal(mkdir("b", 0777), 0);
	put_file("b/file", "old");
	assert_int_equal(symlink("../b/second", "a/first"), 0);
	assert_int_equal(symlink("file", "b/second"), 0);
	assert_int_equal(replace("a/first", 0, "new"), 0);
	assert_int_equal(lstat("a/first", &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(lstat("b/second", &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_file("b/file", "new");
	assert_int_equal(folder_count("a"), 1);
	assert_int_equal(folder_count("b"), 2);
}

static void
a_dangling_link_creates_its_target(void **state)
{
	char target[PATH_MAX + 16];
	struct stat st;

	(void)state;
	assert_int_equal(mkdir("b", 0777), 0);
	snprintf(target, sizeof(target), "%s/b/file", folder_path);
	assert_int_equal(symlink(target, "link"), 0);
	assert_int_equal(replace("link", 0, "new"), 0);
	assert_int_equal(lstat("link", &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_file("b/file", "new");
	assert_int_equal(folder_count("b"), 1);
}

static void
links_in_a_circle_are_an_error(void **state)
{
	struct host_output *out;

	(void)state;
	assert_int_equal(symlink("b", "a"), 0);
	assert_int_equal(symlink("a", "b"), 0);
	assert_int_equal(try_open(&out, "a", 0), ELOOP);
}

static void
mode_and_xattrs_are_kept(void **state)
{
	struct stat st;
	unsigned i;

	(void)state;
	for (i = 0; i < NWAYS; i++) {
		put_file("file", "old");
		assert_int_equal(chmod("file", 0604), 0);
		assert_int_equal(replace("file", ways[i], "new"), 0);
		assert_int_equal(stat("file", &st), 0);
		assert_int_equal(st.st_mode & 07777, 0604);
	}
#ifdef __linux__
	char buf[8];

	if (setxattr("file", "user.note", "mine", 4, 0) == -1)
		skip();
	for (i = 0; i < NWAYS; i++) {
		assert_int_equal(replace("file", ways[i], "new"), 0);
		assert_int_equal(getxattr("file", "user.note", buf, 8), 4);
		assert_memory_equal(buf, "mine", 4);
	}
#endif
}

static void
the_owner_is_kept_where_that_is_permitted(void **state)
{
	struct stat st;

	(void)state;
	if (geteuid() != 0)
		skip();
	put_file("file", "old");
	assert_int_equal(chown("file", 1234, 4321), 0);
	assert_int_equal(chmod("file", 0660), 0);
	assert_int_equal(replace("file", 0, "new"), 0);
	assert_int_equal(stat("file", &st), 0);
	assert_int_equal(st.st_uid, 1234);
	assert_int_equal(st.st_gid, 4321);
	assert_int_equal(st.st_mode & 07777, 0660);
}

static void
replace_as_stranger(void)
{
	struct host_output *out;
	struct stat st;

	CHILD_ASSERT(setgid(4321) == 0 && setuid(1234) == 0);
	CHILD_ASSERT(try_open(&out, "readonly", 0) == EACCES);
	CHILD_ASSERT(try_open(&out, "shared", 0) == 0);
	CHILD_ASSERT(host_output_commit(out) == 0);
	CHILD_ASSERT(stat("shared", &st) == 0);
	CHILD_ASSERT(st.st_uid == 1234 && (st.st_mode & 07777) == 0666);
}

static void
permissions_of_the_file_are_respected(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	put_file("readonly", "old");
	put_file("shared", "old");
	assert_int_equal(chmod("readonly", 0444), 0);
	/* Their setuid bit must not become ours. */
	assert_int_equal(chmod("shared", 04666), 0);
	assert_int_equal(in_child(replace_as_stranger), 0);
	assert_file("readonly", "old");
}

static void
hard_links_need_force(void **state)
{
	struct host_output *out;

	(void)state;
	put_file("file", "old");
	assert_int_equal(link("file", "other"), 0);
	assert_int_equal(try_open(&out, "file", 0), EMLINK);
	assert_string_not_equal(why, "");
	assert_int_equal(folder_count("."), 2);
	assert_int_equal(replace("file", HOST_FORCE, "new"), 0);
	assert_file("file", "new");
	assert_file("other", "old");
}

static void
what_is_no_file_is_refused(void **state)
{
	struct host_output *out;

	(void)state;
	assert_int_equal(mkfifo("fifo", 0666), 0);
	assert_int_equal(try_open(&out, "fifo", 0), EINVAL);
	assert_string_not_equal(why, "");
	assert_int_equal(try_open(&out, "/dev/null", HOST_FORCE), EINVAL);
	assert_int_equal(try_open(&out, ".", 0), EISDIR);
	assert_int_equal(try_open(&out, "new/", 0), EISDIR);
	assert_int_equal(try_open(&out, "", 0), ENOENT);
	assert_int_equal(try_open(&out, "missing/new", 0), ENOENT);
	assert_int_equal(folder_count("."), 1);
}

static void
the_longest_name_has_room_for_a_temporary(void **state)
{
	char name[NAME_MAX + 2];
	unsigned i;

	(void)state;
	memset(name, 'n', NAME_MAX);
	name[NAME_MAX] = '\0';
	for (i = 0; i < NWAYS; i++)
		assert_int_equal(replace(name, ways[i], "new"), 0);
	for (i = 0; i < NWAYS; i++)
		assert_int_equal(replace(name, ways[i], "newer"), 0);
	assert_file(name, "newer");
	assert_int_equal(folder_count("."), 1);
	strcpy(name + NAME_MAX, "n");
	assert_int_equal(try_open(&(struct host_output *){ NULL }, name, 0),
	    ENAMETOOLONG);
}

static void
a_device_is_written_in_place_unless_in_use(void **state)
{
	struct host_output *out;
	const char *dev;
	int fd;

	(void)state;
	put_file("disk", "");
	assert_int_equal(truncate("disk", 65536), 0);
	if ((dev = loop_attach("disk")) == NULL)
		skip();
	out = opened(dev, 0);
	assert_int_equal(host_output_is_device(out), 1);
	put(out, "text");
	assert_int_equal(host_output_commit(out), 0);
	assert_file("disk", "text");
	fd = open(dev, O_RDONLY | O_EXCL);
	assert_int_equal(try_open(&out, dev, 0), EBUSY);
	assert_string_not_equal(why, "");
	assert_int_equal(replace(dev, HOST_FORCE, "more"), 0);
	close(fd);
}

/* Data, zeros in seven pieces of 64 KiB, and a last one that is short. */
static int
feed(void)
{
	static char zeros[7 * 65536];
	int fd[2];

	assert_int_equal(pipe(fd), 0);
	if (fork() == 0) {
		close(fd[0]);
		memcpy(zeros, "first", 5);
		if (host_write(fd[1], zeros, 65536) != 0)
			_exit(1);
		memset(zeros, 0, 5);
		_exit(host_write(fd[1], zeros, sizeof(zeros)) != 0 ||
		    host_write(fd[1], zeros, 1000) != 0);
	}
	close(fd[1]);
	return (fd[0]);
}

static void
a_pipe_is_spooled_sparsely_and_without_a_name(void **state)
{
	struct img_file *f;
	struct stat st;
	char buf[6] = "";
	int fd = feed();

	(void)state;
	assert_int_equal(host_spool(&f, "new", fd, why, sizeof(why)), 0);
	close(fd);
	assert_int_equal(folder_count("."), 0);
	assert_int_equal(fstat(img_host_fd(f), &st), 0);
	assert_int_equal(st.st_size, 8 * 65536 + 1000);
	assert_int_equal(st.st_nlink, 0);
	assert_true(st.st_blocks <= 2 * 65536 / 512);
	assert_int_equal(f->f_ops->fo_read(f, buf, 5, 0), 0);
	assert_string_equal(buf, "first");
	assert_int_equal(f->f_ops->fo_read(f, buf, 5, 8 * 65536 + 995), 0);
	assert_memory_equal(buf, "\0\0\0\0\0", 5);
	assert_int_equal(img_host_close(f), 0);
}

static void
a_spool_that_fails_says_so(void **state)
{
	struct img_file *f;
	int fd = dup(1);

	(void)state;
	assert_int_equal(host_spool(&f, "missing/new", 0, why, sizeof(why)),
	    ENOENT);
	assert_string_not_equal(why, "");
	close(fd);
	assert_int_equal(host_spool(&f, "new", fd, why, sizeof(why)), EBADF);
	assert_string_not_equal(why, "");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, folder_make, folder_remove)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_new_name_appears_with_commit),
		TEST(an_existing_file_stays_whole_until_commit),
		TEST(abort_leaves_no_trace),
		TEST(sigkill_leaves_nothing),
		TEST(no_clobber_refuses_what_exists),
		TEST(a_name_taken_meanwhile_is_kept_or_replaced_as_asked),
		TEST(a_failed_commit_leaves_no_trace),
		TEST(a_link_target_is_replaced_not_the_link),
		TEST(a_dangling_link_creates_its_target),
		TEST(links_in_a_circle_are_an_error),
		TEST(mode_and_xattrs_are_kept),
		TEST(the_owner_is_kept_where_that_is_permitted),
		TEST(permissions_of_the_file_are_respected),
		TEST(hard_links_need_force),
		TEST(what_is_no_file_is_refused),
		TEST(the_longest_name_has_room_for_a_temporary),
		TEST(a_device_is_written_in_place_unless_in_use),
		TEST(a_pipe_is_spooled_sparsely_and_without_a_name),
		TEST(a_spool_that_fails_says_so),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
