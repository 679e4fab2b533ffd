/* SPDX-License-Identifier: ISC */

/*
 * imgdiskio.h: what the control interfaces of qcow(4) and vhd(4) share.  All
 * ioctls are done on the raw partition of the character device.
 */

#ifndef _DEV_IMGDISKIO_H_
#define _DEV_IMGDISKIO_H_

#include <sys/types.h>
#include <sys/ioccom.h>
#include <sys/stat.h>

#define IMGDISK_NAMELEN 1024 /* of the backing file's name, with NUL */

/* The backing file's name, as it was passed when attaching. */
struct imgdisk_fname {
	char if_name[IMGDISK_NAMELEN];
};

/* One unit; ENXIO past the last. */
struct imgdisk_unit {
	unsigned int iu_unit;     /* in: which */
	unsigned int iu_attached; /* 0: the rest says nothing */
	unsigned int iu_readonly;
	uint64_t iu_size; /* of the disk, bytes */
	char iu_name[IMGDISK_NAMELEN];
};

#endif /* _DEV_IMGDISKIO_H_ */
