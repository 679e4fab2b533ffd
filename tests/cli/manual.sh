#!/bin/sh
# SPDX-License-Identifier: ISC
#
# The manual pages say what is true: they are held against the table of
# findings, the headers, the program's help, and what their examples do.
#
# Each comparison is a function of the directory with the pages, and runs a
# second time on a copy with a mistake in it, which it must notice.

. "$TOP/tests/lib.sh"

skip_unless mandoc cc

PAGES=$TOP/man
COMMANDS='info check map convert compare create dd-read dd-write'

mkdir bin
ln -s "$IMGTOOL" bin/imgtool
PATH=$PWD/bin:$PATH

# What libimg.a is linked with.
LIBS="-lz -lpthread $(pkg-config --libs libzstd 2>/dev/null || :)"

# notices CHECK PAGE SED-SCRIPT: a page changed like this fails the check.
notices()
{
	rm -rf broken
	mkdir broken
	cp "$PAGES"/*.[1-9] broken/
	sed "$3" "$PAGES/$2" >broken/"$2"
	if cmp -s "$PAGES/$2" broken/"$2"; then
		fail "the mistake to be made in $2 is not one: $3"
	elif "$1" broken >/dev/null 2>&1; then
		fail "$1 does not notice $3 in $2"
	fi
}

# section PAGE TITLE: the source lines of a section.
section()
{
	awk -v want="$2" '
	/^\.Sh / { on = substr($0, 5) == want; next }
	on' "$1"
}

# What a literal block means once roff has read it.
unroff()
{
	sed -e 's/\\e/\\/g' -e "s/\\\\(aq/'/g" -e 's/\\&//g'
}

# ------------------------------------------------------------------------

lint()
{
	mandoc -T lint -W warning "$1"/*.[1-9]
}

t_begin "the pages are sound mdoc"
run_ok lint "$PAGES"

t_begin "an unknown macro is noticed"
notices lint imgtool.1 's/^\.Sh NAME/.Xz\n&/'

# ------------------------------------------------------------------------

# "VHD-5|end footer is missing|corrupt|read|open|safe" for each row, in the
# order in which they stand.
table_rows()
{
	sed -n 's/^F(\([A-Z0-9]*\), \([0-9]*\), [A-Z0-9_]*, \([A-Z]*\), \([A-Z]*\), \([A-Z]*\), \([A-Z]*\), "\(.*\)")$/\1-\2|\7|\3|\4|\5|\6/p' \
	    "$TOP/lib/core/findings.def" |
	awk -F '|' -v OFS='|' '{
		for (i = 3; i <= 6; i++)
			$i = tolower($i)
		if ($3 == "warn")
			$3 = "warning"
		print
	}'
}

page_rows()
{
	sed -n -e '/^\.It Sy [A-Z0-9]*-[0-9]/{
		N
		s/^\.It Sy //
		s/ No /|/
		s/\n\.Em /|/
		s/ , allows /|/
		s/ , found at /|/
		s/ , repair /|/
		p
	}' "$1/imgtool-check.7"
}

rows()
{
	table_rows >rows.table
	[ "$(grep -c '^F(' "$TOP/lib/core/findings.def")" -eq \
	    "$(wc -l <rows.table)" ] || {
		echo "a row of findings.def cannot be read"
		return 1
	}
	page_rows "$1" >rows.page
	diff -u rows.table rows.page
}

# A row's item must say something of its own.
explained()
{
	awk '
	/^\.It Sy [A-Z0-9]*-[0-9]/ { name = $3; left[name] = 1; n = 0; next }
	/^\.(El|Sh|Ss)/ { name = "" }
	name != "" && ++n > 2 { delete left[name] }
	END {
		for (name in left) {
			print name " is not explained"
			bad = 1
		}
		exit bad
	}' "$1/imgtool-check.7"
}

t_begin "every row of findings.def is in imgtool-check(7), and no other"
run_ok rows "$PAGES"
[ -s rows.table ] || fail "no rows"

t_begin "a row with another text, severity or repair is noticed"
notices rows imgtool-check.7 's/^\(\.It Sy VHD-5 .*\)missing/\1lost/'
notices rows imgtool-check.7 's/^\.Em fatal , /.Em corrupt , /'
notices rows imgtool-check.7 's/, allows map /, allows read /'
notices rows imgtool-check.7 's/, found at check ,/, found at open ,/'
notices rows imgtool-check.7 's/, repair lossy$/, repair safe/'

t_begin "a row too many or too few is noticed"
notices rows imgtool-check.7 's/^\.It Sy VHD-60 /.It Sy VHD-61 /'
notices rows imgtool-check.7 '/^\.It Sy VHD-100 /d'

t_begin "every row is explained"
run_ok explained "$PAGES"

t_begin "a row without an explanation is noticed"
notices explained imgtool-check.7 '/^\.It Sy VHD-100 /,/^\.El/{
	/^\.It/b
	/^\.Em/b
	/^\.br/b
	/^\.El/b
	d
}'

# ------------------------------------------------------------------------

# Words of the form -x, --word and word= that the page gives for a command.
page_options()
{
	awk -v want="$2" '
	/^\.S[hs] / { on = $2 == want; next }
	on && /^\.It (Fl|Cm [a-z]*=)/ {
		for (i = 2; i <= NF; i++) {
			if ($i == "Fl" && $(i + 1) == "Fl")
				print "--" $(i += 2)
			else if ($i == "Fl")
				print "-" $(++i)
			else if ($i == "Cm" && $(i + 1) ~ /=$/)
				print $(++i)
		}
	}' "$1/imgtool.1" | sort -u
}

# The same of the help, whose lines are "  -x, --word=ARG  what it does" and
# "  word=ARG  what it does"; -h is the same everywhere.
help_options()
{
	imgtool "$1" --help >help || return 1
	awk '/^  / {
		sub(/^ +/, "")
		sub(/  .*/, "")
		n = split($0, w, /, /)
		for (i = 1; i <= n; i++)
			if (match(w[i], /^--?[A-Za-z-]+/) ||
			    match(w[i], /^[a-z]+=/))
				print substr(w[i], 1, RLENGTH)
	}' help | grep -vx -e -h -e --help | sort -u
}

options()
{
	differs=0
	for c in $COMMANDS; do
		page_options "$1" "$c" >options.page
		help_options "$c" >options.help || differs=1
		[ -s options.page ] && [ -s options.help ] || {
			echo "imgtool $c has no options"
			differs=1
		}
		diff -u options.page options.help || differs=1
	done
	return $differs
}

t_begin "imgtool(1) and --help have the same options for each command"
run_ok options "$PAGES"

t_begin "an option too many or too few is noticed"
notices options imgtool.1 's/^\.It Fl Fl deep/.It Fl Fl shallow/'
notices options imgtool.1 's/^\.It Fl p , Fl Fl progress/.It Fl p/'
notices options imgtool.1 's/^\.It Cm skip=/.It Cm seek=/'

# The commands that "imgtool --help" lists and those that have a subsection.
commands()
{
	imgtool --help | sed -n 's/^  \([a-z-]*\)  .*/\1/p' | sort >cmds.help
	section "$1/imgtool.1" COMMANDS | sed -n 's/^\.Ss //p' |
	    sort >cmds.page
	[ -s cmds.help ] || return 1
	diff -u cmds.page cmds.help
}

t_begin "imgtool(1) and --help have the same commands"
run_ok commands "$PAGES"

t_begin "a missing command is noticed"
notices commands imgtool.1 's/^\.Ss compare/.Ss cmp/'

# ------------------------------------------------------------------------

# The options for new images, as the program prints them, each behind the name
# of its format.
format_options()
{
	section "$1/imgtool.1" FORMATS |
	    awk '
	/^\.Ss / { format = $2 }
	/^\.It Cm [a-z0-9_.-]*=/ {
		sub(/=.*/, "", $3)
		print format, $3
	}' | sort >fmtopts.page
	cat >fmtopts.c <<'EOF'
#include <stdio.h>
#include <img_host.h>
int
main(void)
{
	const struct img_format *f;
	const struct img_opt *o;
	unsigned i;

	for (i = 0; (f = img_format_at(i)) != NULL; i++) {
		o = img_create_opts(f);
		for (; o != NULL && o->o_name != NULL; o++)
			printf("%s %s\n", img_format_name(f), o->o_name);
	}
	return (0);
}
EOF
	# shellcheck disable=SC2086 # words
	cc -I"$TOP/lib" -o fmtopts fmtopts.c "$TOP/libimg.a" $LIBS || return 1
	./fmtopts | sort >fmtopts.lib
	[ -s fmtopts.lib ] || return 1
	diff -u fmtopts.page fmtopts.lib
}

t_begin "imgtool(1) has every option of every format"
run_ok format_options "$PAGES"

t_begin "a missing option of a format is noticed"
notices format_options imgtool.1 's/^\.It Cm uuid=/.It Cm guid=/'
notices format_options imgtool.1 '/^\.It Cm table_size=/d'
notices format_options imgtool.1 's/^\.Ss qed/.Ss qcow/'

# ------------------------------------------------------------------------

# Run what EXAMPLES shows, one command after the other in one directory.  A
# comment "status N" before a block says how the block's commands exit; what
# a command prints is shown behind it, if at all.
examples()
{
	rm -rf scratch
	mkdir scratch
	section "$1/imgtool.1" EXAMPLES | unroff | awk '
	/^\.\\" status / { status = $3 }
	/^\.Bd / { inside = 1; next }
	/^\.Ed/ { inside = status = 0 }
	!inside { next }
	!more { $0 = /^\$ / ? status + 0 " " substr($0, 3) : "> " $0 }
	{ more = sub(/\\$/, ""); printf "%s%s", $0, more ? "" : "\n" }
	' >examples.list
	[ -s examples.list ] || return 1
	while read -r status line; do
		if [ "$status" = ">" ]; then
			grep -qxF -e "$line" out.example && continue
			echo "does not print: $line"
			return 1
		fi
		got=0
		(cd scratch && exec sh -c "$line") >out.example 2>&1 </dev/null ||
		    got=$?
		[ "$got" -eq "$status" ] && continue
		echo "$line: status $got, expected $status"
		cat out.example
		return 1
	done <examples.list
}

t_begin "the examples of imgtool(1) work"
run_ok examples "$PAGES"

t_begin "an example that fails is noticed"
notices examples imgtool.1 's/^\$ imgtool check /&--no-such-option /'

t_begin "an example that prints something else is noticed"
notices examples imgtool.1 's/^hello$/goodbye/'

# ------------------------------------------------------------------------

# The calls that img.h declares, and those that img(3) names and shows.
calls()
{
	sed -n 's/^[a-z].*[ *]\(img_[a-z_]*\)(.*/\1/p' "$TOP"/lib/img*.h |
	    grep -v '_fn$' | sort >calls.header
	sed -n 's/^\.Nm \(img_[a-z_]*\).*/\1/p' "$1/img.3" | sort >calls.names
	section "$1/img.3" SYNOPSIS | sed -n 's/^\.F[no] \(img_[a-z_]*\).*/\1/p' |
	    grep -v '_fn$' | sort >calls.shown
	[ -s calls.header ] && diff -u calls.header calls.names &&
	    diff -u calls.header calls.shown
}

t_begin "img(3) has the calls of img.h, and no other"
run_ok calls "$PAGES"

t_begin "a call too many or too few is noticed"
notices calls img.3 '/^\.Nm img_lend/d'
notices calls img.3 's/^\.Fn img_flush /.Fn img_sync /'

# The flags and limits that img.h defines, and whether img(3) has them.
constants()
{
	sed -n 's/^#define \(IMG_[A-Z_]*\) .*/\1/p' "$TOP"/lib/img*.h |
	    grep -vx IMG_SECTOR >constants.header
	[ -s constants.header ] || return 1
	missing=0
	while read -r name; do
		grep -q "^\.\(It \)*Dv.* *$name\( \|\$\)" "$1/img.3" && continue
		echo "$name is not in img(3)"
		missing=1
	done <constants.header
	return $missing
}

t_begin "img(3) has every flag of img.h"
run_ok constants "$PAGES"

t_begin "a missing flag is noticed"
notices constants img.3 's/Dv IMG_CHAIN_TRUST/Dv IMG_CHAIN/'

# Structures of C source, one to a line: name and members.
members()
{
	tr '\n' ' ' | sed -e 's|/\*|\n&|g' | sed -e 's|^/\*.*\*/||' |
	    tr '\n' ' ' | sed -e 's/struct [a-z_]* {[^}]*}/\n&\n/g' |
	    sed -n -e 's/^struct \([a-z_]* {\)/\1;/p' | awk -F ';' '{
		line = $1
		for (i = 2; i < NF; i++) {
			sub(/\)\(.*/, "", $i)
			sub(/\[.*/, "", $i)
			sub(/.*[ \t*]/, "", $i)
			line = line " " $i
		}
		print line
	}' | sort
}

# structs PAGE: every structure shown has the members it has in a header.
structs()
{
	members <"$1" >structs.page
	cat "$TOP"/lib/img*.h "$TOP/lib/core/core.h" "$TOP/lib/tool/tool.h" |
	    members >structs.header
	grep -q '[a-z] {' structs.page || return 1
	comm -23 structs.page structs.header | grep . && return 1
	return 0
}

structs3()
{
	structs "$1/img.3"
}

t_begin "the structures in img(3) are those of img.h"
run_ok structs3 "$PAGES"

t_begin "a member with another name is noticed"
notices structs3 img.3 's/a_slices;/a_nslices;/'

# The program in EXAMPLES.
compiled()
{
	section "$1/img.3" EXAMPLES | awk '
	/^\.Bd / { inside = 1; next }
	/^\.Ed/ { exit }
	inside' | unroff >example.c
	# shellcheck disable=SC2086 # words
	cc -Wall -Wextra -Werror -I"$TOP/lib" -o example example.c \
	    "$TOP/libimg.a" $LIBS
}

t_begin "the example of img(3) compiles and runs"
run_ok compiled "$PAGES"
truncate -s 4M data.raw
printf 'x' | dd of=data.raw bs=1 seek=3145728 conv=notrunc 2>/dev/null
run_ok imgtool convert -f raw -O vhd data.raw data.vhd
run_ok ./example data.vhd
expect_out '^2097152 [0-9]+$'
printf 'conectix' >short.vhd
run_rc 1 imgtool info -f vhd short.vhd
run_rc 1 ./example missing

t_begin "an example that does not compile is noticed"
notices compiled img.3 's/^	struct img_extent e;//'

# ------------------------------------------------------------------------

structs9()
{
	structs "$1/img_format.9"
}

# Each method of a format is explained.
methods()
{
	sed -n '/^struct img_format {/,/^}/p' "$TOP/lib/core/core.h" |
	    sed -n 's/.*\*\(f_[a-z]*\))(.*/\1/p' | sort >methods.header
	sed -n 's/^\.It Fn \**(*\**\(f_[a-z]*\).*/\1/p' "$1/img_format.9" |
	    sort >methods.page
	[ -s methods.header ] && diff -u methods.header methods.page
}

t_begin "img_format(9) has the methods of a format, and no other"
run_ok methods "$PAGES"
run_ok structs9 "$PAGES"

t_begin "a missing method is noticed"
notices methods img_format.9 '/^\.It Fn f_zero/d'
