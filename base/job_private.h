// SPDX-License-Identifier: MIT
// What job.c asks of MPI. job_mpi.c answers, or job_alone.c in a build without. What goes wrong in
// there ends the job.
#ifndef BASE_JOB_PRIVATE_H
#define BASE_JOB_PRIVATE_H

#include <stddef.h>

typedef struct {
    int rank, size, local_rank, local_size;
} JobPlace;

int job_mpi_begin(JobPlace *place); // -1 and an error: built without
void job_mpi_end(void);
void job_mpi_abort(void);
void job_mpi_share(void *bytes, size_t size, int from);
// all[r] = mine of rank r, each of `size` bytes.
void job_mpi_gather(const void *mine, void *all, size_t size);
// taken[r] = given[this rank] of rank r, each of `size` bytes.
void job_mpi_exchange(const void *given, void *taken, size_t size);

#endif
