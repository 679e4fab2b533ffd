/* SPDX-License-Identifier: ISC */

/* What a disk may hold: every version of every sector. */

#include "unit/help/test.h"

#include "crash/crash.h"

static void *
grow(void *p, size_t n, size_t size)
{
	/* To the next power of two, whenever one is reached. */
	if ((n & (n - 1)) != 0)
		return (p);
	p = realloc(p, (n == 0 ? 1 : 2 * n) * size);
	if (p == NULL)
		abort();
	return (p);
}

static struct version *
add_version(struct guest *g, struct sector *se)
{
	struct version *ve;

	se->se_ve = grow(se->se_ve, se->se_n, sizeof(*ve));
	ve = &se->se_ve[se->se_n++];
	memset(ve, 0, sizeof(*ve));
	ve->ve_seq = ++g->g_seq;
	return (ve);
}

void
guest_init(struct guest *g, struct img *im, const uint64_t *start, uint64_t len)
{
	struct version *ve;
	size_t w, i, n = (size_t)(len / 512);

	memset(g, 0, sizeof(*g));
	g->g_len = len;
	g->g_nsectors = NWINDOWS * n;
	g->g_sector = calloc(g->g_nsectors, sizeof(*g->g_sector));
	if (g->g_sector == NULL)
		abort();
	for (w = 0; w < NWINDOWS; w++) {
		g->g_start[w] = start[w];
		for (i = 0; i < n; i++) {
			ve = add_version(g, &g->g_sector[w * n + i]);
			assert_int_equal(img_read(im, ve->ve_data, 512,
					     start[w] + i * 512),
			    0);
		}
	}
	guest_flushed(g, 0);
}

void
guest_free(struct guest *g)
{
	size_t i;

	for (i = 0; i < g->g_nsectors; i++)
		free(g->g_sector[i].se_ve);
	free(g->g_sector);
	free(g->g_mark);
	memset(g, 0, sizeof(*g));
}

static struct sector *
sector_of(struct guest *g, uint64_t voff)
{
	size_t w;

	for (w = 0; w < NWINDOWS; w++)
		if (voff >= g->g_start[w] && voff - g->g_start[w] < g->g_len)
			return (&g->g_sector[w * (size_t)(g->g_len / 512) +
			    (size_t)((voff - g->g_start[w]) / 512)]);
	fail_msg("a write outside the windows");
	return (NULL);
}

void
guest_wrote(struct guest *g, uint64_t voff, const uint8_t *p, size_t len,
    int failed)
{
	struct version *ve;
	struct sector *se;
	const struct version *old;
	size_t in, n;

	for (; len > 0; len -= n, voff += n, p += n) {
		in = (size_t)(voff % 512);
		n = 512 - in < len ? 512 - in : len;
		se = sector_of(g, voff);
		ve = add_version(g, se);
		old = ve - 1;
		memcpy(ve->ve_data, old->ve_data, 512);
		memcpy(ve->ve_data + in, p, n);
		ve->ve_maybe = failed || (old->ve_maybe && n < 512);
	}
}

void
guest_flushed(struct guest *g, size_t log_length)
{
	struct mark *ma;

	g->g_mark = grow(g->g_mark, g->g_nmarks, sizeof(*ma));
	ma = &g->g_mark[g->g_nmarks++];
	ma->ma_at = log_length;
	ma->ma_seq = g->g_seq;
}

unsigned
guest_required(const struct guest *g, size_t log_length)
{
	size_t i;

	for (i = g->g_nmarks - 1; g->g_mark[i].ma_at > log_length; i--)
		continue;
	return (g->g_mark[i].ma_seq);
}

/* The first version that may still be there. */
static size_t
oldest(const struct sector *se, unsigned required)
{
	size_t i;

	for (i = se->se_n - 1; i > 0; i--)
		if (se->se_ve[i].ve_seq <= required && !se->se_ve[i].ve_maybe)
			break;
	return (i);
}

static int
sector_ok(const struct sector *se, const uint8_t *p, unsigned required,
    int bytes)
{
	size_t first = oldest(se, required), i, at;

	for (i = first; i < se->se_n; i++)
		if (memcmp(se->se_ve[i].ve_data, p, 512) == 0)
			return (1);
	if (!bytes)
		return (0);
	for (at = 0; at < 512; at++) {
		for (i = first; i < se->se_n; i++)
			if (se->se_ve[i].ve_data[at] == p[at])
				break;
		if (i == se->se_n)
			return (0);
	}
	return (1);
}

int
guest_check(struct guest *g, struct img *im, unsigned required, int bytes)
{
	static uint8_t buf[64 * 1024];
	size_t w, i, n = (size_t)(g->g_len / 512);
	int error;

	assert_true(g->g_len <= sizeof(buf));
	for (w = 0; w < NWINDOWS; w++) {
		error = img_read(im, buf, (uint32_t)g->g_len, g->g_start[w]);
		if (error != 0) {
			snprintf(g->g_why, sizeof(g->g_why),
			    "reading at %lu gives %d",
			    (unsigned long)g->g_start[w], error);
			return (0);
		}
		for (i = 0; i < n; i++)
			if (!sector_ok(&g->g_sector[w * n + i], buf + i * 512,
				required, bytes)) {
				snprintf(g->g_why, sizeof(g->g_why),
				    "sector at %lu holds what it must not",
				    (unsigned long)(g->g_start[w] + i * 512));
				return (0);
			}
	}
	return (1);
}
