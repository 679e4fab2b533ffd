// SPDX-License-Identifier: ISC

/*
 * How disks come and go: by the module's parameters, or by lines written to
 * /dev/imgblk:
 *
 *	attach rw|ro FORMAT PATH	FORMAT - is found out
 *	detach UNIT
 *
 * Each write is one line; its error is that of write(2).  Reading tells the
 * units, a line each.
 */

#include <linux/module.h>
#include <linux/blkdev.h>
#include <linux/miscdevice.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "imgblk.h"

#define LINE_MAX_BYTES (PATH_MAX + 64)

static struct imgblk *units[IMGBLK_UNITS];
static DEFINE_MUTEX(units_lock);

static char *image;
module_param(image, charp, 0444);
MODULE_PARM_DESC(image, "image to attach when loaded");
static char *format;
module_param(format, charp, 0444);
MODULE_PARM_DESC(format, "its format; found out if not given");
static bool readonly;
module_param(readonly, bool, 0444);
MODULE_PARM_DESC(readonly, "never write to it");

/* Is the file of another unit this one? */
static bool
in_use(const struct imgblk *b)
{
	unsigned int i;

	for (i = 0; i < IMGBLK_UNITS; i++)
		if (units[i] != NULL &&
		    file_inode(units[i]->b_file.f_host) ==
			file_inode(b->b_file.f_host))
			return (true);
	return (false);
}

static int
attach(const char *path, const char *fmt, bool ro)
{
	struct imgblk *b;
	unsigned int i;
	int error;

	for (i = 0; i < IMGBLK_UNITS && units[i] != NULL; i++)
		continue;
	if (i == IMGBLK_UNITS)
		return (-ENOSPC);
	b = kzalloc(sizeof(*b), GFP_KERNEL);
	if (b == NULL)
		return (-ENOMEM);
	b->b_unit = i;
	error = imgblk_file_open(&b->b_file, path, ro);
	if (error == 0) {
		error = in_use(b) ? -EBUSY : imgblk_attach(b, fmt, ro);
		if (error != 0)
			imgblk_file_close(&b->b_file);
	}
	if (error != 0)
		kfree(b);
	else
		units[i] = b;
	return (error);
}

static int
detach(unsigned int i)
{
	int error;

	if (i >= IMGBLK_UNITS || units[i] == NULL)
		return (-ENXIO);
	error = imgblk_detach(units[i]);
	if (error == -EBUSY)
		return (error);
	kfree(units[i]);
	units[i] = NULL;
	return (error);
}

static int
command(char *line)
{
	char *verb = strsep(&line, " "), *mode, *fmt;
	unsigned int unit;

	if (line != NULL && strcmp(verb, "detach") == 0) {
		if (kstrtouint(line, 10, &unit) != 0)
			return (-EINVAL);
		return (detach(unit));
	}
	mode = strsep(&line, " ");
	fmt = strsep(&line, " ");
	if (line == NULL || strcmp(verb, "attach") != 0 ||
	    (strcmp(mode, "rw") != 0 && strcmp(mode, "ro") != 0))
		return (-EINVAL);
	return (attach(line, strcmp(fmt, "-") == 0 ? NULL : fmt,
	    strcmp(mode, "ro") == 0));
}

static ssize_t
ctl_write(struct file *f, const char __user *buf, size_t len, loff_t *pos)
{
	char *line, *end;
	int error;

	if (len > LINE_MAX_BYTES)
		return (-E2BIG);
	line = memdup_user_nul(buf, len);
	if (IS_ERR(line))
		return (PTR_ERR(line));
	end = strchr(line, '\n');
	if (end != NULL)
		*end = '\0';
	mutex_lock(&units_lock);
	error = command(line);
	mutex_unlock(&units_lock);
	kfree(line);
	return (error != 0 ? error : (ssize_t)len);
}

static ssize_t
ctl_read(struct file *f, char __user *buf, size_t len, loff_t *pos)
{
	char text[IMGBLK_UNITS * 48];
	unsigned int i;
	size_t n = 0;

	mutex_lock(&units_lock);
	for (i = 0; i < IMGBLK_UNITS; i++)
		if (units[i] != NULL)
			n += scnprintf(text + n, sizeof(text) - n,
			    "imgblk%u %s %s %llu\n", i,
			    units[i]->b_readonly ? "ro" : "rw",
			    img_format_name(img_format_of(units[i]->b_img)),
			    (unsigned long long)img_size(units[i]->b_img));
	mutex_unlock(&units_lock);
	return (simple_read_from_buffer(buf, len, pos, text, n));
}

static const struct file_operations ctl_ops = {
	.owner = THIS_MODULE,
	.read = ctl_read,
	.write = ctl_write,
};

static struct miscdevice ctl = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "imgblk",
	.fops = &ctl_ops,
	.mode = 0600,
};

static void
detach_all(void)
{
	unsigned int i;
	int error;

	for (i = 0; i < IMGBLK_UNITS; i++) {
		if (units[i] == NULL)
			continue;
		error = detach(i);
		if (error != 0)
			pr_err("imgblk%u: last flush: error %d\n", i, error);
	}
}

static int __init
imgblk_init(void)
{
	int error = 0;

	imgblk_major = register_blkdev(0, "imgblk");
	if (imgblk_major < 0)
		return (imgblk_major);
	error = misc_register(&ctl);
	if (error == 0 && image != NULL) {
		mutex_lock(&units_lock);
		error = attach(image, format, readonly);
		mutex_unlock(&units_lock);
		if (error != 0)
			misc_deregister(&ctl);
	}
	if (error != 0)
		unregister_blkdev(imgblk_major, "imgblk");
	return (error);
}

/* Nothing is open any more: the kernel counts who uses the module. */
static void __exit
imgblk_exit(void)
{
	misc_deregister(&ctl);
	detach_all();
	unregister_blkdev(imgblk_major, "imgblk");
}

module_init(imgblk_init);
module_exit(imgblk_exit);
MODULE_LICENSE("Dual BSD/GPL");
MODULE_DESCRIPTION("disk images as block devices");
