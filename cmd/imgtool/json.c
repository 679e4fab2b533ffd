/* SPDX-License-Identifier: ISC */

/*
 * JSON on stdout, as it is met: nothing is kept but where the cursor is.
 */

#include <inttypes.h>
#include <string.h>

#include "imgtool.h"

static unsigned depth;
static int first = 1; /* nothing is in this bracket yet */
static int flat;      /* the object at hand is on one line */

static void
string(const char *s)
{
	long c;

	putchar('"');
	while (*s != '\0') {
		const char *at = s;

		c = utf8_next(&s);
		if (c == '"' || c == '\\')
			printf("\\%c", (int)c);
		else if (c >= 0 && (c < 0x20 || (c >= 0x7f && c < 0xa0)))
			printf("\\u%04lx", (unsigned long)c);
		else if (c < 0)
			fputs("\\ufffd", stdout);
		else
			fwrite(at, 1, (size_t)(s - at), stdout);
	}
	putchar('"');
}

static void
indent(void)
{
	unsigned i;

	putchar('\n');
	for (i = 0; i < depth; i++)
		fputs("    ", stdout);
}

/* What comes before a value: comma, place, key. */
static void
begin(const char *key)
{
	if (!first)
		putchar(',');
	if (flat)
		putchar(' ');
	else if (depth > 0)
		indent();
	first = 0;
	if (key != NULL) {
		string(key);
		fputs(": ", stdout);
	}
}

void
json_begin(const char *key, int bracket)
{
	begin(key);
	putchar(bracket);
	depth++;
	first = 1;
}

void
json_begin_line(const char *key)
{
	json_begin(key, '{');
	flat = 1;
}

void
json_end(int bracket)
{
	depth--;
	if (flat)
		putchar(' ');
	else if (!first)
		indent();
	flat = 0;
	first = 0;
	putchar(bracket);
	if (depth == 0) {
		putchar('\n');
		first = 1;
	}
}

void
json_str(const char *key, const char *s)
{
	begin(key);
	string(s);
}

void
json_num(const char *key, uint64_t n)
{
	begin(key);
	printf("%" PRIu64, n);
}

void
json_bool(const char *key, int b)
{
	begin(key);
	fputs(b ? "true" : "false", stdout);
}

void
json_image(const char *file, const struct img_format *fmt)
{
	const char *alias = img_format_alias(fmt);

	json_str("filename", file);
	json_str("format", alias != NULL ? alias : img_format_name(fmt));
	json_str("format-name", img_format_name(fmt));
}

static void
json_values(const struct img_finding *f)
{
	static const char *const relations[] = { [IMG_WANT_EQ] = "equal",
		[IMG_WANT_MAX] = "at-most",
		[IMG_WANT_MIN] = "at-least" };

	if (f->fi_rel == IMG_WANT_NONE)
		return;
	json_num("found", f->fi_found);
	if (f->fi_rel == IMG_WANT_ANY)
		return;
	json_num("expected", f->fi_want);
	json_str("relation", relations[f->fi_rel]);
}

void
json_finding(const struct img_finding *f)
{
	static const char *const fixes[] = { "none", "safe", "lossy" };
	static const char *const allows[] = { "nothing", "map", "read",
		"write" };
	const struct img_rowdesc *r = img_row(f->fi_row);
	char row[32];

	snprintf(row, sizeof(row), "%s-%u", r->r_format, r->r_number);
	json_begin_line(NULL);
	json_str("row", row);
	json_str("severity", severity_text(r->r_severity));
	json_str("text", r->r_text);
	if (f->fi_name != NULL)
		json_str("name", f->fi_name);
	if (f->fi_off != IMG_NOWHERE)
		json_num("offset", f->fi_off);
	if (f->fi_n > 1)
		json_num("clusters", f->fi_n);
	if (f->fi_vlen > 0) {
		json_num("start", f->fi_voff);
		json_num("length", f->fi_vlen);
	}
	json_values(f);
	json_str("repair", fixes[r->r_fix]);
	json_str("allows", allows[r->r_allows]);
	json_end('}');
}
