/* SPDX-License-Identifier: ISC */

/* Lines into words, and words into numbers. */

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "mkimage.h"

static unsigned
suffix(char c)
{
	switch (c) {
	case 'k':
		return (10);
	case 'M':
		return (20);
	case 'G':
		return (30);
	case 'T':
		return (40);
	}
	return (0);
}

/* A plain number, or "end". */
static uint64_t
term(const struct line *l, const struct image *im, const char **s)
{
	char *end;
	uint64_t v;
	unsigned shift;

	if (strncmp(*s, "end", 3) == 0) {
		if (im == NULL)
			die(l, "\"end\" says nothing here");
		*s += 3;
		return (file_length(l, im));
	}
	if (!isdigit((unsigned char)**s))
		die(l, "not a number: \"%s\"", *s);
	v = strtoull(*s, &end, 0);
	shift = suffix(*end);
	if (shift != 0) {
		if (v > UINT64_MAX >> shift)
			die(l, "number too large: \"%s\"", *s);
		v <<= shift;
		end++;
	}
	*s = end;
	return (v);
}

static uint64_t
product(const struct line *l, const struct image *im, const char **s)
{
	uint64_t v = term(l, im, s);

	while (**s == '*') {
		(*s)++;
		v *= term(l, im, s);
	}
	return (v);
}

uint64_t
number(const struct line *l, const struct image *im, const char *s)
{
	uint64_t v = product(l, im, &s);
	char op;

	while (*s == '+' || *s == '-') {
		op = *s++;
		if (op == '+')
			v += product(l, im, &s);
		else
			v -= product(l, im, &s);
	}
	if (*s != '\0')
		die(l, "junk after a number: \"%s\"", s);
	return (v);
}

void
get_keys(const struct line *l, const struct image *im, unsigned i,
    const struct key *keys, size_t nkeys)
{
	size_t k, n = 0;

	for (; i < l->l_nwords; i++) {
		for (k = 0; k < nkeys; k++) {
			n = strlen(keys[k].k_name);
			if (strncmp(l->l_word[i], keys[k].k_name, n) == 0)
				break;
		}
		if (k == nkeys)
			die(l, "%s: unknown \"%s\"", l->l_word[0],
			    l->l_word[i]);
		*keys[k].k_value = number(l, im, l->l_word[i] + n);
	}
}

static int
hex_digit(const struct line *l, char c)
{
	const char *d = "0123456789abcdef", *p;

	p = c == '\0' ? NULL : strchr(d, tolower((unsigned char)c));
	if (p == NULL)
		die(l, "want pairs of hexadecimal digits");
	return ((int)(p - d));
}

size_t
get_hex(const struct line *l, unsigned i, uint8_t *buf, size_t max)
{
	const char *s;
	size_t n = 0;

	for (; i < l->l_nwords; i++) {
		for (s = l->l_word[i]; *s != '\0'; s += 2) {
			if (n == max)
				die(l, "too many bytes");
			buf[n] = (uint8_t)(hex_digit(l, s[0]) * 16);
			buf[n++] |= (uint8_t)hex_digit(l, s[1]);
		}
	}
	return (n);
}

/* One character behind a backslash; s is moved past what it used. */
static char
escape(const struct line *l, const char **s)
{
	char c = *(*s)++;

	switch (c) {
	case '0':
		return ('\0');
	case 'n':
		return ('\n');
	case 't':
		return ('\t');
	case '"':
	case '\\':
		return (c);
	case 'x':
		c = (char)(hex_digit(l, (*s)[0]) * 16);
		c = (char)(c + hex_digit(l, (*s)[1]));
		*s += 2;
		return (c);
	}
	die(l, "unknown escape \\%c", c);
}

/* A quoted text in place; returns what follows it. */
static char *
quoted(struct line *l, char *s)
{
	char *to = ++s;
	const char *from = s;

	l->l_text = to;
	while (*from != '"') {
		if (*from == '\0')
			die(l, "no end of the text");
		if (*from != '\\')
			*to++ = *from++;
		else {
			from++;
			*to++ = escape(l, &from);
		}
	}
	l->l_ntext = (size_t)(to - l->l_text);
	return (s + (from - s) + 1);
}

/* Cut s into words at white space; 0 if there are none. */
int
split_line(struct line *l, char *s)
{
	l->l_nwords = 0;
	l->l_text = NULL;
	l->l_ntext = 0;
	for (;;) {
		while (isspace((unsigned char)*s))
			*s++ = '\0';
		if (*s == '\0' || *s == '#')
			break;
		if (*s == '"') {
			s = quoted(l, s);
			continue;
		}
		if (l->l_nwords == MAXWORDS)
			die(l, "too many words");
		l->l_word[l->l_nwords++] = s;
		while (*s != '\0' && !isspace((unsigned char)*s))
			s++;
	}
	return (l->l_nwords > 0);
}
