/* SPDX-License-Identifier: ISC */

/*
 * host.h: the host's half of the harness, for the tests: files in memory
 * that a vnode leads to, what was logged, and power cuts.
 */

#ifndef TESTS_DRIVER_HOST_H
#define TESTS_DRIVER_HOST_H

#include "unit/help/test.h"

#include "driver/harness.h"

#define HOST_NFILES 8

struct host_file {
	const char *hf_name; /* NULL: not in use */
	struct host_node hf_node;
	struct mem hf_mem;
	struct mem_log hf_log;
	/* Which entries of the log were on stable storage at once. */
	uint8_t *hf_sync;
	size_t hf_nsync;
	uint64_t hf_reads, hf_writes, hf_fsyncs; /* since host_calls_reset */
	uint64_t hf_room; /* a longer file is ENOSPC; 0: none is */
};

/* host.c */
const char *host_logged(void); /* since the last clear */
void host_log_clear(void);

/* file.c */
/* A regular file with the bytes of a real one, or empty (NULL). */
struct host_file *host_file(const char *name, const char *from);
void host_file_log(struct host_file *); /* begin to log changes */
void host_file_save(const struct host_file *, const char *to);
void host_file_free(struct host_file *);
void host_files_free(void); /* all there are */
void host_calls_reset(struct host_file *);

/* cut.c */
/* "", and the image open for reading, if it is sound or has leaks at worst. */
const char *host_judge(struct mem *, const struct img_format *, struct img **,
    struct mem_env *);

struct cut_done {
	size_t cd_at;    /* length of the log then */
	uint64_t cd_off; /* on the disk */
	size_t cd_len;
	uint8_t *cd_data;
};

struct cut {
	struct host_file *ct_file;
	struct mem ct_start; /* the file when it began */
	struct cut_done *ct_done;
	size_t ct_ndone;
	const struct img_format *ct_format;
	uint64_t ct_states; /* looked at */
	char ct_why[256];   /* the first bad one, or "" */
};

/* From now on all changes of the file, and all bufs that are done. */
void cut_begin(struct cut *, struct host_file *, const char *format);
/*
 * Every state that a power cut may leave after each buf that was done: the
 * bytes that were done are there, and the image is sound or has leaks.
 */
void cut_judge(struct cut *);
void cut_end(struct cut *);
void cut_forget(void); /* whichever there is, after a failure */

#endif /* TESTS_DRIVER_HOST_H */
