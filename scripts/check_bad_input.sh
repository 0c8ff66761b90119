#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Gives the program bad input of every kind and shows its messages. Each case must end with an exit
# code of 1 to 123, name what is wrong on stderr, and leave nothing half-written. Exit code 1 when a
# case does not. Half a minute.
#   check_bad_input.sh [p2s=build/release/p2s]
set -uo pipefail
# shellcheck source=scripts/refused.sh
. "$(dirname "$0")/refused.sh"

# damage.py: safetensors files and images with one thing wrong.
cat >damage.py <<'PYTHON'
import json, struct, sys, zlib

def tensors(path):
    data = open(path, "rb").read()
    size = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8 : 8 + size]), data[8 + size :]

def save(path, header, data):
    text = json.dumps(header).encode()
    open(path, "wb").write(struct.pack("<Q", len(text)) + text + data)

def reshape(path, name):
    header, data = tensors(path)
    header[name]["shape"] = [2, header[name]["shape"][0] // 2]
    save(path, header, data)

def drop(path, name):
    header, data = tensors(path)
    start, end = header.pop(name)["data_offsets"]
    for key, row in header.items():
        if key != "__metadata__" and row["data_offsets"][0] >= end:
            row["data_offsets"] = [at - (end - start) for at in row["data_offsets"]]
    save(path, header, data[:start] + data[end:])

def outside(path, name):
    header, data = tensors(path)
    header[name]["data_offsets"] = [at + len(data) for at in header[name]["data_offsets"]]
    save(path, header, data)

def png(path, width, height, channels):
    def chunk(kind, data):
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)
    rows = b"".join(
        b"\0" + bytes(int(x > width // 2) + 40 * c for x in range(int(width)) for c in range(channels))
        for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2 if channels == 3 else 0, 0, 0, 0)
    open(path, "wb").write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) +
                           chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))

words = [int(word) if word.isdigit() else word for word in sys.argv[2:]]
{"reshape": reshape, "drop": drop, "outside": outside, "png": png}[sys.argv[1]](*words)
PYTHON

# A picture of 64 x 48 pixels.
base64 -d >good.jpg <<'BASE64'
/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABsSFBcUERsXFhceHBsgKEIrKCUlKFE6PTBCYFVlZF9VXVtqeJmBanGQc1td
hbWGkJ6jq62rZ4C8ybqmx5moq6T/2wBDARweHigjKE4rK06kbl1upKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSk
pKSkpKSkpKSkpKSkpKSkpKT/wAARCAAwAEADASIAAhEBAxEB/8QAFwABAQEBAAAAAAAAAAAAAAAAAAMCAf/EABoQAQEAAwEB
AAAAAAAAAAAAAAABERJRAkH/xAAZAQEAAwEBAAAAAAAAAAAAAAAAAQIDBAX/xAAaEQEAAwEBAQAAAAAAAAAAAAAAAQIDEQQS
/9oADAMBAAIRAxEAPwCADBQGfdsxhna9R1vTz2vX6hQT2vVBXTKc+dAEsgAGPfxlv3LcYZ1vES9HC9YziJlxVPW8UIZeq0W5
yQBLjAAAAAAAAf/Z
BASE64

# What every training command below has in common.
tiny=(seed=1 threads=2 train.steps=2 train.batch=1 train.checkpoint_every=1 train.keep=5
    train.sample_every=0 data.count=10 data.height=32 data.width=32 data.workers=0)
train() {
    refused "$1" "$2" "$p2s" train --quiet "$configs/gen2seg.yaml" "${tiny[@]}" "${@:3}"
}

"$p2s" train --quiet "$configs/gen2seg.yaml" "${tiny[@]}" model=miniature run=good || {
    echo "check_bad_input: the good run failed" >&2
    exit 1
}
cp -rL good/checkpoints/latest model
rm -r model/optimizer.safetensors model/state.json
unet=unet/diffusion_pytorch_model.safetensors

# A copy of the good model, to be damaged.
copy_model() {
    rm -rf "$1"
    cp -r model "$1"
}

echo "--- weights"
copy_model bad && truncate -s 300000 bad/$unet
train "truncated safetensors" "bad/$unet" model=bad run=run-weights
copy_model bad && truncate -s 5 bad/$unet
train "safetensors without a header" "bad/$unet" model=bad run=run-weights
copy_model bad && python3 damage.py reshape bad/$unet conv_in.bias
train "tensor of another shape" "bad/$unet|conv_in.bias" model=bad run=run-weights
copy_model bad && python3 damage.py drop bad/$unet conv_in.bias
train "missing tensor" "bad/$unet|conv_in.bias" model=bad run=run-weights
copy_model bad && python3 damage.py outside bad/$unet conv_in.bias
train "tensor outside the file" "bad/$unet|conv_in.bias" model=bad run=run-weights
copy_model bad && rm bad/$unet
train "missing weight file" "bad/$unet" model=bad run=run-weights
copy_model bad && rm bad/empty_prompt.safetensors
train "missing empty prompt" "bad/empty_prompt.safetensors" model=bad run=run-weights
copy_model bad && echo '{"in_channels": 4,' >bad/unet/config.json
train "network configuration that is no JSON" "bad/unet/config.json" model=bad run=run-weights
train "no such model" "nowhere" model=nowhere run=run-weights
absent run-weights/checkpoints

echo "--- configuration"
printf 'run: run-config\ntrain:\n  warm_up: 1\n' >unknown.yaml
refused "unknown key" "unknown.yaml:3|train.warm_up|train.warmup" "$p2s" train unknown.yaml
printf 'run: run-config\ntrain:\n  steps: [1\n' >broken.yaml
refused "not YAML" "broken.yaml" "$p2s" train broken.yaml
train "unknown key on the command line" "train.stps|train.steps" model=model run=run-config \
    train.stps=5
train "value out of range" "train.lr|-1" model=model run=run-config train.lr=-1
train "value of another type" "train.steps|many" model=model run=run-config train.steps=many
train "no such choice" "train.schedule|linear" model=model run=run-config train.schedule=linear
train "size that the auto-encoder cannot halve" "data.height" model=model run=run-size \
    data.height=30
refused "no such file" "nowhere.yaml" "$p2s" train nowhere.yaml
absent run-config run-size/checkpoints

echo "--- where nothing can be written"
echo text >file
train "run folder below a file" "file" model=model run=file/run
train "run folder in /proc" "/proc/run" model=model run=/proc/run
train "run folder that holds another run" "good" model=model run=good

echo "--- images and prompts"
# predict "WHAT" "WORDS" ARGUMENT...: besides refusing, it writes no picture.
predict() {
    refused "$1" "$2" "$p2s" predict --model model --out mask.png --overlay overlay.png "${@:3}"
    absent mask.png overlay.png
}
head -c 300 good.jpg >cut.jpg
predict "truncated JPEG" "cut.jpg" --image cut.jpg --point 5,5
: >empty.jpg
predict "empty JPEG" "empty.jpg" --image empty.jpg --point 5,5
python3 damage.py png good.png 40 30 3
head -c 80 good.png >cut.png
predict "truncated PNG" "cut.png" --image cut.png --point 5,5
cp good.png bits.png && printf '\125' | dd of=bits.png bs=1 seek=50 conv=notrunc 2>/dev/null
predict "PNG with a changed byte" "bits.png" --image bits.png --point 5,5
echo "this is text" >text.png
predict "text in place of an image" "text.png" --image text.png --point 5,5
predict "no such image" "nowhere.png" --image nowhere.png --point 5,5
predict "point right of the image" "40,5|40" --image good.png --point 40,5
predict "point above the image" "5,-1|30" --image good.png --point 5,-1
predict "point that is no point" "5;5" --image good.png --point "5;5"
predict "two pictures in one file" "mask.png|--features" --image good.png --point 5,5 \
    --features ./mask.png
predict "a model without a branch asked for it" "model" --image good.png --point 5,5 \
    --prompting branch
refused "mask below a file" "file/mask.png" "$p2s" predict --model model --image good.png \
    --point 5,5 --out file/mask.png

echo "--- data sets"
scene=hypersim/ai_001_001/images
preview=$scene/scene_cam_00_final_preview array=$scene/scene_cam_00_geometry_hdf5
array=$array/frame.0000.semantic_instance.hdf5
mkdir -p "$preview" "${array%/*}"
cp good.jpg $preview/frame.0000.color.jpg
prepare() { refused "$1" "$2" "$p2s" prepare --quiet "${@:3}" --out index.json; }
printf '\211HDF\r\n\032\n%0100d' 0 >$array
prepare "corrupt HDF5" "$array" hypersim hypersim
sample=$data/Hypersim/${array#hypersim/}
if [ -f "$sample" ]; then
    head -c 5000 "$sample" >$array
    prepare "truncated HDF5" "$array" hypersim hypersim
    cp "$sample" $array
    prepare "HDF5 of another size than its image" "$array|64" hypersim hypersim
else
    echo "SKIP truncated HDF5 and HDF5 of another size: no sample data at $sample"
fi
mkdir -p own/images own/labels
cp good.png own/images/one.png
python3 damage.py png own/labels/one.png 40 29 1
prepare "label of another size" "own/labels/one.png|40|29" folder own
python3 damage.py png whole.png 40 30 1
head -c 60 whole.png >own/labels/one.png
prepare "truncated label" "own/labels/one.png" folder own
train "nothing but damaged samples" "own/labels/one.png" model=model run=run-data data.set=folder \
    data.path=own data.split= data.count=0
absent run-data/checkpoints
mkdir -p coco/annotations coco/val2017
instances=coco/annotations/instances_val2017.json
echo '{"images": [{"id": 1' >$instances
prepare "COCO file that is no JSON" "$instances" coco coco
cp good.jpg coco/val2017/one.jpg
image='{"id": 1, "file_name": "one.jpg", "width": 64, "height": 48}'
object='{"id": 7, "image_id": 1, "category_id": 1, "area": 4, "iscrowd": 0, "segmentation":'
printf '{"images": [%s], "annotations": [%s [[1, 1, 9, 1, 5]]}], "categories": [{"id": 1, "name": "a"}]}' \
    "$image" "$object" >$instances
prepare "polygon with half a point" "$instances|7" coco coco
printf '{"images": [%s], "annotations": [%s {"counts": [9, 9999], "size": [48, 64]}}], "categories": [{"id": 1, "name": "a"}]}' \
    "$image" "$object" >$instances
prepare "run lengths longer than the image" "$instances|7" coco coco
train "unknown data set" "imagenet|hypersim" model=model run=run-data data.set=imagenet
train "unknown split" "nothing|train" model=model run=run-data data.split=nothing
train "mistyped key of a mixed set" "scenes:wieght=2|weight" model=model run=run-data \
    data.sets=scenes:wieght=2
train "mixed set without a batch" "scenes|weight" model=model run=run-data data.set=scenes \
    data.split= data.sets=scenes:count=200,scenes:split=val:count=1:weight=100
train "index that is required" "own/index.json|p2s prepare folder own" model=model run=run-data \
    data.set=folder data.path=own data.split= data.index=required
echo '{"type": "folder"' >own/index.json
train "index that is cut short" "own/index.json" model=model run=run-data data.set=folder \
    data.path=own data.split=
rm own/index.json

echo "--- evaluation"
# evaluate "WHAT" "WORDS" key=value...: besides refusing, it writes no results.
printf 'out: scores\nsets: [scenes:split=val:size=32]\nlimit: {images: 1}\n' >eval.yaml
evaluate() {
    refused "$1" "$2" "$p2s" eval eval.yaml --quiet "${@:3}"
    absent scores
}
evaluate "model that is not there" "nowhere" model=nowhere
evaluate "unknown system" "disk" model=model systems=disk
evaluate "unknown set" "imagenet" model=model sets=imagenet:path=.
evaluate "unknown key of a set" "splt" model=model sets=scenes:splt=val
evaluate "damaged sample" "own/labels/one.png" model=model sets=folder:path=own systems=disc
evaluate "folder of masks that is not there" "nowhere" model= systems=masks:other=nowhere
refused "results below a file" "file" "$p2s" eval eval.yaml --quiet model= systems=disc out=file/scores

echo "--- checkpoints"
good=$(find good -type f -exec sha256sum {} + | sort | sha256sum)
# damaged_run: a copy of the good run, to be damaged; `at` is its newest checkpoint.
damaged_run() {
    rm -rf resumed
    cp -r good resumed
    at=resumed/checkpoints/step-2
}
# A refused resume leaves the run as it was found.
resume() {
    local before after
    before=$(find resumed/checkpoints -type f -exec sha256sum {} + | sort)
    refused "$1" "$2" "$p2s" train --quiet --resume resumed "${@:3}"
    after=$(find resumed/checkpoints -type f -exec sha256sum {} + | sort)
    [ "$before" = "$after" ] || wrong "the checkpoints have changed"
}
damaged_run && echo '{"step": 2' >$at/state.json
resume "state that is no JSON" "state.json" train.steps=3
damaged_run && echo '{"step": "two", "task": "gen2seg", "seed": 1, "threads": 2}' >$at/state.json
resume "state without a step" "state.json|step" train.steps=3
damaged_run && rm $at/state.json
resume "missing state" "state.json" train.steps=3
damaged_run && truncate -s 100000 $at/optimizer.safetensors
resume "truncated optimizer" "optimizer.safetensors" train.steps=3
damaged_run && python3 damage.py drop $at/optimizer.safetensors m.unet.conv_in.bias
resume "optimizer without a tensor" "optimizer.safetensors|unet.conv_in.bias" train.steps=3
damaged_run
resume "another seed" "seed" train.steps=3 seed=2
resume "another number of threads" "threads" train.steps=3 threads=1
"$p2s" train --quiet --resume resumed train.steps=3 || wrong "a refused resume has changed the run"
refused "no such run" "nowhere" "$p2s" train --resume nowhere
[ "$good" = "$(find good -type f -exec sha256sum {} + | sort | sha256sum)" ] ||
    wrong "the good run has changed"

echo "$cases cases, $failed wrong"
[ $failed -eq 0 ]
