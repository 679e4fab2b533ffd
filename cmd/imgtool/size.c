/* SPDX-License-Identifier: ISC */

/*
 * Sizes, as people write and read them.
 */

#include <errno.h>
#include <string.h>

#include "imgtool.h"

struct suffix {
	const char *s_text;
	uint64_t s_mult;
};

#define KI (UINT64_C(1) << 10)
#define MI (UINT64_C(1) << 20)
#define GI (UINT64_C(1) << 30)
#define TI (UINT64_C(1) << 40)
#define PI (UINT64_C(1) << 50)
#define EI (UINT64_C(1) << 60)

static const struct suffix sizes[] = { { "", 1 }, { "b", 1 }, { "B", 1 },
	{ "k", KI }, { "K", KI }, { "KiB", KI }, { "kiB", KI }, { "m", MI },
	{ "M", MI }, { "MiB", MI }, { "g", GI }, { "G", GI }, { "GiB", GI },
	{ "t", TI }, { "T", TI }, { "TiB", TI }, { "P", PI }, { "PiB", PI },
	{ "E", EI }, { "EiB", EI }, { NULL, 0 } };

#define KB UINT64_C(1000)

static const struct suffix dd_sizes[] = { { "", 1 }, { "c", 1 }, { "w", 2 },
	{ "b", 512 }, { "kB", KB }, { "KB", KB }, { "k", KI }, { "K", KI },
	{ "KiB", KI }, { "MB", KB *KB }, { "m", MI }, { "M", MI },
	{ "MiB", MI }, { "GB", KB *KB *KB }, { "g", GI }, { "G", GI },
	{ "GiB", GI }, { "TB", KB *KB *KB *KB }, { "T", TI }, { "TiB", TI },
	{ "PB", KB *KB *KB *KB *KB }, { "P", PI }, { "PiB", PI },
	{ "EB", KB *KB *KB *KB *KB *KB }, { "E", EI }, { "EiB", EI },
	{ NULL, 0 } };

static int
multiply(uint64_t *n, uint64_t by)
{
	if (by != 0 && *n > UINT64_MAX / by)
		return (EFBIG);
	*n *= by;
	return (0);
}

static int
digit(int c, unsigned base)
{
	if (c >= '0' && c <= '9')
		return (c - '0');
	if (base == 16 && c >= 'a' && c <= 'f')
		return (c - 'a' + 10);
	if (base == 16 && c >= 'A' && c <= 'F')
		return (c - 'A' + 10);
	return (-1);
}

/* At least one digit; *s moves behind the last. */
static int
number(const char **s, unsigned base, uint64_t *out)
{
	uint64_t n = 0;
	int d, error = 0;

	if (digit(**s, base) < 0)
		return (EINVAL);
	for (; (d = digit(**s, base)) >= 0; (*s)++) {
		if (multiply(&n, base) != 0 || n > UINT64_MAX - (unsigned)d)
			error = EFBIG;
		else
			n += (unsigned)d;
	}
	*out = n;
	return (error);
}

/* The suffix that fills the next len bytes of s. */
static int
apply(const struct suffix *t, const char *s, size_t len, uint64_t *n)
{
	for (; t->s_text != NULL; t++) {
		if (strlen(t->s_text) == len && strncmp(t->s_text, s, len) == 0)
			return (multiply(n, t->s_mult));
	}
	return (EINVAL);
}

int
size_parse(const char *s, uint64_t *out)
{
	uint64_t n;
	unsigned base = 10;
	int error;

	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
		base = 16;
		s += 2;
	}
	error = number(&s, base, &n);
	if (error != 0)
		return (error);
	error = base == 16 ? (*s == '\0' ? 0 : EINVAL) :
			     apply(sizes, s, strlen(s), &n);
	if (error == 0)
		*out = n;
	return (error);
}

int
size_parse_dd(const char *s, uint64_t *out)
{
	uint64_t n, all = 1;
	size_t len;
	int error;

	/* 0x10 would be 0 times 10, which nobody means. */
	if (s[0] == '0' && s[1] == 'x')
		return (EINVAL);
	for (;;) {
		error = number(&s, 10, &n);
		if (error != 0)
			return (error);
		len = strcspn(s, "x");
		error = apply(dd_sizes, s, len, &n);
		if (error == 0)
			error = multiply(&all, n);
		if (error != 0)
			return (error);
		s += len;
		if (*s == '\0')
			break;
		s++;
	}
	*out = all;
	return (0);
}

const char *
size_text(char *buf, uint64_t n)
{
	static const char units[][4] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB",
		"EiB" };
	double v = (double)n;
	unsigned i = 0;

	for (; v >= 999.5 && i < 6; i++)
		v /= 1024;
	snprintf(buf, SIZE_TEXT, "%.3g %s", v, units[i]);
	return (buf);
}
