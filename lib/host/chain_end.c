/* SPDX-License-Identifier: ISC */

/* What is in a chain of images, and its end. */

#include <stdlib.h>
#include <unistd.h>

#include "host/chain.h"

static const struct host_link *
link_at(const struct img_chain *ch, unsigned depth)
{
	return (depth < ch->ch_n ? &ch->ch_link[depth] : NULL);
}

struct img *
img_chain_image(const struct img_chain *ch, unsigned depth)
{
	const struct host_link *l = link_at(ch, depth);

	return (l != NULL ? l->l_img : NULL);
}

const char *
img_chain_path(const struct img_chain *ch, unsigned depth)
{
	const struct host_link *l = link_at(ch, depth);

	return (l != NULL ? l->l_path : NULL);
}

struct img_file *
img_chain_file(const struct img_chain *ch, unsigned depth)
{
	const struct host_link *l = link_at(ch, depth);

	return (l != NULL ? l->l_file : NULL);
}

const char *
host_chain_data_path(const struct img_chain *ch, unsigned depth)
{
	const struct host_link *l = link_at(ch, depth);

	return (l != NULL ? l->l_data_path : NULL);
}

const char *
img_chain_data_path(const struct img_chain *ch)
{
	return (host_chain_data_path(ch, 0));
}

struct img_file *
host_chain_data(const struct img_chain *ch, unsigned depth)
{
	const struct host_link *l = link_at(ch, depth);

	return (l != NULL ? l->l_data : NULL);
}

/* The files of one image, whose handle is closed. */
static int
close_files(struct host_link *l)
{
	int error = 0, error2 = 0;

	if (l->l_data != NULL)
		error = img_host_close(l->l_data);
	if (l->l_file != NULL && !l->l_lent)
		error2 = img_host_close(l->l_file);
	free(l->l_data_path);
	free(l->l_path);
	return (error != 0 ? error : error2);
}

/* All but the handle of the top image, which is closed already. */
static int
destroy(struct img_chain *ch)
{
	unsigned i;
	int e, error = 0;

	for (i = 0; i < ch->ch_n; i++) {
		e = i > 0 ? img_close(ch->ch_link[i].l_img) : 0;
		error = error != 0 ? error : e;
		e = close_files(&ch->ch_link[i]);
		error = error != 0 ? error : e;
	}
	if (ch->ch_dir != -1)
		close(ch->ch_dir);
	free(ch);
	return (error);
}

int
img_chain_close(struct img_chain *ch)
{
	int error, error2;

	error = img_close(ch->ch_link[0].l_img);
	error2 = destroy(ch);
	return (error != 0 ? error : error2);
}

int
img_chain_abandon(struct img_chain *ch)
{
	struct img *top = ch->ch_link[0].l_img;
	int begun = top != NULL ? img_abandon(top) : 0;

	(void)destroy(ch);
	return (begun);
}
