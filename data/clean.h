// SPDX-License-Identifier: MIT
// Which samples of an index training leaves out. Each function gives a reason to those that have
// none yet and returns how many it dropped, -1 on failure.
#ifndef DATA_CLEAN_H
#define DATA_CLEAN_H

#include "data/index.h"

// Samples without an object: no instance at all, or crowds only.
int64_t clean_empty(Index *index);

// Samples that a text file names: a line holds a sample's name or its beginning up to a '/', for
// example "ai_004_009/cam_01"; blank lines and what follows a '#' do not count.
int64_t clean_listed(Index *index, const char *path);

// Hypersim's scenes with fewer objects than `least`: distinct ids in the scene's table
// ROOT/SCENE/_detail/mesh/mesh_objects_sii.hdf5, or, where that is not there, in its frames (the
// entries must be just filled). *by_frames counts the scenes of the second kind. Source:
// datasets.md 3.1.
int64_t clean_scenes(Index *index, const char *root, int64_t least, int64_t *by_frames);

#endif
