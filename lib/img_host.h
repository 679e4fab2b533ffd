/* SPDX-License-Identifier: ISC */

/*
 * img_host.h: the environment over POSIX, and images with all that they read
 * through.  For programs only; errors are those of img.h.
 */

#ifndef IMG_HOST_H
#define IMG_HOST_H

#include "img.h"

/* calloc, free, zlib; poll gives EINTR once a caught signal has arrived. */
const struct img_env *img_host_env(void);

#define IMG_HOST_RDWR 1u
#define IMG_HOST_CREATE 2u /* must not exist; mode 0666 less the umask */
#define IMG_HOST_EXCL 4u   /* EBUSY for a block device in use, on Linux */

/*
 * Open a regular file or a block or character disk device.  Nothing else is
 * opened, and nothing blocks: a FIFO, socket, terminal or folder is EINVAL
 * (EISDIR for a folder).
 */
int img_host_open(struct img_file **, const char *path, unsigned flags);
/* Wrap a descriptor that is open already; img_host_close closes it. */
int img_host_fdopen(struct img_file **, int fd);
int img_host_fd(const struct img_file *);
int img_host_close(struct img_file *); /* frees; close(2)'s error */

/*
 * An image with all that it reads through.  This is the one place that opens
 * files that an image names, by these rules:
 *
 * A name is a plain path, relative to the folder of the image that names it
 * (a data file too); nothing in it is interpreted.  Only regular files are
 * opened, read-only (the data file of an image opened with IMG_RDWR for
 * writing).  A file that is in the chain already, by whatever name, and a
 * chain of more than IMG_CHAIN_MAX images are refused (ELOOP).  A recorded
 * format is obeyed.  Where none is recorded it is found out, but the result
 * may not reference anything itself, unless it is of the format that the
 * caller expects (a QED can record nothing but that a file is raw).  Where the format of the top image was
 * found out too, names that lead out of its folder are refused: absolute
 * ones, those with "..", and symbolic links (EPERM).
 */
struct img_chain;

#define IMG_CHAIN_MAX 64u

#define IMG_CHAIN_ALONE 1u /* no backing image: its holes read as zeros */
#define IMG_CHAIN_TOP 2u   /* open nothing that is referenced at all */
#define IMG_CHAIN_TRUST 4u /* the caller knows the top image's format */

struct img_chain_args {
	struct img_args ca_args; /* of the top image, as for img_open */
	uint32_t ca_flags;       /* IMG_CHAIN_* */
	/* Instead of what is recorded, from the working directory, or NULL: */
	const char *ca_backing;
	const struct img_format *ca_backing_format; /* NULL: as recorded */
	const char *ca_data_file;
	/* What is found out to be of this format may reference files. */
	const struct img_format *ca_expected;
	/*
	 * Out, with an error: the file that it is about (which lives as long
	 * as path and these strings, or in ca_blamed), and a few words where
	 * errno alone would not say enough, or "".
	 */
	const char *ca_name;
	char ca_blamed[1024];
	char ca_why[256];
	/*
	 * Out, with EPERM: the caller may permit what was refused by stating
	 * this format of the image at this depth, and where that is not 0 by
	 * expecting it; else NULL.
	 */
	const struct img_format *ca_state;
	unsigned ca_state_depth;
};

/*
 * Open the image at path and what it needs.  With a given f, the top image is
 * in that file, which stays the caller's, and path is only its name.
 * a_report gets the findings of the top image alone.
 */
int img_chain_open(struct img_chain **, const char *path, struct img_file *f,
    struct img_chain_args *);
/* The image at a depth, 0 is the top; NULL past the last. */
struct img *img_chain_image(const struct img_chain *, unsigned depth);
/* Its path, as it was opened; NULL past the last. */
const char *img_chain_path(const struct img_chain *, unsigned depth);
struct img_file *img_chain_file(const struct img_chain *, unsigned depth);
/* Path of the top image's data file, NULL if it has none. */
const char *img_chain_data_path(const struct img_chain *);
/* Close all, from the top down; the first error.  As img_close for each. */
int img_chain_close(struct img_chain *);
/* The same by img_abandon for the top image, whose value it returns. */
int img_chain_abandon(struct img_chain *);

/*
 * An image for a program that is given descriptors instead of names, such as
 * a virtual machine monitor without rights of its own.  These calls may be
 * made by several threads at once, except for the first and the last.
 */
struct img_backing;

/*
 * Open an image from n descriptors: the top image, then what each reads
 * through to.  They are closed with it, and on failure too.  args is of the
 * top image, as for img_open; those behind it are opened read-only, in the
 * format that is recorded, or else in the one they seem to have.  ENXIO where
 * one more is needed, EINVAL for one too many, ENOTSUP for an image with an
 * external data file.
 */
int img_backing_open(struct img_backing **, const int *fds, unsigned n,
    const struct img_args *args);
uint64_t img_backing_size(const struct img_backing *); /* bytes */
/* As img_read, img_write and img_flush. */
int img_backing_pread(struct img_backing *, void *, uint32_t len, uint64_t off);
int img_backing_pwrite(struct img_backing *, const void *, uint32_t len,
    uint64_t off);
int img_backing_flush(struct img_backing *);
/* Flush and free, even when the flush fails; the first error. */
int img_backing_close(struct img_backing *);

#endif /* IMG_HOST_H */
