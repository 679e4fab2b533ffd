/* SPDX-License-Identifier: ISC */

/* qcowioctl.h: control of qcow(4); see imgdiskio.h. */

#ifndef _DEV_QCOWIOCTL_H_
#define _DEV_QCOWIOCTL_H_

#include "dev/imgdiskio.h"

struct qcow_attach {
	char *qc_file;            /* path of the image */
	unsigned int qc_readonly; /* not 0: never write to it */
	unsigned int qc_secbits;  /* log2 of the sector size: 9
					   to 16; 0 is 9 */
};

#define QCOWIOCATTACH _IOW('Q', 1, struct qcow_attach)
#define QCOWIOCDETACH _IOW('Q', 2, unsigned int) /* not 0: by force */
#define QCOWIOCFNAME _IOR('Q', 3, struct imgdisk_fname)
#define QCOWIOCSTAT _IOR('Q', 4, struct stat) /* of the file */
#define QCOWIOCLIST _IOWR('Q', 5, struct imgdisk_unit)

#endif /* _DEV_QCOWIOCTL_H_ */
