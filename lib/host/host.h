/* SPDX-License-Identifier: ISC */

/*
 * host.h: what programs need of a POSIX system beside img.h's host part:
 * results that appear only when complete, signals, pipes.
 *
 * As in img.h, every call returns 0 or a positive errno value unless it says
 * otherwise.  Where errno alone would not say enough, the caller's buffer
 * why gets a few words (lower case, no full stop), else the empty string.
 */

#ifndef HOST_HOST_H
#define HOST_HOST_H

#include <stddef.h>
#include <stdint.h>

#include "img_host.h"

/* ------------------------------------------------------------------------
 * Results
 *
 * A result is written to a file that has no name, beside the destination,
 * and gets its name when it is complete.  A regular file that has the name
 * stays whole until then, and the new one takes over its mode, its owner
 * where that is permitted, and its extended attributes.  A symbolic link is
 * followed: its target is replaced or, when it dangles, created.  A block
 * device is written in place.  Where the system has no unnamed files the
 * temporary is called .NAME.imgtool-XXXXXX; only a SIGKILL leaves it behind.
 */

struct host_output;

#define HOST_NOCLOBBER 1u /* EEXIST when something has the name already */
#define HOST_FORCE 2u     /* a file with other hard links, a device in use */
#define HOST_NAMED 4u     /* as if there were no unnamed files; for tests */

/*
 * EISDIR for a folder, EINVAL for anything else that is no file and no block
 * device, EACCES for a file that the caller may not write, EMLINK for one
 * with other hard links, EBUSY for a device in use (mounted, say), ELOOP.
 */
int host_output_open(struct host_output **, const char *path, unsigned flags,
    char *why, size_t whylen);

/* The file to write; it belongs to the output, do not close it. */
struct img_file *host_output_file(struct host_output *);

/* 1 if it is written in place, so that an interrupt leaves it unusable. */
int host_output_is_device(const struct host_output *);

/*
 * Make the result durable and give it its name.  Frees out; with an error
 * nothing is left behind, and what had the name before is untouched (but
 * the file may be in place when only syncing its folder failed: EIO).
 */
int host_output_commit(struct host_output *);

/* Leave no trace (a device stays as it is) and free; NULL is fine. */
void host_output_abort(struct host_output *);

/*
 * The rest of a pipe as a file without a name that vanishes when closed by
 * img_host_close, beside dstpath (in $TMPDIR or /var/tmp when that is a
 * device).  Runs of zeros become holes.  EINTR after a signal.
 */
int host_spool(struct img_file **, const char *dstpath, int infd, char *why,
    size_t whylen);

/*
 * 1 when both are one file or one device, by whatever name; else 0.  On
 * Linux a loop device is the same as the file behind it.
 */
int host_same_file(const struct img_file *, const struct img_file *);
int host_same_fd(const struct img_file *, int fd);
/* The same for a path, which need not exist; links are followed. */
int host_same_path(const struct img_file *, const char *path);

/* ------------------------------------------------------------------------
 * Chains
 */

/*
 * One step of img_chain_open, on a chain that was opened with
 * IMG_CHAIN_ALONE: the image behind the last one.  *more says, with 0 and
 * with an error, whether the last one names any.  ca_name may be a string of
 * the chain's.
 */
int host_chain_follow(struct img_chain *, struct img_chain_args *, int *more);

/* What a name means that the image at path has recorded; malloc(3). */
char *host_ref_path(const char *path, const char *name);

/* The data file of the image at a depth and its path, or NULL. */
struct img_file *host_chain_data(const struct img_chain *, unsigned depth);
const char *host_chain_data_path(const struct img_chain *, unsigned depth);

/* ------------------------------------------------------------------------
 * Signals, progress, pipes
 */

/*
 * Let SIGINT, SIGTERM and SIGHUP (unless they are ignored, as by nohup) end
 * long calls with EINTR, by img_host_env's poll; ignore SIGPIPE and SIGXFSZ
 * so that writes report EPIPE and EFBIG.
 */
void host_catch_signals(void);

/* The signal that was caught last, 0 for none. */
int host_signal(void);

/*
 * Also call fn from img_host_env's poll, on the thread that polls; not 0
 * ends the polling call with it.  NULL ends this.
 */
void host_set_poll(int (*fn)(void *arg, uint64_t done, uint64_t total),
    void *arg);

/*
 * Read until len bytes are there or the input ends; *got says how many.
 * Write all.  Both wait for slow descriptors, and return EINTR once a signal
 * was caught (a write that is waiting already may need a second one).
 */
int host_read(int fd, void *, size_t len, size_t *got);
int host_write(int fd, const void *, size_t len);

/*
 * Fill cr_time and cr_random; with SOURCE_DATE_EPOCH in the environment
 * cr_time is that and cr_repeatable is set.  EINVAL when it is no decimal
 * number of seconds.
 */
int host_seed(struct img_create *);

/* ------------------------------------------------------------------------
 * Processors
 */

/*
 * How many threads img_host_env's parallel uses at most; 0, the default, is
 * one per processor.
 */
void host_set_threads(unsigned n);

/* ------------------------------------------------------------------------
 * Between the files of lib/host
 */

/* codec.c, pool.c: what img_host_env has them for */
#ifdef HAVE_ZSTD
#define HOST_CAN IMG_CAN_ZSTD
#else
#define HOST_CAN 0
#endif
int host_unpack(void *arg, enum img_algo, const void *src, uint32_t slen,
    void *dst, uint32_t dlen);
int host_pack(void *arg, enum img_algo, const void *src, uint32_t slen,
    void *dst, uint32_t *dlen);
void host_parallel(void *arg, unsigned n, void (*job)(void *, unsigned),
    void *jobarg);

/* Words for why, or "" with NULL; returns error. */
int host_why(char *why, size_t whylen, const char *words, int error);

#endif /* HOST_HOST_H */
