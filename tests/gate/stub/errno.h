/* SPDX-License-Identifier: ISC */

/*
 * Positive error numbers and no errno.  The values are those of OpenBSD's
 * <sys/errno.h>.  EFTYPE is missing on purpose: img.h brings its own where
 * the system has none.
 */

#ifndef STUB_ERRNO_H
#define STUB_ERRNO_H

#define EPERM 1
#define ENOENT 2
#define EINTR 4
#define EIO 5
#define ENXIO 6
#define EBADF 9
#define ENOMEM 12
#define EACCES 13
#define EBUSY 16
#define EEXIST 17
#define EINVAL 22
#define EFBIG 27
#define ENOSPC 28
#define EROFS 30
#define ERANGE 34
#define EAGAIN 35
#define ETIMEDOUT 60
#define EOVERFLOW 87
#define ECANCELED 88
#define ENOTSUP 91

#endif
