// SPDX-License-Identifier: MIT
// Numbers that papers print, to stand beside ours.
#ifndef EVAL_PUBLISHED_H
#define EVAL_PUBLISHED_H

// Markdown for the end of a table: single-point mIoU on COCO's novel categories. Source: gen2seg,
// table 1.
const char *published_coco_novel(void);

#endif
