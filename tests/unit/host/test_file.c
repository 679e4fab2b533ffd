/* SPDX-License-Identifier: ISC */

/* What img_host_open opens, and how files and devices behave then. */

#include "unit/host/folder.h"

#include <sys/socket.h>
#include <sys/un.h>

#define K 1024u

static struct img_file *
made(const char *path)
{
	struct img_file *f;

	assert_int_equal(img_host_open(&f, path,
			     IMG_HOST_RDWR | IMG_HOST_CREATE),
	    0);
	return (f);
}

static int
try_open(const char *path, unsigned flags)
{
	struct img_file *f;
	int error = img_host_open(&f, path, flags);

	if (error == 0)
		img_host_close(f);
	return (error);
}

static int
wr(struct img_file *f, const void *b, uint32_t len, uint64_t off)
{
	return (f->f_ops->fo_write(f, b, len, off));
}

static int
rd(struct img_file *f, void *b, uint32_t len, uint64_t off)
{
	return (f->f_ops->fo_read(f, b, len, off));
}

static uint64_t
length(struct img_file *f)
{
	uint64_t n;

	assert_int_equal(f->f_ops->fo_length(f, &n), 0);
	return (n);
}

static void
a_fifo_never_blocks_an_open(void **state)
{
	(void)state;
	assert_int_equal(mkfifo("fifo", 0666), 0);
	assert_int_equal(try_open("fifo", 0), EINVAL);
	assert_int_equal(try_open("fifo", IMG_HOST_RDWR), EINVAL);
}

static void
folders_sockets_and_terminals_are_refused(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	strcpy(un.sun_path, "socket");
	assert_int_equal(bind(s, (struct sockaddr *)&un, sizeof(un)), 0);
	close(s);
	assert_int_equal(try_open("socket", 0), EINVAL);
	assert_int_equal(try_open(".", 0), EISDIR);
	assert_int_equal(try_open(".", IMG_HOST_RDWR), EISDIR);
	assert_int_equal(try_open("/dev/null", 0), EINVAL);
	assert_int_equal(try_open("/dev/tty", 0), EINVAL);
	assert_int_equal(try_open("nothing", 0), ENOENT);
}

static void
a_refused_descriptor_stays_open(void **state)
{
	struct img_file *f;
	int fd[2];

	(void)state;
	assert_int_equal(pipe(fd), 0);
	assert_int_equal(img_host_fdopen(&f, fd[0]), EINVAL);
	assert_int_equal(close(fd[0]), 0);
	assert_int_equal(close(fd[1]), 0);
}

static void
an_appending_descriptor_is_not_for_writing(void **state)
{
	struct img_file *f;
	int fd;

	(void)state;
	put_file("log", "abc");
	fd = open("log", O_RDWR | O_APPEND);
	assert_int_equal(img_host_fdopen(&f, fd), EINVAL);
	close(fd);
}

static void
create_wants_a_name_that_is_free(void **state)
{
	struct stat st;

	(void)state;
	umask(027);
	img_host_close(made("new"));
	assert_int_equal(stat("new", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(try_open("new", IMG_HOST_RDWR | IMG_HOST_CREATE),
	    EEXIST);
}

static void
descriptors_block_and_are_not_inherited(void **state)
{
	struct img_file *f = made("file");

	(void)state;
	assert_int_equal(fcntl(img_host_fd(f), F_GETFL) & O_NONBLOCK, 0);
	assert_int_not_equal(fcntl(img_host_fd(f), F_GETFD) & FD_CLOEXEC, 0);
	img_host_close(f);
}

static void
what_is_written_is_read_back(void **state)
{
	struct img_file *f = made("file");
	char buf[8];

	(void)state;
	assert_int_equal(f->f_flags, IMG_FILE_ZEROES);
	assert_int_equal(wr(f, "hello", 5, 70000), 0);
	assert_int_equal(length(f), 70005);
	assert_int_equal(f->f_ops->fo_barrier(f), 0);
	assert_int_equal(rd(f, buf, 8, 69997), 0);
	assert_memory_equal(buf, "\0\0\0hello", 8);
	assert_int_equal(f->f_ops->fo_resize(f, 70003), 0);
	assert_int_equal(length(f), 70003);
	img_host_close(f);
}

static void
a_short_file_read_is_an_error(void **state)
{
	struct img_file *f = made("file");
	char buf[8];

	(void)state;
	assert_int_equal(wr(f, "hello", 5, 0), 0);
	assert_int_equal(rd(f, buf, 5, 0), 0);
	assert_int_equal(rd(f, buf, 6, 0), EIO);
	assert_int_equal(rd(f, buf, 1, 5), EIO);
	assert_int_equal(rd(f, buf, 0, 5), 0);
	img_host_close(f);
}

static void
offsets_beyond_off_t_are_too_big(void **state)
{
	struct img_file *f = made("file");
	uint64_t len = 1;
	char c = 0;
	int data;

	(void)state;
	assert_int_equal(rd(f, &c, 1, UINT64_MAX), EFBIG);
	assert_int_equal(wr(f, &c, 1, INT64_MAX), EFBIG);
	assert_int_equal(wr(f, &c, 1, UINT64_MAX), EFBIG);
	assert_int_equal(f->f_ops->fo_resize(f, UINT64_MAX), EFBIG);
	assert_int_equal(f->f_ops->fo_zero(f, INT64_MAX, 1), EFBIG);
	assert_int_equal(f->f_ops->fo_extent(f, 1ull << 63, &len, &data),
	    EFBIG);
	assert_int_equal(length(f), 0);
	img_host_close(f);
}

/* The extent at off, of at most len bytes. */
static void
assert_extent(struct img_file *f, uint64_t off, uint64_t len, int data,
    uint64_t n)
{
	int is;

	assert_int_equal(f->f_ops->fo_extent(f, off, &len, &is), 0);
	assert_int_equal(is, data);
	assert_int_equal(len, n);
}

static void
holes_of_the_file_are_told(void **state)
{
	struct img_file *f = made("file");
	static char data[64 * K];

	(void)state;
	memset(data, 'x', sizeof(data));
	assert_int_equal(wr(f, data, 64 * K, 64 * K), 0);
	assert_int_equal(f->f_ops->fo_resize(f, 256 * K), 0);
	assert_extent(f, 0, 256 * K, 0, 64 * K);
	assert_extent(f, 0, 10, 0, 10);
	assert_extent(f, 32 * K + 1, 256 * K, 0, 32 * K - 1);
	assert_extent(f, 64 * K, 192 * K, 1, 64 * K);
	assert_extent(f, 64 * K + 5, 7, 1, 7);
	assert_extent(f, 128 * K, 128 * K, 0, 128 * K);
	img_host_close(f);
}

static void
reserved_space_is_there_and_its_bytes_stay(void **state)
{
	struct img_file *f;
	struct stat st;
	char c = 'x';
	uint64_t len;
	int error;

	(void)state;
	assert_int_equal(img_host_open(&f, "f",
			     IMG_HOST_RDWR | IMG_HOST_CREATE),
	    0);
	if (f->f_ops->fo_reserve == NULL) {
		assert_int_equal(img_host_close(f), 0);
		skip();
	}
	assert_int_equal(f->f_ops->fo_write(f, &c, 1, 100), 0);
	assert_int_equal(f->f_ops->fo_reserve(f, 0, 0), 0);
	assert_int_equal(f->f_ops->fo_reserve(f, INT64_MAX, 1), EFBIG);
	error = f->f_ops->fo_reserve(f, 50, 1000000);
	assert_true(error == 0 || error == ENOTSUP);
	if (error == 0) {
		assert_int_equal(stat("f", &st), 0);
		assert_true(st.st_blocks * 512 >= 1000000);
		assert_int_equal(f->f_ops->fo_length(f, &len), 0);
		assert_int_equal(len, 1000050);
		c = 0;
		assert_int_equal(f->f_ops->fo_read(f, &c, 1, 100), 0);
		assert_int_equal(c, 'x');
	}
	assert_int_equal(img_host_close(f), 0);
}

static void
a_zeroed_range_takes_its_neighbours_not_along(void **state)
{
	static char buf[300 * K], want[300 * K];
	struct img_file *f = made("file");
	struct stat a, b;

	(void)state;
	memset(buf, 'x', sizeof(buf));
	memset(want, 'x', sizeof(want));
	memset(want + 1001, 0, 200 * K);
	assert_int_equal(wr(f, buf, sizeof(buf), 0), 0);
	assert_int_equal(fstat(img_host_fd(f), &a), 0);
	assert_int_equal(f->f_ops->fo_zero(f, 1001, 200 * K), 0);
	assert_int_equal(f->f_ops->fo_zero(f, 5, 0), 0);
	assert_int_equal(fstat(img_host_fd(f), &b), 0);
	assert_int_equal(rd(f, buf, sizeof(buf), 0), 0);
	assert_memory_equal(buf, want, sizeof(buf));
	assert_int_equal(length(f), sizeof(buf));
#ifdef __linux__
	assert_true(b.st_blocks < a.st_blocks);
#endif
	img_host_close(f);
}

static void
one_file_is_the_same_by_every_name(void **state)
{
	struct img_file *f = made("file"), *g, *h = made("other");

	(void)state;
	assert_int_equal(link("file", "hard"), 0);
	assert_int_equal(symlink("./file", "soft"), 0);
	assert_int_equal(symlink("missing", "dangling"), 0);
	assert_int_equal(img_host_open(&g, "hard", 0), 0);
	assert_int_equal(host_same_file(f, g), 1);
	assert_int_equal(host_same_file(f, h), 0);
	assert_int_equal(host_same_path(f, "hard"), 1);
	assert_int_equal(host_same_path(f, "soft"), 1);
	assert_int_equal(host_same_path(f, "other"), 0);
	assert_int_equal(host_same_path(f, "missing"), 0);
	assert_int_equal(host_same_path(f, "dangling"), 0);
	img_host_close(f);
	img_host_close(g);
	img_host_close(h);
}

static void
check_device(struct img_file *dev, struct img_file *f, const char *path)
{
	static unsigned char buf[64 * K], want[64 * K];

	assert_int_equal(dev->f_flags, IMG_FILE_FIXED);
	assert_null(dev->f_ops->fo_extent);
	assert_int_equal(length(dev), 1000 * 512);
	assert_int_equal(dev->f_ops->fo_resize(dev, 512), EINVAL);
	assert_int_equal(rd(dev, buf, 2, 1000 * 512 - 1), EIO);
	assert_int_equal(wr(dev, buf, 2, 1000 * 512 - 1), ENOSPC);
	memset(buf, 'x', sizeof(buf));
	memset(want, 'x', sizeof(want));
	memset(want + 4001, 0, 20 * K);
	assert_int_equal(wr(dev, buf, sizeof(buf), 0), 0);
	assert_int_equal(dev->f_ops->fo_zero(dev, 4001, 20 * K), 0);
	assert_int_equal(rd(dev, buf, sizeof(buf), 0), 0);
	assert_memory_equal(buf, want, sizeof(buf));
	assert_int_equal(dev->f_ops->fo_barrier(dev), 0);
	assert_int_equal(host_same_file(dev, f), 1);
	assert_int_equal(host_same_path(dev, path), 1);
	assert_int_equal(host_same_path(f, path), 1);
	assert_int_equal(host_same_path(dev, "file"), 1);
	assert_int_equal(host_same_path(dev, "other"), 0);
}

static void
a_device_has_its_size_and_keeps_it(void **state)
{
	struct img_file *f, *dev;
	const char *path;

	(void)state;
	f = made("file");
	put_file("other", "");
	assert_int_equal(f->f_ops->fo_resize(f, 1000 * 512), 0);
	if ((path = loop_attach("file")) == NULL) {
		img_host_close(f);
		skip();
	}
	assert_int_equal(img_host_open(&dev, path, IMG_HOST_RDWR), 0);
	check_device(dev, f, path);
	img_host_close(dev);
	img_host_close(f);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, folder_make, folder_remove)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_fifo_never_blocks_an_open),
		TEST(folders_sockets_and_terminals_are_refused),
		TEST(a_refused_descriptor_stays_open),
		TEST(an_appending_descriptor_is_not_for_writing),
		TEST(create_wants_a_name_that_is_free),
		TEST(descriptors_block_and_are_not_inherited),
		TEST(what_is_written_is_read_back),
		TEST(a_short_file_read_is_an_error),
		TEST(offsets_beyond_off_t_are_too_big),
		TEST(holes_of_the_file_are_told),
		TEST(reserved_space_is_there_and_its_bytes_stay),
		TEST(a_zeroed_range_takes_its_neighbours_not_along),
		TEST(one_file_is_the_same_by_every_name),
		TEST(a_device_has_its_size_and_keeps_it),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
