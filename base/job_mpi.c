// SPDX-License-Identifier: MIT
// MPI's part of a job. See job_private.h; counts are far below INT_MAX. Without MPI job_alone.c is
// built instead.
#include "base/job_private.h"

#include <mpi.h>

int job_mpi_begin(JobPlace *place) {
    int given;
    MPI_Comm machine;
    MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &given);
    MPI_Comm_rank(MPI_COMM_WORLD, &place->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &place->size);
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &machine);
    MPI_Comm_rank(machine, &place->local_rank);
    MPI_Comm_size(machine, &place->local_size);
    MPI_Comm_free(&machine);
    return 0;
}

void job_mpi_end(void) {
    MPI_Finalize();
}

void job_mpi_abort(void) {
    MPI_Abort(MPI_COMM_WORLD, 1);
}

void job_mpi_share(void *bytes, size_t size, int from) {
    MPI_Bcast(bytes, (int)size, MPI_BYTE, from, MPI_COMM_WORLD);
}

void job_mpi_gather(const void *mine, void *all, size_t size) {
    MPI_Allgather(mine, (int)size, MPI_BYTE, all, (int)size, MPI_BYTE, MPI_COMM_WORLD);
}

void job_mpi_exchange(const void *given, void *taken, size_t size) {
    MPI_Alltoall(given, (int)size, MPI_BYTE, taken, (int)size, MPI_BYTE, MPI_COMM_WORLD);
}
