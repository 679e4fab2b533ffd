/* SPDX-License-Identifier: ISC */

/*
 * imgtool check --backing-chain: every image of a chain by itself, and that
 * each finds what it names.
 */

#include <errno.h>
#include <string.h>

#include "check.h"
#include "host/host.h"

/* What can be wrong with the image behind, by the format of that before. */
static const struct {
	const char *r_format;
	enum img_row r_missing;
	enum img_row r_loop;
	enum img_row r_size;
} rows[] = {
	{ "qcow2", IMG_QCOW2_BACKING_MISSING, IMG_QCOW2_BACKING_LOOP,
	    IMG_QCOW2_BACKING_SIZE },
	{ "qed", IMG_QED_BACKING_MISSING, IMG_QED_BACKING_LOOP,
	    IMG_QED_BACKING_SIZE },
};

/* Is it the fault of the file that is named, not ours nor our limits'? */
static int
is_fault(int error)
{
	return (error != ENOTSUP && error != ENOMEM && error != EPERM &&
	    error != EMFILE && error != ENFILE && error != EINTR);
}

/*
 * Judge the image behind that at a depth: the chain ends there, because of
 * an error or because it is complete, or goes on.
 */
static void
judge(struct check *k, const struct img_chain *ch, unsigned depth, int error,
    const char *name)
{
	struct img *im = img_chain_image(ch, depth);
	struct img *back = img_chain_image(ch, depth + 1);
	struct img_finding *f = &k->k_behind;
	size_t i;

	memset(f, 0, sizeof(*f));
	f->fi_off = IMG_NOWHERE;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcmp(rows[i].r_format,
			img_format_name(img_format_of(im))) == 0)
			break;
	if (i == sizeof(rows) / sizeof(rows[0]))
		return;
	if (back == NULL && error != 0) {
		f->fi_row = error == ELOOP ? rows[i].r_loop : rows[i].r_missing;
		f->fi_name = name;
	} else if (back != NULL && img_size(im) != img_size(back)) {
		f->fi_row = rows[i].r_size;
		f->fi_rel = IMG_WANT_EQ;
		f->fi_found = img_size(back);
		f->fi_want = img_size(im);
	}
}

/* The worst of two exit statuses. */
static int
worse(int a, int b)
{
	static const int order[] = { COULD_NOT, CORRUPT, LEAKS };
	size_t i;

	for (i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		if (a == order[i] || b == order[i])
			return (order[i]);
	return (0);
}

static void
begin(const struct check *k, unsigned depth)
{
	if (k->k_json || k->k_quiet)
		return;
	printf("%simage: ", depth > 0 ? "\n" : "");
	print_safe(stdout, k->k_name);
	putchar('\n');
}

static int
check_each(struct check *k, struct img_chain *ch, int error, const char *name)
{
	struct img *im;
	unsigned d;
	int status = 0;

	for (d = 0; (im = img_chain_image(ch, d)) != NULL; d++) {
		k->k_name = img_chain_path(ch, d);
		k->k_file = img_chain_file(ch, d);
		k->k_data = host_chain_data(ch, d);
		k->k_format = img_format_of(im);
		judge(k, ch, d, error, name);
		begin(k, d);
		status = worse(status, check_image(k));
	}
	return (status);
}

int
check_chain(struct check *k)
{
	struct img_chain_args ca = { .ca_args.a_format = k->k_format,
		.ca_backing_format = k->k_behind_format,
		.ca_expected = k->k_behind_format,
		.ca_flags = IMG_CHAIN_ALONE };
	const char *top = k->k_name;
	struct img_file *file = k->k_file;
	struct img_chain *ch;
	int error, more = 1, status, told;

	error = img_chain_open(&ch, top, file, &ca);
	told = error != 0 && ca.ca_name != ca.ca_blamed;
	if (k->k_json && !k->k_quiet)
		json_begin(NULL, '[');
	if (error == 0) {
		while (error == 0 && more)
			error = host_chain_follow(ch, &ca, &more);
		status =
		    check_each(k, ch, is_fault(error) ? error : 0, ca.ca_name);
		(void)img_chain_close(ch);
		more = !is_fault(error);
	} else {
		/* This says what is wrong, unless it is its data file. */
		begin(k, 0);
		status = check_image(k);
	}
	if (k->k_json && !k->k_quiet)
		json_end(']');
	if (error != 0 && !told) {
		image_tell_chain(top, &ca, error, 'f');
		status = more ? COULD_NOT : status;
	}
	return (status);
}
