// SPDX-License-Identifier: MIT
// Published numbers. See published.h.
#include "eval/published.h"

const char *published_coco_novel(void) {
    return "\nPublished, not ours (gen2seg, table 1: all of COCO val2017's novel categories, one "
           "central point), mIoU by size as above:\n\n"
           "| system | COCO novel |\n|---|---|\n"
           "| SAM (ViT-H) | 0.570 / 0.595 / 0.569 |\n"
           "| SimpleClick | 0.014 / 0.006 / 0.002 |\n"
           "| DINO-B + VAE | 0.350 / 0.110 / 0.017 |\n"
           "| gen2seg, MAE-B | 0.446 / 0.178 / 0.029 |\n"
           "| gen2seg, MAE-H | 0.500 / 0.232 / 0.035 |\n"
           "| gen2seg, Stable Diffusion 2 | 0.576 / 0.388 / 0.085 |\n";
}
