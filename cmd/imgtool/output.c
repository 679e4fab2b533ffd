/* SPDX-License-Identifier: ISC */

/*
 * Results: files that appear when they are complete.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "imgtool.h"
#include "host/host.h"
#include "tool/tool.h"

int
output_open(struct host_output **out, const char *path, unsigned flags)
{
	char why[160] = "";
	int error;

	error = host_output_open(out, path, flags, why, sizeof(why));
	if (error == 0)
		return (0);
	if (error == EMLINK)
		complain(path,
		    "has other hard links, which would keep the "
		    "old contents; --force replaces it");
	else if (error == EEXIST)
		complain(path, "exists already");
	else if (why[0] != '\0')
		complain(path, "%s", why);
	else
		complain_errno(path, error);
	return (error);
}

int
output_commit(struct host_output *out, const char *path)
{
	int error = host_output_commit(out);

	if (error != 0)
		complain_errno(path, error);
	return (error);
}

static const char *
last_part(const char *path)
{
	const char *p = strrchr(path, '/');

	return (p != NULL ? p + 1 : path);
}

/*
 * Make the data file that opts name, if they do; a disk is taken as it is.
 * It never replaces a file: *made is its name, for output_data_end.
 */
static int
make_data(const char *path, uint64_t size, const char *opts, char **made)
{
	struct host_output *out;
	char name[OPTS_MAX], *real;
	struct img_file *f;
	struct stat st, st2;
	int error;

	if (img_opt_get(opts, "data_file", name, sizeof(name)) != 0)
		return (0);
	if ((real = host_ref_path(path, name)) == NULL) {
		complain_errno(name, ENOMEM);
		return (ENOMEM);
	}
	if (stat(real, &st) == 0 && S_ISBLK(st.st_mode)) {
		free(real);
		return (0);
	}
	error = output_open(&out, real, HOST_NOCLOBBER);
	if (error == 0) {
		f = host_output_file(out);
		error = f->f_ops->fo_resize(f, size);
		if (error != 0) {
			complain_errno(real, error);
			host_output_abort(out);
		} else {
			error = output_commit(out, real);
		}
	}
	if (error != 0) {
		free(real);
		return (error);
	}
	*made = real;
	if (stat(real, &st) == 0 && stat(path, &st2) == 0 &&
	    st.st_dev == st2.st_dev && st.st_ino == st2.st_ino) {
		complain(path, "would read through to itself");
		return (ELOOP);
	}
	return (0);
}

void
output_data_end(char *made, int failed)
{
	if (made != NULL && failed)
		(void)unlink(made);
	free(made);
}

int
output_create(struct img_file *file, const char *path,
    const struct img_format *fmt, uint64_t size, const char *opts, char **made)
{
	struct img_create cr = { .cr_size = size,
		.cr_opts = opts[0] != '\0' ? opts : NULL };
	int error;

	*made = NULL;
	cr.cr_name = last_part(path);
	error = host_seed(&cr);
	if (error != 0) {
		complain("SOURCE_DATE_EPOCH", "no number of seconds");
		return (error);
	}
	error = img_create(img_host_env(), file, fmt, &cr);
	if (error != 0 && cr.cr_error[0] != '\0')
		complain(path, "%s", cr.cr_error);
	else if (error != 0)
		complain_errno(path, error);
	return (error != 0 ? error : make_data(path, size, opts, made));
}

unsigned
output_flags(const char *opts)
{
	char profile[16];

	return (img_opt_get(opts, "profile", profile, sizeof(profile)) == 0 &&
		    strcmp(profile, "vmd") == 0 ?
		IMG_PLAIN :
		0);
}

int
output_help(const struct img_format *fmt, const char *opts)
{
	const struct img_opt *o;

	if (strcmp(opts, "help") != 0 && strcmp(opts, "?") != 0)
		return (0);
	printf("options of %s:\n", img_format_name(fmt));
	for (o = img_create_opts(fmt); o != NULL && o->o_name != NULL; o++)
		printf("  %-12s %s\n", o->o_name, o->o_help);
	return (1);
}
