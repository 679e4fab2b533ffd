/* SPDX-License-Identifier: ISC */

/*
 * disk.h: QED as it is on disk: offsets, sizes, bits.  All fields are
 * little-endian.  The source is the format's document,
 * docs/interop/qed_spec.rst of qemu; limits that it does not state are
 * marked with who set them.
 */

#ifndef QED_DISK_H
#define QED_DISK_H

#define QED_HEAD 512u /* bytes in front that are read and written at once */
#define QED_H_LEN 64u /* bytes of the header itself */
#define QED_MAGIC 0x00444551u /* the bytes "QED\0" */

/* The header, by byte */
#define QED_H_MAGIC 0
#define QED_H_CLUSTER_SIZE 4 /* bytes */
#define QED_H_TABLE_SIZE 8   /* clusters */
#define QED_H_HEADER_SIZE 12 /* clusters */
#define QED_H_FEATURES 16
#define QED_H_COMPAT 24
#define QED_H_AUTOCLEAR 32
#define QED_H_L1_OFF 40
#define QED_H_SIZE 48 /* of the disk, bytes */
#define QED_H_BACKING_OFF 56
#define QED_H_BACKING_LEN 60

/* Features: who does not know a bit must not open the image */
#define QED_F_BACKING 0x01u    /* the backing fields are valid */
#define QED_F_NEED_CHECK 0x02u /* check before anything is allocated */
#define QED_F_NO_PROBE 0x04u   /* the backing file is raw */
#define QED_F_KNOWN 0x07u

#define QED_BITS_MIN 12u /* log2 of the cluster size: 4 KiB ... */
#define QED_BITS_MAX 26u /* ... to 64 MiB */
#define QED_TABLE_MAX 16u

#define QED_CLUSTER_DEFAULT 65536u
#define QED_TABLE_DEFAULT 4u

/* L2 entries that are no offset; the first also in the L1 table */
#define QED_E_NONE 0u
#define QED_E_ZERO 1u

/* Entries below are no offsets: the low 12 bits are reserved. */
#define QED_E_RESERVED 4096u

/* Of the backing file's name: qemu reads less than Linux's PATH_MAX ... */
#define QED_BACKING_MAX 4095u
/* ... and old versions of it less than 1024 bytes, so no longer one is made. */
#define QED_BACKING_MADE 1023u

#endif /* QED_DISK_H */
