/* SPDX-License-Identifier: ISC */

/*
 * VHD on disk: byte offsets and constants.  Everything is big-endian.
 * Source: Microsoft, Virtual Hard Disk Image Format Specification 1.0 (2006);
 * names as there, values as every known writer uses them.
 */

#ifndef VHD_DISK_H
#define VHD_DISK_H

/* The hard disk footer */
#define VHD_FOOTER 512u
#define VHD_F_COOKIE 0
#define VHD_F_FEATURES 8
#define VHD_F_VERSION 12
#define VHD_F_DATA_OFF 16
#define VHD_F_TIME 24
#define VHD_F_APP 28
#define VHD_F_APP_VERSION 32
#define VHD_F_OS 36
#define VHD_F_ORIG_SIZE 40
#define VHD_F_SIZE 48
#define VHD_F_CYLS 56
#define VHD_F_HEADS 58
#define VHD_F_SPT 59
#define VHD_F_TYPE 60
#define VHD_F_SUM 64
#define VHD_F_UUID 68
#define VHD_F_SAVED 84
#define VHD_F_HIDDEN 85 /* tapdisk; reserved elsewhere */
#define VHD_F_RESERVED 85

#define VHD_COOKIE "conectix"
#define VHD_POISON "v_poison" /* blktap: disabled on purpose */
#define VHD_FEAT_TEMPORARY 1u
#define VHD_FEAT_RESERVED 2u /* always set */
#define VHD_VERSION 0x00010000u
#define VHD_EPOCH INT64_C(946684800) /* 2000-01-01 UTC, seconds since 1970 */

#define VHD_FIXED 2u
#define VHD_DYNAMIC 3u
#define VHD_DIFFERENCING 4u

/* The dynamic disk header, at the footer's data offset */
#define VHD_HEADER 1024u
#define VHD_H_COOKIE 0
#define VHD_H_NEXT 8
#define VHD_H_BAT_OFF 16
#define VHD_H_VERSION 24
#define VHD_H_NENTRIES 28
#define VHD_H_BLOCK 32
#define VHD_H_SUM 36
#define VHD_H_PARENT_UUID 40
#define VHD_H_PARENT_TIME 56
#define VHD_H_RESERVED 60
#define VHD_H_PARENT_NAME 64
#define VHD_H_PARENT_NAME_LEN 512 /* bytes of UTF-16BE */
#define VHD_H_LOCATORS 576
#define VHD_H_RESERVED2 768

#define VHD_H_COOKIE_TEXT "cxsparse"
#define VHD_NLOCATORS 8
#define VHD_LOCATOR 24u /* bytes of one parent locator entry */
#define VHD_L_CODE 0
#define VHD_L_SPACE 4
#define VHD_L_LENGTH 8
#define VHD_L_RESERVED 12
#define VHD_L_OFF 16

#define VHD_ABSENT 0xffffffffu /* BAT entry: the block has no space */
#define VHD_BLOCK_DEFAULT 0x200000u

/* 2040 GiB: the largest disk of the specification, in bytes */
#define VHD_MAX_SIZE (UINT64_C(0xff000000) * 512)

/* The batmap of tapdisk, right behind the BAT */
#define VHD_BATMAP 512u
#define VHD_TAP_BATMAP 0x00010002u /* creator version that always has one */
#define VHD_B_COOKIE "tdbatmap"
#define VHD_B_OFF 8
#define VHD_B_NSECTORS 16
#define VHD_B_VERSION 20
#define VHD_B_SUM 24

#endif /* VHD_DISK_H */
