/* SPDX-License-Identifier: ISC */

/*
 * core.h: what the files of the core and the formats share.  Core files
 * include this, or their format's header that includes it, and nothing else.
 */

#ifndef IMG_CORE_H
#define IMG_CORE_H

#include "core/env.h"

#define IMG_SLICE 4096u   /* bytes of a slice of the table cache */
#define IMG_BOUNCE 65536u /* bytes of a handle's bounce buffer */
#define IMG_SLICES_DEFAULT 64u
#define IMG_BUDGET_DEFAULT (64u << 20)

/*
 * The order of write-back: all data, barrier, counts (refcounts, sector
 * bitmaps: what must be there before a pointer leads to it), barrier,
 * pointers (BAT, L2, L1), barrier.
 */
enum img_class { IMG_COUNTS, IMG_POINTERS, IMG_NCLASSES };

#define IMG_NEEDS_BACKING (1u << IMG_REF_BACKING)
#define IMG_NEEDS_DATA (1u << IMG_REF_DATA)

struct img_slice {
	uint64_t sl_off; /* in the image's file; the key */
	uint8_t *sl_data;
	uint32_t sl_len;  /* a multiple of 512, at most IMG_SLICE */
	uint32_t sl_next; /* index + 1 of the next in the hash chain */
	uint8_t sl_class; /* enum img_class */
	uint8_t sl_used;  /* second chance of the replacement clock */
	uint8_t sl_dirty; /* a bit per sector */
	uint8_t sl_valid;
};

struct img_cache {
	struct img_slice *ca_slice;
	uint8_t *ca_data;
	uint32_t *ca_hash; /* index + 1, 0 for none */
	uint32_t ca_n;
	uint32_t ca_nhash; /* a power of two */
	uint32_t ca_hand;
};

struct img {
	const struct img_env *im_env;
	const struct img_format *im_fmt;
	void *im_priv;               /* the format's, f_privsize bytes */
	struct img_file *im_file[2]; /* the image, its data file or NULL */
	uint64_t im_eof[2];          /* their lengths, kept by img_io_* */
	uint64_t im_size;            /* virtual size, bytes; set by f_open */
	uint32_t im_unit;            /* unit of allocation; set by f_open */
	uint32_t im_flags;           /* IMG_RDWR, IMG_VERIFY, IMG_FRESH */
	int im_latched;              /* after a failed barrier or table write */
	int im_unsynced;             /* written since the last barrier */
	int im_begun;                /* fresh: written to, without its header */
	enum img_allows im_allows;
	struct img_finding im_why; /* the row that set im_allows */
	img_report_fn *im_report;
	void *im_arg;
	uint64_t im_budget; /* bytes that may still be allocated */
	struct img *im_back;
	const char *im_snapshot; /* which tree to read, during f_open only */
	uint32_t im_needs;       /* IMG_NEEDS_*, set by f_open */
	struct img_cache im_cache;
	uint8_t *im_buf; /* IMG_BOUNCE bytes */
	/* Formats with packed units set im_packmax in f_open. */
	uint32_t im_packmax;  /* the longest packed unit, bytes */
	uint8_t *im_packed;   /* im_packmax bytes */
	uint8_t *im_unpacked; /* im_unit bytes: the last unit unpacked ... */
	uint64_t im_packoff;  /* ... and where it was packed */
};

/*
 * A format.  It answers where bytes live and makes ranges writable; it never
 * touches guest data.  Methods that do not apply are NULL.  All but
 * f_unpack of one handle are called by one thread at a time.
 */
struct img_format {
	const char *f_name;  /* ours, lower case */
	const char *f_alias; /* qemu's name where it differs, or NULL */
	size_t f_privsize;
	int f_snapshots; /* f_open looks at im_snapshot */

	/*
	 * Is this file ours?  On a handle with nothing but its file: 0 yes,
	 * ENXIO no, else an error.  A constant number of reads.  NULL: the
	 * format takes what no other wants.
	 */
	int (*f_probe)(struct img *);
	/*
	 * Parse and place; raise every row of stage OPEN; set im_size and
	 * im_unit.  EFTYPE once a row that allows nothing ends the parsing.
	 */
	int (*f_open)(struct img *);
	/* Raise the rows of stage VERIFY: every table entry once. */
	int (*f_verify)(struct img *);
	/* Free what f_open allocated, on failure of f_open as well. */
	void (*f_close)(struct img *);
	/* The run at voff, at most len; the range is inside the disk. */
	int (*f_map)(struct img *, uint64_t voff, uint64_t len,
	    struct img_extent *);
	/* A packed unit to im_unit bytes; pure. */
	int (*f_unpack)(struct img *, const struct img_extent *,
	    const void *packed, uint32_t len, void *unit);
	/*
	 * Make a range writable: part of it in place, or a fresh unit that
	 * f_map does not show until f_end.  Barriers only to move a mark of
	 * allocation.  EIO, and the row raised, where an entry is bad.
	 */
	int (*f_begin)(struct img *, uint64_t voff, uint64_t len,
	    struct img_claim *);
	int (*f_end)(struct img *, struct img_claim *, int ok);
	/*
	 * Make what can be made to read as zeros without writing data;
	 * done says how much from voff on, 0 for none.
	 */
	int (
	    *f_zero)(struct img *, uint64_t voff, uint64_t len, uint64_t *done);
	/* Take the header away: the first write of IMG_FRESH is at hand. */
	int (*f_fresh)(struct img *);
	/* Everything durable, in order; with IMG_FRESH the header last. */
	int (*f_flush)(struct img *);
	/* The n-th thing this image needs from outside; ENOENT past the last. */
	int (*f_ref)(struct img *, unsigned n, struct img_ref *);
};

/* formats.c: a line each */
extern const struct img_format img_raw;
extern const struct img_format img_vhd;
extern const struct img_format img_qcow2;
extern const struct img_format img_qed;

/*
 * io.c: the image's own files.  Reads past the end are EIO.  A failed
 * barrier latches the handle, and so does a failed write of metadata.
 */
int img_io_read(struct img *, unsigned file, void *, uint32_t len,
    uint64_t off);
int img_io_write(struct img *, unsigned file, const void *, uint32_t len,
    uint64_t off);
int img_io_meta(struct img *, const void *, uint32_t len, uint64_t off);
/* The file may have become longer by other means, or by half a write. */
void img_io_length(struct img *, unsigned file);
/* Nothing where nothing was written since the last, or with IMG_FRESH. */
int img_io_barrier(struct img *);
/* Write n zeros, through the bounce buffer. */
int img_io_zeros(struct img *, unsigned file, uint64_t off, uint64_t n);

/* Zeroed memory within the handle's budget, or ENOMEM. */
int img_alloc(struct img *, uint64_t n, void *ptrp);
void img_free(struct img *, void *, uint64_t n);

/*
 * rw.c: f_map of a format that can tell a piece at voff, at most len: as many
 * pieces as are one run.
 */
int img_map_run(struct img *, uint64_t voff, uint64_t len, struct img_extent *,
    int (*piece)(struct img *, uint64_t voff, uint64_t len,
	struct img_extent *));

/*
 * rw.c: what a packed extent has in the file; room for im_packmax bytes, *plen
 * says how many.
 */
int img_fetch_packed(struct img *, const struct img_extent *, void *,
    uint32_t *plen);

/* cache.c: a slice is valid until the next call of any of these. */
int img_cache_init(struct img *, uint32_t nslices);
void img_cache_fini(struct img *);
/*
 * The len bytes at off, from the cache or read.  off must lie inside the file;
 * what is missing behind its end reads as zeros.
 */
int img_cache_get(struct img *, enum img_class, uint64_t off, uint32_t len,
    struct img_slice **);
/* The same, but of new space: not read, all zeros, dirty. */
int img_cache_new(struct img *, enum img_class, uint64_t off, uint32_t len,
    struct img_slice **);
/* Bytes [at, at + n) of the slice were changed. */
void img_cache_dirty(struct img_slice *, uint32_t at, uint32_t n);
/* Is any of [off, off + len) in the cache, thus a table?  Looks at all. */
int img_cache_holds(struct img *, uint64_t off, uint64_t len);
/* Forget what is cached of [off, off + len): it is no table any more. */
void img_cache_drop(struct img *, uint64_t off, uint64_t len);
/* Data, counts, pointers, with barriers between: all durable. */
int img_cache_flush(struct img *);

/* finding.c: raise a row, which may lower what the handle allows. */
void img_raise(struct img *, enum img_row, uint64_t off);
void img_raise_num(struct img *, enum img_row, uint64_t off, enum img_want,
    uint64_t found, uint64_t want);
void img_raise_finding(struct img *, const struct img_finding *);

#endif /* IMG_CORE_H */
