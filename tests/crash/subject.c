/* SPDX-License-Identifier: ISC */

/* A workload on an image, and the verdict on what became of it. */

#include "unit/help/test.h"

#include "crash/crash.h"

#define NOW INT64_C(2000000000)

int
subject_open(struct subject *su, uint32_t flags)
{
	struct img_args a;
	int error;

	memset(&a, 0, sizeof(a));
	a.a_format = img_format_find(su->su_kind->sk_format);
	a.a_flags = flags;
	a.a_slices = su->su_slices;
	error = mem_open_args(&su->su_im, &su->su_env, &su->su_mem[0], &a);
	if (error == 0 && su->su_kind->sk_lend != NULL)
		su->su_kind->sk_lend(su, su->su_im, su->su_mem);
	return (error);
}

void
subject_begin(struct subject *su)
{
	unsigned i;

	assert_int_equal(subject_open(su, 0), 0);
	guest_init(&su->su_guest, su->su_im, su->su_window, su->su_len);
	mem_close(su->su_im, &su->su_env);
	for (i = 0; i < NFILES; i++) {
		mem_copy(&su->su_base[i], &su->su_mem[i]);
		mem_reset(&su->su_mem[i]);
		su->su_mem[i].m_log = &su->su_log;
		su->su_mem[i].m_id = i;
	}
}

void
subject_setup(struct subject *su, const struct qsetup *qs)
{
	if (qs->qs_version == 0)
		subject_qed(su, qs);
	else
		subject_qcow2(su, qs);
}

void
subject_backing(struct subject *su)
{
	uint64_t end = su->su_window[1] + su->su_len / 2 + 100, off;
	unsigned w;
	uint8_t buf[512];

	mem_env(&su->su_backenv);
	mem_file(&su->su_back, end);
	for (w = 0; w < NWINDOWS; w++)
		for (off = su->su_window[w];
		     off < su->su_window[w] + su->su_len; off += 512) {
			mem_pattern(buf, 512, off, 7);
			mem_put(&su->su_back, off, buf, 512);
		}
	mem_set_len(&su->su_back, end);
	assert_int_equal(mem_open(&su->su_backim, &su->su_backenv, &su->su_back,
			     img_format_find("raw"), 0, NULL),
	    0);
}

static int
open_view(struct subject *su, struct mem *files, const char *snapshot,
    struct mem_env *env, struct img **imp)
{
	struct img_args a;
	int error;

	mem_env(env);
	env->e_env.ev_unpack = su->su_env.e_env.ev_unpack;
	memset(&a, 0, sizeof(a));
	a.a_format = img_format_find(su->su_kind->sk_format);
	a.a_slices = 4;
	a.a_snapshot = snapshot;
	error = mem_open_args(imp, env, &files[0], &a);
	if (error == 0 && su->su_kind->sk_lend != NULL)
		su->su_kind->sk_lend(su, *imp, files);
	return (error);
}

void
subject_remember(struct subject *su, const char *snapshot, struct guest *g)
{
	struct mem_env env;
	struct img *im;

	assert_int_equal(open_view(su, su->su_mem, snapshot, &env, &im), 0);
	guest_init(g, im, su->su_window, su->su_len);
	mem_close(im, &env);
}

const char *
subject_compare(struct subject *su, struct mem *files, const char *snapshot,
    struct guest *g, const char *why)
{
	struct mem_env env;
	struct img *im;

	if (open_view(su, files, snapshot, &env, &im) != 0)
		return ("a view of it cannot be opened");
	if (guest_check(g, im, UINT32_MAX, 0))
		why = "";
	mem_close(im, &env);
	return (why);
}

void
subject_free(struct subject *su)
{
	unsigned i;

	assert_true(mem_env_sound(&su->su_env));
	guest_free(&su->su_guest);
	guest_free(&su->su_old);
	for (i = 0; i < NSNAPS; i++)
		guest_free(&su->su_snap[i]);
	mem_log_free(&su->su_log);
	for (i = 0; i < NFILES; i++) {
		mem_free(&su->su_mem[i]);
		mem_free(&su->su_base[i]);
	}
	if (su->su_backim != NULL)
		mem_close(su->su_backim, &su->su_backenv);
	mem_free(&su->su_back);
}

/* A range in one of the windows; half of them whole sectors. */
static uint64_t
pick(const struct subject *su, uint64_t *seed, uint32_t *len)
{
	uint64_t voff;

	*len = mem_random(seed) % su->su_most + 1;
	voff = mem_random(seed) % su->su_len;
	if (mem_random(seed) % 4 == 0)
		*len = mem_random(seed) % 300 + 1;
	if (mem_random(seed) % 2 == 0 || su->su_sectors) {
		voff &= ~UINT64_C(511);
		*len = (*len + 511) / 512 * 512;
	}
	if (su->su_align != 0 && mem_random(seed) % 2 == 0) {
		voff &= ~(uint64_t)(su->su_align - 1);
		*len = (uint32_t)img_roundup(*len, su->su_align);
	}
	*len = (uint32_t)img_min(*len, su->su_len - voff);
	return (voff + su->su_window[mem_random(seed) % NWINDOWS]);
}

static int
step(struct subject *su, unsigned n, uint64_t *seed)
{
	static uint8_t buf[MOST];
	uint64_t voff;
	uint32_t what = mem_random(seed) % 16, len;
	int error;

	if (what < 3 && !su->su_noflush) {
		error = img_flush(su->su_im);
		if (error == 0)
			guest_flushed(&su->su_guest, su->su_log.lg_n);
		return (error);
	}
	voff = pick(su, seed, &len);
	assert_true(len <= sizeof(buf));
	if (what < 3 + su->su_zeros) {
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
look(struct subject *su, struct mem *files, struct mem_env *env,
    struct mem_sink *s, struct img **imp)
{
	struct img_checked checked;
	struct img_args a;
	int error;

	memset(s, 0, sizeof(*s));
	memset(&a, 0, sizeof(a));
	a.a_format = img_format_find(su->su_kind->sk_format);
	a.a_flags = IMG_RDWR | IMG_VERIFY;
	a.a_slices = su->su_slices;
	a.a_report = mem_report;
	a.a_arg = s;
	error = mem_open_args(imp, env, &files[0], &a);
	if (error != 0)
		return (error);
	if (su->su_kind->sk_lend != NULL)
		su->su_kind->sk_lend(su, *imp, files);
	env->e_opening = 1; /* check may allocate */
	error = img_check(*imp, 0, NOW, &checked);
	env->e_opening = 0;
	if (error != 0)
		mem_abandon(*imp, env);
	return (error);
}

/* One more write to the image that survived, in a unit of its own. */
static const char *
write_more(struct subject *su, struct mem *files, struct img *im,
    struct mem_env *env, unsigned required, int bytes)
{
	struct mem_sink s;
	uint8_t buf[512], got[512];
	const char *why = "";
	int error;

	mem_pattern(buf, 512, su->su_spare, 99);
	error = img_write(im, buf, 512, su->su_spare);
	if (error == 0)
		error = img_flush(im);
	mem_abandon(im, env);
	if (error == ENOSPC && (files[0].m_file.f_flags & IMG_FILE_FIXED))
		return ("");
	if (error != 0)
		return ("what survived cannot be written");
	if (look(su, files, env, &s, &im) != 0)
		return ("not sound after one more write");
	error = img_read(im, got, 512, su->su_spare);
	if (mem_worst(&s) > IMG_SEV_LEAK)
		why = "damaged by one more write";
	else if (error != 0 || memcmp(buf, got, 512) != 0)
		why = "one more write was lost";
	else if (!guest_check(&su->su_guest, im, required, bytes))
		why = su->su_guest.g_why;
	mem_abandon(im, env);
	return (why);
}

/* The worst row of the sink. */
static void
name_worst(char *why, size_t size, const struct mem_sink *s)
{
	unsigned i, worst = 0;

	for (i = 0; i < s->s_n && i < MEM_NFOUND; i++)
		if (img_row(s->s_found[i].fi_row)->r_severity >
		    img_row(s->s_found[worst].fi_row)->r_severity)
			worst = i;
	snprintf(why, size, "%u rows, %s-%u at %#lx", s->s_n,
	    img_row(s->s_found[worst].fi_row)->r_format,
	    img_row(s->s_found[worst].fi_row)->r_number,
	    (unsigned long)s->s_found[worst].fi_off);
}

static void
judge_open(struct subject *su, struct mem *files, unsigned required, int bytes,
    int go_on, char *why, size_t size)
{
	struct mem_env env;
	struct mem_sink s;
	struct img *im;
	const char *more;
	int error;

	mem_env(&env);
	env.e_env.ev_unpack = su->su_env.e_env.ev_unpack;
	error = look(su, files, &env, &s, &im);
	if (error != 0)
		snprintf(why, size, "open gives %d, %u rows, %s-%u", error,
		    s.s_n, img_row(s.s_found[0].fi_row)->r_format,
		    img_row(s.s_found[0].fi_row)->r_number);
	if (error != 0)
		return;
	if (mem_worst(&s) > IMG_SEV_LEAK)
		name_worst(why, size, &s);
	else if (!guest_check(&su->su_guest, im, required, bytes))
		snprintf(why, size, "%s", su->su_guest.g_why);
	if (why[0] == '\0' && go_on) {
		more = write_more(su, files, im, &env, required, bytes);
		snprintf(why, size, "%s", more);
	} else
		mem_abandon(im, &env);
	assert_true(mem_env_sound(&env));
}

const char *
subject_verdict(struct subject *su, struct mem *files, unsigned required,
    int bytes, int go_on)
{
	const struct subject_kind *sk = su->su_kind;
	static char why[200];
	const char *before = "";

	if (sk->sk_before != NULL)
		before = sk->sk_before(su, files, required);
	if (before == NULL)
		return ("");
	snprintf(why, sizeof(why), "%s", before);
	if (why[0] == '\0')
		judge_open(su, files, required, bytes, go_on, why, sizeof(why));
	if (why[0] == '\0' && sk->sk_after != NULL)
		snprintf(why, sizeof(why), "%s",
		    sk->sk_after(su, files, required, bytes));
	return (why);
}
