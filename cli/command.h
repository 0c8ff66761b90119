// SPDX-License-Identifier: MIT
// The commands of p2s. A row here and a file cli/cmd_<name>.c with `int cmd_<name>(int, char **)`.
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

// Exit codes: 0 success, 1 failure, 2 wrong usage, 3 interrupted, to be continued. argv[0] is the
// command's own name.
#define COMMAND_LIST(COMMAND)                                                       \
    COMMAND(train, "train a model, or continue a run")                              \
    COMMAND(eval, "score a model and trivial systems on sets, same prompts")        \
    COMMAND(predict, "the mask of what a point in an image lies on")                \
    COMMAND(prepare, "walk a data set once, write the scenes, or the empty prompt") \
    COMMAND(init, "write a model folder with random weights")                       \
    COMMAND(info, "say what a model, a data set, a weight file or this machine is") \
    COMMAND(bench, "time ops, the loss, a training step, prediction, the loader")   \
    COMMAND(run, "one component on the tensors of a file, to compare with others")  \
    COMMAND(check, "check every op: gradients, back ends against each other, known values")

#define COMMAND(name, help) int cmd_##name(int argc, char **argv);
COMMAND_LIST(COMMAND)
#undef COMMAND

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_INTERRUPTED = 3 };

// Prints the error that is set to stderr, "p2s: ...", and returns EXIT_FAILED.
int command_failed(void);

#endif
