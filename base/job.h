// SPDX-License-Identifier: MIT
// The processes that work together on one thing: started by MPI or Slurm, one per device, each with
// its rank. A program without a launcher is a job of one, and needs no MPI.
//
// Functions below job_end are for all processes of a job at once, in the same order everywhere, on
// one thread; in a job of one they do nothing but what they say. What MPI itself finds wrong ends
// the whole job with its message.
#ifndef BASE_JOB_H
#define BASE_JOB_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

// How many processes the launcher has started, by the environment that it has made: Open MPI,
// MPICH and its kin, Slurm's srun. 1 without a launcher; 0: one that says no number.
int job_launched(void);

// Joins the others, if there are any. An error when there are and the program was built without
// MPI.
int job_begin(void);
// Ends this process' part. With good = false after an error that the others do not know of (from
// job_agree) it ends all of them, and does not return.
void job_end(bool good);

int job_rank(void); // 0 .. size - 1; 0 does what is done once
int job_size(void);
int job_local_rank(void); // the same among the processes of this machine
int job_local_size(void);

// -1 when one of the results is below 0, and then the message of the lowest such rank is rank 0's
// error; the other ranks' are taken away. Else this process' own result.
int job_agree(int result);

// All bits that are set somewhere.
unsigned job_any(unsigned flags);

// Gives every process the bytes of rank 0.
void job_share(void *bytes, size_t size);

// Agrees on an error that names both texts unless all processes have the same text here.
int job_same(const char *what, const char *text);

// Replaces each number by its sum over the processes. The bits are the same in all, and in every
// run: sums are taken in double, in the order of the ranks.
void job_total(double *numbers, size_t count);

// The same for lists of floats of the same lengths, each rounded once, through parts of 4 MB.
typedef struct {
    float *values;
    size_t count;
} JobSpan;
void job_sum(const JobSpan *spans, size_t count);

#ifdef __cplusplus
}
#endif
#endif
