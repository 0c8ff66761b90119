#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Which kernels of cuda/ have run on the emulated device, and under which sanitizers: a table. Exit
# code 1 when one has not run in one of the builds.
#   check_kernels.sh BUILD...    folders whose tests have run: they leave BUILD/kernels.txt
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || { echo "usage: check_kernels.sh BUILD..." >&2 && exit 2; }

names=()
for build in "$@"; do
    [ -s "$build/kernels.txt" ] || { echo "check_kernels: no $build/kernels.txt: its tests have not run" >&2 && exit 1; }
    kind=$(sed -n 's/^P2S_SANITIZE:[^=]*=//p' "$build/CMakeCache.txt")
    names+=("${kind:-plain}")
done
printf '%-32s' kernel
printf ' %-18s' "${names[@]}"
printf ' in\n'

missing=0 count=0
while IFS=: read -r file kernel; do
    row='' count=$((count + 1))
    for build in "$@"; do
        if grep -qw "$kernel" "$build/kernels.txt"; then
            row+=$(printf ' %-18s' yes)
        else
            row+=$(printf ' %-18s' NO)
            missing=$((missing + 1))
        fi
    done
    printf '%-32s%s %s\n' "$kernel" "$row" "$file"
done < <(grep -oE '__global__ void [a-z0-9_]+' cuda/*.cu cuda/*.cuh | sed 's/__global__ void //' | sort -u -t: -k2)
echo "$count kernels in ${#names[@]} builds, $missing have not run"
[ $missing -eq 0 ] && [ $count -gt 0 ]
