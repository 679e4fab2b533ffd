# shellcheck shell=sh
# SPDX-License-Identifier: ISC
#
# imagelib.sh - what tests share that let qemu and imgtool work on the same
# images, which are of the format $FORMAT.

: "${FORMAT:?the format of the images}"

# clean FILE: neither checker has anything to say.
clean()
{
	run_ok qemu-img check -f $FORMAT "$1"
	run_ok imgtool check --deep --output=json -f $FORMAT "$1" &&
	    field '[.findings[] | select(.severity != "note")]' '[]'
}

# alike FILE: imgtool and qemu-img read the same, which is in got.raw.
alike()
{
	rm -f want.raw got.raw
	run_ok qemu-img convert -f $FORMAT -O raw "$1" want.raw
	run_ok imgtool convert -f $FORMAT -O raw "$1" got.raw &&
	    same_bytes want.raw got.raw
}

# put FILE OFFSET SEED LENGTH: words, by imgtool.
put()
{
	words "$3" "$4" >data
	run_ok imgtool dd-write -f $FORMAT of="$1" if=data bs=512 \
	    seek=$(($2 / 512)) status=none
}

# unwritable FILE ROW: a write is refused for that, and nothing changes.
unwritable()
{
	cp "$1" before
	words no 512 >data
	run_rc 1 imgtool dd-write -f $FORMAT of="$1" if=data status=none
	one_line "$1: $2 "
	same_bytes "$1" before
}

# le64 FILE OFFSET, in decimal; it is less than 2^63.
le64()
{
	od -An -v -t u8 -j "$2" -N 8 "$1" | tr -d ' \n'
}

# io IMAGE COMMAND ...: by qemu-io, whose status tells nothing.
io()
{
	io_file=$1
	shift
	for io_command; do
		echo "$io_command"
	done | qemu-io -f $FORMAT "$io_file" >io.log 2>&1 &&
	    ! grep -qiE 'fail|error|invalid' io.log ||
	    fail "qemu-io $io_file: $(grep -iE 'fail|error|invalid' io.log)"
}
