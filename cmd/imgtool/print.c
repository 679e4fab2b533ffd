/* SPDX-License-Identifier: ISC */

/*
 * Text for people, and the one way in which this program complains.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "imgtool.h"

/* How many bytes follow a first byte, its bits, and the least code point. */
static int
utf8_first(unsigned c, unsigned *bits, unsigned long *least)
{
	if (c >= 0xc2 && c <= 0xdf) {
		*bits = c & 0x1f;
		*least = 0x80;
		return (1);
	}
	if (c >= 0xe0 && c <= 0xef) {
		*bits = c & 0x0f;
		*least = 0x800;
		return (2);
	}
	if (c >= 0xf0 && c <= 0xf4) {
		*bits = c & 0x07;
		*least = 0x10000;
		return (3);
	}
	return (-1);
}

long
utf8_next(const char **s)
{
	const unsigned char *p = (const unsigned char *)*s;
	unsigned long c, least = 0;
	unsigned bits = 0;
	int i, n;

	(*s)++;
	if (*p < 0x80)
		return (*p);
	n = utf8_first(*p, &bits, &least);
	c = bits;
	for (i = 1; i <= n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return (-1);
		c = c << 6 | (p[i] & 0x3f);
	}
	if (n < 0 || c < least || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return (-1);
	*s += n;
	return ((long)c);
}

/* Characters that move the cursor, or the sense of what is around them. */
static int
is_control(long c)
{
	return (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c ||
	    (c >= 0x200e && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	    (c >= 0x2066 && c <= 0x2069) || c == 0xfeff);
}

static void
print_part(FILE *fp, const char *s, const char *end)
{
	const char *at;
	long c;

	while (s < end) {
		at = s;
		c = utf8_next(&s);
		if (c < 0)
			fputs("\xef\xbf\xbd", fp);
		else if (!is_control(c))
			fwrite(at, 1, (size_t)(s - at), fp);
		else if (c < 0x80)
			fprintf(fp, "\\x%02lx", (unsigned long)c);
		else
			fprintf(fp, "\\u%04lx", (unsigned long)c);
	}
}

void
print_safe(FILE *fp, const char *s)
{
	print_part(fp, s, s + strlen(s));
}

const char *
severity_text(enum img_severity s)
{
	static const char *const texts[] = { "note", "warning", "leak",
		"corrupt", "fatal" };

	return (texts[s]);
}

static void
print_values(FILE *fp, const struct img_finding *f)
{
	static const char *const relations[] = { [IMG_WANT_EQ] = "",
		[IMG_WANT_MAX] = "at most ",
		[IMG_WANT_MIN] = "at least " };

	if (f->fi_rel == IMG_WANT_NONE)
		return;
	fprintf(fp, " (found 0x%" PRIx64, f->fi_found);
	if (f->fi_rel != IMG_WANT_ANY)
		fprintf(fp, ", expected %s0x%" PRIx64, relations[f->fi_rel],
		    f->fi_want);
	fputc(')', fp);
}

void
print_finding(FILE *fp, const struct img_finding *f)
{
	const struct img_rowdesc *r = img_row(f->fi_row);

	fprintf(fp, "%s-%u", r->r_format, r->r_number);
	if (f->fi_off != IMG_NOWHERE)
		fprintf(fp, " at %" PRIu64, f->fi_off);
	fprintf(fp, ": %s", r->r_text);
	if (f->fi_name != NULL) {
		fputs(" \"", fp);
		print_safe(fp, f->fi_name);
		fputc('"', fp);
	}
	print_values(fp, f);
	if (f->fi_n > 1)
		fprintf(fp, ", %" PRIu64 " clusters", f->fi_n);
	if (f->fi_vlen > 0)
		fprintf(fp, ", guest %" PRIu64 "+%" PRIu64, f->fi_voff,
		    f->fi_vlen);
}

/* A progress line may stand on the terminal: begin at its start. */
static void
complain_begin(const char *file)
{
	fflush(stdout);
	progress_end();
	fputs("imgtool: ", stderr);
	if (file != NULL) {
		print_safe(stderr, file);
		fputs(": ", stderr);
	}
}

void
complain(const char *file, const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	complain_begin(file);
	print_safe(stderr, text);
	fputc('\n', stderr);
}

const char *
error_text(int error)
{
	const char *s = img_strerror(error);

	if (error == EINTR)
		return ("interrupted");
	return (s != NULL ? s : strerror(error));
}

void
complain_errno(const char *file, int error)
{
	complain(file, "%s", error_text(error));
}

/* An argument as a shell takes it. */
static void
print_quoted(const char *s)
{
	const char *p;

	if (*s != '\0' &&
	    s[strcspn(s, " \t\n\"\\'$&|;<>()*?[]{}~#!`")] == '\0') {
		print_safe(stderr, s);
		return;
	}
	putc('\'', stderr);
	for (p = s; *p != '\0'; p = s) {
		s += strcspn(s, "'");
		print_part(stderr, p, s);
		if (*s == '\'') {
			fputs("'\\''", stderr);
			s++;
		}
	}
	putc('\'', stderr);
}

void
complain_permit(const char *file, const char *text, int letter,
    const char *value)
{
	char **arg;

	complain_begin(file);
	print_safe(stderr, text);
	fprintf(stderr, ": imgtool %s -%c %s", command_line[1], letter, value);
	for (arg = command_line + 2; *arg != NULL; arg++) {
		putc(' ', stderr);
		print_quoted(*arg);
	}
	putc('\n', stderr);
}

void
complain_finding(const char *file, const struct img_finding *f, int warn)
{
	complain_begin(file);
	if (warn)
		fputs("warning: ", stderr);
	print_finding(stderr, f);
	fputc('\n', stderr);
}

void
complain_refused(const char *file, const struct img_finding *f)
{
	complain_begin(file);
	print_finding(stderr, f);
	if (img_row(f->fi_row)->r_fix == IMG_FIX_SAFE)
		fputs("; see imgtool check -r safe", stderr);
	fputc('\n', stderr);
}
