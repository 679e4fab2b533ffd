/* SPDX-License-Identifier: ISC */

/*
 * mem.h: a host file in memory that counts, logs and fails as it is told,
 * an environment that counts what it lends, and a sink for findings.
 */

#ifndef TESTS_UNIT_HELP_MEM_H
#define TESTS_UNIT_HELP_MEM_H

#include <stddef.h>
#include <stdint.h>

#include "img_host.h"

enum mem_op {
	MEM_READ,
	MEM_WRITE,
	MEM_BARRIER,
	MEM_LENGTH,
	MEM_RESIZE,
	MEM_EXTENT,
	MEM_ZERO,
	MEM_NOPS
};

/*
 * One change, or a barrier, in the order in which they were asked for.  As
 * a page cache does, l_data has whole sectors as they were afterwards, from
 * the sector of l_off on.
 */
struct mem_logged {
	enum mem_op l_op;
	unsigned l_file; /* m_id of the file */
	uint64_t l_off;  /* as asked; RESIZE: the new length */
	uint64_t l_len;
	uint64_t l_start; /* l_off rounded down to a sector */
	size_t l_bytes;   /* of l_data */
	uint8_t *l_data;
};

struct mem_log {
	struct mem_logged *lg_op;
	size_t lg_n, lg_room;
};

struct mem {
	struct img_file m_file; /* first, so that either leads to the other */
	struct img_fileops m_ops;
	uint64_t m_len;
	uint8_t **m_chunk; /* of 1 << m_shift bytes, NULL where never written */
	size_t m_nchunks;
	unsigned m_shift;
	uint8_t m_fill; /* what was never written reads as */

	uint64_t m_calls[MEM_NOPS];
	uint64_t m_rbytes, m_wbytes; /* read and written in all */
	uint64_t m_past;             /* reads past the end */
	uint64_t m_fail[MEM_NOPS];   /* fail the n-th call from 1 on, 0: none */
	int m_forever;               /* ... and all that follow */
	int m_half;            /* half of a write happens before it fails */
	int m_error;           /* with this; EIO */
	uint64_t m_failed;     /* how often it did */
	struct mem_log *m_log; /* or NULL; files may share one */
	unsigned m_id;         /* which of them this is */
};

/* A file: new space is zeros, the length can change. */
void mem_file(struct mem *, uint64_t len);
/* A device: garbage all over, and its length is what it is. */
void mem_device(struct mem *, uint64_t len);
/* For files of terabytes, before the first write: larger chunks. */
void mem_large(struct mem *);
void mem_free(struct mem *);

/* Behind the library's back: not counted, not logged, never failing. */
void mem_put(struct mem *, uint64_t off, const void *, size_t);
void mem_get(const struct mem *, uint64_t off, void *, size_t);
void mem_put32(struct mem *, uint64_t off, uint32_t);
void mem_put64(struct mem *, uint64_t off, uint64_t);
uint32_t mem_get32(const struct mem *, uint64_t off);
/* The length changes; what is new reads as the fill. */
void mem_set_len(struct mem *, uint64_t);
/* All len bytes at off are b. */
int mem_is(const struct mem *, uint64_t off, size_t len, uint8_t b);
void mem_copy(struct mem *to, const struct mem *from);
int mem_equal(const struct mem *, const struct mem *);
/* Back to no calls and no failures. */
void mem_reset(struct mem *);

/* The log is the caller's and stays when the file goes. */
void mem_log_free(struct mem_log *);
void mem_log_add(struct mem_log *, const struct mem *, enum mem_op,
    uint64_t off, uint64_t len);

/*
 * An environment that counts.  mem_open and mem_close tell it how many images
 * are open: what is allocated then is counted apart.
 */
struct mem_env {
	struct img_env e_env;
	size_t e_now, e_peak; /* bytes lent */
	uint64_t e_allocs;
	uint64_t e_fail; /* fail the n-th allocation from 1 on */
	int e_open, e_opening;
	uint64_t e_late; /* allocations while open */
	uint64_t e_polls;
	uint64_t e_poll_end; /* the n-th poll says EINTR */
};

void mem_env(struct mem_env *);
/* Everything came back, and nothing was taken while an image was open. */
int mem_env_sound(const struct mem_env *);

#define MEM_NFOUND 64

struct mem_sink {
	unsigned s_n; /* all, even those that did not fit */
	struct img_finding s_found[MEM_NFOUND];
	unsigned s_per_row[IMG_NROWS];
};

void mem_report(void *sink, const struct img_finding *);
unsigned mem_has(const struct mem_sink *, enum img_row);
/* That row once and nothing else was raised, or the test fails. */
void mem_only(const struct mem_sink *, enum img_row);
/* The worst severity raised; NOTE if nothing was. */
enum img_severity mem_worst(const struct mem_sink *);
/* The first finding of a row; fails the test if there is none. */
const struct img_finding *mem_first(const struct mem_sink *, enum img_row);

/* img_open in that environment; the sink may be NULL. */
int mem_open(struct img **, struct mem_env *, struct mem *,
    const struct img_format *, uint32_t flags, struct mem_sink *);
/* The same with all of img_args. */
int mem_open_args(struct img **, struct mem_env *, struct mem *,
    struct img_args *);
/*
 * The same of a raw image of that size with pattern 7 in it, for others to
 * read through to.
 */
struct img *mem_open_base(struct mem_env *, struct mem *, uint64_t size);
int mem_close(struct img *, struct mem_env *);
int mem_abandon(struct img *, struct mem_env *);

/* Repeatable numbers, Knuth's MMIX generator. */
uint32_t mem_random(uint64_t *state);
/* Bytes that say where they were meant for, and by which write. */
void mem_pattern(void *, size_t, uint64_t voff, unsigned version);
/* All len bytes at voff read as that pattern; version 0 is zeros. */
void mem_reads(struct img *, uint64_t voff, size_t len, unsigned version);
/* What img_map says, in one line. */
void mem_maps(struct img *, uint64_t voff, uint64_t len, enum img_etype,
    uint64_t off, uint64_t elen);

#endif /* TESTS_UNIT_HELP_MEM_H */
