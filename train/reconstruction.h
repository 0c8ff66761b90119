// SPDX-License-Identifier: MIT
// How well an auto-encoder gives images back: the score of its training.
#ifndef TRAIN_RECONSTRUCTION_H
#define TRAIN_RECONSTRUCTION_H

#include "eval/benchmark.h"
#include "nn/vae.h"
#include "train/config.h"

// Peak signal-to-noise ratio in dB of decoded means, 10 log10(4 / mean squared error) of values in
// -1..1, over validate.images images (0: all) of the set, at the size of the training's, in batches
// of train.batch of which the last is full. Records nothing.
int reconstruction_psnr(Vae *vae, const Benchmark *set, const TrainConfig *config, double *psnr);

#endif
