// SPDX-License-Identifier: MIT
// The program: finds the command and runs it.
#include "cli/command.h"

#include "base/job.h"
#include "base/memory.h"

#include <stdio.h>
#include <string.h>

typedef struct {
    const char *name, *help;
    int (*run)(int argc, char **argv);
} Command;

#define COMMAND(name, help) {#name, help, cmd_##name},
static const Command commands[] = {COMMAND_LIST(COMMAND)};
#undef COMMAND
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static void print_help(FILE *out) {
    fprintf(out, "p2s %s: promptable diffusion segmentation, trained and run in C\n\n",
            P2S_VERSION);
    fprintf(out, "usage: p2s COMMAND [ARGUMENTS]     (p2s COMMAND --help tells more)\n\n");
    for (int i = 0; i < COMMAND_COUNT; i++)
        fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].help);
    fprintf(out, "\nAll but train work as one process, and refuse mpirun -n 2.\n");
}

static int run(const Command *command, int argc, char **argv) {
    if (command->run == cmd_train || job_launched() <= 1) return command->run(argc, argv);
    fprintf(stderr,
            "p2s: %s works as one process, and was started as one of %d; train alone works "
            "in several\n",
            command->name, job_launched());
    return EXIT_USAGE;
}

int main(int argc, char **argv) {
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help(argc < 2 ? stderr : stdout);
        return argc < 2 ? EXIT_USAGE : EXIT_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("p2s %s\n", P2S_VERSION);
        return EXIT_OK;
    }
    memory_keep_freed();
    for (int i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(argv[1], commands[i].name) == 0) return run(&commands[i], argc - 1, argv + 1);
    fprintf(stderr, "p2s: no command is called \"%s\"\n\n", argv[1]);
    print_help(stderr);
    return EXIT_USAGE;
}
