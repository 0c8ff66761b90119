#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Checks which folder includes which: the arrows point one way, what is above the back ends does not
# even name a device, and every header compiles by itself. Prints each offence; exit code 1 when
# there is one.
set -euo pipefail
cd "$(dirname "$0")/.."

allowed() {
    case $1 in
    base) echo base ;;
    autograd) echo "autograd base" ;;
    cpu) echo "cpu autograd base" ;;
    cuda) echo "cuda autograd base" ;;
    nn) echo "nn autograd base" ;;
    data) echo "data autograd base" ;;
    eval) echo "eval nn data autograd base" ;;
    train) echo "train eval nn data autograd base" ;;
    esac
}

sources() {
    [ -d "$1" ] && find "$1" -name '*.c' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh'
    return 0
}

offences=0
report() {
    printf '%s\n' "$1"
    offences=$((offences + 1))
}

for folder in base autograd cpu cuda nn data eval train; do
    folders=" $(allowed $folder) "
    while IFS=: read -r file line text; do
        included=${text#*\"}
        included=${included%%\"*}
        case $included in
        */*) ;;
        *) report "$file:$line: \"$included\" names no folder" && continue ;;
        esac
        case $folders in
        *" ${included%%/*} "*) ;;
        *) report "$file:$line: $folder/ must not include \"$included\"" ;;
        esac
    done < <(sources $folder | xargs -r grep -nH '^ *# *include *"' || true)
done
for folder in nn data eval; do
    while read -r found; do report "$found: $folder/ must not name a device"; done \
        < <(sources $folder | xargs -r grep -nHiowE 'cpu|cuda|gpu' || true)
done
for folder in base autograd cpu cuda nn data eval train; do
    while read -r header; do
        printf '#include "%s"\n' "$header" |
            ${CC:-cc} -std=c11 -D_POSIX_C_SOURCE=200809L -I. -fsyntax-only -x c - 2>/dev/null ||
            report "$header: does not compile by itself"
    done < <(sources $folder | grep '\.h$' || true)
done
if [ $offences -ne 0 ]; then
    echo "check_includes: $offences offences"
    exit 1
fi
echo "check_includes: all arrows point the right way, all headers stand alone"
