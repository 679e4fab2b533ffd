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

#include "unit/help/mkqcow2.h"
#include "unit/help/mkqed.h"
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

#define NFILES 2 /* the image, its data file */
#define NSNAPS 2

struct subject;

/* What a format adds. */
struct subject_kind {
	const char *sk_format;
	/* Lend the handle what it needs; the files are those of its state. */
	void (*sk_lend)(struct subject *, struct img *, struct mem *files);
	/*
	 * "" or what is wrong, before and after the image was opened; before
	 * also NULL where there is no image yet, rightly.
	 */
	const char *(
	    *sk_before)(struct subject *, struct mem *files, unsigned required);
	const char *(*sk_after)(struct subject *, struct mem *files,
	    unsigned required, int bytes);
	/* Fails the test if a workload left out what the setup is for. */
	void (*sk_worked)(const struct subject *);
};

/* What a workload runs on. */
struct subject {
	const struct subject_kind *su_kind;
	struct mem su_mem[NFILES];
	struct mem su_base[NFILES]; /* as they were when the log began */
	struct mem_env su_env;
	struct mem_log su_log;
	struct guest su_guest;
	struct img *su_im;
	uint32_t su_slices;
	uint32_t su_flags;
	uint64_t su_window[NWINDOWS];
	uint64_t su_len;   /* of a window */
	uint32_t su_most;  /* bytes of a write, at most twice a block */
	uint32_t su_align; /* some ranges are aligned to it; 0: none */
	int su_sectors;    /* all ranges are whole sectors */
	unsigned su_zeros; /* of 16 steps so many are of zeros */
	int su_noflush;    /* no step flushes: closing does */
	uint64_t su_spare; /* a sector written by nobody but the verdict */
	int su_stop;       /* at the first error */
	int su_errors;     /* calls that failed */
	/* VHD */
	struct mkvhd su_k;
	/* qcow2, QED */
	const struct qsetup *su_setup;
	struct mkqcow2 su_q;
	struct mkqed su_ed;
	struct mem su_back;
	struct mem_env su_backenv;
	struct img *su_backim;
	struct guest su_snap[NSNAPS]; /* must never change */
	struct guest su_old;          /* the disk as it was at first */
};

#define BLOCK 4096u
#define NBLOCKS 1200u /* of the disk; the BAT fills more than one slice */
#define DISK ((uint64_t)NBLOCKS * BLOCK)
#define MOST 65536u /* su_most of any */

/*
 * A VHD.  e: without blocks	g: gaps, no order, garbage under clear bits
 *	   d: on a device	x: fixed
 */
void subject_make(struct subject *, char kind, uint32_t slices);

/* A qcow2, or a QED: that has 0 as its version. */
#define QS_TABLES 1u    /* data, zeros, preallocated zeros, gaps */
#define QS_SNAP 2u      /* snapshots have all that, and more */
#define QS_PACKED 4u    /* some of it is compressed */
#define QS_BACKING 8u   /* over a backing image that is shorter */
#define QS_EXTENDED 16u /* subclusters */
#define QS_DATA 32u     /* external data file ... */
#define QS_RAW 64u      /* ... that is a complete raw image */
#define QS_DEVICE 128u
#define QS_BITMAPS 256u /* autoclear bits are set */
#define QS_FULL 512u    /* the refcount table hardly reaches any further */
#define QS_FRESH 1024u
#define QS_PLAIN 2048u
#define QS_NOFLUSH 4096u
#define QS_STRAY 8192u    /* bytes after the last whole cluster */
#define QS_GARBAGE 16384u /* a file whose new space is no zeros */

struct qsetup {
	const char *qs_name;
	unsigned qs_version;
	unsigned qs_bits; /* log2 of the cluster size */
	unsigned
	    qs_order; /* log2 of a refcount's bits, of a table's clusters */
	unsigned qs_flags;
	uint32_t qs_slices;
	unsigned qs_zeros; /* su_zeros */
};

void subject_setup(struct subject *, const struct qsetup *);
void subject_qcow2(struct subject *, const struct qsetup *);
void subject_qed(struct subject *, const struct qsetup *);

/* For those that make them: the log begins, the disk as it is now is old. */
void subject_begin(struct subject *);
/* A raw backing image, shorter than the disk, and not in whole sectors. */
void subject_backing(struct subject *);
/* The windows of another view of the disk: into a guest, or against it. */
void subject_remember(struct subject *, const char *snapshot, struct guest *);
/* "" or why. */
const char *subject_compare(struct subject *, struct mem *files,
    const char *snapshot, struct guest *, const char *why);
void subject_free(struct subject *);
int subject_open(struct subject *, uint32_t flags);
/* Write, zero, flush and close, always the same for a seed. */
void subject_work(struct subject *, unsigned steps, uint64_t seed);
/* Opens, checks clean or with leaks, and holds what it must: "" or why not. */
const char *subject_verdict(struct subject *, struct mem *files,
    unsigned required, int bytes, int go_on);

#define DROP_NONE SIZE_MAX
#define DROP_ALL (SIZE_MAX - 1)

struct replay {
	struct subject *r_subject;
	unsigned r_all;    /* all subsets of so many pieces; 0: 12 */
	size_t r_drop;     /* the index of a barrier in the log to ignore */
	uint64_t r_states; /* looked at */
	uint64_t r_bad;
	int r_stop; /* at the first bad one */
	char r_why[256];
	uint64_t r_seed;
};

/* Every state of the log; from and to narrow it, in entries. */
void replay(struct replay *, size_t from, size_t to);

/*
 * cut.c: a workload, and all its cuts.  all: as r_all.
 */
void cut_everywhere(const struct qsetup *, uint64_t seed, unsigned steps,
    unsigned all);
/* The first with all subsets of up to twelve, the others of fewer. */
void cut_all(const struct qsetup *, size_t n);
void cut_some(const struct qsetup *, size_t n); /* all of fewer */

#define NCLASSES 5

/* What becomes of the barriers of a log that are dropped, by class. */
struct tally {
	unsigned ta_dropped[NCLASSES], ta_noticed[NCLASSES];
};

/* What the i-th entry of the log, a barrier, comes after; NCLASSES: nothing. */
typedef size_t cut_class_fn(const struct subject *, size_t i, const void *arg);
/*
 * Each barrier of a workload without zeros is dropped in turn, and all
 * together, which must be noticed.
 */
void cut_sabotage(struct subject *, cut_class_fn *, const void *arg,
    const char *const *names, struct tally *);

/*
 * fault.c: some call of the library says that one to the host failed, no
 * memory leaks, and the image is as sound as after a power cut.
 */
/* Each call in turn, once or from then on; there are at least so many. */
void fault_each(const struct qsetup *, size_t n, enum mem_op, unsigned file,
    int half, unsigned at_least);
void fault_allocations(const struct qsetup *, size_t n);
/* After its n-th failure nothing is written until the handle is closed. */
void fault_latches(const struct qsetup *, enum mem_op, uint64_t n);
void fault_full(const struct qsetup *, size_t n);

#endif /* TESTS_CRASH_CRASH_H */
