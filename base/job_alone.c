// SPDX-License-Identifier: MIT
// Stands for job_mpi.c in a build without MPI: no job of several processes begins.
#include "base/job_private.h"

#include "base/error.h"
#include "base/job.h"

int job_mpi_begin(JobPlace *place) {
    (void)place;
    if (job_launched() == 0)
        return error_int("started by a launcher, but this program was built without MPI");
    return error_int("started as one of %d processes, but this program was built without MPI",
                     job_launched());
}

void job_mpi_end(void) {}

void job_mpi_abort(void) {}

void job_mpi_share(void *bytes, size_t size, int from) {
    (void)bytes, (void)size, (void)from;
}

void job_mpi_gather(const void *mine, void *all, size_t size) {
    (void)mine, (void)all, (void)size;
}

void job_mpi_exchange(const void *given, void *taken, size_t size) {
    (void)given, (void)taken, (void)size;
}
