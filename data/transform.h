// SPDX-License-Identifier: MIT
// Flips, resizes and crops of a whole sample: image, labels, ignore mask and every instance's mask
// move together. Instances stay in the list with their facts (area stays that of the original),
// even when no pixel of them is left: sample_drop_vanished removes those. After a failure the
// sample is only good for sample_free. Source: method.md 2.8.
#ifndef DATA_TRANSFORM_H
#define DATA_TRANSFORM_H

#include "autograd/rng.h"
#include "data/dataset.h"

// Mirrors left and right, in place.
void sample_flip(Sample *sample);

// Resizes without keeping the aspect: image by Pillow's BILINEAR, all else by its NEAREST.
int sample_resize(Sample *sample, int width, int height);

// Cuts out the rectangle whose upper left pixel is (left, top). Fails when it leaves the sample.
int sample_crop(Sample *sample, int left, int top, int width, int height);

// Cuts out a random rectangle, top drawn before left, both uniform; drawn again while the image in
// it is all black or it has no instance, up to 1000 draws, after which the last is taken. A sample
// smaller than the rectangle is first enlarged to cover it, keeping the aspect.
int sample_crop_random(Sample *sample, int width, int height, Rng *rng);

#endif
