// SPDX-License-Identifier: MIT
// Jobs of several processes. Started plainly the program starts itself again under mpirun, with 2
// and with 3 processes; in a build without MPI it sees that a launcher is refused. A program
// without a framework, because MPI starts whole programs.
#include "base/error.h"
#include "base/job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int wrong;

static void expect(bool good, const char *what) {
    if (good) return;
    wrong++;
    fprintf(stderr, "FAIL rank %d of %d: %s (%s)\n", job_rank(), job_size(), what, error_message());
}

static int launched_with(const char *name, const char *value) {
    setenv(name, value, 1);
    const int processes = job_launched();
    unsetenv(name);
    return processes;
}

static void check_launchers(void) {
    expect(launched_with("OMPI_COMM_WORLD_SIZE", "3") == 3, "Open MPI");
    expect(launched_with("PMI_SIZE", "4") == 4, "MPICH");
    expect(launched_with("SLURM_STEP_NUM_TASKS", "8") == 8, "srun");
    expect(launched_with("SLURM_NTASKS", "8") == 1, "a script of sbatch, which is one process");
    expect(launched_with("PMIX_RANK", "0") == 0, "PMIx, which says no number");
}

#ifdef P2S_MPIRUN

// Lengths around the parts that are summed at a time, more than one of them in all.
enum { SHORT = 7, LONG = (1 << 20) + 5, LAST = 3, ALL = SHORT + LONG + LAST };

static float value_of(int rank, size_t i) {
    return (float)((i * 2654435761u + (size_t)rank * 40503u) % 65521) / 7 - 4000;
}

static void fill(float *values) {
    for (size_t i = 0; i < ALL; i++) values[i] = value_of(job_rank(), i);
}

static bool are_sums(const float *values) {
    for (size_t i = 0; i < ALL; i++) {
        double sum = 0;
        for (int rank = 0; rank < job_size(); rank++) sum += (double)value_of(rank, i);
        if (values[i] != (float)sum) return false;
    }
    return true;
}

static void check_sums(void) {
    float *values = malloc(ALL * sizeof *values);
    const JobSpan spans[] = {
        {values, SHORT}, {values + SHORT, LONG}, {values + SHORT + LONG, LAST}};
    double numbers[11], first = 1e16; // 1e16 + 1 + ... depends on the order of the ranks
    if (!values) return expect(false, "memory");
    fill(values);
    job_sum(spans, 3);
    expect(are_sums(values), "job_sum: each float is the rounded sum over the ranks");
    free(values);
    for (int i = 0; i < 11; i++) numbers[i] = job_rank() == 0 ? first : 1 + i;
    job_total(numbers, 11);
    for (int rank = 1; rank < job_size(); rank++) first += 11;
    expect(numbers[10] == first, "job_total: in the order of the ranks");
    expect(numbers[0] == 1e16, "job_total: the first number");
}

static void check_telling(void) {
    int told = job_rank() == 0 ? 42 : -1;
    job_share(&told, sizeof told);
    expect(told == 42, "job_share: rank 0's value");
    expect(job_any(1u << job_rank()) == (1u << job_size()) - 1, "job_any: everybody's bits");
    expect(job_agree(job_rank()) == job_rank(), "job_agree: one's own result");
    expect(job_same("text", "alike") == 0, "job_same: of like texts");
    expect(job_local_size() == job_size() && job_local_rank() == job_rank(), "one machine");
}

static void check_errors(void) {
    const int last = job_size() - 1;
    char name[32];
    expect(job_agree(job_rank() == last ? error_int("it broke") : 0) == -1, "job_agree: an error");
    snprintf(name, sizeof name, "rank %d of %d: it broke", last, job_size());
    expect(strcmp(error_take(), job_rank() == 0 ? name : "") == 0, "job_agree: rank 0 has it");
    snprintf(name, sizeof name, "text %d", job_rank());
    expect(job_same("name", name) == -1, "job_same: texts differ");
    const char *message = error_take();
    expect(job_rank() > 0 || (strstr(message, "\"text 1\"") && strstr(message, "\"text 0\"")),
           "job_same: rank 0 has both texts");
}

static int work(void) {
    if (job_begin() != 0) return fprintf(stderr, "FAIL %s\n", error_take()), 1;
    expect(job_launched() == job_size() && job_size() > 1, "the launcher's number");
    check_sums();
    check_telling();
    check_errors();
    job_end(true);
    return wrong > 0;
}

// Several processes on few processors, in a container; MPI's own memory at the end is not ours.
static int start(const char *program, int processes) {
    static const char *const settings[][2] = {{"OMPI_ALLOW_RUN_AS_ROOT", "1"},
                                              {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"},
                                              {"OMPI_MCA_rmaps_base_oversubscribe", "1"},
                                              {"OMPI_MCA_hwloc_base_binding_policy", "none"},
                                              {"OMPI_MCA_btl_vader_single_copy_mechanism", "none"},
                                              {"OMPI_MCA_mpi_yield_when_idle", "1"},
                                              {"ASAN_OPTIONS", "detect_leaks=0"}};
    char command[4096];
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        setenv(settings[i][0], settings[i][1], 1);
    snprintf(command, sizeof command, "%s -n %d %s", P2S_MPIRUN, processes, program);
    if (system(command) == 0) return 0;
    fprintf(stderr, "FAIL %s\n", command);
    return 1;
}

int main(int argc, char **argv) {
    (void)argc;
    if (job_launched() != 1) return work();
    check_launchers();
    return start(argv[0], 2) | start(argv[0], 3) | wrong;
}

#else

int main(void) {
    printf("SKIP jobs of several processes: built without MPI\n");
    check_launchers();
    expect(job_begin() == 0 && job_size() == 1 && job_rank() == 0, "a job of one");
    setenv("OMPI_COMM_WORLD_SIZE", "2", 1);
    expect(job_begin() == -1 && strstr(error_take(), "one of 2 processes"),
           "a launcher is refused");
    return wrong > 0;
}

#endif
