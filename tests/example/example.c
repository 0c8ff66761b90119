// SPDX-License-Identifier: MIT
// A program outside the tree: finds the w at which (2 w - 3)^2 is smallest, by gradient descent.
#include "autograd/backend.h"
#include "autograd/tape.h"
#include "base/error.h"
#include "cpu/cpu.h"

#include <math.h>
#include <stdio.h>

static int descend(Tensor *w, int steps, float *value) {
    for (int step = 0; step < steps; step++) {
        float slope;
        Tensor *loss = op_square(op_affine(w, 2, -3));
        if (tape_backward(loss) || tensor_read_float(w->grad, &slope)) return -1;
        *value -= 0.1f * slope;
        tape_reset();
        tensor_clear_grad(w);
        if (tensor_write_float(w, value)) return -1;
    }
    return 0;
}

int main(void) {
    backend_use(cpu_backend());
    tape_record(true);
    Tensor *w = tensor_zeros(SHAPE(F32, 1));
    float value = 0;
    if (w) w->needs_grad = true;
    if (!w || descend(w, 50, &value)) {
        fprintf(stderr, "example: %s\n", error_take());
        return 1;
    }
    tensor_free(w);
    printf("w = %.4f\n", value);
    return fabsf(value - 1.5f) < 1e-4f ? 0 : 1;
}
