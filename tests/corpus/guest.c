/* SPDX-License-Identifier: ISC */

/* The guest's view of a sound image, and files compared without the holes. */

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mkimage.h"

#define CHUNK 65536u
#define SECTOR 512u

void
open_image(struct image *im, const char *path, int flags)
{
	im->im_path = path;
	im->im_packed = 0;
	im->im_fd = open(path, flags, 0666);
	if (im->im_fd == -1)
		die(NULL, "%s: cannot open", path);
}

void
open_beside(struct image *im, const struct image *other, const char *name,
    int flags)
{
	char path[8192];
	const char *slash = strrchr(other->im_path, '/');
	int dir = slash == NULL ? 0 : (int)(slash + 1 - other->im_path);

	if (snprintf(path, sizeof(path), "%.*s%s", dir, other->im_path, name) >=
	    (int)sizeof(path))
		die(NULL, "%s: name too long", name);
	open_image(im, path, flags);
	im->im_path = NULL;
}

/* Zeros stay holes. */
void
put_bytes(struct image *out, const uint8_t *b, size_t len, uint64_t to)
{
	static const uint8_t zero[SECTOR];
	size_t n;

	for (; len > 0; len -= n, b += n, to += n) {
		n = len < SECTOR ? len : SECTOR;
		if (memcmp(b, zero, n) != 0)
			file_write(NULL, out, b, n, to);
	}
}

/* Early tapdisk set byte 85 without a new checksum. */
static int
is_footer(const uint8_t *b)
{
	uint32_t sum = 0, want = (uint32_t)get_be(b + 64, 4);
	unsigned i;

	if (memcmp(b, "conectix", 8) != 0)
		return (0);
	for (i = 0; i < 512; i++)
		sum += i >= 64 && i < 68 ? 0 : b[i];
	if (want == (~sum & 0xffffffff))
		return (1);
	return (memcmp(b + 28, "tap", 4) == 0 &&
	    want == (~(sum - b[85]) & 0xffffffff));
}

/* The end footer, or else the copy, if its checksum is right. */
static int
read_footer(const struct image *im, uint8_t *b)
{
	uint64_t len = file_length(NULL, im), off[2];
	unsigned k;

	off[0] = len - (len % 512 == 511 ? 511 : 512);
	off[1] = 0;
	for (k = 0; k < 2; k++) {
		file_read(NULL, im, b, 512, off[k]);
		if (is_footer(b))
			return (0);
	}
	return (-1);
}

static void
put_sector(const struct image *in, uint64_t from, struct image *out,
    uint64_t to)
{
	uint8_t b[SECTOR];

	file_read(NULL, in, b, sizeof(b), from);
	put_bytes(out, b, sizeof(b), to);
}

static void
put_block(const struct image *in, uint64_t at, uint64_t block,
    struct image *out, uint64_t to, uint64_t size)
{
	uint64_t bitmap = ((block / 512 + 7) / 8 + 511) / 512 * 512, s;
	uint8_t bits[1u << 17];

	if (bitmap > sizeof(bits))
		die(NULL, "block size is too large");
	file_read(NULL, in, bits, (size_t)bitmap, at);
	for (s = 0; s < block / 512; s++) {
		if (to + s * 512 >= size)
			break;
		if (bits[s / 8] & 0x80 >> s % 8)
			put_sector(in, at + bitmap + s * 512, out,
			    to + s * 512);
	}
}

static void
put_dynamic(const struct image *in, uint64_t head, uint64_t size,
    struct image *out)
{
	uint8_t b[512];
	uint64_t bat, block, i, at;

	file_read(NULL, in, b, sizeof(b), head);
	if (memcmp(b, "cxsparse", 8) != 0)
		die(NULL, "no dynamic header");
	bat = get_be(b + 16, 8);
	block = get_be(b + 32, 4);
	if (block < 512)
		die(NULL, "block size is too small");
	for (i = 0; i * block < size; i++) {
		file_read(NULL, in, b, 4, bat + 4 * i);
		at = get_be(b, 4);
		if (at != 0xffffffff)
			put_block(in, at * 512, block, out, i * block, size);
	}
}

static void
vhd_guest(const struct image *in, struct image *out)
{
	uint8_t b[512];
	uint64_t size, off;

	if (read_footer(in, b) == -1)
		die(NULL, "%s: no footer", in->im_path);
	size = get_be(b + 48, 8) / 512 * 512;
	file_resize(NULL, out, size);
	if (get_be(b + 60, 4) == 2) {
		for (off = 0; off < size; off += 512)
			put_sector(in, off, out, off);
	} else
		put_dynamic(in, get_be(b + 16, 8), size, out);
}

void
put_backing(const struct image *im, uint64_t off, uint64_t len,
    struct image *out, uint64_t size)
{
	struct image base;
	char name[4096] = "";
	uint8_t b[CHUNK];
	uint64_t at, n;

	if (len >= sizeof(name))
		die(NULL, "name of the backing file is too long");
	file_read(NULL, im, name, len, off);
	open_beside(&base, im, name, O_RDONLY);
	if (size > file_length(NULL, &base))
		size = file_length(NULL, &base);
	for (at = 0; at < size; at += n) {
		n = size - at < CHUNK ? size - at : CHUNK;
		file_read(NULL, &base, b, n, at);
		put_bytes(out, b, n, at);
	}
	close(base.im_fd);
}

void
guest_bytes(const char *image, const char *snapshot, const char *path)
{
	struct image in, out;
	uint8_t b[4];

	open_image(&in, image, O_RDONLY);
	open_image(&out, path, O_RDWR | O_CREAT | O_TRUNC);
	file_read(NULL, &in, b, sizeof(b), 0);
	if (memcmp(b, "QFI\xfb", 4) == 0)
		qcow2_guest(&in, snapshot, &out);
	else if (memcmp(b, "QED", 4) == 0)
		qed_guest(&in, &out);
	else
		vhd_guest(&in, &out);
	close(in.im_fd);
	close(out.im_fd);
}

/* The first offset at or after off that may hold data. */
static uint64_t
next_data(const struct image *im, uint64_t off, uint64_t len)
{
	off_t at;

	if (off >= len)
		return (len);
	at = lseek(im->im_fd, (off_t)off, SEEK_DATA);
	return (at == -1 ? len : (uint64_t)at);
}

/* 1 if byte off is in one of the ranges that are not compared. */
static int
excused(uint64_t off, char **ranges, int n)
{
	uint64_t start;
	int i;

	for (i = 0; i + 1 < n; i += 2) {
		start = number(NULL, NULL, ranges[i]);
		if (off >= start &&
		    off - start < number(NULL, NULL, ranges[i + 1]))
			return (1);
	}
	return (0);
}

static int
compare_chunk(const struct image *a, const struct image *b, uint64_t off,
    size_t n, char **ranges, int nranges)
{
	uint8_t x[CHUNK], y[CHUNK];
	size_t i;

	file_read(NULL, a, x, n, off);
	file_read(NULL, b, y, n, off);
	if (memcmp(x, y, n) == 0)
		return (0);
	for (i = 0; i < n; i++) {
		if (x[i] == y[i] || excused(off + i, ranges, nranges))
			continue;
		printf("differ at %llu: %02x and %02x\n",
		    (unsigned long long)(off + i), x[i], y[i]);
		return (1);
	}
	return (0);
}

/* Bytes that only one of two files has, from off to end. */
static int
compare_tail(uint64_t off, uint64_t end, char **ranges, int nranges)
{
	uint64_t o;

	for (o = off; o < end; o += SECTOR)
		if (!excused(o, ranges, nranges))
			break;
	if (o >= end && (end == off || excused(end - 1, ranges, nranges)))
		return (0);
	printf("lengths differ: %llu and %llu\n", (unsigned long long)off,
	    (unsigned long long)end);
	return (1);
}

int
compare_files(const char *pa, const char *pb, char **ranges, int nranges)
{
	struct image a, b;
	uint64_t len, max, off = 0, o;

	open_image(&a, pa, O_RDONLY);
	open_image(&b, pb, O_RDONLY);
	len = file_length(NULL, &a);
	max = file_length(NULL, &b);
	if (max < len) {
		o = len;
		len = max;
		max = o;
	}
	for (;;) {
		o = next_data(&b, off, len);
		off = next_data(&a, off, len);
		if (o < off)
			off = o;
		if (off >= len)
			return (compare_tail(len, max, ranges, nranges));
		o = len - off < CHUNK ? len - off : CHUNK;
		if (compare_chunk(&a, &b, off, (size_t)o, ranges, nranges))
			return (1);
		off += o;
	}
}
