/* SPDX-License-Identifier: ISC */

/* VHD images for tests; offsets are written as the specification has them. */

#include "unit/help/test.h"

#include "unit/help/mkvhd.h"

static void
put(uint8_t *p, uint64_t n, unsigned bytes)
{
	while (bytes-- > 0) {
		p[bytes] = (uint8_t)n;
		n >>= 8;
	}
}

uint32_t
mkvhd_sum(const uint8_t *p, size_t len, size_t sum_off)
{
	uint32_t sum = 0;
	size_t i;

	for (i = 0; i < len; i++)
		sum += p[i];
	for (i = sum_off; i < sum_off + 4; i++)
		sum -= p[i];
	return (0xffffffffu - sum);
}

void
mkvhd_init(struct mkvhd *k, struct mem *m, uint64_t size, uint32_t block)
{
	memset(k, 0, sizeof(*k));
	k->k_mem = m;
	k->k_size = size;
	k->k_type = 3;
	k->k_block = block;
	k->k_header = 512;
}

/* Geometry for sizes that tests use: under 34 MiB, or the maximum. */
static void
make_footer(struct mkvhd *k)
{
	uint8_t *f = k->k_footer;
	uint64_t sectors = k->k_size / 512;

	memset(f, 0, 512);
	memcpy(f, "conectix", 8);
	put(f + 8, 2, 4);
	put(f + 12, 0x10000, 4);
	put(f + 16, k->k_type == 2 ? UINT64_MAX : k->k_header, 8);
	put(f + 24, 0x20000000, 4);
	memcpy(f + 28, "win ", 4);
	put(f + 32, 0xa0000, 4);
	memcpy(f + 36, "Wi2k", 4);
	put(f + 40, k->k_size, 8);
	put(f + 48, k->k_size, 8);
	if (sectors < 69632) {
		put(f + 56, sectors / 17 / 4, 2);
		f[58] = 4;
		f[59] = 17;
	} else
		put(f + 56, 0xffff10ff, 4);
	put(f + 60, k->k_type, 4);
	memcpy(f + 68, "0123456789abcdef", 16);
}

void
mkvhd_footer(struct mkvhd *k, uint64_t off)
{
	put(k->k_footer + 64, mkvhd_sum(k->k_footer, 512, 64), 4);
	mem_put(k->k_mem, off, k->k_footer, 512);
}

void
mkvhd_header_sum(struct mkvhd *k)
{
	uint8_t h[1024];

	mem_get(k->k_mem, k->k_header, h, sizeof(h));
	mem_put32(k->k_mem, k->k_header + 36, mkvhd_sum(h, sizeof(h), 36));
}

uint64_t
mkvhd_entry_off(const struct mkvhd *k, uint32_t index)
{
	return (k->k_bat + (uint64_t)index * 4);
}

static void
make_bat(struct mkvhd *k)
{
	uint8_t sector[512];
	uint64_t off, end;

	memset(sector, 0xff, sizeof(sector));
	end = k->k_bat + ((uint64_t)k->k_entries * 4 + 511) / 512 * 512;
	for (off = k->k_bat; off < end; off += sizeof(sector))
		mem_put(k->k_mem, off, sector, sizeof(sector));
	if (k->k_next < end)
		k->k_next = end;
}

void
mkvhd_begin(struct mkvhd *k)
{
	uint8_t h[1024];

	if (k->k_entries == 0)
		k->k_entries =
		    (uint32_t)((k->k_size + k->k_block - 1) / k->k_block);
	if (k->k_bat == 0)
		k->k_bat = k->k_header + 1024;
	k->k_bitmap = (k->k_block / 512 + 7) / 8;
	k->k_bitmap = (k->k_bitmap + 511) / 512 * 512;
	memset(h, 0, sizeof(h));
	memcpy(h, "cxsparse", 8);
	put(h + 8, UINT64_MAX, 8);
	put(h + 16, k->k_bat, 8);
	put(h + 24, 0x10000, 4);
	put(h + 28, k->k_entries, 4);
	put(h + 32, k->k_block, 4);
	make_footer(k);
	mkvhd_footer(k, 0);
	mem_put(k->k_mem, k->k_header, h, sizeof(h));
	mkvhd_header_sum(k);
	k->k_next = k->k_header + 1024;
	make_bat(k);
}

void
mkvhd_bit(struct mkvhd *k, uint64_t off, uint32_t sector, int set)
{
	uint8_t b, mask = (uint8_t)(0x80 >> (sector % 8));

	mem_get(k->k_mem, off + sector / 8, &b, 1);
	b = (uint8_t)(set ? b | mask : b & ~mask);
	mem_put(k->k_mem, off + sector / 8, &b, 1);
}

uint64_t
mkvhd_block(struct mkvhd *k, uint32_t index)
{
	uint64_t off = k->k_next, voff = (uint64_t)index * k->k_block;
	uint8_t buf[512];
	uint32_t i, nsec = k->k_block / 512;

	memset(buf, 0, sizeof(buf));
	for (i = 0; i < k->k_bitmap; i += 512)
		mem_put(k->k_mem, off + i, buf, 512);
	for (i = 0; i < nsec; i++) {
		mem_pattern(buf, 512, voff + (uint64_t)i * 512, 1);
		mem_put(k->k_mem, off + k->k_bitmap + (uint64_t)i * 512, buf,
		    512);
		if (voff + (uint64_t)i * 512 < k->k_size)
			mkvhd_bit(k, off, i, 1);
	}
	mem_put32(k->k_mem, mkvhd_entry_off(k, index), (uint32_t)(off / 512));
	k->k_next = off + k->k_bitmap + k->k_block;
	return (off);
}

void
mkvhd_end(struct mkvhd *k)
{
	uint64_t off = k->k_next;

	if (k->k_mem->m_file.f_flags & IMG_FILE_FIXED)
		off = k->k_mem->m_len - 512;
	mkvhd_footer(k, off);
}

void
mkvhd_make(struct mkvhd *k, struct mem *m, uint64_t size, uint32_t block,
    const int *blocks, size_t nblocks)
{
	size_t i;

	mkvhd_init(k, m, size, block);
	mkvhd_begin(k);
	for (i = 0; i < nblocks; i++) {
		if (blocks[i] < 0)
			k->k_next += 4096;
		else
			mkvhd_block(k, (uint32_t)blocks[i]);
	}
	mkvhd_end(k);
}

void
mkvhd_fixed(struct mkvhd *k, struct mem *m, uint64_t size)
{
	uint8_t buf[512];
	uint64_t off;

	mkvhd_init(k, m, size, 0);
	k->k_type = 2;
	make_footer(k);
	for (off = 0; off < size; off += 512) {
		mem_pattern(buf, 512, off, 1);
		mem_put(m, off, buf, 512);
	}
	k->k_next = size;
	mkvhd_end(k);
}
