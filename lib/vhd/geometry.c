/* SPDX-License-Identifier: ISC */

/* CHS geometry by the algorithm of the specification's appendix. */

#include "vhd/vhd.h"

#define MAX_SECTORS (65535u * 16 * 255)

uint32_t
vhd_geometry(uint64_t size)
{
	uint32_t n, q, heads, spt;

	n = (uint32_t)img_min(size / IMG_SECTOR, MAX_SECTORS);
	if (n >= 65535u * 16 * 63) {
		spt = 255;
		heads = 16;
		q = n / spt;
	} else {
		spt = 17;
		q = n / spt;
		heads = (q + 1023) / 1024;
		if (heads < 4)
			heads = 4;
		if (q >= 1024 * heads || heads > 16) {
			spt = 31;
			heads = 16;
			q = n / spt;
		}
		/* Tested even where the step before did not apply. */
		if (q >= 1024 * heads) {
			spt = 63;
			heads = 16;
			q = n / spt;
		}
	}
	return ((q / heads) << 16 | heads << 8 | spt);
}

uint64_t
vhd_chs_sectors(uint32_t chs)
{
	return ((uint64_t)(chs >> 16) * (chs >> 8 & 0xff) * (chs & 0xff));
}
