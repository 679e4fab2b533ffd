/* SPDX-License-Identifier: ISC */

/* An environment that counts what it lends, and what every test needs. */

#include "unit/help/test.h"

static void *
env_alloc(void *arg, size_t n)
{
	struct mem_env *e = arg;
	void *p;

	if (++e->e_allocs == e->e_fail)
		return (NULL);
	e->e_late += e->e_open != 0 && !e->e_opening;
	p = calloc(1, n);
	if (p == NULL)
		abort();
	e->e_now += n;
	if (e->e_now > e->e_peak)
		e->e_peak = e->e_now;
	return (p);
}

/* A wrong size shows in the balance. */
static void
env_free(void *arg, void *p, size_t n)
{
	struct mem_env *e = arg;

	e->e_now -= n;
	free(p);
}

static int
env_poll(void *arg, uint64_t done, uint64_t total)
{
	struct mem_env *e = arg;

	if (total != 0 && done > total)
		fail_msg("more was done than there is to do");
	return (++e->e_polls == e->e_poll_end ? EINTR : 0);
}

void
mem_env(struct mem_env *e)
{
	memset(e, 0, sizeof(*e));
	e->e_env.ev_alloc = env_alloc;
	e->e_env.ev_free = env_free;
	e->e_env.ev_poll = env_poll;
	e->e_env.ev_arg = e;
}

int
mem_env_sound(const struct mem_env *e)
{
	return (e->e_now == 0 && e->e_late == 0 && e->e_open == 0);
}

void
mem_report(void *arg, const struct img_finding *fi)
{
	struct mem_sink *s = arg;

	if (s->s_n < MEM_NFOUND)
		s->s_found[s->s_n] = *fi;
	s->s_n++;
	s->s_per_row[fi->fi_row]++;
}

unsigned
mem_has(const struct mem_sink *s, enum img_row row)
{
	return (s->s_per_row[row]);
}

void
mem_only(const struct mem_sink *s, enum img_row row)
{
	if (s->s_n != 1 || mem_has(s, row) != 1)
		fail_msg("wanted %s-%u alone, got %u rows, first %u",
		    img_row(row)->r_format, img_row(row)->r_number, s->s_n,
		    s->s_n == 0 ? 0 : img_row(s->s_found[0].fi_row)->r_number);
}

enum img_severity
mem_worst(const struct mem_sink *s)
{
	enum img_severity worst = IMG_SEV_NOTE;
	unsigned i;

	for (i = 0; i < IMG_NROWS; i++)
		if (s->s_per_row[i] > 0 &&
		    img_row((enum img_row)i)->r_severity > worst)
			worst = img_row((enum img_row)i)->r_severity;
	return (worst);
}

const struct img_finding *
mem_first(const struct mem_sink *s, enum img_row row)
{
	unsigned i;

	for (i = 0; i < s->s_n && i < MEM_NFOUND; i++)
		if (s->s_found[i].fi_row == row)
			return (&s->s_found[i]);
	fail_msg("row %s-%u was not raised", img_row(row)->r_format,
	    img_row(row)->r_number);
	return (NULL);
}

int
mem_open_args(struct img **imp, struct mem_env *e, struct mem *m,
    struct img_args *a)
{
	int error;

	e->e_opening = 1;
	error = img_open(imp, &e->e_env, &m->m_file, a);
	e->e_opening = 0;
	if (error == 0)
		e->e_open++;
	return (error);
}

int
mem_open(struct img **imp, struct mem_env *e, struct mem *m,
    const struct img_format *fmt, uint32_t flags, struct mem_sink *s)
{
	struct img_args a;

	memset(&a, 0, sizeof(a));
	a.a_format = fmt;
	a.a_flags = flags;
	if (s != NULL) {
		memset(s, 0, sizeof(*s));
		a.a_report = mem_report;
		a.a_arg = s;
	}
	return (mem_open_args(imp, e, m, &a));
}

struct img *
mem_open_base(struct mem_env *e, struct mem *m, uint64_t size)
{
	struct img *im;
	uint8_t buf[512];
	uint64_t off;

	mem_env(e);
	mem_file(m, 0);
	for (off = 0; off < size; off += 512) {
		mem_pattern(buf, 512, off, 7);
		mem_put(m, off, buf, (size_t)img_min(512, size - off));
	}
	assert_int_equal(mem_open(&im, e, m, img_format_find("raw"), 0, NULL),
	    0);
	return (im);
}

int
mem_close(struct img *im, struct mem_env *e)
{
	int error;

	error = img_close(im);
	e->e_open--;
	return (error);
}

int
mem_abandon(struct img *im, struct mem_env *e)
{
	e->e_open--;
	return (img_abandon(im));
}

uint32_t
mem_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) +
	    UINT64_C(1442695040888963407);
	return ((uint32_t)(*state >> 32));
}

void
mem_pattern(void *buf, size_t n, uint64_t voff, unsigned version)
{
	uint8_t *p = buf;
	size_t i;

	for (i = 0; i < n; i++, voff++)
		p[i] =
		    (uint8_t)((voff * 131 + (voff >> 8) * 29 + version * 57) %
			    251 +
			1);
}

void
mem_reads(struct img *im, uint64_t voff, size_t len, unsigned version)
{
	uint8_t got[512], want[512];
	size_t n;

	for (; len > 0; len -= n, voff += n) {
		n = len < sizeof(got) ? len : sizeof(got);
		memset(want, 0, sizeof(want));
		if (version != 0)
			mem_pattern(want, n, voff, version);
		assert_int_equal(img_read(im, got, (uint32_t)n, voff), 0);
		if (memcmp(got, want, n) != 0)
			fail_msg("bytes at %lu are not of version %u",
			    (unsigned long)voff, version);
	}
}

void
mem_maps(struct img *im, uint64_t voff, uint64_t len, enum img_etype type,
    uint64_t off, uint64_t elen)
{
	struct img_extent e;

	assert_int_equal(img_map(im, voff, len, &e), 0);
	assert_int_equal(e.e_voff, voff);
	if (e.e_type != type || e.e_off != off || e.e_len != elen)
		fail_msg("at %#lx: type %d, off %#lx, len %#lx",
		    (unsigned long)voff, e.e_type, (unsigned long)e.e_off,
		    (unsigned long)e.e_len);
}
