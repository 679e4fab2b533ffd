/* SPDX-License-Identifier: ISC */

/* Makers of VHD images: footers, header, BAT and blocks, from the facts. */

#include <stdio.h>
#include <string.h>

#include "mkimage.h"

#define STAMP 0x20000000u /* 2017-01-04 18:48:32 UTC */
#define NOWHERE UINT64_MAX

struct params {
	uint64_t p_block, p_head, p_bat, p_entries, p_pad, p_end, p_type;
};

/* What vhd_block has to know of the image so far. */
struct layout {
	uint64_t y_size, y_bat, y_entries, y_block, y_bitmap, y_end;
};

static uint64_t
align512(uint64_t n)
{
	return ((n + 511) / 512 * 512);
}

/* The complement of the sum of all bytes but the checksum's own. */
void
vhd_sum(const struct line *l, struct image *im, unsigned nbytes, unsigned field,
    uint64_t off)
{
	uint8_t buf[1024];
	uint32_t sum = 0;
	unsigned i;

	file_read(l, im, buf, nbytes, off);
	for (i = 0; i < nbytes; i++) {
		if (i < field || i >= field + 4)
			sum += buf[i];
	}
	put_be(buf, 4, ~sum & 0xffffffff);
	file_write(l, im, buf, 4, off + field);
}

/* Cylinders, heads and sectors per track as the four bytes of the footer. */
static uint32_t
geometry(uint64_t nsec)
{
	uint64_t q, h, s;

	if (nsec > 65535u * 16 * 255)
		nsec = 65535u * 16 * 255;
	if (nsec >= 65535u * 16 * 63) {
		s = 255;
		h = 16;
		q = nsec / s;
	} else {
		s = 17;
		q = nsec / s;
		h = (q + 1023) / 1024;
		if (h < 4)
			h = 4;
		if (q >= 1024 * h || h > 16) {
			s = 31;
			h = 16;
			q = nsec / s;
		}
		if (q >= 1024 * h) {
			s = 63;
			h = 16;
			q = nsec / s;
		}
	}
	return ((uint32_t)(q / h << 16 | h << 8 | s));
}

static void
write_footer(const struct line *l, struct image *im, uint64_t off,
    uint64_t size, uint64_t data_off, unsigned type)
{
	uint8_t b[512] = { 0 };
	unsigned i;

	memcpy(b, "conectix", 8);
	put_be(b + 8, 4, 2);
	put_be(b + 12, 4, 0x00010000);
	put_be(b + 16, 8, data_off);
	put_be(b + 24, 4, STAMP);
	memcpy(b + 28, "win ", 4);
	put_be(b + 32, 4, 0x000a0000);
	memcpy(b + 36, "Wi2k", 4);
	put_be(b + 40, 8, size);
	put_be(b + 48, 8, size);
	put_be(b + 56, 4, geometry(size / 512));
	put_be(b + 60, 4, type);
	for (i = 0; i < 16; i++)
		b[68 + i] = (uint8_t)(0xa0 + i);
	file_write(l, im, b, sizeof(b), off);
	vhd_sum(l, im, 512, 64, off);
}

void
vhd_fixed(const struct line *l, struct image *im)
{
	uint64_t size;

	if (l->l_nwords != 2)
		die(l, "fixed: want a size");
	size = number(l, im, l->l_word[1]);
	file_resize(l, im, 0);
	write_footer(l, im, size, size, NOWHERE, 2);
}

static void
write_header(const struct line *l, struct image *im, const struct params *p)
{
	uint8_t b[1024] = { 0 };

	memcpy(b, "cxsparse", 8);
	put_be(b + 8, 8, NOWHERE);
	put_be(b + 16, 8, p->p_bat);
	put_be(b + 24, 4, 0x00010000);
	put_be(b + 28, 4, p->p_entries);
	put_be(b + 32, 4, p->p_block);
	file_write(l, im, b, sizeof(b), p->p_head);
	vhd_sum(l, im, 1024, 36, p->p_head);
}

void
vhd_dynamic(const struct line *l, struct image *im)
{
	struct params p = { 2u << 20, 512, NOWHERE, NOWHERE, 0xff, 0, 3 };
	const struct key keys[] = {
		{ "block=", &p.p_block },
		{ "head=", &p.p_head },
		{ "bat=", &p.p_bat },
		{ "entries=", &p.p_entries },
		{ "pad=", &p.p_pad },
		{ "end=", &p.p_end },
		{ "type=", &p.p_type },
	};
	uint64_t size, len, bat_end;

	if (l->l_nwords < 2)
		die(l, "dynamic: want a size");
	size = number(l, im, l->l_word[1]);
	get_keys(l, im, 2, keys, sizeof(keys) / sizeof(keys[0]));
	if (p.p_block == 0)
		die(l, "dynamic: block size 0");
	if (p.p_bat == NOWHERE)
		p.p_bat = p.p_head + 1024;
	if (p.p_entries == NOWHERE)
		p.p_entries = (size + p.p_block - 1) / p.p_block;
	len = p.p_entries * 4;
	bat_end = p.p_bat + align512(len);
	if (p.p_end < bat_end)
		p.p_end = bat_end;
	if (p.p_end < p.p_head + 1024)
		p.p_end = p.p_head + 1024;
	file_resize(l, im, 0);
	write_footer(l, im, 0, size, p.p_head, (unsigned)p.p_type);
	write_header(l, im, &p);
	file_fill(l, im, p.p_bat, len, 0xff);
	file_fill(l, im, p.p_bat + len, bat_end - p.p_bat - len, (int)p.p_pad);
	write_footer(l, im, p.p_end, size, p.p_head, (unsigned)p.p_type);
}

static void
get_layout(const struct line *l, struct image *im, struct layout *y)
{
	uint8_t b[512];
	uint64_t head;

	y->y_end = file_length(l, im) - 512;
	file_read(l, im, b, sizeof(b), y->y_end);
	if (memcmp(b, "conectix", 8) != 0)
		die(l, "%s: no end footer so far", l->l_word[0]);
	y->y_size = get_be(b + 48, 8);
	head = get_be(b + 16, 8);
	file_read(l, im, b, sizeof(b), head);
	if (memcmp(b, "cxsparse", 8) != 0)
		die(l, "%s: no dynamic header so far", l->l_word[0]);
	y->y_bat = get_be(b + 16, 8);
	y->y_entries = get_be(b + 28, 4);
	y->y_block = get_be(b + 32, 4);
	y->y_bitmap = align512((y->y_block / 512 + 7) / 8);
}

/* Move the end footer to off; the file ends behind it. */
void
vhd_end(const struct line *l, struct image *im, uint64_t off)
{
	uint8_t b[512];
	uint64_t from = file_length(l, im) - 512;

	file_read(l, im, b, sizeof(b), from);
	if (memcmp(b, "conectix", 8) != 0)
		die(l, "end: there is no end footer");
	file_fill(l, im, from, sizeof(b), 0);
	file_resize(l, im, off);
	file_write(l, im, b, sizeof(b), off);
}

static void
write_bits(const struct line *l, struct image *im, uint64_t off, uint64_t n)
{
	uint8_t last;

	file_fill(l, im, off, n / 8, 0xff);
	if (n % 8 != 0) {
		last = (uint8_t)(0xff00 >> n % 8);
		file_write(l, im, &last, 1, off + n / 8);
	}
}

void
vhd_block(const struct line *l, struct image *im)
{
	struct layout y;
	uint64_t i, off, data, len;
	uint8_t sec[4];

	if (l->l_nwords != 4 || strcmp(l->l_word[2], "at") != 0)
		die(l, "block: want INDEX at OFFSET");
	i = number(l, im, l->l_word[1]);
	off = number(l, im, l->l_word[3]);
	get_layout(l, im, &y);
	if (i >= y.y_entries || off % 512 != 0)
		die(l, "block: no such block or place");
	data = off + y.y_bitmap;
	if (data + y.y_block > y.y_end)
		vhd_end(l, im, data + y.y_block);
	put_be(sec, 4, off / 512);
	file_write(l, im, sec, 4, y.y_bat + 4 * i);
	len = y.y_block;
	if (i * y.y_block < y.y_size && len > y.y_size - i * y.y_block)
		len = y.y_size - i * y.y_block;
	write_bits(l, im, off, len / 512);
	file_noise(l, im, data, len, i + 1);
}
