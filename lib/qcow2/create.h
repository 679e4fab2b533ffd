/* SPDX-License-Identifier: ISC */

/* create.h: an image that is about to be made; between create*.c. */

#ifndef QCOW2_CREATE_H
#define QCOW2_CREATE_H

#include "qcow2/tool.h"

enum qcow2_prealloc {
	QCOW2_P_OFF,
	QCOW2_P_METADATA, /* every guest cluster has its place ... */
	QCOW2_P_FALLOC,   /* ... which has its space ... */
	QCOW2_P_FULL      /* ... and has been written */
};

/* Clusters follow one another in the order of the members pl_rt to pl_data. */
struct qcow2_plan {
	const struct img_env *pl_env;
	struct img_file *pl_file;
	struct img_create *pl_cr;
	uint64_t pl_len; /* of the file, where it is a device */
	/* create.c: what the options say */
	uint64_t pl_size;
	uint32_t pl_version;
	uint32_t pl_bits;
	uint32_t pl_order;
	unsigned pl_prealloc; /* enum qcow2_prealloc */
	int pl_lazy;
	int pl_extended;
	int pl_zstd;
	int pl_raw; /* the data file is a raw image */
	int pl_vmd;
	char pl_backing[QCOW2_BACKING_MAX + 1]; /* "" for none */
	char pl_format[QCOW2_FORMAT_MAX + 1];
	char pl_data_file[QCOW2_BACKING_MAX + 1];
	/* create_plan.c: clusters of each kind behind the header's */
	uint64_t pl_rt;
	uint64_t pl_rb;
	uint64_t pl_l1;
	uint64_t pl_l2;
	uint64_t pl_data;
	uint64_t pl_total; /* with the header's */
	uint64_t pl_l1_n;  /* entries */
	uint64_t pl_nmap;  /* guest clusters that are mapped */
};

/* create_plan.c: place everything, or say why it cannot be. */
int qcow2_plan(struct qcow2_plan *);
/*
 * create_head.c: the header, its extensions and names into room of
 * QCOW2_HEAD_ROOM zeros; *len says how many bytes.  EINVAL where these do not
 * fit into a cluster.
 */
#define QCOW2_HEAD_ROOM 4096u
int qcow2_make_head(const struct qcow2_plan *, uint8_t *, uint32_t *len);
/* create_write.c: write all of it, the header last. */
int qcow2_write_plan(const struct qcow2_plan *);

/* The first cluster of each kind. */
static inline uint64_t
qcow2_plan_l1(const struct qcow2_plan *pl)
{
	return (1 + pl->pl_rt + pl->pl_rb);
}

static inline uint64_t
qcow2_plan_l2(const struct qcow2_plan *pl)
{
	return (qcow2_plan_l1(pl) + pl->pl_l1);
}

static inline uint64_t
qcow2_plan_data(const struct qcow2_plan *pl)
{
	return (qcow2_plan_l2(pl) + pl->pl_l2);
}

#endif /* QCOW2_CREATE_H */
