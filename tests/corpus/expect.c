/* SPDX-License-Identifier: ISC */

/*
 * What a recipe says about its image, one line each:
 *
 *	format vhd
 *	row VHD-55 1616 41943040 2097152
 *	row VHD-7 4202496 - -
 */

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "mkimage.h"

int
is_expectation(const char *w)
{
	return (strcmp(w, "expect") == 0 || strcmp(w, "format") == 0 ||
	    strcmp(w, "probe") == 0 || strcmp(w, "flags") == 0 ||
	    strcmp(w, "repair") == 0 || strcmp(w, "guest") == 0 ||
	    strcmp(w, "qemu") == 0 || strcmp(w, "leaves") == 0);
}

static void
one_of(const struct line *l, const char *const *words)
{
	const char *w;

	if (l->l_nwords != 2)
		die(l, "%s: want one word", l->l_word[0]);
	w = l->l_word[1];
	while (*words != NULL && strcmp(w, *words) != 0)
		words++;
	if (*words == NULL)
		die(l, "%s: not \"%s\"", l->l_word[0], w);
}

/* off, voff, vlen make the row; found and want are a line of their own. */
static void
print_row(const struct line *l)
{
	static const char *key[5] = { "off", "voff", "vlen", "found", "want" };
	char val[5][24] = { "-", "-", "-", "-", "-" };
	unsigned i, k;
	const char *row = l->l_word[1];

	if (strncmp(row, "VHD-", 4) != 0 && strncmp(row, "RAW-", 4) != 0 &&
	    strncmp(row, "QCOW2-", 6) != 0 && strncmp(row, "QED-", 4) != 0)
		die(l, "expect: not a row: \"%s\"", row);
	for (i = 2; i < l->l_nwords; i += 2) {
		for (k = 0; k < 5 && strcmp(l->l_word[i], key[k]) != 0;)
			k++;
		if (k == 5 || i + 1 == l->l_nwords)
			die(l,
			    "expect: want off, voff, vlen, found, want "
			    "with a number");
		snprintf(val[k], sizeof(val[k]), "%" PRIu64,
		    number(l, NULL, l->l_word[i + 1]));
	}
	if ((val[1][0] == '-') != (val[2][0] == '-'))
		die(l, "expect: voff and vlen go together");
	printf("row %s %s %s %s\n", row, val[0], val[1], val[2]);
	if (val[3][0] != '-')
		printf("found %s %s %s %s\n", row, val[0], val[3], val[4]);
}

static void
print_one(const struct line *l, unsigned *nexpect)
{
	static const char *const formats[] = { "vhd", "raw", "qcow2", "qed",
		NULL };
	static const char *const repairs[] = { "none", "safe", "lossy", NULL };
	const char *w = l->l_word[0];
	unsigned i;

	if (strcmp(w, "expect") == 0) {
		(*nexpect)++;
		if (l->l_nwords < 2)
			die(l, "expect: what?");
		if (strcmp(l->l_word[1], "none") != 0)
			print_row(l);
		return;
	}
	if (strcmp(w, "format") == 0 || strcmp(w, "probe") == 0)
		one_of(l, formats);
	else if (strcmp(w, "repair") == 0)
		one_of(l, repairs);
	for (i = 0; i < l->l_nwords; i++)
		printf("%s%s", i == 0 ? "" : " ", l->l_word[i]);
	printf("\n");
}

void
expectations(const char *recipe)
{
	char buf[1024];
	struct line l = { 0 };
	unsigned nexpect = 0;
	FILE *f;

	f = fopen(recipe, "r");
	if (f == NULL)
		die(NULL, "%s: cannot open", recipe);
	l.l_file = recipe;
	while (fgets(buf, sizeof(buf), f) != NULL) {
		l.l_no++;
		if (split_line(&l, buf) && is_expectation(l.l_word[0]))
			print_one(&l, &nexpect);
	}
	fclose(f);
	if (nexpect == 0)
		die(NULL, "%s: no expect line", recipe);
}
