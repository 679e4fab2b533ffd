/* SPDX-License-Identifier: ISC */

/*
 * disk.h: qcow2 on disk.  Offsets in bytes; every number is big-endian and
 * unsigned.  From the published description of the format and from what
 * qemu 7.2 writes and accepts.
 */

#ifndef QCOW2_DISK_H
#define QCOW2_DISK_H

#define QCOW2_MAGIC 0x514649fbu /* "QFI" and fb */

/* The header; from 72 on in version 3 only. */
#define QCOW2_H_MAGIC 0
#define QCOW2_H_VERSION 4
#define QCOW2_H_BACKING_OFF 8 /* 64 bits; 0: none */
#define QCOW2_H_BACKING_LEN 16
#define QCOW2_H_BITS 20
#define QCOW2_H_SIZE 24 /* 64 */
#define QCOW2_H_CRYPT 32
#define QCOW2_H_L1_SIZE 36 /* entries */
#define QCOW2_H_L1_OFF 40  /* 64 */
#define QCOW2_H_RT_OFF 48  /* 64 */
#define QCOW2_H_RT_CLUSTERS 56
#define QCOW2_H_NSNAP 60
#define QCOW2_H_SNAP_OFF 64 /* 64 */
#define QCOW2_H_V2_LEN 72
#define QCOW2_H_INCOMPAT 72  /* 64 */
#define QCOW2_H_COMPAT 80    /* 64 */
#define QCOW2_H_AUTOCLEAR 88 /* 64 */
#define QCOW2_H_ORDER 96
#define QCOW2_H_LENGTH 100
#define QCOW2_H_V3_LEN 104
#define QCOW2_H_COMPRESSION 104 /* a byte; where the length is over 104 */
#define QCOW2_H_PADDING 105     /* 7 */
#define QCOW2_H_LEN 112         /* what is written today */

/* A sector holds all root pointers: each switch is one write of it. */
#define QCOW2_HEAD 512u

#define QCOW2_I_DIRTY 1u
#define QCOW2_I_CORRUPT 2u
#define QCOW2_I_DATA_FILE 4u
#define QCOW2_I_COMPRESSION 8u
#define QCOW2_I_EXTENDED 16u
#define QCOW2_I_KNOWN 31u
#define QCOW2_C_LAZY 1u
#define QCOW2_A_BITMAPS 1u
#define QCOW2_A_RAW 2u

#define QCOW2_CRYPT_AES 1u
#define QCOW2_CRYPT_LUKS 2u

/* Header extensions: type, length (32 each), data padded to 8. */
#define QCOW2_X_END 0u
#define QCOW2_X_BACKING_FORMAT 0xe2792acau
#define QCOW2_X_FEATURES 0x6803f857u
#define QCOW2_X_BITMAPS 0x23852875u
#define QCOW2_X_LUKS 0x0537be77u
#define QCOW2_X_DATA_FILE 0x44415441u /* "DATA" */
#define QCOW2_X_NONE 0x4e6f6e65u      /* "None": ours, where bitmaps were */

#define QCOW2_FEATURE 48u /* kind, bit, 46 bytes of name */

/* Limits; where the format has none they are qemu's. */
#define QCOW2_BITS_MIN 9u
#define QCOW2_BITS_MAX 21u
#define QCOW2_BITS_EXTENDED 14u /* least, with extended L2 entries */
#define QCOW2_ORDER_MAX 6u
#define QCOW2_L1_MAX 4194304u /* entries: 32 MiB */
#define QCOW2_RT_MAX 8388608u /* bytes */
#define QCOW2_BACKING_MAX 1023u
#define QCOW2_FORMAT_MAX 15u
#define QCOW2_EXT_MAX 256u /* extensions that are looked at */
#define QCOW2_NSNAP_MAX 65536u
#define QCOW2_SNAP_EXTRA_MAX 1024u
#define QCOW2_SNAP_BYTES_MAX 67108864u /* 64 MiB */
#define QCOW2_NBITMAP_MAX 65535u
#define QCOW2_BITMAP_DIR_MAX (1024u * QCOW2_NBITMAP_MAX)
#define QCOW2_BITMAP_NAME_MAX 1023u
#define QCOW2_BITMAP_ENTRIES_MAX 0x8000000u

/* L1 and L2 entries */
#define QCOW2_OFFSET UINT64_C(0x00fffffffffffe00)
#define QCOW2_COPIED UINT64_C(0x8000000000000000)
#define QCOW2_PACKED UINT64_C(0x4000000000000000)
#define QCOW2_ZERO UINT64_C(1)
#define QCOW2_L1_RESERVED UINT64_C(0x7f000000000001ff)
#define QCOW2_L2_RESERVED UINT64_C(0x3f000000000001fe)
#define QCOW2_HOST_MAX (UINT64_C(1) << 56) /* offsets are below */

/* Refcount table entries: the offset goes up to bit 63. */
#define QCOW2_RT_RESERVED UINT64_C(0x1ff)

/* Extended L2 entries: the second 64 bits */
#define QCOW2_NSUB 32u
#define QCOW2_SUB_ALLOC UINT64_C(0x00000000ffffffff)
#define QCOW2_SUB_ZERO UINT64_C(0xffffffff00000000)

/* A snapshot's entry; each starts at a multiple of 8. */
#define QCOW2_S_L1_OFF 0    /* 64 */
#define QCOW2_S_L1_SIZE 8   /* entries */
#define QCOW2_S_ID_LEN 12   /* 16 */
#define QCOW2_S_NAME_LEN 14 /* 16 */
#define QCOW2_S_SEC 16
#define QCOW2_S_NSEC 20
#define QCOW2_S_CLOCK 24 /* 64, nanoseconds */
#define QCOW2_S_VM_SIZE 32
#define QCOW2_S_EXTRA_LEN 36
#define QCOW2_S_LEN 40
#define QCOW2_S_X_VM_SIZE 0  /* 64; in the extra data */
#define QCOW2_S_X_SIZE 8     /* 64: the disk */
#define QCOW2_S_X_ICOUNT 16  /* 64, all ones: none */
#define QCOW2_S_EXTRA 24     /* bytes that are written today */
#define QCOW2_S_EXTRA_MIN 16 /* in version 3 */

/* The bitmaps extension, and an entry of the directory */
#define QCOW2_B_COUNT 0
#define QCOW2_B_RESERVED 4
#define QCOW2_B_DIR_LEN 8  /* 64 */
#define QCOW2_B_DIR_OFF 16 /* 64 */
#define QCOW2_B_LEN 24
#define QCOW2_D_TABLE_OFF 0 /* 64 */
#define QCOW2_D_ENTRIES 8
#define QCOW2_D_FLAGS 12
#define QCOW2_D_TYPE 16        /* a byte; 1: dirty tracking */
#define QCOW2_D_GRANULARITY 17 /* a byte: log2 */
#define QCOW2_D_NAME_LEN 18    /* 16 */
#define QCOW2_D_EXTRA_LEN 20
#define QCOW2_D_LEN 24
#define QCOW2_D_IN_USE 1u
#define QCOW2_D_AUTO 2u
#define QCOW2_D_EXTRA_OK 4u

/* The LUKS1 header that the extension (offset, length: 64 each) leads to */
#define QCOW2_LUKS_MAGIC "LUKS\xba\xbe"
#define QCOW2_LUKS_LEN 592u

#endif /* QCOW2_DISK_H */
