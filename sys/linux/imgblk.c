// SPDX-License-Identifier: ISC

/*
 * A disk out of an image.  Requests are done in order by a worker, never by
 * who submits them: that may be a process that is being killed, hold a
 * transaction of its file system, or have bios of its own to submit before
 * those of the host file would get their turn.  A write is stable after the
 * next REQ_OP_FLUSH, or at once with REQ_FUA, as everywhere in Linux.
 */

#include <linux/module.h>
#include <linux/highmem.h>
#include <linux/sched/mm.h>

#include "imgblk.h"

int imgblk_major;

/* What each request has beside it. */
struct imgblk_cmd {
	struct work_struct c_work;
};

/* One piece of memory of a request. */
static int
transfer(struct imgblk *b, struct bio_vec *bv, uint64_t voff, bool writing)
{
	char *p = bvec_kmap_local(bv);
	int error;

	if (writing)
		error = img_write(b->b_img, p, bv->bv_len, voff);
	else
		error = img_read(b->b_img, p, bv->bv_len, voff);
	if (!writing)
		flush_dcache_page(bv->bv_page);
	kunmap_local(p);
	return (error);
}

static int
transfer_all(struct imgblk *b, struct request *rq, bool writing)
{
	uint64_t voff = (uint64_t)blk_rq_pos(rq) << SECTOR_SHIFT;
	struct req_iterator iter;
	struct bio_vec bv;
	int error;

	rq_for_each_segment(bv, rq, iter)
	{
		error = transfer(b, &bv, voff, writing);
		if (error != 0)
			return (error);
		voff += bv.bv_len;
	}
	return (0);
}

static int
handle(struct imgblk *b, struct request *rq)
{
	int error;

	switch (req_op(rq)) {
	case REQ_OP_READ:
		return (transfer_all(b, rq, false));
	case REQ_OP_WRITE:
		error = transfer_all(b, rq, true);
		break;
	case REQ_OP_WRITE_ZEROES:
		/* Space is given up: who wants to keep it writes zeros. */
		if (rq->cmd_flags & REQ_NOUNMAP)
			return (EOPNOTSUPP);
		error = img_zero(b->b_img,
		    (uint64_t)blk_rq_pos(rq) << SECTOR_SHIFT, blk_rq_bytes(rq));
		break;
	case REQ_OP_FLUSH:
		return (img_flush(b->b_img));
	default:
		return (EOPNOTSUPP);
	}
	if (error == 0 && (rq->cmd_flags & REQ_FUA))
		error = img_flush(b->b_img);
	return (error);
}

static void
imgblk_work(struct work_struct *work)
{
	struct request *rq =
	    blk_mq_rq_from_pdu(container_of(work, struct imgblk_cmd, c_work));
	unsigned int noio, local;
	int error;

	/*
	 * What the host file needs must not wait for our own disk, for memory
	 * or until less is dirty.
	 */
	noio = memalloc_noio_save();
	local = current->flags & PF_LOCAL_THROTTLE;
	current->flags |= PF_LOCAL_THROTTLE;
	error = handle(rq->q->queuedata, rq);
	current_restore_flags(local, PF_LOCAL_THROTTLE);
	memalloc_noio_restore(noio);
	blk_mq_end_request(rq, errno_to_blk_status(imgblk_errno(error)));
}

static blk_status_t
imgblk_queue_rq(struct blk_mq_hw_ctx *hctx, const struct blk_mq_queue_data *bd)
{
	struct imgblk *b = hctx->queue->queuedata;
	struct imgblk_cmd *c = blk_mq_rq_to_pdu(bd->rq);

	blk_mq_start_request(bd->rq);
	INIT_WORK(&c->c_work, imgblk_work);
	queue_work(b->b_work, &c->c_work);
	return (BLK_STS_OK);
}

static const struct blk_mq_ops imgblk_mq_ops = {
	.queue_rq = imgblk_queue_rq,
};

static const struct block_device_operations imgblk_ops = {
	.owner = THIS_MODULE,
};

/* --- attaching ---------------------------------------------------------- */

struct verdict {
	enum img_allows v_want;
	struct img_finding v_why; /* the first that forbids it */
};

static void
found(void *arg, const struct img_finding *fi)
{
	struct verdict *v = arg;

	if (v->v_why.fi_row == IMG_ROW_NONE &&
	    img_row(fi->fi_row)->r_allows < v->v_want)
		v->v_why = *fi;
}

static void
tell(const struct imgblk *b, const struct img_finding *fi)
{
	const struct img_rowdesc *r = img_row(fi->fi_row);

	if (fi->fi_row == IMG_ROW_NONE)
		return;
	pr_notice("imgblk%u: %s-%u at %lld: %s\n", b->b_unit, r->r_format,
	    r->r_number, (long long)fi->fi_off, r->r_text);
}

/* What the library could do, but a kernel does not. */
static int
serves(struct imgblk *b)
{
	uint64_t voff, size = img_size(b->b_img);
	struct img_extent e;
	struct img_ref ref;
	int error;

	if (img_ref(b->b_img, 0, &ref) == 0) {
		pr_notice("imgblk%u: image needs another file\n", b->b_unit);
		return (EOPNOTSUPP);
	}
	for (voff = 0; voff < size; voff += e.e_len) {
		error = img_map(b->b_img, voff, size - voff, &e);
		if (error != 0)
			return (error);
		if (e.e_type == IMG_PACKED) {
			pr_notice("imgblk%u: image has compressed clusters\n",
			    b->b_unit);
			return (EOPNOTSUPP);
		}
		cond_resched();
	}
	return (0);
}

static int
open_image(struct imgblk *b, const char *format)
{
	struct verdict v = {
		.v_want = b->b_readonly ? IMG_ALLOW_READ : IMG_ALLOW_WRITE,
	};
	struct img_args a = {
		.a_flags = b->b_readonly ? IMG_VERIFY : IMG_RDWR | IMG_VERIFY,
		.a_budget = IMGBLK_BUDGET,
		.a_report = found,
		.a_arg = &v,
	};
	int error;

	if (format != NULL) {
		a.a_format = img_format_find(format);
		if (a.a_format == NULL)
			return (EINVAL);
	}
	error = img_open(&b->b_img, &imgblk_env, &b->b_file.f_file, &a);
	if (error == 0 && img_allows(b->b_img, NULL) < v.v_want)
		error = EFTYPE;
	if (error != 0)
		tell(b, &v.v_why);
	return (error == 0 ? serves(b) : error);
}

static int
make_disk(struct imgblk *b)
{
	struct gendisk *disk;
	int error;

	b->b_tags.ops = &imgblk_mq_ops;
	b->b_tags.nr_hw_queues = 1;
	b->b_tags.queue_depth = IMGBLK_DEPTH;
	b->b_tags.numa_node = NUMA_NO_NODE;
	b->b_tags.cmd_size = sizeof(struct imgblk_cmd);
	b->b_tags.flags = BLK_MQ_F_SHOULD_MERGE | BLK_MQ_F_STACKING;
	error = blk_mq_alloc_tag_set(&b->b_tags);
	if (error != 0)
		return (error);
	disk = blk_mq_alloc_disk(&b->b_tags, b);
	if (IS_ERR(disk)) {
		blk_mq_free_tag_set(&b->b_tags);
		return (PTR_ERR(disk));
	}
	disk->major = imgblk_major;
	disk->first_minor = b->b_unit * IMGBLK_MINORS;
	disk->minors = IMGBLK_MINORS;
	disk->fops = &imgblk_ops;
	disk->private_data = b;
	snprintf(disk->disk_name, sizeof(disk->disk_name), "imgblk%u",
	    b->b_unit);
	set_capacity(disk, img_size(b->b_img) >> SECTOR_SHIFT);
	set_disk_ro(disk, b->b_readonly);
	blk_queue_max_hw_sectors(disk->queue, IMGBLK_MAX_SECTORS);
	blk_queue_write_cache(disk->queue, true, true);
	blk_queue_max_write_zeroes_sectors(disk->queue, IMGBLK_MAX_ZEROES);
	error = add_disk(disk);
	if (error != 0) {
		put_disk(disk);
		blk_mq_free_tag_set(&b->b_tags);
		return (error);
	}
	b->b_disk = disk;
	return (0);
}

int
imgblk_attach(struct imgblk *b, const char *format, bool readonly)
{
	int error;

	b->b_readonly = readonly;
	error = imgblk_errno(open_image(b, format));
	if (error == 0) {
		b->b_work = alloc_ordered_workqueue("imgblk%u", WQ_MEM_RECLAIM,
		    b->b_unit);
		error = b->b_work == NULL ? -ENOMEM : make_disk(b);
	}
	if (error != 0 && b->b_work != NULL)
		destroy_workqueue(b->b_work);
	if (error != 0 && b->b_img != NULL)
		(void)img_abandon(b->b_img);
	return (error);
}

int
imgblk_detach(struct imgblk *b)
{
	struct gendisk *disk = b->b_disk;
	int busy, error;

	mutex_lock(&disk->open_mutex);
	busy = disk_openers(disk) > 0;
	mutex_unlock(&disk->open_mutex);
	if (busy)
		return (-EBUSY);
	del_gendisk(disk);
	put_disk(disk);
	blk_mq_free_tag_set(&b->b_tags);
	destroy_workqueue(b->b_work);
	error = imgblk_errno(img_close(b->b_img));
	imgblk_file_close(&b->b_file);
	return (error);
}
