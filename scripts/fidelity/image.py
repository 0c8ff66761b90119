# SPDX-License-Identifier: MIT
"""Image handling: Pillow's resizes and decoders, OpenCV's filter, COCO's masks, HDF5 and MATLAB files, where to click.

Where real files are wanted they are those of $P2S_DATA (default ../shared/data); without them the rows that read files
say so and compare files that they make themselves.
"""
import contextlib
import itertools
import json
import os
from pathlib import Path

import cv2
import h5py
import numpy as np
import scipy.io
import scipy.ndimage
import torch
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from text import pack, unpack
from trial import component, small

DATA = Path(os.environ.get("P2S_DATA", Path(__file__).parents[2] / "../shared/data")).resolve()
POLYGONS = small(20000, 200)


def real(trial, pattern):
    """Real files, sorted; none, aloud, without the data."""
    found = sorted(DATA.glob(pattern))
    if not found:
        trial.shapes.append(f"SKIPPED {pattern}: {DATA} has none")
    return found


def read(trial, kind, paths, **keys):
    """What `p2s run read.KIND` makes of files: name -> list of arrays, one for each path."""
    answer, lists = trial.run("read." + kind, pack([trial.attach(path) for path in paths]), **keys) if paths else {}, {}
    for name in {key.split(".")[0] for key in answer}:
        lists[name] = [answer[f"{name}.{i}"] for i in range(len(paths))]
    return lists


def sides(trial, most, least=1):
    return (int(n) for n in trial.integers(least, small(most, 24), 2))


def picture(trial, height, width, channels=3):
    """Smooth areas, sharp edges and noise."""
    y, x = np.mgrid[:height, :width]
    waves = sum(np.sin(x / trial.rng.uniform(2, 40) + y / trial.rng.uniform(2, 40))[..., None] * trial.rng.uniform(-60, 60, channels)
                for _ in range(4))
    blocks = trial.rng.integers(0, 256, (height // 9 + 1, width // 9 + 1, channels)).repeat(9, 0).repeat(9, 1)[:height, :width]
    noise = trial.rng.integers(-20, 21, (height, width, channels))
    mixed = np.where(trial.rng.random((height, width, 1)) < 0.05, trial.rng.integers(0, 256, (height, width, channels)),
                     128 + waves + (blocks - 128) * 0.5 + noise)
    return np.clip(mixed, 0, 255).astype(np.uint8)


def blobs(trial, height, width, level=0.5):
    """A mask of several parts with holes, from smoothed noise."""
    field = cv2.GaussianBlur(trial.rng.random((height, width)).astype(np.float32), (0, 0), trial.rng.uniform(0.8, 4))
    return (field > np.quantile(field, level)).astype(np.uint8)


# ---- resizing -----------------------------------------------------------------------------------

FILTERS = {"nearest": Image.NEAREST, "bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC, "lanczos": Image.LANCZOS}
SIZES = small([(1024, 768, 640, 480), (768, 576, 480, 360), (640, 480, 768, 576), (1242, 375, 1024, 368), (7, 5, 4, 3), (7, 5, 9, 8),
         (1, 1, 5, 7), (5, 7, 1, 1), (33, 47, 33, 20), (33, 47, 50, 47), (97, 61, 224, 224), (500, 375, 224, 224), (3, 400, 2, 17)], [(33, 47, 20, 31)])


def sizes(trial, count, most):
    return SIZES + [tuple(int(n) for n in trial.rng.integers(1, most, 4)) for _ in range(count)]


@component("resize", once=True)
def resize(trial):
    for name, kind in FILTERS.items():
        for i, (w, h, width, height) in enumerate(sizes(trial, 6, 260)):
            image = picture(trial, h, w, 1 if i % 4 == 3 else 3)
            theirs = np.asarray(Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image).resize((width, height), kind))
            ours = trial.run("resize", {"image": image}, filter=name, width=width, height=height)["resized"]
            trial.exact(f"{name} {w}x{h} to {width}x{height}", theirs.reshape(ours.shape), ours)
    trial.shapes.append(f"4 filters x {len(SIZES) + 6} sizes, RGB and grey, against Pillow {Image.__version__}")


@component("resize.float", once=True)
def resize_float(trial):
    for w, h, width, height in sizes(trial, 12, 300):
        image = trial.uniform(-1, 1, 1, 3, h, w)
        theirs = torch.nn.functional.interpolate(torch.from_numpy(image), (height, width), mode="bilinear", antialias=True)
        ours = trial.run("resize.float", {"image": image}, width=width, height=height)["resized"]
        trial.within(f"{w}x{h} to {width}x{height}", theirs.numpy(), ours, 1e-6)
    trial.shapes.append(f"{len(SIZES) + 12} sizes, values -1..1")


# ---- decoders -----------------------------------------------------------------------------------

@component("read.jpeg", once=True)
def read_jpeg(trial):
    files, made = real(trial, "**/*.jpg"), []
    for quality in small((30, 75, 95), (75,)):
        for subsampling in (0, 1, 2):
            for progressive in (False, True):
                for mode in ("RGB", "L"):
                    made.append(trial.path(f"{len(made)}.jpg"))
                    h, w = sides(trial, 90)
                    Image.fromarray(picture(trial, h, w)).convert(mode).save(
                        made[-1], quality=quality, subsampling=subsampling, progressive=progressive)
    for path, ours in zip(files + made, read(trial, "image", files + made)["image"]):
        trial.exact(Path(path).name, np.asarray(Image.open(path).convert("RGB")), ours)
    trial.shapes.append(f"{len(files)} real files, {len(made)} made ones (4:4:4, 4:2:2, 4:2:0, grey, progressive)")


def write_labels(trial, path, bits, palette):
    h, w = sides(trial, 70)
    labels = trial.rng.integers(0, 1 << bits, (h, w))
    if bits == 16:
        Image.fromarray(labels.astype(np.uint16)).save(path)
    elif palette:
        image = Image.fromarray(labels.astype(np.uint8), "P")
        image.putpalette(trial.rng.integers(0, 256, 3 << bits).astype(np.uint8).tobytes())
        image.save(path, bits=bits)
    else:
        Image.fromarray(labels.astype(np.uint8), "L").save(path)
    return labels


@component("read.png", once=True)
def read_png(trial):
    files = real(trial, "**/*.png")
    for path, ours in zip(files, read(trial, "image", files).get("image", [])):
        trial.exact(path.name, np.asarray(Image.open(path).convert("RGB")), ours)
    maps = {path: np.asarray(Image.open(path)) for path in files if Image.open(path).mode in ("P", "L")}
    for bits in (1, 2, 4, 8):
        path = trial.path(f"palette-{bits}.png")
        maps[path] = write_labels(trial, path, bits, True)
    for bits in (8, 16):
        path = trial.path(f"grey-{bits}.png")
        maps[path] = write_labels(trial, path, bits, False)
    for path, ours in zip(maps, read(trial, "labels", list(maps))["labels"]):
        trial.exact(f"{Path(path).name} labels", maps[path], ours)
    trial.shapes.append(f"{len(files)} real files, {len(maps)} label maps, 6 of them made here (1 to 16 bits)")


@component("read.hdf5", once=True)
def read_hdf5(trial):
    arrays = {}
    for path in real(trial, "Hypersim/*/images/**/*.hdf5") + real(trial, "Hypersim/*/_detail/**/*.hdf5"):
        with h5py.File(path) as file:
            if "dataset" in file and file["dataset"].ndim == 2:
                arrays[path] = file["dataset"][()]
    files = len(arrays)
    for dtype in small(("i1", "i2", "i4", "f2", "f4", "f8"), ("i2", "f2", "f4")):
        for options in ({}, dict(chunks=(5, 7)), dict(chunks=(8, 8), compression="gzip", shuffle=True)):
            path = trial.path(f"{len(arrays)}.hdf5")
            arrays[path] = (trial.rng.normal(size=(23, 31)) * 30).astype(dtype)
            with h5py.File(path, "w") as file:
                file.create_dataset("dataset", data=arrays[path], **options)
    for path, ours in zip(arrays, read(trial, "hdf5", list(arrays))["values"]):
        trial.exact(Path(path).name, arrays[path].astype(np.float64), ours)
    trial.shapes.append(f"{files} real files, {len(arrays) - files} made ones")


def write_mat(path, values, packed):
    """Without the time, so that files of equal values are equal."""
    scipy.io.savemat(path, values, do_compression=packed)
    with open(path, "r+b") as file:
        file.write(b"MATLAB 5.0 MAT-file".ljust(116))


def write_truth(trial, path, annotators, height, width):
    cells = np.empty((1, annotators), object)
    for i in range(annotators):
        segments = trial.rng.integers(1, 200, (height, width)).astype(np.uint16)
        cells[0, i] = np.array([[(segments, trial.rng.random((height, width)) < 0.1)]],
                               [("Segmentation", object), ("Boundaries", object)])
    write_mat(path, {"groundTruth": cells}, annotators % 2 == 0)


@component("read.bsds500", once=True)
def read_bsds500(trial):
    files = real(trial, "BSDS500/data/groundTruth/*/*.mat")
    made = [trial.path(f"made-{n}.mat") for n in range(1, 7)]
    for n, path in enumerate(made, 1):
        write_truth(trial, path, n, *sides(trial, 60))
    ours = read(trial, "bsds500", files + made)
    for i, path in enumerate(files + made):
        cells = scipy.io.loadmat(path)["groundTruth"][0]
        for name, key in (("Segmentation", "segments"), ("Boundaries", "edges")):
            trial.exact(f"{Path(path).name} {name}", np.stack([cell[name][0, 0] for cell in cells]), ours[key][i])
    trial.shapes.append(f"{len(files)} real files, {len(made)} made ones")


# ---- masks --------------------------------------------------------------------------------------

def strings(answer):
    return [bytes(s) for s in unpack(answer["strings"], answer["string_ends"])]


@component("rle", once=True)
def rle(trial):
    count = 0
    for _ in range(20):
        height, width = sides(trial, 90)
        masks = np.stack([blobs(trial, height, width, level) for level in (0.1, 0.3, 0.5, 0.9)]
                         + [trial.rng.integers(0, 2, (height, width), np.uint8), np.zeros((height, width), np.uint8),
                            np.ones((height, width), np.uint8)])
        ours = trial.run("rle", {"masks": masks})
        theirs = [coco_mask.encode(np.asfortranarray(m))["counts"] for m in masks]
        trial.exact("strings that differ", np.zeros(len(masks)), np.array([a != b for a, b in zip(theirs, strings(ours))]))
        trial.exact("painted", masks, ours["painted"])
        count += len(masks)
    trial.shapes.append(f"{count} masks, there and back")


@component("rle.counts", once=True)
def rle_counts(trial):
    objects, files = [], real(trial, "COCO/annotations/instances_*.json")
    for path in files:
        objects += [a["segmentation"] for a in json.loads(path.read_text())["annotations"] if isinstance(a["segmentation"], dict)]
    real_ones = len(objects)
    for i in range(small(200, 20)):
        height, width = sides(trial, 90)
        pixels = blobs(trial, height, width).ravel("F")
        counts = [0] * int(pixels[0]) + [len(list(run)) for _, run in itertools.groupby(pixels)]
        if i % 3 == 0:
            counts[-1:] = [counts[-1] - 1, 0, 1]  # nothing forbids it
        objects.append({"counts": counts, "size": [height, width]})
    given = {"counts": np.concatenate([o["counts"] for o in objects]).astype(np.int32),
             "count_ends": np.cumsum([len(o["counts"]) for o in objects]).astype(np.int32),
             "sizes": np.array([o["size"] for o in objects], np.int32)}
    ours = strings(trial.run("rle.counts", given))
    theirs = [coco_mask.frPyObjects(o, *o["size"])["counts"] for o in objects]
    trial.exact("strings that differ", np.zeros(len(theirs)), np.array([a != b for a, b in zip(theirs, ours)]))
    trial.shapes.append(f"{real_ones} real annotations, {len(objects) - real_ones} masks")


def compare_polygons(trial, what, objects, sizes):
    """objects: lists of rings, each a flat list of coordinates."""
    rings = [ring for rings in objects for ring in rings]
    given = {"xy": np.concatenate([np.reshape(ring, (-1, 2)) for ring in rings]).astype(np.float64),
             "ring_ends": np.cumsum([len(ring) // 2 for ring in rings]).astype(np.int32),
             "object_ends": np.cumsum([len(rings) for rings in objects]).astype(np.int32),
             "sizes": np.array(sizes, np.int32)}
    ours = strings(trial.run("polygon", given))
    theirs = [coco_mask.merge(coco_mask.frPyObjects([list(map(float, ring)) for ring in rings], h, w))["counts"]
              for rings, (h, w) in zip(objects, sizes)]
    trial.exact(what, np.zeros(len(theirs)), np.array([a != b for a, b in zip(theirs, ours)]))


@component("polygon", once=True)
def polygon(trial):
    count = 0
    for path in real(trial, "COCO/annotations/instances_*.json"):
        coco = json.loads(path.read_text())
        images = {image["id"]: (image["height"], image["width"]) for image in coco["images"]}
        chosen = [a for a in coco["annotations"] if isinstance(a["segmentation"], list)]
        compare_polygons(trial, path.name, [a["segmentation"] for a in chosen], [images[a["image_id"]] for a in chosen])
        count += len(chosen)
    objects, sizes = [], []
    for i in range(POLYGONS):
        height, width = sides(trial, 80)
        points = int(trial.integers(3, 12, 1)[0])
        xy = trial.rng.uniform(-0.3, 1.3, (points, 2)) * (width, height)
        if i % 3 == 0:
            xy = np.round(xy)  # many on one pixel, many exactly between two
        if i % 5 == 0:
            xy = np.round(2 * xy) / 2
        if i % 7 == 0:
            xy[points // 2] = xy[0]
        objects.append([xy.ravel().tolist()])
        sizes.append((height, width))
    compare_polygons(trial, "random", objects, sizes)
    trial.shapes.append(f"{count} real annotations, {POLYGONS} random ones")


@component("export.coco", once=True)
def export_coco(trial):
    for split in ("shapes", "wires"):
        folder = trial.path(split)
        trial.command("prepare", "scenes", folder, "--split", split, "--count", 12, "--quiet")
        with contextlib.redirect_stdout(None):  # it prints as it reads
            coco = COCO(os.path.join(folder, "annotations", "instances.json"))
        annotations, images = coco.loadAnns(coco.getAnnIds()), coco.loadImgs(coco.getImgIds())
        masks = [coco.annToMask(a) for a in annotations]
        trial.exact("areas", np.array([m.sum() for m in masks]), np.array([a["area"] for a in annotations]))
        trial.exact("boxes", np.array([coco_mask.toBbox(coco.annToRLE(a)) for a in annotations]),
                    np.array([a["bbox"] for a in annotations], np.float64))
        for image in images:
            stem = Path(image["file_name"]).stem
            labels = np.asarray(Image.open(os.path.join(folder, "labels", stem + ".png")))
            trial.exact("size", np.array([image["height"], image["width"]]), np.array(labels.shape))
            own = [m for a, m in zip(annotations, masks) if a["image_id"] == image["id"]]
            trial.exact("instances", len(np.unique(labels[labels > 0])), len(own))
            theirs = sorted(np.flatnonzero(labels == i).tobytes() for i in np.unique(labels[labels > 0]))
            trial.true(f"{split} {stem}: masks are not the labels'", theirs == sorted(np.flatnonzero(m).tobytes() for m in own))
        trial.shapes.append(f"{split}: {len(images)} images, {len(annotations)} instances")


# ---- prompting ----------------------------------------------------------------------------------

def bilateral(source, guide):
    return cv2.ximgproc.jointBilateralFilter(np.ascontiguousarray(guide), source, 9, 75, 75, borderType=cv2.BORDER_REFLECT_101)


@component("joint_bilateral", once=True)
def joint_bilateral(trial):
    pixels = 0
    for h, w in small([(1, 1), (1, 9), (5, 2), (6, 7), (37, 53), (1000, 1500)] + [sides(trial, 150, 2) for _ in range(14)], [(37, 53)]):
        guide, source = picture(trial, h, w), picture(trial, h, w, 1)[..., 0]
        if h == 1000:  # in float32 one value of 65,000 above 128 lies exactly between two integers
            source |= 128
        trial.exact(f"{h}x{w}", bilateral(source, guide), trial.run("joint_bilateral", {"guide": guide, "source": source})["filtered"])
        pixels += h * w
    trial.shapes.append(f"20 images, {pixels} pixels, against OpenCV {cv2.__version__}")


def query(features, points, sigma):
    """gen2seg's, in float64; of several points the larger weight at each pixel."""
    h, w, _ = features.shape
    y, x = np.mgrid[:h, :w]
    g = np.zeros((h, w))
    for px, py in points:
        g = np.maximum(g, np.exp(-(((x - px) / max(w - 1, 1)) ** 2 + ((y - py) / max(h - 1, 1)) ** 2) / (2 * sigma ** 2)))
    g = np.round(g * 2 ** 25) / 2 ** 25
    return (g[..., None] * features).sum((0, 1)) / (g.sum() + 1e-6)


def points_in(trial, count, width, height):
    return np.stack([trial.integers(0, width - 1, count), trial.integers(0, height - 1, count)], 1).astype(np.int32)


@component("gaussian_query", once=True)
def gaussian_query(trial):
    for h, w, count, sigma in small([], [(21, 33, 3, 0.05)]) or [(48, 64, 1, 0.01), (48, 64, 1, 0.1), (480, 640, 1, 0.01), (33, 77, 4, 0.03), (1, 9, 1, 0.05), (40, 40, 9, 0.5)]:
        features, points = picture(trial, h, w), points_in(trial, count, w, h)
        ours = trial.run("gaussian_query", {"features": features, "points": points}, sigma=sigma)["query"]
        trial.forward(f"{h}x{w} sigma {sigma}", query(features.astype(np.float64), points, sigma), ours)
    trial.shapes.append("6 images, 1 to 9 points")


def filtered(features, point, sigma, form):
    """The released script in float32: query, similarity, its range to 8 bits, the filter."""
    q = torch.from_numpy(query(features.astype(np.float64), [point], sigma)).float()
    d = torch.linalg.norm(torch.from_numpy(features).float() - q, dim=-1)
    s = torch.clamp(1 / d, max=1) if form == "paper" else 1 / (d + 1e-6)
    s = (s - s.min()) / (s.max() - s.min() + 1e-6)
    source = torch.clamp(s * 255, 0, 255).numpy().astype(np.uint8)
    return bilateral(source, features[..., ::-1])


@component("point_mask", once=True)
def point_mask(trial):
    off = total = 0
    for i in range(12):
        h, w = sides(trial, 160, 20)
        features, points = picture(trial, h, w), points_in(trial, 1 + i % 3, w, h)
        form, sigma = ("paper", "code")[i % 2], (0.01, 0.05)[i // 2 % 2]
        theirs = np.maximum.reduce([filtered(features, point, sigma, form) for point in points])
        ours = trial.run("point_mask", {"features": features, "points": points}, sigma=sigma, similarity=form)
        off += int((theirs != ours["map"]).sum())
        total += h * w
        trial.true(f"a map value is off by {int(np.abs(theirs.astype(int) - ours['map']).max())}",
                   np.abs(theirs.astype(int) - ours["map"]).max() <= 1)
        trial.exact("mask of its map", ours["map"] > 3, ours["mask"])
        trial.true("masks differ", ((theirs > 3) != ours["mask"]).mean() <= 1e-3)
    trial.true(f"{off} of {total} map values differ", off <= total * 1e-3)
    trial.shapes.append(f"12 images, 1 to 3 points; {off} of {total} filtered values differ (by 1, at truncation)")


@component("components", once=True)
def components(trial):
    for _ in range(12):
        h, w = sides(trial, 120)
        masks = np.stack([blobs(trial, h, w), trial.rng.integers(0, 2, (h, w), np.uint8), (trial.rng.random((h, w)) < 0.3) * np.uint8(7)])
        ours = trial.run("components", {"masks": masks})["labels"]
        trial.exact(f"{h}x{w}", np.stack([scipy.ndimage.label(m, np.ones((3, 3)))[0] for m in masks]), ours)
    trial.shapes.append("36 masks against scipy.ndimage.label")


def squared_distance(mask):
    padded = np.pad(mask, 1)
    return np.round(scipy.ndimage.distance_transform_edt(padded)[1:-1, 1:-1] ** 2).astype(np.int32) * (mask > 0)


@component("distance", once=True)
def distance(trial):
    for _ in range(12):
        h, w = sides(trial, 120)
        masks = np.stack([blobs(trial, h, w, level) for level in (0.05, 0.3, 0.6)] + [np.ones((h, w), np.uint8)])
        trial.exact(f"{h}x{w}", np.stack([squared_distance(m) for m in masks]), trial.run("distance", {"masks": masks})["squared"])
    trial.shapes.append("48 masks against scipy.ndimage.distance_transform_edt")


def next_point_of(truth, prediction):
    missed = (truth > 0) & (prediction == 0)
    labels, count = scipy.ndimage.label(missed, np.ones((3, 3)))
    if count == 0:
        return -1, -1
    largest = 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    inside = squared_distance((labels == largest).astype(np.uint8))
    y, x = np.unravel_index(int(np.argmax(inside)), inside.shape)
    return x, y


@component("next_point", once=True)
def next_point(trial):
    for _ in range(12):
        h, w = sides(trial, 120)
        truth = np.stack([blobs(trial, h, w, level) for level in (0.2, 0.5, 0.8, 0.9) for _ in range(4)])
        prediction = np.stack([blobs(trial, h, w, 0.6) * (i % 4 != 0) for i in range(15)] + [truth[15]]).astype(np.uint8)
        ours = trial.run("next_point", {"truth": truth, "prediction": prediction})["points"]
        trial.exact(f"{h}x{w}", np.array([next_point_of(t, p) for t, p in zip(truth, prediction)]), ours)
    trial.shapes.append("192 pairs of masks")


@component("edges", once=True)
def edges(trial):
    for i in range(16):
        h, w = sides(trial, 160)
        image = picture(trial, h, w, 1 if i % 4 == 3 else 3)
        if i % 3 == 0:
            image = (image // 64) * 64  # equal gradients side by side
        ours = trial.run("edges", {"image": image})["strength"]
        trial.exact(f"where, {h}x{w}", cv2.Canny(image, 0, 0, apertureSize=3, L2gradient=True) > 0, ours > 0)
        dx, dy = (cv2.Sobel(image, cv2.CV_64F, x, 1 - x, ksize=3, borderType=cv2.BORDER_REPLICATE).reshape(h, w, -1) for x in (1, 0))
        length = np.sqrt(dx ** 2 + dy ** 2).max(2)
        theirs = np.where(ours > 0, length / max(length.max(), 1), 0).astype(np.float32)
        trial.true(f"strength, {h}x{w}", np.abs(theirs - ours).max() <= 1e-6)
    trial.shapes.append("16 images against cv2.Canny and cv2.Sobel")
