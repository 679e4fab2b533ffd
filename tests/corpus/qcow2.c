/* SPDX-License-Identifier: ISC */

/*
 * Makers of qcow2 images.  What they have to know of the image so far they
 * read from it, so that a recipe can go on where another one ended.
 */

#include <string.h>

#include "qcow2.h"

struct params {
	uint64_t p_version, p_bits, p_order, p_length, p_l1, p_l1_at, p_rt_at;
	uint64_t p_rt, p_rb_at, p_incompat, p_compat, p_autoclear, p_crypt;
	uint64_t p_type;
};

/* Places that the recipe does not tell: as qemu-img has them. */
static void
places(struct params *p, uint64_t size)
{
	uint64_t cluster = UINT64_C(1) << p->p_bits, span;

	span = cluster / ((p->p_incompat & EXTENDED) != 0 ? 16 : 8) * cluster;
	if (p->p_l1 == NOWHERE)
		p->p_l1 = size / span + (size % span != 0);
	if (p->p_rt_at == NOWHERE)
		p->p_rt_at = cluster;
	if (p->p_rb_at == NOWHERE)
		p->p_rb_at = p->p_rt_at + p->p_rt * cluster;
	if (p->p_l1_at == NOWHERE)
		p->p_l1_at = p->p_l1 == 0 ? 0 : p->p_rb_at + cluster;
}

static void
write_header(const struct line *l, struct image *im, const struct params *p,
    uint64_t size)
{
	const struct {
		unsigned off, nbytes;
		uint64_t value;
	} f[] = {
		{ 0, 4, 0x514649fb },
		{ 4, 4, p->p_version },
		{ 20, 4, p->p_bits },
		{ 24, 8, size },
		{ 32, 4, p->p_crypt },
		{ 36, 4, p->p_l1 },
		{ 40, 8, p->p_l1_at },
		{ 48, 8, p->p_rt_at },
		{ 56, 4, p->p_rt },
		/* Version 3 */
		{ 72, 8, p->p_incompat },
		{ 80, 8, p->p_compat },
		{ 88, 8, p->p_autoclear },
		{ 96, 4, p->p_order },
		{ 100, 4, p->p_length },
		{ 104, 1, p->p_type },
	};
	size_t i, n = sizeof(f) / sizeof(f[0]);

	for (i = 0; i < n; i++) {
		if (f[i].off < p->p_length)
			q_put(l, im, f[i].nbytes, f[i].off, f[i].value);
	}
}

static void
maker(const struct line *l, struct image *im)
{
	struct params p = { 3, 16, 4, 112, NOWHERE, NOWHERE, NOWHERE, 1,
		NOWHERE, 0, 0, 0, 0, 0 };
	const struct key keys[] = {
		{ "version=", &p.p_version },
		{ "bits=", &p.p_bits },
		{ "order=", &p.p_order },
		{ "header=", &p.p_length },
		{ "l1=", &p.p_l1 },
		{ "l1at=", &p.p_l1_at },
		{ "rt=", &p.p_rt },
		{ "rtat=", &p.p_rt_at },
		{ "rbat=", &p.p_rb_at },
		{ "incompat=", &p.p_incompat },
		{ "compat=", &p.p_compat },
		{ "autoclear=", &p.p_autoclear },
		{ "crypt=", &p.p_crypt },
		{ "type=", &p.p_type },
	};
	uint64_t size, cluster;

	if (l->l_nwords < 2)
		die(l, "qcow2: want a size");
	size = number(l, im, l->l_word[1]);
	get_keys(l, im, 2, keys, sizeof(keys) / sizeof(keys[0]));
	if (p.p_bits < 9 || p.p_bits > 21)
		die(l, "qcow2: impossible cluster size");
	if (p.p_version == 2)
		p.p_length = 72;
	places(&p, size);
	cluster = UINT64_C(1) << p.p_bits;
	file_resize(l, im, 0);
	write_header(l, im, &p, size);
	q_put(l, im, 8, p.p_rt_at, p.p_rb_at);
	q_reach(l, im, p.p_rt_at + p.p_rt * cluster);
	q_reach(l, im, p.p_rb_at + cluster);
	q_reach(l, im, p.p_l1_at + p.p_l1 * 8);
	im->im_packed = 0;
}

int
qcow2_statement(const struct line *l, struct image *im)
{
	if (strcmp(l->l_word[0], "qcow2") == 0) {
		maker(l, im);
		return (1);
	}
	return (qcow2_map(l, im) || qcow2_ext(l, im) || qcow2_snap(l, im) ||
	    qcow2_count(l, im));
}
