/* SPDX-License-Identifier: ISC */

/* tool.h: what a format offers to programs beside struct img_format. */

#ifndef IMG_TOOL_H
#define IMG_TOOL_H

#include "core/core.h"

struct img_repair {
	const struct img_env *rp_env;
	struct img_file *rp_file;
	const struct img_finding *rp_find; /* of a check of this file */
	size_t rp_nfind;
	enum img_fix rp_level; /* the boldest step that is allowed */
	unsigned rp_flags;     /* IMG_DRYRUN, IMG_SOME */
	img_fixed_fn *rp_tell;
	void *rp_arg;
};

struct img_tool {
	const struct img_format *t_format;
	const struct img_opt *t_opts; /* ended by a NULL name */
	/* NULL where there is nothing to tell. */
	int (*t_info)(struct img *, img_info_fn *, void *arg);
	int (*t_check)(struct img *, unsigned flags, int64_t now,
	    struct img_checked *);
	/* NULL where no row has a repair. */
	int (*t_repair)(const struct img_repair *);
	/* cr_error says what is wrong where errno alone would not. */
	int (*t_create)(const struct img_env *, struct img_file *,
	    struct img_create *);
	/*
	 * NULL where the format has no compressed units.  t_pack compresses
	 * one unit: pure, called by several threads at once; ENOSPC where it
	 * does not get smaller.  packed has im_unit bytes.  t_place puts it
	 * where the image has nothing yet (EEXIST if it has): one thread, in
	 * the guest's order, which alone fixes the bytes of the result.
	 */
	int (*t_pack)(struct img *, const void *unit, void *packed,
	    uint32_t *plen);
	int (*t_place)(struct img *, uint64_t voff, const void *packed,
	    uint32_t plen);
};

/* A line each in tool.c. */
extern const struct img_tool img_tool_raw;
extern const struct img_tool img_tool_vhd;
extern const struct img_tool img_tool_qcow2;
extern const struct img_tool img_tool_qed;

const struct img_tool *img_tool_of(const struct img_format *);

/*
 * The value of an option in "name=value,...": 0 and a copy in buf, ENOENT
 * where it is not given, EINVAL where it does not fit.
 */
int img_opt_get(const char *opts, const char *name, char *buf, size_t size);
/* EINVAL, and cr_error set, for an option that the table does not have. */
int img_opts_known(struct img_create *, const struct img_opt *table);
/* A number with an optional k, M, G, T or KiB ...; EINVAL for anything else. */
int img_opt_size(const char *text, uint64_t *n);
/*
 * For options of img_create; what is not given leaves the result as it was,
 * what is wrong sets cr_error.  The log2 of a power of two from 1 << min to
 * 1 << max:
 */
int img_opt_power(struct img_create *, const char *name, uint32_t min,
    uint32_t max, uint32_t *bits);
/*
 * A path that an image will record: "./" goes before one in which qemu would
 * take what is before a colon for a protocol.
 */
int img_opt_path(struct img_create *, const char *name, char *buf, size_t size);
/* Sets cr_error; returns error. */
int img_create_error(struct img_create *, int error, const char *what,
    const char *detail);

/*
 * tell.c: for t_info.  What comes first has t_top set, as img_item says.
 */
struct img_teller {
	img_info_fn *t_fn;
	void *t_arg;
	int t_top;   /* of the items that follow */
	int t_error; /* after one nothing more is told */
};

void img_tell(struct img_teller *, const char *key, enum img_kind, uint64_t num,
    const char *str);
void img_tell_text(struct img_teller *, const char *key, const char *);
void img_tell_num(struct img_teller *, const char *key, uint64_t);
void img_tell_hex(struct img_teller *, const char *key, uint64_t);
void img_tell_bool(struct img_teller *, const char *key, int);

/*
 * view.c: for the img_fileops of a view, which shows a file as a repair would
 * leave it: EROFS, and nothing to wait for.
 */
int img_view_write(struct img_file *, const void *, uint32_t len, uint64_t off);
int img_view_barrier(struct img_file *);
int img_view_resize(struct img_file *, uint64_t);

#endif /* IMG_TOOL_H */
