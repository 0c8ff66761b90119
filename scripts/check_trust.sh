#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What may befall a run at night, with its messages: a second process on its folder, a full disk, a
# loss that is not finite, damaged images, frozen weights that somebody edits, a file system without
# links. Each ends or goes on as it should, `latest` stays whole, and where the run can go on it ends
# with the bits of one that nothing befell. Exit code 1 when a case does not. Half a minute.
#   check_trust.sh [p2s=build/release/p2s]
set -uo pipefail
# shellcheck source=scripts/refused.sh
. "$(dirname "$0")/refused.sh"
config=$configs/gen2seg.yaml
elsewhere=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d) || exit 1
trap 'kill -9 $(jobs -p) 2>/dev/null; rm -rf "$folder" "$elsewhere"' EXIT

vae=vae/diffusion_pytorch_model.safetensors unet=unet/diffusion_pytorch_model.safetensors
tiny=(seed=1 threads=2 train.steps=6 train.batch=1 train.checkpoint_every=2 train.keep=1
    train.schedule=constant train.sample_every=0 data.count=10 data.height=32 data.width=32
    predict.resolution=32)

# train ARGUMENT...: a tiny run that must end well.
train() {
    "$p2s" train --quiet "$config" "${tiny[@]}" "$@" 2>err && return
    wrong "the run failed: $(cat err)"
}

# resumed RUN ARGUMENT...: goes on and must end with the weights of the run `good`.
resumed() {
    "$p2s" train --quiet --resume "$@" 2>err || wrong "it cannot go on: $(cat err)"
    if cmp "good/checkpoints/latest/$unet" "$1/checkpoints/latest/$unet" &&
        cmp good/checkpoints/latest/optimizer.safetensors \
            "$1/checkpoints/latest/optimizer.safetensors"; then
        echo "    resumed: the same bits"
    else
        wrong "the resumed run has other bits"
    fi
}

sums() {
    find "$1/checkpoints" -type f -exec sha256sum {} + | sort
}

# stopped "WHAT" "WORDS" RUN COMMAND...: refused, and the run's checkpoints are what they were.
stopped() {
    local what=$1 words=$2 run=$3 before
    shift 3
    before=$(sums "$run")
    refused "$what" "$words" "$@"
    [ "$before" = "$(sums "$run")" ] || wrong "the checkpoints have changed"
    [ -f "$run/checkpoints/latest/state.json" ] || wrong "latest is not whole"
}

train model=miniature run=start train.steps=2
cp -rL start/checkpoints/latest model && rm model/optimizer.safetensors model/state.json
train model=model run=good
[ $failed -eq 0 ] || exit 1

echo "--- two processes on one run folder"
"$p2s" train --quiet "$config" "${tiny[@]}" model=model run=long train.steps=100000 \
    train.checkpoint_every=100000 2>/dev/null &
holder=$!
for ((i = 0; i < 300; i++)); do
    [ -f long/metrics.jsonl ] && break
    sleep 0.1
done
refused "second process" "long|in use by process $holder" "$p2s" train --quiet --resume long
kill -9 $holder
wait $holder 2>/dev/null
"$p2s" train --quiet --resume long train.steps=6 2>err || wrong "the lock outlives it: $(cat err)"

echo "--- full disk"
# A limit on the size of a file stands for the disk where nothing may be mounted.
train model=model run=limited train.steps=2
stopped "no room for a checkpoint (limit on file size)" \
    "checkpoint of step 4|optimizer.safetensors|File too large" limited \
    bash -c 'trap "" XFSZ; ulimit -f 10000; exec "$@"' limit "$p2s" train --quiet --resume limited \
    train.steps=6
resumed limited train.steps=6

# on_full_disk: the same on a file system of its own, inside a namespace where it is mounted.
on_full_disk() {
    mount -t tmpfs -o size=60m none disk || return
    train model=model run=disk/run train.steps=2
    head -c "$(($(stat -f -c '%a * %S' disk) - 10000000))" /dev/zero >disk/ballast
    stopped "no room for a checkpoint (disk)" "checkpoint of step 4|No space left" disk/run \
        "$p2s" train --quiet --resume disk/run train.steps=6
    cat /dev/zero >>disk/ballast 2>/dev/null
    stopped "no room for anything (disk)" "No space left" disk/run \
        "$p2s" train --quiet --resume disk/run train.steps=6
    rm disk/ballast
    resumed disk/run train.steps=6
    exit $failed
}
mkdir disk
if unshare -m true 2>/dev/null; then
    space=(unshare -m)
elif unshare -rm true 2>/dev/null; then
    space=(unshare -rm)
else
    space=(false)
fi
if "${space[@]}" mount -t tmpfs -o size=1m none disk 2>/dev/null; then
    cases=$((cases + 2))
    export p2s config folder unet
    "${space[@]}" bash -c "$(declare -p tiny) failed=0 cases=0
$(declare -f wrong refused train resumed sums stopped on_full_disk)
on_full_disk" || wrong "full disk"
else
    echo "SKIP full disk on a file system of its own: it may not be mounted here"
fi

echo "--- numbers that are not finite"
train model=model run=infinite train.steps=2
stopped "loss" "step 4 (|scenes|the loss is inf|forward of coloring_loss" infinite \
    "$p2s" train --quiet --resume infinite train.steps=6 train.first_steps=3 loss.variance=1e300
cp -r model nan
python3 - nan/$unet <<'PYTHON'
import json, struct, sys
data = bytearray(open(sys.argv[1], "rb").read())
size = struct.unpack("<Q", data[:8])[0]
at = json.loads(data[8 : 8 + size])["conv_in.bias"]["data_offsets"][0] + 8 + size
data[at : at + 4] = struct.pack("<f", float("nan"))
open(sys.argv[1], "wb").write(data)
PYTHON
refused "weight that is no number" "step 1 (|the loss is nan|conv_in.bias [48] f32 (1 not finite)" \
    "$p2s" train --quiet "$config" "${tiny[@]}" model=nan random_unet=false run=run-nan

echo "--- damaged images"
"$p2s" prepare scenes own --split shapes --count 12 >/dev/null 2>err || wrong "$(cat err)"
victim=$(find own/images -type f | sort | head -n 1)
truncate -s 200 "$victim"
cases=$((cases + 1))
echo "one of twelve, in ten steps"
train model=model run=one train.steps=10 data.set=folder data.path=own data.split= data.count=0
sed 's/^/    /' err
grep -qF "$(basename "$victim")" err || wrong "the damaged image is not named"
[ "$(readlink one/checkpoints/latest)" = step-10 ] || wrong "the run has not ended well"
find own/images -type f | sort | head -n 9 | while read -r file; do truncate -s 200 "$file"; done
stopped "nine of twelve, until it is too much" "could not be read" one \
    "$p2s" train --quiet --resume one train.steps=40 train.checkpoint_every=100
echo "    ..."
tail -n 1 err | sed 's/^/    /'

echo "--- frozen weights"
cases=$((cases + 1))
ls -i good/checkpoints/latest/$vae model/$vae | awk '{ print $1 }' | uniq | wc -l | grep -qx 1 ||
    wrong "the frozen VAE is no link to the model's"
echo "the frozen VAE of the run is the model's file"
train model=model run=edited train.steps=2
cp --remove-destination model/$vae vae.bak
printf 'x' | dd of=model/$vae bs=1 seek=200000 conv=notrunc 2>/dev/null
stopped "edited since" "$vae|digest" edited "$p2s" train --quiet --resume edited train.steps=6
cp vae.bak model/$vae
resumed edited train.steps=6
if [ "$(stat -c %d "$elsewhere")" != "$(stat -c %d .)" ]; then
    cases=$((cases + 1))
    cp -r model "$elsewhere/model"
    train model="$elsewhere/model" run=copied
    cmp "$elsewhere/model/$vae" copied/checkpoints/latest/$vae || wrong "the copy differs"
    cmp good/checkpoints/latest/$unet copied/checkpoints/latest/$unet || wrong "other bits"
    echo "on another file system the frozen VAE is copied"
else
    echo "SKIP frozen weights on another file system: there is none"
fi

echo "--- TensorBoard"
"$p2s" train --quiet --resume good train.steps=8 train.sample_every=1 || wrong "the run failed"
cases=$((cases + 1))
python3 "$root/scripts/check_tensorboard.py" good || wrong "the event file"

echo "$cases cases, $failed wrong"
[ $failed -eq 0 ]
