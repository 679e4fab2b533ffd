/* SPDX-License-Identifier: ISC */

/* What the host's environment packs and unpacks. */

#include "unit/host/folder.h"

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

/* Noise that comes again after period bytes, in plain. */
static void
noise(uint32_t period)
{
	uint32_t i, n = 1;

	for (i = 0; i < LEN; i++) {
		n = n * 1103515245u + 12345u;
		plain[i] = i < period ? (unsigned char)(n >> 16) :
					plain[i - period];
	}
}

static int
pack_env(enum img_algo algo, uint32_t slen, uint32_t *dlen)
{
	const struct img_env *env = img_host_env();

	return (env->ev_pack(env->ev_arg, algo, plain, slen, packed, dlen));
}

static void
what_was_packed_is_unpacked(void **state)
{
	uint32_t n, again;
	unsigned algo;

	(void)state;
	noise(3000);
	for (algo = IMG_DEFLATE; algo <= IMG_ZSTD; algo++) {
		if (algo == IMG_ZSTD &&
		    !(img_host_env()->ev_can & IMG_CAN_ZSTD))
			continue;
		n = LEN;
		assert_int_equal(pack_env((enum img_algo)algo, LEN, &n), 0);
		assert_in_range(n, 3000, 3500);
		assert_int_equal(unpack((enum img_algo)algo, n, LEN), 0);
		assert_memory_equal(out, plain, LEN);
		again = LEN;
		assert_int_equal(pack_env((enum img_algo)algo, LEN, &again), 0);
		assert_int_equal(again, n);
		again = n - 1;
		assert_int_equal(pack_env((enum img_algo)algo, LEN, &again),
		    ENOSPC);
	}
}

static void
nothing_packed_refers_back_over_4_kib(void **state)
{
	uint32_t n = LEN;

	(void)state;
	/* All that could be saved is further back. */
	noise(5000);
	assert_int_equal(pack_env(IMG_DEFLATE, LEN, &n), ENOSPC);
	noise(3800);
	n = LEN;
	assert_int_equal(pack_env(IMG_DEFLATE, LEN, &n), 0);
	assert_in_range(n, 3800, 4300);
}

static uint32_t
put_le(uint32_t at, uint64_t value, unsigned bytes)
{
	while (bytes-- > 0) {
		packed[at++] = (unsigned char)value;
		value >>= 8;
	}
	return (at);
}

/* A frame of len bytes of c, with that window byte; where it ends. */
static uint32_t
put_frame(uint32_t at, uint32_t len, unsigned c, unsigned window)
{
	at = put_le(at, 0xfd2fb528, 4);
	at = put_le(at, 0, 1); /* neither size nor checksum */
	at = put_le(at, window, 1);
	at = put_le(at, len << 3 | 1 << 1, 3); /* one byte repeated ... */
	at = put_le(at, c, 1);
	return (put_le(at, 1, 3)); /* ... and an empty last block */
}

static void
need_zstd(void)
{
	if (img_host_env()->ev_can & IMG_CAN_ZSTD)
		return;
	if (getenv("IMGTOOL_CI") != NULL)
		fail_msg("built without zstd");
	skip();
}

static void
frames_follow_one_another(void **state)
{
	uint32_t n, i;

	(void)state;
	need_zstd();
	n = put_le(0, 0x184d2a57, 4); /* to be skipped */
	n = put_le(n, 5, 4);
	n = put_le(n, 0xffffffffff, 5);
	n = put_frame(n, 6000, 'a', 0);
	n = put_frame(n, 0, 'x', 0);
	n = put_frame(n, 4000, 'b', 0);
	/* What follows is ignored, be it a frame or none. */
	i = put_frame(n, 100, 'x', 0);
	assert_int_equal(unpack(IMG_ZSTD, i, LEN), 0);
	memset(packed + n, 0xff, 600);
	assert_int_equal(unpack(IMG_ZSTD, n + 600, LEN), 0);
	assert_int_equal(unpack(IMG_ZSTD, n, LEN), 0);
	for (i = 0; i < LEN; i++)
		assert_int_equal(out[i], i < 6000 ? 'a' : 'b');
}

static void
frames_that_give_too_much_or_too_little_are_an_error(void **state)
{
	uint32_t n, i;

	(void)state;
	need_zstd();
	n = put_frame(put_frame(0, 6000, 'a', 0), 4000, 'b', 0);
	assert_int_equal(unpack(IMG_ZSTD, n, LEN - 1), EIO);
	assert_int_equal(unpack(IMG_ZSTD, n, LEN + 1), EIO);
	for (i = 0; i < n; i++)
		assert_int_equal(unpack(IMG_ZSTD, i, LEN), EIO);
	/* A length to skip that is longer than what is there. */
	n = put_le(0, 0x184d2a50, 4);
	n = put_le(n, 14, 4);
	n = put_frame(n, LEN, 'a', 0);
	assert_int_equal(unpack(IMG_ZSTD, n, LEN), EIO);
}

static void
a_frame_may_refer_back_128_mib_and_no_more(void **state)
{
	uint32_t n;

	(void)state;
	need_zstd();
	n = put_frame(0, LEN, 'a', (27 - 10) << 3);
	assert_int_equal(unpack(IMG_ZSTD, n, LEN), 0);
	n = put_frame(0, LEN, 'a', (27 - 10) << 3 | 1);
	assert_int_equal(unpack(IMG_ZSTD, n, LEN), EIO);
	n = put_frame(0, LEN, 'a', 0xff);
	assert_int_equal(unpack(IMG_ZSTD, n, LEN), EIO);
}

static void
the_other_algorithm_is_an_error(void **state)
{
	uint32_t n;

	(void)state;
	n = pack(-12);
	assert_int_equal(unpack(IMG_ZSTD, n, LEN),
	    img_host_env()->ev_can & IMG_CAN_ZSTD ? EIO : ENOTSUP);
	n = put_frame(0, LEN, 'a', 0);
	assert_int_equal(unpack(IMG_DEFLATE, n, LEN), EIO);
	assert_int_equal(unpack((enum img_algo)(IMG_ZSTD + 1), n, LEN),
	    ENOTSUP);
	assert_int_equal(pack_env((enum img_algo)(IMG_ZSTD + 1), LEN, &n),
	    ENOTSUP);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams_of_any_window_are_unpacked),
		cmocka_unit_test(what_follows_a_stream_is_ignored),
		cmocka_unit_test(a_stream_that_gives_more_is_cut),
		cmocka_unit_test(a_stream_that_gives_less_is_an_error),
		cmocka_unit_test(a_stream_with_a_header_or_damage_is_an_error),
		cmocka_unit_test(what_was_packed_is_unpacked),
		cmocka_unit_test(nothing_packed_refers_back_over_4_kib),
		cmocka_unit_test(frames_follow_one_another),
		cmocka_unit_test(
		    frames_that_give_too_much_or_too_little_are_an_error),
		cmocka_unit_test(a_frame_may_refer_back_128_mib_and_no_more),
		cmocka_unit_test(the_other_algorithm_is_an_error),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
