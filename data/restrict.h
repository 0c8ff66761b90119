// SPDX-License-Identifier: MIT
// Training on a few classes only.
#ifndef DATA_RESTRICT_H
#define DATA_RESTRICT_H

#include "data/dataset.h"

// Leaves the sample the instances whose category is among `classes`. All pixels in the bounding box
// of another instance, unknown ones too, are ignored; where these are more than 35 % of the image
// the sample keeps no instance at all, so that it is not used. Instances must not carry masks of
// their own. Source: method.md 2.8, datasets.md 3.1.
int sample_restrict(Sample *sample, const int *classes, int count);

#endif
