/* SPDX-License-Identifier: ISC */

/* An image from descriptors, for a virtual machine monitor's threads. */

#include <pthread.h>

#include "unit/host/chain.h"

static int
open_fd(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	assert_true(fd >= 0);
	return (fd);
}

/* top over mid over a raw base of 1 MiB, which has an 'r' in each byte. */
static void
make_three(void)
{
	char text[4097];
	struct img_file *f;
	uint64_t off;

	memset(text, 'r', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	put_file("base.raw", "");
	assert_int_equal(img_host_open(&f, "base.raw", IMG_HOST_RDWR), 0);
	for (off = 0; off < MIB; off += 4096)
		assert_int_equal(f->f_ops->fo_write(f, text, 4096, off), 0);
	assert_int_equal(img_host_close(f), 0);
	make_overlay("mid", "base.raw", "raw");
	make_overlay("top", "mid", "qcow2");
}

static int
open_backing(struct img_backing **b, const int *fds, unsigned n, uint32_t flags)
{
	struct img_args a;

	memset(&a, 0, sizeof(a));
	a.a_format = img_format_find("qcow2");
	a.a_flags = flags;
	return (img_backing_open(b, fds, n, &a));
}

static void
descriptors_are_the_chain_from_the_top_down(void **state)
{
	struct img_backing *b;
	unsigned n = open_files();
	int fds[3];
	char byte;

	(void)state;
	make_three();
	fds[0] = open_fd("top", O_RDWR);
	fds[1] = open_fd("mid", O_RDONLY);
	fds[2] = open_fd("base.raw", O_RDONLY);
	assert_int_equal(open_backing(&b, fds, 3, IMG_RDWR), 0);
	assert_int_equal(img_backing_size(b), MIB);
	assert_int_equal(img_backing_pread(b, &byte, 1, MIB - 1), 0);
	assert_int_equal(byte, 'r');
	assert_int_equal(img_backing_pwrite(b, "x", 1, 4097), 0);
	assert_int_equal(img_backing_flush(b), 0);
	assert_int_equal(img_backing_pread(b, &byte, 1, 4097), 0);
	assert_int_equal(byte, 'x');
	assert_int_equal(img_backing_pread(b, &byte, 1, MIB), EINVAL);
	assert_int_equal(img_backing_close(b), 0);
	assert_int_equal(open_files(), n);
}

/* Whatever is wrong, no descriptor stays open. */
static void
too_few_and_too_many_are_refused(void **state)
{
	struct img_backing *b = NULL;
	unsigned n = open_files();
	int fds[4];

	(void)state;
	make_three();
	fds[0] = open_fd("top", O_RDWR);
	fds[1] = open_fd("mid", O_RDONLY);
	assert_int_equal(open_backing(&b, fds, 2, IMG_RDWR), ENXIO);
	assert_int_equal(open_files(), n);
	fds[0] = open_fd("top", O_RDWR);
	fds[1] = open_fd("mid", O_RDONLY);
	fds[2] = open_fd("base.raw", O_RDONLY);
	fds[3] = open_fd("base.raw", O_RDONLY);
	assert_int_equal(open_backing(&b, fds, 4, IMG_RDWR), EINVAL);
	assert_int_equal(open_files(), n);
	fds[0] = open_fd("base.raw", O_RDONLY);
	fds[1] = open_fd("mid", O_RDONLY);
	assert_int_equal(open_backing(&b, fds, 2, 0), EFTYPE);
	assert_int_equal(open_files(), n);
	assert_int_equal(open_backing(&b, fds, 0, 0), EINVAL);
	put_file("data", "");
	make("ext", "qcow2", "data_file=data");
	fds[0] = open_fd("ext", O_RDONLY);
	fds[1] = open_fd("data", O_RDONLY);
	assert_int_equal(open_backing(&b, fds, 2, 0), ENOTSUP);
	fds[0] = open_fd("ext", O_RDONLY);
	assert_int_equal(open_backing(&b, fds, 1, 0), ENOTSUP);
	assert_int_equal(open_files(), n);
	assert_null(b);
}

/* --- threads ------------------------------------------------------------- */

#define NTHREADS 4
#define ROUNDS 300
#define PIECE 700u /* no unit of anything, so that clusters are shared */

struct worker {
	pthread_t w_thread;
	struct img_backing *w_backing;
	unsigned w_n;
	uint8_t w_want[MIB / PIECE + 1]; /* of this one's pieces; 0: base */
	unsigned w_wrong;
};

static uint32_t
next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return (*seed >> 8);
}

/* Pieces k with k % NTHREADS == w_n are this thread's. */
static void *
work(void *arg)
{
	struct worker *w = arg;
	uint8_t buf[PIECE];
	uint32_t seed = 77 + w->w_n, i, k;

	for (i = 0; i < ROUNDS; i++) {
		k = next_random(&seed) % (uint32_t)(MIB / PIECE / NTHREADS);
		k = k * NTHREADS + w->w_n;
		if (next_random(&seed) % 2) {
			w->w_want[k] = (uint8_t)(1 + next_random(&seed) % 250);
			memset(buf, w->w_want[k], PIECE);
			w->w_wrong += img_backing_pwrite(w->w_backing, buf,
					  PIECE, (uint64_t)k * PIECE) != 0;
		} else {
			memset(buf, 0, PIECE);
			w->w_wrong += img_backing_pread(w->w_backing, buf,
					  PIECE, (uint64_t)k * PIECE) != 0;
			w->w_wrong += buf[0] !=
			    (w->w_want[k] ? w->w_want[k] : 'r');
			w->w_wrong += memcmp(buf, buf + 1, PIECE - 1) != 0;
		}
		if (i % 64 == w->w_n)
			w->w_wrong += img_backing_flush(w->w_backing) != 0;
	}
	return (NULL);
}

static void
look_for_bytes(struct worker *w)
{
	struct img_chain *ch;
	uint8_t buf[PIECE], want;
	uint32_t k;

	fresh_args(0);
	ch = opened("top");
	for (k = 0; k < MIB / PIECE; k++) {
		want = w[k % NTHREADS].w_want[k];
		assert_int_equal(img_read(img_chain_image(ch, 0), buf, PIECE,
				     (uint64_t)k * PIECE),
		    0);
		assert_int_equal(buf[0], want ? want : 'r');
		assert_memory_equal(buf, buf + 1, PIECE - 1);
	}
	assert_int_equal(img_chain_close(ch), 0);
}

static void
four_threads_find_their_own_bytes(void **state)
{
	static struct worker w[NTHREADS];
	struct img_backing *b;
	unsigned i;
	int fds[3];

	(void)state;
	make_three();
	fds[0] = open_fd("top", O_RDWR);
	fds[1] = open_fd("mid", O_RDONLY);
	fds[2] = open_fd("base.raw", O_RDONLY);
	assert_int_equal(open_backing(&b, fds, 3, IMG_RDWR), 0);
	memset(w, 0, sizeof(w));
	for (i = 0; i < NTHREADS; i++) {
		w[i].w_backing = b;
		w[i].w_n = i;
		assert_int_equal(pthread_create(&w[i].w_thread, NULL, work,
				     &w[i]),
		    0);
	}
	for (i = 0; i < NTHREADS; i++) {
		assert_int_equal(pthread_join(w[i].w_thread, NULL), 0);
		assert_int_equal(w[i].w_wrong, 0);
	}
	assert_int_equal(img_backing_close(b), 0);
	look_for_bytes(w);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, folder_make, folder_remove)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(descriptors_are_the_chain_from_the_top_down),
		TEST(too_few_and_too_many_are_refused),
		TEST(four_threads_find_their_own_bytes),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
