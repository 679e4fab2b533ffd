/* SPDX-License-Identifier: ISC */

/* vhdioctl.h: control of vhd(4); see imgdiskio.h. */

#ifndef _DEV_VHDIOCTL_H_
#define _DEV_VHDIOCTL_H_

#include "dev/imgdiskio.h"

struct vhd_attach {
	char *vhd_file;            /* path of the image */
	unsigned int vhd_readonly; /* not 0: never write to it */
};

#define VHDIOCATTACH _IOW('V', 1, struct vhd_attach)
#define VHDIOCDETACH _IOW('V', 2, unsigned int) /* not 0: by force */
#define VHDIOCFNAME _IOR('V', 3, struct imgdisk_fname)
#define VHDIOCSTAT _IOR('V', 4, struct stat) /* of the file */
#define VHDIOCLIST _IOWR('V', 5, struct imgdisk_unit)

#endif /* _DEV_VHDIOCTL_H_ */
