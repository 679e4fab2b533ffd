/* SPDX-License-Identifier: ISC */

/* The footer: checksums, and the rows that single fields raise. */

#include "unit/help/test.h"

#include "unit/help/mkvhd.h"
#include "vhd/vhd.h"

/* What qemu-img 7.2 wrote for `create -f vpc ex.vhd 4M`. */
static const uint8_t footer_head[85] = { 0x63, 0x6f, 0x6e, 0x65, 0x63, 0x74,
	0x69, 0x78, 0x00, 0x00, 0x00, 0x02, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x32, 0x94, 0xe5, 0x46, 0x71, 0x65,
	0x6d, 0x75, 0x00, 0x05, 0x00, 0x03, 0x57, 0x69, 0x32, 0x6b, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x40, 0x48, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x40,
	0x48, 0x00, 0x00, 0x79, 0x04, 0x11, 0x00, 0x00, 0x00, 0x03, 0xff, 0xff,
	0xec, 0xa2, 0xf8, 0xec, 0x24, 0x10, 0xec, 0xcd, 0x4d, 0x06, 0x82, 0x7d,
	0xcd, 0x8f, 0xe3, 0xdc, 0x1d, 0xf1, 0x00 };
static const uint8_t header_head[40] = { 0x63, 0x78, 0x73, 0x70, 0x61, 0x72,
	0x73, 0x65, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x06, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x03, 0x00, 0x20, 0x00, 0x00, 0xff, 0xff, 0xf4, 0x74 };

static void
checksums_are_those_of_qemu(void **state)
{
	uint8_t f[512], h[1024];

	(void)state;
	memset(f, 0, sizeof(f));
	memcpy(f, footer_head, sizeof(footer_head));
	assert_int_equal(vhd_sum(f, 512, 64), 0xffffeca2u);
	assert_int_equal(mkvhd_sum(f, 512, 64), 0xffffeca2u);
	assert_int_equal(vhd_footer_state(f), VHD_F_GOOD);
	memset(h, 0, sizeof(h));
	memcpy(h, header_head, sizeof(header_head));
	assert_int_equal(vhd_sum(h, 1024, 36), 0xfffff474u);
	memset(f + 64, 0, 4);
	vhd_set_sum(f, 512, 64);
	assert_memory_equal(f, footer_head, sizeof(footer_head));
}

static void
a_sum_of_the_largest_bytes_does_not_wrap(void **state)
{
	uint8_t f[1024];

	(void)state;
	memset(f, 0xff, sizeof(f));
	assert_int_equal(vhd_sum(f, 512, 64), ~(508u * 255));
	assert_int_equal(vhd_sum(f, 1024, 36), ~(1020u * 255));
}

static void
every_single_byte_counts(void **state)
{
	uint8_t f[512];
	unsigned i;

	(void)state;
	memset(f, 0, sizeof(f));
	memcpy(f, footer_head, sizeof(footer_head));
	for (i = 0; i < 512; i++) {
		f[i] ^= 0x40;
		assert_int_equal(vhd_footer_state(f),
		    i < 8 ? VHD_F_MISSING : VHD_F_BAD);
		f[i] ^= 0x40;
	}
	memcpy(f, "v_poison", 8);
	assert_int_equal(vhd_footer_state(f), VHD_F_POISONED);
}

/* Early tapdisk hid images without a new checksum. */
static void
the_hidden_byte_of_tapdisk_is_not_in_the_sum(void **state)
{
	uint8_t f[512];

	(void)state;
	memset(f, 0, sizeof(f));
	memcpy(f, footer_head, sizeof(footer_head));
	memcpy(f + 28, "tap\0", 4);
	vhd_set_sum(f, 512, 64);
	f[85] = 1;
	assert_int_equal(vhd_footer_state(f), VHD_F_GOOD);
	vhd_set_sum(f, 512, 64);
	assert_int_equal(vhd_footer_state(f), VHD_F_GOOD);
	f[86] = 2;
	assert_int_equal(vhd_footer_state(f), VHD_F_BAD);
	f[86] = 0;
	memcpy(f + 28, "tap ", 4);
	f[85] = 0;
	vhd_set_sum(f, 512, 64);
	f[85] = 1;
	assert_int_equal(vhd_footer_state(f), VHD_F_BAD);
}

struct field {
	unsigned at;
	unsigned bytes;
	uint64_t value;
	enum img_row row; /* NONE: nothing above a note */
	int error;        /* of open */
};

/* A fixed image with one field changed raises one row. */
static void
try_field(const struct field *fd)
{
	struct mkvhd k;
	struct mem m;
	struct mem_env env;
	struct mem_sink s;
	struct img *im;
	unsigned i;
	int error;

	mem_env(&env);
	mem_file(&m, 0);
	mkvhd_fixed(&k, &m, 1024 * 512);
	for (i = 0; i < fd->bytes; i++)
		k.k_footer[fd->at + i] =
		    (uint8_t)(fd->value >> 8 * (fd->bytes - 1 - i));
	mkvhd_footer(&k, m.m_len - 512);
	error = mem_open(&im, &env, &m, img_format_find("vhd"), 0, &s);
	if (error != fd->error)
		fail_msg("byte %u: open gives %d, not %d", fd->at, error,
		    fd->error);
	if (fd->row != IMG_ROW_NONE && mem_has(&s, fd->row) != 1)
		fail_msg("byte %u: VHD-%u was not raised", fd->at,
		    img_row(fd->row)->r_number);
	if (s.s_n != (fd->row != IMG_ROW_NONE))
		fail_msg("byte %u: %u findings, first %u", fd->at, s.s_n,
		    img_row(s.s_found[0].fi_row)->r_number);
	if (s.s_n > 0 &&
	    (s.s_found[0].fi_off < m.m_len - 512 + fd->at ||
		s.s_found[0].fi_off >= m.m_len - 512 + fd->at + fd->bytes))
		fail_msg("byte %u: found at %u", fd->at,
		    (unsigned)s.s_found[0].fi_off);
	if (error == 0)
		mem_abandon(im, &env);
	assert_true(mem_env_sound(&env));
	mem_free(&m);
}

static void
a_wrong_field_raises_its_row_and_no_other(void **state)
{
	static const struct field fields[] = {
		{ 8, 4, 2, IMG_ROW_NONE, 0 },
		{ 8, 4, 0, IMG_VHD_RESERVED_BIT, 0 },
		{ 8, 4, 0x102, IMG_VHD_FEATURES, 0 },
		{ 8, 4, 3, IMG_VHD_TEMPORARY, 0 },
		{ 12, 4, 0x00010001, IMG_VHD_MINOR, 0 },
		{ 16, 8, 0, IMG_VHD_FIXED_OFFSET, 0 },
		{ 16, 8, 0xffffffff, IMG_VHD_FIXED_OFFSET, 0 },
		{ 28, 4, 0x76706320, IMG_ROW_NONE, 0 },
		{ 36, 4, 0, IMG_ROW_NONE, 0 },
		{ 40, 8, 512, IMG_VHD_RESIZED, 0 },
		{ 56, 4, 0, IMG_VHD_CHS_ZERO, 0 },
		{ 56, 4, 0x00010400, IMG_VHD_CHS_ZERO, 0 },
		{ 56, 4, 0xffff10ff, IMG_VHD_CHS_OTHER, 0 },
		{ 56, 4, 0x00010411, IMG_VHD_CHS_OTHER, 0 },
		{ 56, 4, 0x00ff0411, IMG_VHD_CHS_LARGE, 0 },
		{ 68, 8, 0, IMG_ROW_NONE, 0 },
		{ 84, 1, 1, IMG_VHD_SAVED, 0 },
		{ 84, 1, 2, IMG_VHD_SAVED_ODD, 0 },
		{ 85, 1, 1, IMG_VHD_RESERVED, 0 },
		{ 511, 1, 1, IMG_VHD_RESERVED, 0 },
		{ 60, 4, 0, IMG_VHD_TYPE, EFTYPE },
		{ 60, 4, 5, IMG_VHD_TYPE, EFTYPE },
		{ 60, 4, 0x01000002, IMG_VHD_TYPE, EFTYPE },
		{ 12, 4, 0x00020000, IMG_VHD_VERSION, EFTYPE },
	};
	unsigned i;

	(void)state;
	for (i = 0; i < LENGTH_OF(fields); i++)
		try_field(&fields[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checksums_are_those_of_qemu),
		cmocka_unit_test(a_sum_of_the_largest_bytes_does_not_wrap),
		cmocka_unit_test(every_single_byte_counts),
		cmocka_unit_test(the_hidden_byte_of_tapdisk_is_not_in_the_sum),
		cmocka_unit_test(a_wrong_field_raises_its_row_and_no_other),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
