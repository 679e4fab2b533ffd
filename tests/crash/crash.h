/* SPDX-License-Identifier: ISC */

/*
 * crash.h: what a disk may hold after a power cut, and all the cuts.
 *
 * A guest remembers every version of every sector that it wrote, and which
 * of them were there when a flush returned.  A replay makes, from the log of
 * a host file, each state in which a power cut may leave it.
 */

#ifndef TESTS_CRASH_CRASH_H
#define TESTS_CRASH_CRASH_H

#include "unit/help/mkvhd.h"

struct version {
	unsigned ve_seq;
	int ve_maybe; /* its write failed, or one before it in part */
	uint8_t ve_data[512];
};

struct sector {
	struct version *se_ve;
	size_t se_n;
};

#define NWINDOWS 2

/* When a flush returned: so long was the log, so many versions there were. */
struct mark {
	size_t ma_at;
	unsigned ma_seq;
};

struct guest {
	uint64_t g_start[NWINDOWS]; /* the disk is looked at in windows */
	uint64_t g_len;             /* of each, bytes */
	struct sector *g_sector;    /* of all windows in turn */
	size_t g_nsectors;
	unsigned g_seq;
	struct mark *g_mark;
	size_t g_nmarks;
	char g_why[128]; /* the last check that failed */
};

/* The windows of the disk as they are now count as flushed. */
void guest_init(struct guest *, struct img *, const uint64_t *start,
    uint64_t len);
void guest_free(struct guest *);
/* A write inside one window; failed: the bytes may be there or not. */
void guest_wrote(struct guest *, uint64_t voff, const uint8_t *, size_t,
    int failed);
void guest_flushed(struct guest *, size_t log_length);
/* Versions that must be there when the log was that long. */
unsigned guest_required(const struct guest *, size_t log_length);
/*
 * Is each sector one version, required or later?  With bytes, each byte may
 * be of another one.
 */
int guest_check(struct guest *, struct img *, unsigned required, int bytes);

/* What a workload runs on. */
struct subject {
	struct mem su_mem;
	struct mem su_base; /* as it was when the log began */
	struct mem_env su_env;
	struct mem_log su_log;
	struct mkvhd su_k;
	struct guest su_guest;
	struct img *su_im;
	uint32_t su_slices;
	uint32_t su_flags;
	int su_stop;   /* at the first error */
	int su_errors; /* calls that failed */
};

#define BLOCK 4096u
#define NBLOCKS 1200u /* of the disk; the BAT fills more than one slice */
#define DISK ((uint64_t)NBLOCKS * BLOCK)

/*
 * e: without blocks	g: gaps, no order, garbage under clear bits
 * d: on a device	x: fixed
 */
void subject_make(struct subject *, char kind, uint32_t slices);
void subject_free(struct subject *);
int subject_open(struct subject *, uint32_t flags);
/* Write, zero, flush and close, always the same for a seed. */
void subject_work(struct subject *, unsigned steps, uint64_t seed);
/* Opens, checks clean or with leaks, and holds what it must: "" or why not. */
const char *subject_verdict(struct subject *, struct mem *, unsigned required,
    int bytes, int go_on);

#define DROP_NONE SIZE_MAX
#define DROP_ALL (SIZE_MAX - 1)

struct replay {
	struct subject *r_subject;
	size_t r_drop;     /* the index of a barrier in the log to ignore */
	uint64_t r_states; /* looked at */
	uint64_t r_bad;
	int r_stop; /* at the first bad one */
	char r_why[256];
	uint64_t r_seed;
};

/* Every state of the log; from and to narrow it, in entries. */
void replay(struct replay *, size_t from, size_t to);

#endif /* TESTS_CRASH_CRASH_H */
