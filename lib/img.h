/* SPDX-License-Identifier: ISC */

/*
 * img.h: inspect, check, read, write and make disk images.
 *
 * The public header of the library.  The first half (open, map, read, write,
 * findings) is the core that operating system kernels compile too; the second
 * half (create, info, check, repair, copy) is for programs only.  img_host.h
 * has the environment over POSIX.
 *
 * Every call returns 0 or a positive errno value unless it says otherwise:
 *	EINVAL	the caller's mistake: a range outside the disk, a bad option
 *	ENOTSUP	valid, but this library does not do it
 *	EFTYPE	the bytes of the image break its format; a finding says how
 *	EROFS	the image, or what is wrong with it, does not allow writing
 *	EFBIG	larger than the format allows
 *	ENOMEM	no memory, or the caller's budget does not allow it
 *	EIO, ENOSPC, EINTR as everywhere
 * Results are written only on success.  The library never prints, exits or
 * opens a path by itself; whoever opens closes, whoever allocates frees.
 *
 * One handle is used by one thread at a time.  Only the bytes of extents and
 * of claims may be moved by several at once, by the caller's own means.
 *
 * Units are in the names: voff is a byte offset on the virtual disk, off a
 * byte offset in a host file, sec a count of 512 byte sectors.
 */

#ifndef IMG_H
#define IMG_H

#ifndef _KERNEL /* there core/env.h came first */
#include <stddef.h>
#include <stdint.h>
#endif

/* 4.4BSD's "inappropriate file type or format", where the system has none. */
#ifndef EFTYPE
#define EFTYPE 79
#endif

#define IMG_NOWHERE UINT64_MAX /* an offset that is none */
#define IMG_SECTOR 512u

/* ------------------------------------------------------------------------
 * Findings: everything that can be wrong with an image is one row of one
 * table, core/findings.def.
 */

#define F(fmt, n, name, sev, allows, stage, fix, text) IMG_##fmt##_##name,
enum img_row {
	IMG_ROW_NONE,
#include "core/findings.def"
	IMG_NROWS
};
#undef F

enum img_severity {
	IMG_SEV_NOTE,    /* legal, worth saying */
	IMG_SEV_WARN,    /* a rule is broken, data is fine */
	IMG_SEV_LEAK,    /* space is lost */
	IMG_SEV_CORRUPT, /* guest bytes are wrong or at risk */
	IMG_SEV_FATAL,   /* the image cannot be placed at all */
	IMG_NSEV
};

/* What remains possible; a handle has the least of all rows raised on it. */
enum img_allows {
	IMG_ALLOW_NOTHING,
	IMG_ALLOW_MAP, /* info, check, map */
	IMG_ALLOW_READ,
	IMG_ALLOW_WRITE
};

/* The stage of validation that raises a row; each includes the one before. */
enum img_stage {
	IMG_STAGE_OPEN,   /* header, footers, placement: few reads */
	IMG_STAGE_VERIFY, /* every table entry once */
	IMG_STAGE_CHECK   /* owners, counts, leaks; on request all data */
};

enum img_fix {
	IMG_FIX_NONE,
	IMG_FIX_SAFE, /* no guest byte can change */
	IMG_FIX_LOSSY
};

struct img_rowdesc {
	const char *r_format; /* "VHD": with r_number the row's public name */
	unsigned r_number;
	enum img_severity r_severity;
	enum img_allows r_allows;
	enum img_stage r_stage;
	enum img_fix r_fix;
	const char *r_text; /* what is wrong; lower case, no full stop */
};

/* How fi_want is to be read. */
enum img_want {
	IMG_WANT_NONE, /* neither found nor want says anything */
	IMG_WANT_ANY,  /* fi_found alone */
	IMG_WANT_EQ,   /* expected fi_want */
	IMG_WANT_MAX,  /* expected at most fi_want */
	IMG_WANT_MIN   /* expected at least fi_want */
};

struct img_finding {
	enum img_row fi_row;
	enum img_want fi_rel;
	uint64_t fi_off;  /* where in the file, or IMG_NOWHERE */
	uint64_t fi_voff; /* the guest range that suffers: start ... */
	uint64_t fi_vlen; /* ... and bytes, 0 for none */
	uint64_t fi_found;
	uint64_t fi_want;
	uint64_t fi_n;       /* units in a row that it is about; 0 is one */
	const char *fi_name; /* bytes from the image as UTF-8, or NULL */
};

/*
 * Receives findings in the order in which they are met.  The finding and its
 * fi_name are valid during the call only.
 */
typedef void img_report_fn(void *arg, const struct img_finding *);

/* The row's description; never NULL for a row between NONE and NROWS. */
const struct img_rowdesc *img_row(enum img_row);

/* Words for an errno value as this library uses it; NULL if it has none. */
const char *img_strerror(int error);

/* ------------------------------------------------------------------------
 * The environment: what the caller lends.
 */

#define IMG_FILE_ZEROES 1u /* new space reads as zeros (not a device) */
#define IMG_FILE_FIXED 2u  /* the length cannot change (a device) */

/*
 * One open host file.  Callers embed this at the head of their own struct.
 * Transfers are all or an error, never a count; a read past the end is an
 * error (EIO).  A write past the end extends the file.
 */
struct img_file {
	const struct img_fileops *f_ops;
	uint32_t f_flags; /* IMG_FILE_* */
};

struct img_fileops {
	int (*fo_read)(struct img_file *, void *, uint32_t len, uint64_t off);
	int (*fo_write)(struct img_file *, const void *, uint32_t len,
	    uint64_t off);
	/* All written before is on stable storage before anything after. */
	int (*fo_barrier)(struct img_file *);
	int (*fo_length)(struct img_file *, uint64_t *);
	int (*fo_resize)(struct img_file *, uint64_t);
	/*
	 * Optional, may be NULL: data (1) or hole (0) at off, and how many
	 * bytes of it, at most *len on entry.
	 */
	int (*fo_extent)(struct img_file *, uint64_t off, uint64_t *len,
	    int *data);
	/* Optional: the range in the file reads as zeros; may free it. */
	int (*fo_zero)(struct img_file *, uint64_t off, uint64_t len);
	/* Optional: the range has its space for good; may extend the file. */
	int (*fo_reserve)(struct img_file *, uint64_t off, uint64_t len);
	/* Optional, a hint: these bytes are one unit of data. */
	void (*fo_unit)(struct img_file *, uint64_t off, uint64_t len);
};

enum img_algo { IMG_DEFLATE, IMG_ZSTD };

#define IMG_CAN_ZSTD 1u /* ev_can: ev_unpack and ev_pack know IMG_ZSTD */

struct img_env {
	/* Zeroed memory or NULL; free gets the size that was asked for. */
	void *(*ev_alloc)(void *arg, size_t);
	void (*ev_free)(void *arg, void *, size_t);
	/* Optional: exactly dlen bytes from at most slen, or an error. */
	int (*ev_unpack)(void *arg, enum img_algo, const void *src,
	    uint32_t slen, void *dst, uint32_t dlen);
	/*
	 * Optional, programs only: at most *dlen bytes into dst, *dlen says
	 * how many; ENOSPC where they do not suffice.  The same input gives
	 * the same bytes.  May be called by several threads at once.
	 */
	int (*ev_pack)(void *arg, enum img_algo, const void *src, uint32_t slen,
	    void *dst, uint32_t *dlen);
	/*
	 * Optional, programs only: call job for every number below n, several
	 * at once where there are processors for it, and wait for all.
	 */
	void (*ev_parallel)(void *arg, unsigned n,
	    void (*job)(void *jobarg, unsigned i), void *jobarg);
	/*
	 * Optional, called in long loops; not 0 ends the call with it.
	 * done of total, in bytes of the work at hand; total 0 if unknown.
	 */
	int (*ev_poll)(void *arg, uint64_t done, uint64_t total);
	void *ev_arg;
	uint32_t ev_can; /* IMG_CAN_* */
};

/* ------------------------------------------------------------------------
 * Images
 */

struct img;
struct img_format;
#define IMG_RDWR 1u   /* else nothing is ever written; implies VERIFY */
#define IMG_VERIFY 2u /* run stage VERIFY too before the call returns */
/*
 * Nobody else needs this file until it is complete: no barriers, and the
 * first write takes the header away until img_flush or img_close puts it
 * back, last.
 */
#define IMG_FRESH 4u
/*
 * Write for readers that know no zero flags (OpenBSD's vmd): zeros over a
 * backing image are written as data.
 */
#define IMG_PLAIN 8u

struct img_args {
	const struct img_format *a_format; /* NULL: by probing */
	/*
	 * Read the disk as this internal snapshot has it, by id or else by
	 * name; NULL: as it is now.  ENOENT if there is none; EINVAL with
	 * IMG_RDWR.
	 */
	const char *a_snapshot;
	uint32_t a_flags;
	uint32_t a_slices; /* of 4 KiB in the table cache; 0: a default */
	uint64_t a_budget; /* bytes this handle may allocate; 0: a default */
	img_report_fn *a_report; /* may be NULL */
	void *a_arg;
};

/*
 * Which format a file has.  Never fails for a readable file: what nothing
 * else recognises is raw.
 */
int img_probe(const struct img_env *, struct img_file *,
    const struct img_format **);

/* By name or alias ("vhd", "vpc"); NULL if there is none. */
const struct img_format *img_format_find(const char *name);
/* The i-th format, NULL past the last. */
const struct img_format *img_format_at(unsigned i);
/* Our name ("vhd"), and qemu's where it differs ("vpc"). */
const char *img_format_name(const struct img_format *);
const char *img_format_alias(const struct img_format *);

/*
 * Open the image in a host file, which stays the caller's and must outlive
 * the handle.  All memory that the handle uses for reading and writing is
 * allocated here, within the budget.  EFTYPE when a row was raised that allows
 * nothing; the reporter has it.  With IMG_RDWR, EROFS when a row forbids
 * writing.
 */
int img_open(struct img **, const struct img_env *, struct img_file *,
    const struct img_args *);

/* Flush, then free, even when the flush fails; its error is returned. */
int img_close(struct img *);
/*
 * Free without a flush: what was not flushed may be lost.  Returns 1 where
 * IMG_FRESH had begun to write: the file is without its header now, so that
 * nothing takes it for a complete image.
 */
int img_abandon(struct img *);

uint64_t img_size(const struct img *); /* the virtual disk, in bytes */
uint32_t img_unit(const struct img *); /* unit of allocation, 0 if none */
const struct img_format *img_format_of(const struct img *);
/* The row that limits the handle most (IMG_ROW_NONE), and what is allowed. */
enum img_allows img_allows(const struct img *, struct img_finding *);

enum img_etype {
	IMG_HOLE,   /* not here: the backing image, or zeros */
	IMG_ZERO,   /* reads as zeros, whatever the backing holds */
	IMG_DATA,   /* plain bytes at e_off of file e_file */
	IMG_PACKED, /* compressed: one unit, starting at e_off */
	IMG_BAD     /* the entry breaks the format: reads give EIO */
};

struct img_extent {
	uint64_t e_voff; /* start on the virtual disk, bytes */
	uint64_t e_len;  /* bytes, never 0, never longer than asked */
	uint64_t e_off;  /* start in the file, or IMG_NOWHERE */
	uint32_t e_plen; /* PACKED: bytes to read at e_off, upper bound */
	uint8_t e_file;  /* 0 the image's file, 1 its data file */
	enum img_etype e_type;
	enum img_row e_row; /* BAD: which rule */
};

/*
 * Where the bytes at voff live: the longest run of one kind that this handle
 * can tell cheaply, at most len.  One image only; img_walk follows backing
 * images and says whose extent it is and at which depth (0 is im itself).
 * Both tell holes of the host file as IMG_ZERO with e_off kept.  An extent
 * is valid until the next call that changes the image.
 */
int img_map(struct img *, uint64_t voff, uint64_t len, struct img_extent *);
int img_walk(struct img *, uint64_t voff, uint64_t len, struct img_extent *,
    struct img **owner, unsigned *depth);

int img_read(struct img *, void *, uint32_t len, uint64_t voff);
int img_write(struct img *, const void *, uint32_t len, uint64_t voff);
/* The range reads as zeros afterwards; as little as possible is stored. */
int img_zero(struct img *, uint64_t voff, uint64_t len);
/* All written before survives a power cut once this returned 0. */
int img_flush(struct img *);

/*
 * The two steps of a write, for callers that move the bytes themselves.
 * img_begin says where at most len bytes at voff may be written and fills
 * what surrounds them in a fresh unit; after writing, img_end makes them
 * visible (ok) or gives the space up (not ok; then it cannot fail).  Every
 * claim ends with img_end.  A few may be open at once, no two in one unit,
 * and nothing else may change that unit meanwhile.
 */
#define IMG_CLAIM_FRESH 1u  /* f_map does not show it before img_end */
#define IMG_CLAIM_ZEROED 2u /* new space that reads as zeros already */

struct img_claim {
	struct img_extent c_ext; /* where to write; may be less than asked */
	uint64_t c_before;       /* bytes of the same unit before c_ext ... */
	uint64_t c_after;        /* ... and after it */
	uint32_t c_flags;
	uint64_t c_priv[4];
};

int img_begin(struct img *, uint64_t voff, uint64_t len, struct img_claim *);
int img_end(struct img *, struct img_claim *, int ok);

/*
 * What an image needs from outside.  This library opens nothing by itself:
 * the caller does (img_chain_open is one that knows how) and lends it.
 */
enum img_refkind {
	IMG_REF_BACKING, /* the image that holes read through to */
	IMG_REF_DATA     /* the file that has the guest's bytes */
};

/* The strings are the image's own bytes and live as long as the handle. */
struct img_ref {
	enum img_refkind rf_kind;
	const char *rf_name;   /* as recorded; NULL: none that can be used */
	const char *rf_format; /* name of its format; NULL: not recorded */
};

/* The n-th reference; ENOENT past the last. */
int img_ref(struct img *, unsigned n, struct img_ref *);
/*
 * Lend the image that holes read through to; NULL takes it back.  Without it
 * holes read as zeros, and an image that names one cannot be written to.
 */
int img_lend(struct img *, struct img *backing);
/*
 * Lend the external data file, which must outlive the handle.  Without it
 * reading and writing give ENXIO.
 */
int img_lend_data(struct img *, struct img_file *);

/* ------------------------------------------------------------------------
 * For programs only from here on.
 */

enum img_kind {
	IMG_K_STR, /* bytes from a stranger in UTF-8: escape to print */
	IMG_K_NUM,
	IMG_K_BYTES, /* a number of bytes, worth a human form */
	IMG_K_HEX,
	IMG_K_BOOL,
	IMG_K_TIME,  /* seconds since 1970, UTC */
	IMG_K_BEGIN, /* an object of that key begins ... */
	IMG_K_END,   /* ... and ends */
	IMG_K_LIST,  /* a list of objects without keys begins ... */
	IMG_K_ENDLIST
};

struct img_item {
	const char *it_key; /* JSON style: "block-size"; NULL in a list */
	enum img_kind it_kind;
	int it_top; /* 1: means the same for every format; these come first */
	uint64_t it_num;
	const char *it_str;
};

typedef int img_info_fn(void *arg, const struct img_item *);

/* What the format has to tell beside size and unit; stops at not 0. */
int img_info(struct img *, img_info_fn *, void *arg);

#define IMG_DEEP 1u /* read bitmaps and data too */

struct img_checked {
	uint64_t ch_units;      /* units of allocation the disk has ... */
	uint64_t ch_allocated;  /* ... and those that have space */
	uint64_t ch_fragmented; /* of these, not right behind the one before */
	uint64_t ch_packed;     /* of these, compressed */
	uint64_t ch_end;        /* where what is in use of the file ends */
};

/*
 * Stage CHECK on a handle opened with IMG_VERIFY, else EINVAL; allocates within
 * the handle's budget, and frees.  now, in seconds since
 * 1970, is what time stamps are held against.  Findings go to the handle's
 * reporter; 0 says that the check ran, not that the image is sound.
 */
int img_check(struct img *, unsigned flags, int64_t now, struct img_checked *);

/* One step of a repair: because of fx_row, this changes. */
struct img_fixed {
	enum img_row fx_row;
	uint64_t fx_off;  /* where in the file, or IMG_NOWHERE */
	uint64_t fx_voff; /* the guest range that may change ... */
	uint64_t fx_vlen; /* ... in bytes, 0 for none */
	const char *fx_text;
};

typedef void img_fixed_fn(void *arg, const struct img_fixed *);

#define IMG_DRYRUN 1u /* tell, do not write */
#define IMG_SOME 2u   /* these are not all findings: leave what needs all */

/*
 * Repair what an earlier check of this closed image found, at most by steps
 * of the given kind.  Every step is told to the sink before anything is
 * written.  Check again afterwards: rows without a repair remain.
 */
int img_repair(const struct img_env *, struct img_file *,
    const struct img_format *, const struct img_finding *, size_t nfindings,
    enum img_fix, unsigned flags, img_fixed_fn *, void *arg);

struct img_opt {
	const char *o_name;
	const char *o_help;
};

struct img_create {
	uint64_t cr_size;    /* of the virtual disk, bytes */
	const char *cr_opts; /* "name=value,..." or NULL */
	const char *cr_name; /* of the result: seeds reproducible ids */
	int64_t cr_time;     /* creation time, seconds since 1970 */
	int cr_repeatable;   /* derive ids; cr_random is not used */
	uint8_t cr_random[16];
	char cr_error[160]; /* out, with an error: what is wrong, or "" */
};

/*
 * The options that img_create takes for a format, ended by a NULL name.  In a
 * value a comma is written twice.
 */
const struct img_opt *img_create_opts(const struct img_format *);

/*
 * Write an empty image of cr_size bytes into an empty file or a device.  It
 * is not durable before the caller's fo_barrier.
 */
int img_create(const struct img_env *, struct img_file *,
    const struct img_format *, struct img_create *);

#define IMG_COPY_INPLACE 1u /* dst may hold old data: zeros are written */
/*
 * Compress whole units, on all processors, where that makes them smaller and
 * dst has nothing there yet.  ENOTSUP where dst's format cannot.
 */
#define IMG_COPY_PACK 2u

struct img_copy {
	uint32_t cp_sparse; /* zero runs this long stay holes; 0: none */
	unsigned cp_flags;
	/*
	 * Out, when src failed: where, or IMG_NOWHERE; with a row where the
	 * format is broken there, else the start of the piece (1 MiB at most).
	 */
	uint64_t cp_bad_voff;
	enum img_row cp_bad_row;
	int cp_dst; /* out, with an error: 1 if dst failed */
};

/* Copy the guest bytes of src to the start of dst, which is large enough. */
int img_copy(const struct img_env *, struct img *src, struct img *dst,
    struct img_copy *);

struct img_compared {
	int cm_equal;
	int cm_error_in; /* with an error: 0 in the first, 1 in the second */
	/* IMG_NOWHERE where it does not apply: */
	uint64_t cm_voff;  /* the first byte that differs; or cannot be read */
	uint64_t cm_extra; /* sizes differ: the longer one's tail starts here */
};

#define IMG_COMPARE_STRICT 1u /* sizes and allocation must be equal too */

int img_compare(const struct img_env *, struct img *, struct img *,
    unsigned flags, struct img_compared *);

#endif /* IMG_H */
