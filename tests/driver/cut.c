/* SPDX-License-Identifier: ISC */

/*
 * Power cuts.  What was written with IO_SYNC, or before a VOP_FSYNC, is
 * there; of the rest any subset of the sectors is, in any order.
 */

#include "driver/host.h"

#define CUT_ALL 6     /* all subsets of so many pieces */
#define CUT_SAMPLE 24 /* beyond, that many, of which two are all and none */
#define CUT_PIECES 20000

static struct cut *now;

void
cut_begin(struct cut *ct, struct host_file *hf, const char *format)
{
	memset(ct, 0, sizeof(*ct));
	ct->ct_file = hf;
	ct->ct_format = img_format_find(format);
	assert_non_null(ct->ct_format);
	mem_copy(&ct->ct_start, &hf->hf_mem);
	host_file_log(hf);
	now = ct;
}

void
cut_end(struct cut *ct)
{
	size_t i;

	now = NULL;
	for (i = 0; i < ct->ct_ndone; i++)
		free(ct->ct_done[i].cd_data);
	free(ct->ct_done);
	mem_free(&ct->ct_start);
}

void
cut_forget(void)
{
	now = NULL;
}

void
host_biodone(const void *data, unsigned long len, unsigned long long off,
    int error)
{
	struct cut_done *cd;

	if (now == NULL || error != 0 || len == 0)
		return;
	now->ct_done = realloc(now->ct_done, (now->ct_ndone + 1) * sizeof(*cd));
	if (now->ct_done == NULL)
		abort();
	cd = &now->ct_done[now->ct_ndone++];
	cd->cd_at = now->ct_file->hf_log.lg_n;
	cd->cd_off = off;
	cd->cd_len = len;
	cd->cd_data = malloc(len);
	if (cd->cd_data == NULL)
		abort();
	memcpy(cd->cd_data, data, len);
}

/* --- a state of the file ------------------------------------------------ */

struct piece {
	const struct mem_logged *p_op;
	size_t p_at;
	int p_sure;
};

static size_t
pieces(const struct cut *ct, size_t upto, struct piece *p)
{
	const struct mem_log *lg = &ct->ct_file->hf_log;
	size_t i, at, n = 0, k;

	for (i = 0; i < upto; i++) {
		if (lg->lg_op[i].l_op == MEM_BARRIER) {
			for (k = 0; k < n; k++)
				p[k].p_sure = 1;
			continue;
		}
		at = 0;
		do {
			assert_true(n < CUT_PIECES);
			p[n].p_op = &lg->lg_op[i];
			p[n].p_sure = i < ct->ct_file->hf_nsync &&
			    ct->ct_file->hf_sync[i];
			p[n++].p_at = at;
			at += 512;
		} while (at < lg->lg_op[i].l_bytes);
	}
	return (n);
}

static void
apply(struct mem *m, const struct piece *p)
{
	const struct mem_logged *l = p->p_op;

	if (l->l_op == MEM_RESIZE)
		mem_set_len(m, l->l_off);
	else
		mem_put(m, l->l_start + p->p_at, l->l_data + p->p_at,
		    (size_t)img_min(512, l->l_bytes - p->p_at));
}

/* --- what it has to be -------------------------------------------------- */

static void
bad(struct cut *ct, size_t done, const char *what)
{
	if (ct->ct_why[0] == '\0')
		snprintf(ct->ct_why, sizeof(ct->ct_why),
		    "after buf %zu of %zu: %s", done + 1, ct->ct_ndone, what);
}

struct version {
	const uint8_t *v_data;
	uint64_t v_off;
	size_t v_len;
};

/*
 * A sector of a buf that was done: as the last of those up to "done" has it,
 * or one that came later.
 */
static int
sector_ok(const struct cut *ct, size_t done, uint64_t off, const uint8_t *got)
{
	const struct cut_done *cd;
	size_t i, last = SIZE_MAX;

	for (i = 0; i < ct->ct_ndone; i++) {
		cd = &ct->ct_done[i];
		if (off < cd->cd_off || off - cd->cd_off >= cd->cd_len)
			continue;
		if (i <= done)
			last = i;
		else if (memcmp(got, cd->cd_data + (off - cd->cd_off), 512) ==
		    0)
			return (1);
	}
	cd = &ct->ct_done[last];
	return (memcmp(got, cd->cd_data + (off - cd->cd_off), 512) == 0);
}

static int
bytes_ok(const struct cut *ct, size_t done, struct img *im)
{
	const struct cut_done *cd;
	uint8_t sector[512];
	size_t i, at;

	for (i = 0; i <= done; i++) {
		cd = &ct->ct_done[i];
		for (at = 0; at < cd->cd_len; at += 512)
			if (img_read(im, sector, 512, cd->cd_off + at) != 0 ||
			    !sector_ok(ct, done, cd->cd_off + at, sector))
				return (0);
	}
	return (1);
}

const char *
host_judge(struct mem *m, const struct img_format *fmt, struct img **imp,
    struct mem_env *env)
{
	struct mem_sink sink = { 0 };
	struct img_checked checked;

	mem_env(env);
	*imp = NULL;
	if (mem_open(imp, env, m, fmt, IMG_VERIFY, &sink) != 0)
		return ("the image does not open");
	if (img_check(*imp, 0, 2000000000, &checked) != 0)
		return ("it cannot be checked");
	return (mem_worst(&sink) > IMG_SEV_LEAK ? "it is corrupt" : "");
}

static void
judge(struct cut *ct, size_t done, struct mem *m)
{
	struct mem_env env;
	struct img *im;
	const char *why;

	ct->ct_states++;
	why = host_judge(m, ct->ct_format, &im, &env);
	if (*why != '\0')
		bad(ct, done, why);
	else if (!bytes_ok(ct, done, im))
		bad(ct, done, "bytes that were done are lost");
	if (im != NULL)
		(void)mem_close(im, &env);
}

static void
judge_done(struct cut *ct, size_t done, struct piece *p)
{
	size_t n = pieces(ct, ct->ct_done[done].cd_at, p), k, open = 0;
	uint64_t seed = 1 + done;
	unsigned s, states;
	struct mem m = { 0 };
	size_t bit;

	for (k = 0; k < n; k++)
		open += !p[k].p_sure;
	states = open <= CUT_ALL ? 1u << open : CUT_SAMPLE;
	for (s = 0; s < states; s++) {
		mem_copy(&m, &ct->ct_start);
		for (k = 0, bit = 0; k < n; k++)
			if (p[k].p_sure ||
			    (open <= CUT_ALL ? (s >> bit++) & 1 :
				    s < 2    ? s == 1 :
					       (mem_random(&seed) >> 9) & 1))
				apply(&m, &p[k]);
		judge(ct, done, &m);
		mem_free(&m);
	}
}

void
cut_judge(struct cut *ct)
{
	struct piece *p = malloc(CUT_PIECES * sizeof(*p));
	size_t i;

	assert_non_null(p);
	for (i = 0; i < ct->ct_ndone && ct->ct_why[0] == '\0'; i++)
		judge_done(ct, i, p);
	free(p);
}
