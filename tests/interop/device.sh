#!/bin/sh
# SPDX-License-Identifier: ISC
#
# Images on block devices: loop devices over files that have a file's length,
# which is no multiple of 4 KiB, and old data in them.  Where there are none,
# a program of ours stands in that treats a file as a device.

. "$TOP/tests/lib.sh"

skip_unless jq cmp od

COST=$TOP/tests/interop/cost.t

SIZE=$((8 * 1048576 + 37 * 512))
words start 3000000 >disk.raw
truncate -s 6M disk.raw
words end 30000 >>disk.raw
truncate -s $SIZE disk.raw
imgtool convert -O vhd disk.raw disk.vhd || exit 1

# old FILE BYTES: it has old data everywhere.
old()
{
	words old "$2" >"$1"
}

# footer FILE: what its last sector begins with.
footer()
{
	tail -c 512 "$1" | head -c 8 | tr '\0' '.'
}

# no_vhd FILE: nobody takes it for one.
no_vhd()
{
	[ "$(footer "$1")" != conectix ] || fail "footer at the end of $1"
	[ "$(head -c 8 "$1" | tr '\0' '.')" != conectix ] ||
	    fail "footer at the start of $1"
	run_ok imgtool info --output=json "$1" &&
	    [ "$(jq -r .format "$OUT")" = raw ] || fail "$1 is recognised"
}

# vhd_has FILE RAW: a sound one, with this disk, and its footer at the end.
vhd_has()
{
	run_ok imgtool check --deep "$1"
	expect_no_out '^(warning|leak|corrupt|fatal) '
	[ "$(footer "$1")" = conectix ] || fail "no footer at the end"
	rm -f got.raw
	run_ok imgtool convert -f vhd -O raw "$1" got.raw
	same_bytes got.raw "$2"
}

t_begin "a dynamic image on what cannot grow has its footer at the end"
old dev.img 12000256
run_ok "$COST" device disk.raw dev.img
[ "$(wc -c <dev.img)" -eq 12000256 ] || fail "the length changed"
[ "$(footer dev.img)" = conectix ] || fail "no footer at the end"
# As a file it has room at its end that leaks; as a device it has not.
run_rc 3 imgtool check --deep dev.img
expect_out '^leak VHD-60 '
expect_no_out '^(warning|corrupt|fatal) '
run_ok imgtool convert -f vhd -O raw dev.img got.raw
same_bytes got.raw disk.raw

# Its footers are there for a moment before the first byte is copied, and again
# when the last one is.
t_begin "a copy to it that dies after any write leaves no image half full"
truncate -s $SIZE zero.raw
n=1
seen=0
while :; do
	old dev.img 12000256
	status=0
	"$COST" device disk.raw dev.img $n >"$OUT" 2>&1 || status=$?
	[ $status -eq 3 ] || break
	[ $n -lt 500 ] || break
	run_ok imgtool info --output=json dev.img
	if [ "$(jq -r .format "$OUT")" = vpc ]; then
		run_ok imgtool convert -f vhd -O raw dev.img got.raw
		cmp -s got.raw zero.raw || same_bytes got.raw disk.raw
		seen=$((seen + 1))
	else
		no_vhd dev.img
	fi
	n=$((n + 1))
done
[ $status -eq 0 ] || fail "status $status after $n writes"
[ $n -gt 8 ] || fail "only $n writes"
[ $seen -le 5 ] || fail "an image after $seen of $n writes"
run_ok imgtool convert -f vhd -O raw dev.img got.raw
same_bytes got.raw disk.raw

# loop FILE: $dev is a device over it.
loop()
{
	for try in 1 2 3; do
		dev=$(losetup -f --show "$1" 2>losetup.log) && break
		sleep $try
	done
	[ -b "$dev" ]
}

unloop()
{
	[ -z "$dev" ] || losetup -d "$dev"
	dev=
}

dev=
at_exit unloop
old dev.img $SIZE
if [ "$(id -u)" -ne 0 ] || ! command -v losetup >/dev/null 2>&1 ||
    ! loop dev.img; then
	echo "no loop devices: $(cat losetup.log 2>/dev/null) the rest is not tested"
	exit 0
fi

t_begin "the size of a device is that of the disk on it"
run_ok imgtool info --output=json "$dev"
[ "$(jq '."virtual-size"' "$OUT")" = $SIZE ] || fail "wrong size"
[ "$(jq -r .format "$OUT")" = raw ] || fail "wrong format"
run_ok imgtool check "$dev"

t_begin "raw to a device of that size is written in place, zeros too"
run_ok imgtool convert -f raw -O raw disk.raw "$dev"
cmp "$dev" disk.raw || fail "other bytes"
[ -b "$dev" ] || fail "the device was replaced"
run_ok imgtool compare -f raw -F raw disk.raw "$dev"

t_begin "a device is read by convert, dd-read and map"
run_ok imgtool convert -f raw -O vhd "$dev" a.vhd
run_ok imgtool compare a.vhd -F raw disk.raw
imgtool dd-read if="$dev" bs=1000 skip=2999 count=3 status=none >got
tail -c +2999001 disk.raw | head -c 3000 >want
same_bytes got want
run_ok imgtool map --output=json "$dev"
[ "$(jq 'map(.length) | add' "$OUT")" = $SIZE ] || fail "map is too short"

t_begin "dd-write to a device changes those bytes only"
printf 'new bytes' >data
run_ok imgtool dd-write -f raw of="$dev" if=data bs=1 seek=5999999 status=none
cp disk.raw want
dd if=data of=want bs=1 seek=5999999 conv=notrunc status=none
cmp "$dev" want || fail "other bytes"

t_begin "what does not fit is refused before anything is written"
words big $((SIZE + 512)) >big.raw
for args in '-O raw' '-n -O raw' '-O vhd -o subformat=fixed'; do
	# shellcheck disable=SC2086 # words
	run_rc 1 imgtool convert -f raw $args big.raw "$dev"
	cmp "$dev" want || fail "$args: it was written"
done
run_rc 1 imgtool dd-write -f raw of="$dev" if=data bs=1 seek=$((SIZE - 3))
cmp "$dev" want || fail "dd-write: it was written"

t_begin "a fixed image has to fill the device"
head -c $((SIZE - 512)) disk.raw >fits.raw
run_ok imgtool convert -f raw -O vhd -o subformat=fixed fits.raw "$dev"
vhd_has "$dev" fits.raw
head -c $((SIZE - 512)) "$dev" | cmp - fits.raw || fail "not in place"
head -c $((SIZE - 1024)) disk.raw >short.raw
run_rc 1 imgtool convert -f raw -O vhd -o subformat=fixed short.raw "$dev"

t_begin "the file behind a loop device is the same as the device"
run_rc 1 imgtool convert -f raw -O raw dev.img "$dev"
expect_err 'the same'
run_rc 1 imgtool convert -f raw -O raw "$dev" dev.img
expect_err 'the same'
unloop

t_begin "a dynamic image on a device has its footer at the device's end"
old dev.img 12000256
loop dev.img || fail "losetup"
run_ok imgtool convert -O vhd disk.raw "$dev"
vhd_has "$dev" disk.raw
run_ok imgtool info --output=json "$dev"
[ "$(jq '."virtual-size"' "$OUT")" = $SIZE ] || fail "wrong size"

t_begin "dd-write takes more of the device, and the footer stays"
words more 700000 >data
run_ok imgtool dd-write of="$dev" if=data bs=512 seek=8800 status=none
cp disk.raw want
dd if=data of=want bs=512 seek=8800 conv=notrunc status=none
vhd_has "$dev" want
[ "$(wc -c <dev.img)" -eq 12000256 ] || fail "the length changed"

t_begin "all of the disk can be written, old data of the device never shows"
words all $SIZE >data
run_ok imgtool dd-write of="$dev" if=data bs=512 count=1 seek=16420 status=none
dd if=data of=want bs=512 count=1 seek=16420 conv=notrunc status=none
vhd_has "$dev" want
run_ok imgtool dd-write of="$dev" if=data bs=64k status=none
vhd_has "$dev" data
unloop

t_begin "a device too small for all blocks is full in the end, and still sound"
old dev.img 7000064
loop dev.img || fail "losetup"
run_ok imgtool create -f vhd "$dev" $SIZE
run_ok imgtool dd-write of="$dev" if=disk.raw bs=512 count=4096 status=none
run_rc 1 imgtool dd-write of="$dev" if=data bs=64k
expect_err '[Nn]o space'
run_ok imgtool check --deep "$dev"
expect_no_out '^(warning|leak|corrupt|fatal) '
[ "$(footer "$dev")" = conectix ] || fail "no footer at the end"
unloop

# stall ARGUMENT ...: converts from a pipe that stalls in the middle; then
# the signal $sig.
stall()
{
	rm -f pipe
	mkfifo pipe
	"$IMGTOOL" convert -f raw "$@" - "$dev" <pipe >"$OUT" 2>"$ERR" &
	pid=$!
	exec 3>pipe
	head -c 5000000 disk.raw >&3
	sleep 0.5
	kill -"$sig" $pid
	status=0
	wait $pid || status=$?
	exec 3>&-
	export T_CMD="convert $*"
}

t_begin "an interrupted conversion leaves no image, and says so"
for sig in TERM HUP KILL; do
	old dev.img 12000256
	loop dev.img || fail "losetup"
	[ $sig != KILL ] || run_ok imgtool convert -O vhd disk.raw "$dev"
	stall -O vhd --size=$SIZE
	[ $status -gt 128 ] || fail "$sig: status $status"
	[ $sig = KILL ] || expect_err 'unusable'
	no_vhd "$dev"
	unloop
done

t_begin "-n writes into the image on a device, which keeps its unique id"
old dev.img 12000256
loop dev.img || fail "losetup"
run_ok imgtool create -f vhd \
    -o uuid=01234567-89ab-4def-8123-456789abcdef "$dev" $SIZE
words other $SIZE >data
run_ok imgtool dd-write of="$dev" if=data status=none
run_ok imgtool convert -n -f raw -O vhd disk.raw "$dev"
vhd_has "$dev" disk.raw
id=$(tail -c 512 "$dev" | od -An -v -tx1 -j68 -N16 | tr -d ' \n')
[ "$id" = 0123456789ab4def8123456789abcdef ] || fail "unique id is now $id"

t_begin "-n leaves what lies behind the copied range, as raw does on a device"
words other $SIZE >want
run_ok imgtool dd-write of="$dev" if=want status=none
words few 1000448 >few.raw
dd if=few.raw of=want conv=notrunc bs=64k status=none
run_ok imgtool convert -n -f raw -O vhd few.raw "$dev"
vhd_has "$dev" want
unloop
words other $SIZE >dev.img
cp dev.img want
dd if=few.raw of=want conv=notrunc bs=64k status=none
loop dev.img || fail "losetup"
run_ok imgtool convert -f raw -O raw few.raw "$dev"
cmp "$dev" want || fail "raw: other bytes"
unloop

t_begin "a device that is mounted is not written"
if command -v mke2fs >/dev/null 2>&1; then
	truncate -s 0 dev.img
	truncate -s 12000256 dev.img
	mke2fs -q -F dev.img
	loop dev.img || fail "losetup"
	mkdir mnt
	at_exit 'umount mnt 2>/dev/null'
	if mount "$dev" mnt 2>/dev/null; then
		run_rc 1 imgtool convert -f raw -O raw disk.raw "$dev"
		expect_err 'in use'
		run_rc 1 imgtool convert -n -f raw disk.raw "$dev"
		expect_err 'busy'
		umount mnt
	else
		echo "cannot mount here"
	fi
	unloop
fi

t_begin "--no-clobber never writes to a device"
words old 1048576 >dev.img
cp dev.img want
loop dev.img || fail "losetup"
run_rc 1 imgtool convert --no-clobber -f raw want "$dev"
expect_err 'exists already'
run_rc 1 imgtool create --no-clobber "$dev" 512k
expect_err 'exists already'
unloop
same_bytes dev.img want
unloop

t_begin "a QED on a device is read, and never written to"
run_ok imgtool convert -O qed disk.raw dev.img
truncate -s 12000256 dev.img
cp dev.img want
loop dev.img || fail "losetup"
run_ok imgtool check "$dev"
expect_out '^warning QED-58: '
expect_no_out '^(leak|corrupt|fatal) '
run_ok imgtool compare "$dev" -F raw disk.raw
run_ok imgtool convert "$dev" got.raw
same_bytes got.raw disk.raw
run_rc 1 imgtool dd-write of="$dev" if=data
expect_err ': QED-58: '
run_rc 1 imgtool convert -n -f raw disk.raw "$dev"
expect_err ': QED-58: '

t_begin "no QED is made on a device, and what is there stays"
for args in 'convert -f raw -O qed disk.raw' 'create -f qed'; do
	size=1M
	[ "${args%% *}" = create ] || size=
	# shellcheck disable=SC2086 # words
	run_rc 1 imgtool $args "$dev" $size
	one_line "$dev: a QED cannot be on a device"
done
cmp "$dev" want || fail "it was written"
