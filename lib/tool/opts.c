/* SPDX-License-Identifier: ISC */

/* Options of img_create: "name=value,name=value"; ",," in a value is a comma. */

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

/*
 * Copy a value of which at most size - 1 bytes fit; how long it is, and where
 * it ends.
 */
static size_t
copy_value(const char **s, char *buf, size_t size)
{
	const char *p = *s;
	size_t len = 0;

	for (; *p != '\0' && (*p != ',' || p[1] == ','); p++) {
		if (*p == ',')
			p++;
		if (len + 1 < size)
			buf[len] = *p;
		len++;
	}
	if (size > 0)
		buf[len < size ? len : size - 1] = '\0';
	*s = p;
	return (len);
}

static const char *
next(const char *opt)
{
	opt += name_length(opt);
	if (*opt == '=')
		(void)copy_value(&opt, NULL, 0);
	return (*opt == ',' ? opt + 1 : opt);
}

int
img_opt_get(const char *opts, const char *name, char *buf, size_t size)
{
	size_t n = strlen(name), len;
	const char *value;
	int error = ENOENT;

	/* The last one wins, as everywhere. */
	for (; opts != NULL && *opts != '\0'; opts = next(opts)) {
		if (name_length(opts) != n || memcmp(opts, name, n) != 0)
			continue;
		if (opts[n] != '=')
			return (EINVAL);
		value = opts + n + 1;
		len = copy_value(&value, buf, size);
		if (len == 0 || len >= size)
			return (EINVAL);
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

int
img_opt_power(struct img_create *cr, const char *name, uint32_t min,
    uint32_t max, uint32_t *bits)
{
	char buf[24];
	uint64_t n;
	uint32_t i;
	int error;

	error = img_opt_get(cr->cr_opts, name, buf, sizeof(buf));
	if (error == ENOENT)
		return (0);
	if (error == 0 && img_opt_size(buf, &n) == 0)
		for (i = min; i <= max; i++)
			if (n == UINT64_C(1) << i) {
				*bits = i;
				return (0);
			}
	return (img_create_error(cr, EINVAL, "bad value for", name));
}

int
img_opt_path(struct img_create *cr, const char *name, char *buf, size_t size)
{
	const char *colon;
	size_t len;
	int error;

	error = img_opt_get(cr->cr_opts, name, buf, size);
	if (error != 0)
		return (error == ENOENT ?
			0 :
			img_create_error(cr, EINVAL, "bad value for", name));
	colon = strchr(buf, ':');
	len = strlen(buf);
	if (colon == NULL || memchr(buf, '/', (size_t)(colon - buf)) != NULL)
		return (0);
	if (len + 2 >= size)
		return (img_create_error(cr, EINVAL, "bad value for", name));
	memmove(buf + 2, buf, len + 1);
	memcpy(buf, "./", 2);
	return (0);
}
