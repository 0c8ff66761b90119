// SPDX-License-Identifier: MIT
// Any data set as plain files, so that other programs can be trained and scored on it.
#ifndef DATA_EXPORT_H
#define DATA_EXPORT_H

#include "data/dataset.h"

// Writes the whole set under `folder`, which must be new or empty and appears as a whole:
//   images/NNNNNN.png                 RGB
//   labels/NNNNNN.png                 grey, 8 or 16 bit: instance ids, 0 background
//   annotations/instances.json        COCO: compressed run lengths, pixel areas, boxes in pixels
// NNNNNN is the index in the set, which is also the image's id. category_id is the instance's
// category + 1; 0 stands for instances without one and for ignored pixels, which are written as
// one crowd annotation per image. Returns 0, or -1 and an error that names the sample.
int dataset_export(const Dataset *set, const char *folder);

#endif
