/* SPDX-License-Identifier: ISC */

/*
 * Compression of one unit at a time: raw deflate by zlib and, where it was
 * there at compile time, zstd.
 */

#include <errno.h>
#include <string.h>

#include <zlib.h>
#ifdef HAVE_ZSTD
#include <zstd.h>
#include <zstd_errors.h>
#endif

#include "host/host.h"

/*
 * slen is only an upper bound, so what follows the stream is ignored.  A
 * stream that would give more than dlen is cut there and needs no end: all
 * readers of qcow2 take these, and writers came to rely on it.
 */
static int
inflate_raw(const void *src, uint32_t slen, void *dst, uint32_t dlen)
{
	z_stream z;
	int rc;

	memset(&z, 0, sizeof(z));
	/* Any window: the writer's may be smaller than the largest. */
	if ((rc = inflateInit2(&z, -15)) != Z_OK)
		return (rc == Z_MEM_ERROR ? ENOMEM : EIO);
	/* zlib's input is not const in every version of its header. */
	z.next_in = (Bytef *)(uintptr_t)src;
	z.avail_in = slen;
	z.next_out = dst;
	z.avail_out = dlen;
	rc = inflate(&z, Z_FINISH);
	(void)inflateEnd(&z);
	if (rc == Z_MEM_ERROR)
		return (ENOMEM);
	if (rc != Z_STREAM_END && rc != Z_BUF_ERROR)
		return (EIO);
	return (z.avail_out == 0 ? 0 : EIO);
}

/* A window of 4 KiB: some readers of qcow2 know no larger one. */
static int
deflate_raw(const void *src, uint32_t slen, void *dst, uint32_t *dlen)
{
	z_stream z;
	int rc;

	memset(&z, 0, sizeof(z));
	rc = deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -12, 9,
	    Z_DEFAULT_STRATEGY);
	if (rc != Z_OK)
		return (rc == Z_MEM_ERROR ? ENOMEM : EIO);
	z.next_in = (Bytef *)(uintptr_t)src;
	z.avail_in = slen;
	z.next_out = dst;
	z.avail_out = *dlen;
	rc = deflate(&z, Z_FINISH);
	(void)deflateEnd(&z);
	if (rc != Z_STREAM_END)
		return (rc == Z_OK || rc == Z_BUF_ERROR ? ENOSPC : EIO);
	*dlen -= z.avail_out;
	return (0);
}

#ifdef HAVE_ZSTD
#define MAGIC 0xfd2fb528u
#define SKIPPABLE 0x184d2a50u /* and the 15 that follow */
#define WINDOW_MAX (UINT64_C(1) << 27)

static uint32_t
le32(const uint8_t *p)
{
	return (p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	    (uint32_t)p[3] << 24);
}

/*
 * How far back the frame may refer: bytes 4 (bit 5: as far as it is long)
 * and 5 (exponent, and eighths to be added) of it say so.
 */
static int
window_ok(const uint8_t *p, uint32_t len)
{
	uint64_t base;

	if (len < 6)
		return (0);
	if (p[4] & 0x20)
		return (1);
	base = UINT64_C(1) << (10 + (p[5] >> 3));
	return (base + base / 8 * (p[5] & 7) <= WINDOW_MAX);
}

/*
 * One frame: *slen comes in as what is there and goes out as what it takes,
 * *dlen likewise.  All of it fits, or it is an error.
 */
static int
unzstd_frame(ZSTD_DCtx *ctx, const uint8_t *src, uint32_t *slen, void *dst,
    uint32_t *dlen)
{
	size_t n;

	if (*slen < 8)
		return (EIO);
	if ((le32(src) & ~15u) == SKIPPABLE) {
		if (le32(src + 4) > *slen - 8)
			return (EIO);
		*slen = 8 + le32(src + 4);
		*dlen = 0;
		return (0);
	}
	if (le32(src) != MAGIC || !window_ok(src, *slen))
		return (EIO);
	n = ZSTD_findFrameCompressedSize(src, *slen);
	if (ZSTD_isError(n))
		return (EIO);
	*slen = (uint32_t)n;
	n = ZSTD_decompressDCtx(ctx, dst, *dlen, src, *slen);
	if (ZSTD_isError(n))
		return (ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation ?
			ENOMEM :
			EIO);
	*dlen = (uint32_t)n;
	return (0);
}

/*
 * Frames until dlen bytes are there; what follows them is ignored.  They are
 * unpacked in place, so that a wide window costs no memory.
 */
static int
unzstd(const uint8_t *src, uint32_t slen, uint8_t *dst, uint32_t dlen)
{
	ZSTD_DCtx *ctx;
	uint32_t in, out;
	int error = 0;

	if ((ctx = ZSTD_createDCtx()) == NULL)
		return (ENOMEM);
	while (dlen > 0 && error == 0) {
		in = slen;
		out = dlen;
		error = unzstd_frame(ctx, src, &in, dst, &out);
		src += in;
		slen -= in;
		dst += out;
		dlen -= out;
	}
	(void)ZSTD_freeDCtx(ctx);
	return (error);
}

static int
zstd(const void *src, uint32_t slen, void *dst, uint32_t *dlen)
{
	size_t n = ZSTD_compress(dst, *dlen, src, slen, ZSTD_CLEVEL_DEFAULT);

	if (!ZSTD_isError(n)) {
		*dlen = (uint32_t)n;
		return (0);
	}
	switch (ZSTD_getErrorCode(n)) {
	case ZSTD_error_dstSize_tooSmall:
		return (ENOSPC);
	case ZSTD_error_memory_allocation:
		return (ENOMEM);
	default:
		return (EIO);
	}
}
#endif /* HAVE_ZSTD */

int
host_unpack(void *arg, enum img_algo algo, const void *src, uint32_t slen,
    void *dst, uint32_t dlen)
{
	(void)arg;
	switch (algo) {
	case IMG_DEFLATE:
		return (inflate_raw(src, slen, dst, dlen));
#ifdef HAVE_ZSTD
	case IMG_ZSTD:
		return (unzstd(src, slen, dst, dlen));
#endif
	default:
		return (ENOTSUP);
	}
}

int
host_pack(void *arg, enum img_algo algo, const void *src, uint32_t slen,
    void *dst, uint32_t *dlen)
{
	(void)arg;
	switch (algo) {
	case IMG_DEFLATE:
		return (deflate_raw(src, slen, dst, dlen));
#ifdef HAVE_ZSTD
	case IMG_ZSTD:
		return (zstd(src, slen, dst, dlen));
#endif
	default:
		return (ENOTSUP);
	}
}
