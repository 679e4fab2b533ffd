/* SPDX-License-Identifier: ISC */

/* A format without metadata. */

#include "unit/help/test.h"

#include "unit/help/fake.h"

struct fake fake_next;

struct fake *
fake_of(struct img *im)
{
	return (im->im_priv);
}

void
fake_draw(const char *map)
{
	memset(&fake_next, 0, sizeof(fake_next));
	assert_true(strlen(map) <= FAKE_MAX);
	strcpy(fake_next.k_map, map);
	fake_next.k_size = (uint64_t)strlen(map) * FAKE_UNIT;
}

static uint64_t
home(unsigned i, char letter)
{
	return (letter == 'p' ? (uint64_t)i * 128 :
				FAKE_DATA + (uint64_t)i * FAKE_UNIT);
}

void
fake_fill(struct mem *m)
{
	uint8_t buf[FAKE_UNIT];
	unsigned i;

	for (i = 0; fake_next.k_map[i] != '\0'; i++) {
		mem_pattern(buf, sizeof(buf), (uint64_t)i * FAKE_UNIT, 1);
		if (fake_next.k_map[i] == 'd')
			mem_put(m, home(i, 'd'), buf, sizeof(buf));
		if (fake_next.k_map[i] == 'p')
			mem_put(m, home(i, 'p'), buf, FAKE_PACKED);
	}
	if (m->m_len < FAKE_DATA)
		m->m_len = FAKE_DATA;
}

/* Unpacking repeats the packed bytes. */
void
fake_expect(uint8_t *unit, unsigned i, char letter)
{
	unsigned k;

	memset(unit, 0, FAKE_UNIT);
	if (letter == 'd' || letter == 'p')
		mem_pattern(unit, FAKE_UNIT, (uint64_t)i * FAKE_UNIT, 1);
	for (k = FAKE_PACKED; letter == 'p' && k < FAKE_UNIT; k++)
		unit[k] = unit[k % FAKE_PACKED];
}

static int
fake_open(struct img *im)
{
	struct fake *k = fake_of(im);
	unsigned i;

	*k = fake_next;
	for (i = 0; k->k_map[i] != '\0'; i++)
		k->k_off[i] = home(i, k->k_map[i]);
	im->im_size = k->k_size;
	im->im_unit = FAKE_UNIT;
	im->im_packmax = FAKE_PACKED;
	if (k->k_raise != 0)
		img_raise(im, (enum img_row)k->k_raise, 0);
	if (k->k_need != 0)
		return (img_alloc(im, k->k_need, &k->k_mem));
	return (0);
}

static int
fake_verify(struct img *im)
{
	if (fake_of(im)->k_raise_verify != 0)
		img_raise(im, (enum img_row)fake_of(im)->k_raise_verify, 0);
	return (0);
}

static void
fake_close(struct img *im)
{
	img_free(im, fake_of(im)->k_mem, fake_of(im)->k_need);
}

static enum img_etype
type_of(char letter)
{
	switch (letter) {
	case 'h':
		return (IMG_HOLE);
	case 'z':
		return (IMG_ZERO);
	case 'd':
		return (IMG_DATA);
	case 'p':
		return (IMG_PACKED);
	default:
		return (IMG_BAD);
	}
}

static int
fake_map(struct img *im, uint64_t voff, uint64_t len, struct img_extent *e)
{
	struct fake *k = fake_of(im);
	unsigned i = (unsigned)(voff / FAKE_UNIT);
	uint64_t in = voff % FAKE_UNIT, end;

	memset(e, 0, sizeof(*e));
	e->e_voff = voff;
	e->e_type = type_of(k->k_map[i]);
	e->e_off = IMG_NOWHERE;
	if (e->e_type == IMG_DATA)
		e->e_off = k->k_off[i] + in;
	if (e->e_type == IMG_PACKED) {
		e->e_off = k->k_off[i];
		e->e_plen = FAKE_PACKED;
	}
	if (e->e_type == IMG_BAD)
		e->e_row = IMG_VHD_BAT_RANGE;
	end = (uint64_t)(i + 1) * FAKE_UNIT;
	if (e->e_type == IMG_HOLE || e->e_type == IMG_ZERO)
		while (k->k_map[end / FAKE_UNIT] == k->k_map[i])
			end += FAKE_UNIT;
	e->e_len = img_min(len, end - voff);
	return (0);
}

static int
fake_unpack(struct img *im, const struct img_extent *e, const void *packed,
    uint32_t len, void *unit)
{
	uint8_t *u = unit;
	unsigned i;

	(void)e;
	fake_of(im)->k_unpacks++;
	memset(unit, 0x5a, FAKE_UNIT / 2); /* as far as it came */
	if (len < FAKE_PACKED)
		return (EIO);
	for (i = 0; i < FAKE_UNIT; i++)
		u[i] = ((const uint8_t *)packed)[i % FAKE_PACKED];
	return (0);
}

static int
fake_begin(struct img *im, uint64_t voff, uint64_t len, struct img_claim *c)
{
	struct fake *k = fake_of(im);
	unsigned i = (unsigned)(voff / FAKE_UNIT);
	uint64_t in = voff % FAKE_UNIT;

	k->k_begins++;
	if (k->k_fail_begin)
		return (k->k_fail_begin);
	c->c_ext.e_type = IMG_DATA;
	c->c_ext.e_voff = voff;
	c->c_ext.e_len = img_min(len, FAKE_UNIT - in);
	if (k->k_max_claim != 0)
		c->c_ext.e_len = img_min(c->c_ext.e_len, k->k_max_claim);
	if (k->k_map[i] == 'd') {
		c->c_ext.e_off = k->k_off[i] + in;
		return (0);
	}
	if (k->k_map[i] == 'b')
		return (EIO);
	if (k->k_next == 0)
		k->k_next = FAKE_DATA + FAKE_MAX * (uint64_t)FAKE_UNIT;
	c->c_priv[0] = k->k_next;
	k->k_next += FAKE_UNIT;
	c->c_ext.e_off = c->c_priv[0] + in;
	c->c_before = in;
	c->c_after = FAKE_UNIT - in - c->c_ext.e_len;
	c->c_flags = IMG_CLAIM_FRESH;
	if (!k->k_zeroed)
		return (0);
	/* Who says that space is zeros has extended the file over it. */
	c->c_flags |= IMG_CLAIM_ZEROED;
	im->im_eof[0] = k->k_next;
	return (im->im_file[0]->f_ops->fo_resize(im->im_file[0], k->k_next));
}

static int
fake_end(struct img *im, struct img_claim *c, int ok)
{
	struct fake *k = fake_of(im);
	uint64_t i = c->c_ext.e_voff / FAKE_UNIT;

	k->k_ends++;
	if (!ok) {
		k->k_gave_up++;
		return (0);
	}
	if (k->k_fail_end)
		return (k->k_fail_end);
	k->k_map[i] = 'd';
	k->k_off[i] = c->c_priv[0];
	return (0);
}

static int
fake_zero(struct img *im, uint64_t voff, uint64_t len, uint64_t *done)
{
	struct fake *k = fake_of(im);
	unsigned i = (unsigned)(voff / FAKE_UNIT);

	*done = 0;
	if (k->k_fail_zero)
		return (k->k_fail_zero);
	if (k->k_zero_units && voff % FAKE_UNIT == 0 && len >= FAKE_UNIT) {
		k->k_map[i] = 'z';
		*done = FAKE_UNIT;
	}
	return (0);
}

static int
fake_flush(struct img *im)
{
	struct fake *k = fake_of(im);

	k->k_flushes++;
	if (k->k_fail_flush)
		return (k->k_fail_flush);
	return (img_cache_flush(im));
}

const struct img_format fake_format = {
	.f_name = "fake",
	.f_privsize = sizeof(struct fake),
	.f_open = fake_open,
	.f_verify = fake_verify,
	.f_close = fake_close,
	.f_map = fake_map,
	.f_unpack = fake_unpack,
	.f_begin = fake_begin,
	.f_end = fake_end,
	.f_zero = fake_zero,
	.f_flush = fake_flush,
};
