#!/bin/sh
# SPDX-License-Identifier: ISC
#
# What all commands have in common: help, version, unknown names, and where
# the output goes.

. "$TOP/tests/lib.sh"

skip_unless qemu-img jq

COMMANDS='info check map convert compare create dd-read dd-write'
truncate -s 64k a.raw

t_begin "--help lists the commands, a line each"
run_ok imgtool --help
for c in $COMMANDS; do
	[ "$(grep -cE "^  $c  +[a-z]" "$OUT")" -eq 1 ] || fail "$c: $(cat "$OUT")"
done
cp "$OUT" help
run_ok imgtool -h
same_bytes help "$OUT"

t_begin "each command's --help says how it is called, on stdout"
for c in $COMMANDS; do
	run_ok imgtool $c --help
	expect_out "^usage: imgtool $c "
	[ ! -s "$ERR" ] || fail "$c: $(cat "$ERR")"
	cp "$OUT" help
	run_ok imgtool $c -h no such operands
	same_bytes help "$OUT"
	[ "$(awk 'length > 100' help | wc -l)" -eq 0 ] || fail "$c: long lines"
done

t_begin "every option of the help is taken, and no other"
for c in $COMMANDS; do
	imgtool $c --help | sed -n 's/^ *\(-[a-zA-Z]\),.*/\1/p; s/^.* \(--[a-z-]*\).*/\1/p' >options
	[ -s options ] || fail "$c has no options"
	while read -r o; do
		imgtool $c "$o" >out 2>err
		! grep -q "no option" err || fail "$c $o: $(cat err)"
	done <options
	run_rc "$([ $c = compare ] && echo 2 || echo 1)" imgtool $c --no-such x
	one_line "$c: no option --no-such here"
done

t_begin "--version prints the version of the makefile"
v=$(sed -n 's/^VERSION = //p' "$TOP/Makefile")
run_ok imgtool --version
[ "$(cat "$OUT")" = "imgtool $v" ] || fail "$(cat "$OUT"), not $v"

t_begin "a command of qemu-img that is not here names the nearest one"
qemu-img --help | sed -n '/^Command syntax/,/^Command param/s/^  \([a-z]*\) .*/\1/p' \
    >qemu.list
[ "$(wc -l <qemu.list)" -gt 10 ] || fail "cannot read qemu-img's help"
while read -r c; do
	case " $COMMANDS " in
	*" $c "*) continue ;;
	esac
	run_rc 1 imgtool "$c" a.raw
	one_line "$c: not an imgtool command; see [a-z]"
	near=$(sed 's/.*; see \([a-z-]*\).*/\1/' "$ERR")
	run_ok imgtool "$near" --help
done <qemu.list
run_rc 1 imgtool dd if=a.raw of=b.raw
[ "$(cat "$ERR")" = \
    "imgtool: dd: not an imgtool command; see dd-read and dd-write" ] ||
    fail "$(cat "$ERR")"

t_begin "no command and an unknown one are refused in one line"
run_rc 1 imgtool
one_line 'no command'
run_rc 1 imgtool frobnicate
one_line 'frobnicate: no such command'
run_rc 1 imgtool "$(printf 'x\033[1m\ny')"
one_line 'x\\x1b\[1m\\x0ay: no such command'

t_begin "options may stand behind operands, until --"
run_ok imgtool info a.raw --output=json
[ "$(jq .schema "$OUT")" = 1 ] || fail "no JSON"
cp a.raw ./-q
run_ok imgtool compare a.raw -- -q
expect_out identical

t_begin "output that cannot be written is an error of every command"
for c in 'info a.raw' 'check a.raw' 'map a.raw' '--help' '--version' \
    'info --help' 'info --output=json a.raw' 'check --output=json a.raw'; do
	# shellcheck disable=SC2086 # words
	run_rc 1 sh -c '"$IMGTOOL" "$@" >/dev/full' sh $c
	one_line 'standard output: No space left on device'
done

t_begin "a reader that went away is an error, not a signal"
mkfifo gone
for c in 'info a.raw' 'dd-read if=a.raw status=none'; do
	: <gone &
	# shellcheck disable=SC2086 # words
	run_rc 1 sh -c 'exec >gone; sleep 0.2; exec "$IMGTOOL" "$@"' sh $c
	one_line 'standard output: Broken pipe'
	wait
done

t_begin "JSON of every command is one value"
run_ok qemu-img create -q -f vpc a.vhd 4M
for c in info check map 'map --totals' 'info --backing-chain' 'check --deep' \
    'check -r safe'; do
	# shellcheck disable=SC2086 # words
	run_ok imgtool $c --output=json a.vhd
	[ "$(jq -s length "$OUT")" -eq 1 ] || fail "$c: several"
done
