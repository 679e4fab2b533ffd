/* SPDX-License-Identifier: ISC */

/* A VHD, a workload on it, and the verdict on what became of it. */

#include "unit/help/test.h"

#include "crash/crash.h"

#define WINDOW (8u * BLOCK)
#define SPARE (DISK - 512) /* written by nobody but the verdict */
#define NOW INT64_C(2000000000)

static const uint64_t windows[NWINDOWS] = { 0, UINT64_C(1100) * BLOCK };

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

int
subject_open(struct subject *su, uint32_t flags)
{
	struct img_args a;

	memset(&a, 0, sizeof(a));
	a.a_format = img_format_find("vhd");
	a.a_flags = flags;
	a.a_slices = su->su_slices;
	return (mem_open_args(&su->su_im, &su->su_env, &su->su_mem, &a));
}

void
subject_make(struct subject *su, char kind, uint32_t slices)
{
	struct mkvhd *k = &su->su_k;

	memset(su, 0, sizeof(*su));
	mem_env(&su->su_env);
	su->su_slices = slices;
	su->su_flags = IMG_RDWR;
	if (kind == 'd')
		mem_device(&su->su_mem, 32 * (BLOCK + 512));
	else
		mem_file(&su->su_mem, 0);
	if (kind == 'x') {
		mkvhd_fixed(k, &su->su_mem, DISK);
	} else {
		mkvhd_init(k, &su->su_mem, DISK, BLOCK);
		mkvhd_begin(k);
		if (kind != 'e')
			make_gaps(k);
		mkvhd_end(k);
	}
	assert_int_equal(subject_open(su, 0), 0);
	guest_init(&su->su_guest, su->su_im, windows, WINDOW);
	mem_close(su->su_im, &su->su_env);
	mem_copy(&su->su_base, &su->su_mem);
	mem_reset(&su->su_mem);
	su->su_mem.m_log = &su->su_log;
}

void
subject_free(struct subject *su)
{
	assert_true(mem_env_sound(&su->su_env));
	guest_free(&su->su_guest);
	mem_log_free(&su->su_log);
	mem_free(&su->su_mem);
	mem_free(&su->su_base);
}

/* A range in one of the windows; half of them whole sectors. */
static uint64_t
pick(uint64_t *seed, uint32_t *len)
{
	uint64_t voff;

	*len = mem_random(seed) % (2 * BLOCK) + 1;
	voff = mem_random(seed) % WINDOW;
	if (mem_random(seed) % 4 == 0)
		*len = mem_random(seed) % 300 + 1;
	if (mem_random(seed) % 2 == 0) {
		voff &= ~UINT64_C(511);
		*len = (*len + 511) / 512 * 512;
	}
	*len = (uint32_t)img_min(*len, WINDOW - voff);
	return (voff + windows[mem_random(seed) % NWINDOWS]);
}

static int
step(struct subject *su, unsigned n, uint64_t *seed)
{
	static uint8_t buf[2 * BLOCK];
	uint64_t voff;
	uint32_t what = mem_random(seed) % 16, len;
	int error;

	if (what < 3) {
		error = img_flush(su->su_im);
		if (error == 0)
			guest_flushed(&su->su_guest, su->su_log.lg_n);
		return (error);
	}
	voff = pick(seed, &len);
	if (what < 5) {
		memset(buf, 0, len);
		error = img_zero(su->su_im, voff, len);
	} else {
		mem_pattern(buf, len, voff, n + 10);
		error = img_write(su->su_im, buf, len, voff);
	}
	guest_wrote(&su->su_guest, voff, buf, len, error != 0);
	return (error);
}

void
subject_work(struct subject *su, unsigned steps, uint64_t seed)
{
	unsigned n;

	for (n = 0; n < steps; n++)
		if (step(su, n, &seed) != 0) {
			su->su_errors++;
			if (su->su_stop)
				break;
		}
	if (mem_close(su->su_im, &su->su_env) == 0)
		guest_flushed(&su->su_guest, su->su_log.lg_n);
	else
		su->su_errors++;
}

/* The rows of VERIFY and of check; 0 or the errno of the call that failed. */
static int
look(struct subject *su, struct mem *m, struct mem_env *env, struct mem_sink *s,
    struct img **imp)
{
	struct img_checked checked;
	struct img_args a;
	int error;

	memset(s, 0, sizeof(*s));
	memset(&a, 0, sizeof(a));
	a.a_format = img_format_find("vhd");
	a.a_flags = IMG_RDWR | IMG_VERIFY;
	a.a_slices = su->su_slices;
	a.a_report = mem_report;
	a.a_arg = s;
	error = mem_open_args(imp, env, m, &a);
	if (error != 0)
		return (error);
	env->e_opening = 1; /* check may allocate */
	error = img_check(*imp, 0, NOW, &checked);
	env->e_opening = 0;
	if (error != 0)
		mem_abandon(*imp, env);
	return (error);
}

/* One more write to the image that survived, in a block of its own. */
static const char *
write_more(struct subject *su, struct mem *m, struct img *im,
    struct mem_env *env, unsigned required, int bytes)
{
	struct mem_sink s;
	uint8_t buf[512], got[512];
	const char *why = "";
	int error;

	mem_pattern(buf, 512, SPARE, 99);
	error = img_write(im, buf, 512, SPARE);
	if (error == 0)
		error = img_flush(im);
	mem_abandon(im, env);
	if (error == ENOSPC && (m->m_file.f_flags & IMG_FILE_FIXED))
		return ("");
	if (error != 0)
		return ("what survived cannot be written");
	if (look(su, m, env, &s, &im) != 0)
		return ("not sound after one more write");
	error = img_read(im, got, 512, SPARE);
	if (mem_worst(&s) > IMG_SEV_LEAK)
		why = "damaged by one more write";
	else if (error != 0 || memcmp(buf, got, 512) != 0)
		why = "one more write was lost";
	else if (!guest_check(&su->su_guest, im, required, bytes))
		why = su->su_guest.g_why;
	mem_abandon(im, env);
	return (why);
}

const char *
subject_verdict(struct subject *su, struct mem *m, unsigned required, int bytes,
    int go_on)
{
	static char why[200];
	struct mem_env env;
	struct mem_sink s;
	struct img *im;
	const char *more;
	int error;

	mem_env(&env);
	error = look(su, m, &env, &s, &im);
	why[0] = '\0';
	if (error != 0)
		snprintf(why, sizeof(why), "open gives %d, %u rows, %s-%u",
		    error, s.s_n, img_row(s.s_found[0].fi_row)->r_format,
		    img_row(s.s_found[0].fi_row)->r_number);
	if (error != 0)
		return (why);
	if (mem_worst(&s) > IMG_SEV_LEAK)
		snprintf(why, sizeof(why), "%u rows, %s-%u", s.s_n,
		    img_row(s.s_found[0].fi_row)->r_format,
		    img_row(s.s_found[0].fi_row)->r_number);
	else if (!guest_check(&su->su_guest, im, required, bytes))
		snprintf(why, sizeof(why), "%s", su->su_guest.g_why);
	if (why[0] == '\0' && go_on) {
		more = write_more(su, m, im, &env, required, bytes);
		snprintf(why, sizeof(why), "%s", more);
	} else
		mem_abandon(im, &env);
	assert_true(mem_env_sound(&env));
	return (why);
}
