/* SPDX-License-Identifier: ISC */

/* The image file, whole transfers only, and the numbers in it. */

#include <sys/stat.h>

#include <string.h>
#include <unistd.h>

#include "mkimage.h"

#define CHUNK 65536u
#define NOISE 4096u

uint64_t
get_be(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;

	while (n-- > 0)
		v = v << 8 | *p++;
	return (v);
}

void
put_be(uint8_t *p, unsigned n, uint64_t v)
{
	while (n-- > 0) {
		p[n] = (uint8_t)v;
		v >>= 8;
	}
}

uint64_t
get_le(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;

	while (n-- > 0)
		v = v << 8 | p[n];
	return (v);
}

void
put_le(uint8_t *p, unsigned n, uint64_t v)
{
	for (; n > 0; n--, v >>= 8)
		*p++ = (uint8_t)v;
}

uint64_t
file_length(const struct line *l, const struct image *im)
{
	struct stat st;

	if (fstat(im->im_fd, &st) == -1)
		die(l, "cannot tell the length of the image");
	return ((uint64_t)st.st_size);
}

void
file_resize(const struct line *l, struct image *im, uint64_t len)
{
	if (len > INT64_MAX || ftruncate(im->im_fd, (off_t)len) == -1)
		die(l, "cannot make the image %llu bytes long",
		    (unsigned long long)len);
}

void
file_read(const struct line *l, const struct image *im, void *buf, size_t len,
    uint64_t off)
{
	uint8_t *p = buf;
	ssize_t n;

	memset(buf, 0, len);
	/* No file is that long. */
	if (off > INT64_MAX - len)
		return;
	while (len > 0) {
		n = pread(im->im_fd, p, len, (off_t)off);
		if (n == -1)
			die(l, "cannot read the image");
		if (n == 0)
			break;
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
}

void
file_write(const struct line *l, struct image *im, const void *buf, size_t len,
    uint64_t off)
{
	const uint8_t *p = buf;
	ssize_t n;

	while (len > 0) {
		n = -1;
		if (off <= INT64_MAX)
			n = pwrite(im->im_fd, p, len, (off_t)off);
		if (n <= 0)
			die(l, "cannot write to the image at %llu",
			    (unsigned long long)off);
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
}

/* Zeros at the end of the file stay a hole. */
void
file_fill(const struct line *l, struct image *im, uint64_t off, uint64_t len,
    int byte)
{
	uint8_t buf[CHUNK];
	uint64_t eof = file_length(l, im);
	size_t n;

	if (byte == 0 && off + len >= eof) {
		if (off < eof)
			file_resize(l, im, off);
		file_resize(l, im, off + len);
		return;
	}
	memset(buf, byte, sizeof(buf));
	for (; len > 0; len -= n, off += n) {
		n = len < CHUNK ? (size_t)len : CHUNK;
		file_write(l, im, buf, n, off);
	}
}

void
file_random(const struct line *l, struct image *im, uint64_t off, uint64_t len,
    uint64_t seed)
{
	uint8_t buf[CHUNK];
	size_t i, n;

	for (; len > 0; len -= n, off += n) {
		n = len < CHUNK ? (size_t)len : CHUNK;
		for (i = 0; i < n; i++) {
			seed =
			    seed * 6364136223846793005u + 1442695040888963407u;
			buf[i] = (uint8_t)(seed >> 56);
		}
		file_write(l, im, buf, n, off);
	}
}

void
file_noise(const struct line *l, struct image *im, uint64_t off, uint64_t len,
    uint64_t seed)
{
	uint64_t n = len < 2 * NOISE ? len / 2 : NOISE;

	file_random(l, im, off, n, seed);
	file_random(l, im, off + len - n, n, seed + 1000);
}

/* Through a buffer that holds all of it: the two ranges may overlap. */
void
file_copy(const struct line *l, struct image *im, uint64_t from, uint64_t len,
    uint64_t to)
{
	uint8_t buf[CHUNK];

	if (len > CHUNK)
		die(l, "copy: at most %u bytes", CHUNK);
	file_read(l, im, buf, (size_t)len, from);
	file_write(l, im, buf, (size_t)len, to);
}
