/* SPDX-License-Identifier: ISC */

/* told.h: what img_info tells of an image in memory, as one line of text. */

#ifndef TESTS_UNIT_HELP_TOLD_H
#define TESTS_UNIT_HELP_TOLD_H

#include "unit/help/test.h"

static char told_text[65536];
static unsigned told_depth;
static int told_top, told_broken;

static inline void
told_say(const char *text)
{
	size_t at = strlen(told_text), n = strlen(text);

	if (at + n < sizeof(told_text))
		memcpy(told_text + at, text, n + 1);
}

static inline void
told_value(const struct img_item *it)
{
	char num[32];

	if (it->it_kind == IMG_K_STR) {
		told_say(it->it_key != NULL ? "=" : "");
		told_say(it->it_str);
	} else {
		snprintf(num, sizeof(num), "=%llu",
		    (unsigned long long)it->it_num);
		told_say(num);
	}
	told_say(" ");
}

/*
 * Everything in a line: "key=value | key{key=value } key[{} {} ]"; what means
 * the same for every format comes before the bar.
 */
static inline int
told_item(void *arg, const struct img_item *it)
{
	(void)arg;
	if (it->it_top && !told_top)
		told_broken = 1;
	if (told_top && !it->it_top)
		told_say("| ");
	told_top = it->it_top;
	if (it->it_key != NULL && it->it_kind != IMG_K_END &&
	    it->it_kind != IMG_K_ENDLIST)
		told_say(it->it_key);
	switch (it->it_kind) {
	case IMG_K_BEGIN:
	case IMG_K_LIST:
		told_depth++;
		told_say(it->it_kind == IMG_K_BEGIN ? "{" : "[");
		return (0);
	case IMG_K_END:
	case IMG_K_ENDLIST:
		if (told_depth-- == 0)
			told_broken = 1;
		told_say(it->it_kind == IMG_K_END ? "} " : "] ");
		return (0);
	default:
		told_value(it);
	}
	return (0);
}

/* Into told_text; ENXIO where it cannot even be opened. */
static inline int
told_of(struct mem_env *env, struct mem *mem, const struct img_format *fmt)
{
	struct img *im;
	int error;

	told_text[0] = '\0';
	told_depth = 0;
	told_top = 1;
	told_broken = 0;
	if (mem_open(&im, env, mem, fmt, 0, NULL) != 0)
		return (ENXIO);
	env->e_opening = 1;
	error = img_info(im, told_item, NULL);
	env->e_opening = 0;
	assert_int_equal(told_broken, 0);
	assert_int_equal(told_depth, 0);
	assert_int_equal(mem_close(im, env), 0);
	assert_true(mem_env_sound(env));
	return (error);
}

static inline void
told_has(const char *text)
{
	if (strstr(told_text, text) == NULL)
		fail_msg("\"%s\" is not in: %s", text, told_text);
}

static inline void
told_has_not(const char *text)
{
	if (strstr(told_text, text) != NULL)
		fail_msg("\"%s\" is in: %s", text, told_text);
}

#endif /* TESTS_UNIT_HELP_TOLD_H */
