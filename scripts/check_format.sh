#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Checks that sources are formatted by clang-format 14 and start with their licence line.
#   check_format.sh [--fix] [FILE...]     without files: all that git knows or does not ignore
set -euo pipefail
fix=
if [ "${1:-}" = --fix ]; then
    fix=yes
    shift
fi
if [ $# -eq 0 ]; then
    cd "$(dirname "$0")/.."
    mapfile -t files < <(git ls-files -co --exclude-standard -- '*.c' '*.h' '*.cu' '*.cuh')
else
    files=("$@")
fi
if ! command -v clang-format-14 >/dev/null; then
    echo "check_format: clang-format-14 is missing; run scripts/setup.sh" >&2
    exit 1
fi
if [ -n "$fix" ]; then
    [ ${#files[@]} -eq 0 ] || clang-format-14 -i "${files[@]}"
    exit 0
fi

failed=0
for file in "${files[@]}"; do
    if [ -f "$file" ] && [ "$(head -n 1 "$file")" != "// SPDX-License-Identifier: MIT" ]; then
        echo "$file:1: expected \"// SPDX-License-Identifier: MIT\""
        failed=1
    fi
done
printf '%s\0' "${files[@]}" | xargs -0 -P 4 -n 16 clang-format-14 --dry-run -Werror --ferror-limit=1 || {
    echo "not formatted; run scripts/check_format.sh --fix"
    failed=1
}
[ $failed -eq 0 ] && echo "check_format: ${#files[@]} files are formatted"
exit $failed
