/* SPDX-License-Identifier: ISC */

/* Options of img_create: "name=value,name=value". */

#include <stdio.h>
#include <stdlib.h>

#include "tool/tool.h"

int
img_create_error(struct img_create *cr, int error, const char *what,
    const char *detail)
{
	(void)snprintf(cr->cr_error, sizeof(cr->cr_error), "%s%s%s", what,
	    detail != NULL ? ": " : "", detail != NULL ? detail : "");
	return (error);
}

static size_t
name_length(const char *opt)
{
	return (strcspn(opt, "=,"));
}

static const char *
next(const char *opt)
{
	opt += strcspn(opt, ",");
	return (*opt == ',' ? opt + 1 : opt);
}

int
img_opt_get(const char *opts, const char *name, char *buf, size_t size)
{
	size_t n = strlen(name), len;
	int error = ENOENT;

	/* The last one wins, as everywhere. */
	for (; opts != NULL && *opts != '\0'; opts = next(opts)) {
		if (name_length(opts) != n || memcmp(opts, name, n) != 0)
			continue;
		if (opts[n] != '=')
			return (EINVAL);
		len = strcspn(opts + n + 1, ",");
		if (len == 0 || len >= size)
			return (EINVAL);
		memcpy(buf, opts + n + 1, len);
		buf[len] = '\0';
		error = 0;
	}
	return (error);
}

int
img_opts_known(struct img_create *cr, const struct img_opt *table)
{
	const char *opts = cr->cr_opts;
	const struct img_opt *o;
	size_t n;

	for (; opts != NULL && *opts != '\0'; opts = next(opts)) {
		n = name_length(opts);
		for (o = table; o->o_name != NULL; o++)
			if (strlen(o->o_name) == n &&
			    memcmp(o->o_name, opts, n) == 0)
				break;
		if (o->o_name == NULL || opts[n] != '=')
			return (img_create_error(cr, EINVAL,
			    o->o_name == NULL ? "unknown option" :
						"option needs a value",
			    opts));
	}
	return (0);
}

int
img_opt_size(const char *text, uint64_t *n)
{
	static const char suffix[] = "kMGT";
	const char *s;
	char *end;
	unsigned shift = 0;

	if (*text < '0' || *text > '9')
		return (EINVAL);
	errno = 0;
	*n = strtoull(text, &end, 10);
	if (errno != 0)
		return (EINVAL);
	if (*end == 'K')
		s = suffix;
	else
		s = *end != '\0' ? strchr(suffix, *end) : NULL;
	if (s != NULL) {
		shift = 10 * (unsigned)(s - suffix + 1);
		end++;
		if (strcmp(end, "iB") == 0)
			end += 2;
	}
	if (*end != '\0' || *n > UINT64_MAX >> shift)
		return (EINVAL);
	*n <<= shift;
	return (0);
}
