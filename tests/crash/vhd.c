/* SPDX-License-Identifier: ISC */

/* VHDs to try. */

#include "unit/help/test.h"

#include "crash/crash.h"

static const struct subject_kind vhd_kind = { .sk_format = "vhd" };

/* Blocks out of order, with gaps, and garbage under clear bits. */
static void
make_gaps(struct mkvhd *k)
{
	static const int blocks[] = { 1103, -1, 2, 1100, -1, 5 };
	static const uint32_t clear[] = { 0, 3, 4, 7 };
	uint64_t off;
	size_t i, s;

	for (i = 0; i < LENGTH_OF(blocks); i++) {
		if (blocks[i] < 0) {
			k->k_next += 4096;
			continue;
		}
		off = mkvhd_block(k, (uint32_t)blocks[i]);
		for (s = 0; s < LENGTH_OF(clear); s++)
			mkvhd_bit(k, off, clear[s], 0);
	}
}

void
subject_make(struct subject *su, char kind, uint32_t slices)
{
	struct mkvhd *k = &su->su_k;

	memset(su, 0, sizeof(*su));
	mem_env(&su->su_env);
	su->su_kind = &vhd_kind;
	su->su_slices = slices;
	su->su_window[1] = UINT64_C(1100) * BLOCK;
	su->su_len = UINT64_C(8) * BLOCK;
	su->su_most = 2 * BLOCK;
	su->su_zeros = 2;
	su->su_spare = DISK - 512;
	su->su_flags = IMG_RDWR;
	if (kind == 'd')
		mem_device(&su->su_mem[0], 32 * (BLOCK + 512));
	else
		mem_file(&su->su_mem[0], 0);
	if (kind == 'x') {
		mkvhd_fixed(k, &su->su_mem[0], DISK);
	} else {
		mkvhd_init(k, &su->su_mem[0], DISK, BLOCK);
		mkvhd_begin(k);
		if (kind != 'e')
			make_gaps(k);
		mkvhd_end(k);
	}
	subject_begin(su);
}
