#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what building and testing need (Debian 12 and its kin), as root or with sudo. Without
# either it says what is missing and how to get it, and fails.
set -euo pipefail

packages=(
    build-essential cmake ninja-build pkg-config git python3 python3-venv
    clang-14 clang libclang-rt-14-dev libomp-14-dev clang-format-14
    libdnnl-dev libhdf5-dev libturbojpeg0-dev libpng-dev zlib1g-dev libdeflate-dev libyaml-dev
    libjansson-dev libunistring-dev libcriterion-dev libopenmpi-dev openmpi-bin
)

if ! command -v dpkg-query >/dev/null; then
    echo "setup: not a Debian system; install the equivalents of: ${packages[*]}" >&2
    pkg-config --exists hdf5 libturbojpeg yaml-0.1 jansson libpng zlib libdeflate criterion || exit 1
    echo "setup: the libraries are there, nothing was installed"
    exit 0
fi

missing=()
for package in "${packages[@]}"; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
    echo "setup: all ${#packages[@]} packages are installed already"
    exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null && { sudo -n true 2>/dev/null || { [ -t 0 ] && sudo -v; }; }; then
        as_root=(sudo)
    else
        echo "setup: these packages are missing: ${missing[*]}" >&2
        echo "setup: neither root nor sudo here; let an administrator run" >&2
        echo "    apt-get install ${missing[*]}" >&2
        exit 1
    fi
fi
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)
echo "setup: installing ${missing[*]}"
"${apt[@]}" update
"${apt[@]}" install -y --no-install-recommends "${missing[@]}"
echo "setup: installed ${#missing[@]} packages: ${missing[*]}"
