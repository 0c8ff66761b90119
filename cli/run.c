// SPDX-License-Identifier: MIT
// One run of a component: tensors in, tensors out, gradients. See run.h.
#include "autograd/ops.h"
#include "autograd/tape.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/run_private.h"
#include "nn/weights.h"

#include <stdlib.h>
#include <string.h>

const char *run_model(const Run *run) {
    return run->model;
}

bool run_wants_gradients(const Run *run) {
    return run->gradients;
}

bool run_has(const Run *run, const char *name) {
    return safetensors_find(run->in, name) != NULL;
}

// ---- layouts ------------------------------------------------------------------------------------

static void file_shape(const Tensor *tensor, RunType type, int64_t *shape) {
    memcpy(shape, tensor->shape, (size_t)tensor->ndim * sizeof *shape);
    if (type != RUN_IMAGE) return;
    shape[1] = tensor->shape[3];
    shape[2] = tensor->shape[1];
    shape[3] = tensor->shape[2];
}

// ---- inputs -------------------------------------------------------------------------------------

const SafeTensor *run_stored(Run *run, const char *name) {
    const SafeTensor *stored = safetensors_find(run->in, name);
    if (!stored) return error_null("%s: tensor %s is missing", safetensors_path(run->in), name);
    return stored;
}

const SafeTensor *run_stored_at(Run *run, const char *row, size_t index) {
    for (size_t i = 0; i < safetensors_count(run->in); i++) {
        const SafeTensor *stored = safetensors_at(run->in, i);
        if (strncmp(stored->name, row, strlen(row) - 1) == 0 && index-- == 0) return stored;
    }
    return NULL;
}

static Tensor *read_image(const SafeTensor *stored) {
    const int64_t *shape = stored->shape;
    Tensor *image = tensor_new(SHAPE(F32, shape[0], shape[2], shape[3], shape[1]));
    float *values = array_new((size_t)stored->numel * 2, sizeof *values);
    int result = image && values ? 0 : -1;
    if (result == 0) {
        safetensors_read_float(stored, values);
        transpose_each(shape[0], shape[1], shape[2] * shape[3], values, values + stored->numel);
        result = tensor_write_float(image, values + stored->numel);
    }
    free(values);
    if (result == 0) return image;
    tensor_free(image);
    return NULL;
}

static int check_integers(const Run *run, const SafeTensor *stored, const double *values) {
    for (int64_t i = 0; i < stored->numel; i++)
        if (values[i] < INT32_MIN || values[i] > INT32_MAX)
            return error_int("%s: tensor %s[%lld] is %.0f; expected %d to %d",
                             safetensors_path(run->in), stored->name, (long long)i, values[i],
                             INT32_MIN, INT32_MAX);
    return 0;
}

static int write_numbers(const Run *run, const SafeTensor *stored, RunType type, Tensor *tensor) {
    double *values = array_new((size_t)stored->numel, sizeof *values);
    if (!values) return -1;
    safetensors_read_double(stored, values);
    int result = type == RUN_INTEGER ? check_integers(run, stored, values) : 0;
    if (result == 0) result = tensor_write_double(tensor, values);
    free(values);
    return result;
}

static Tensor *read_plain(const Run *run, const SafeTensor *stored, RunType type) {
    Dtype dtype = type == RUN_FLOAT ? F32 : type == RUN_INTEGER ? I32 : U8;
    Tensor *tensor = tensor_new(dtype, stored->ndim, stored->shape);
    if (!tensor) return NULL;
    int result = type == RUN_BYTE ? tensor_write(tensor, stored->data)
                                  : write_numbers(run, stored, type, tensor);
    if (result == 0) return tensor;
    tensor_free(tensor);
    return NULL;
}

static Tensor *hold(Run *run, const char *name, RunType type, Tensor *tensor) {
    if (!tensor) return NULL;
    char *copy = string_copy(name);
    if (!copy ||
        array_grow(&run->inputs, &run->input_room, run->input_count, sizeof *run->inputs) != 0) {
        free(copy);
        tensor_free(tensor);
        return NULL;
    }
    run->inputs[run->input_count++] = (RunInput){copy, type, tensor};
    return tensor_named(tensor, "%s", name);
}

static Tensor *read_input(Run *run, const SafeTensor *stored, RunType type) {
    Tensor *tensor = type == RUN_IMAGE ? read_image(stored) : read_plain(run, stored, type);
    return hold(run, stored->name, type, tensor);
}

Tensor *run_tensor(Run *run, const char *name) {
    const SafeTensor *stored = run_stored(run, name);
    const RunTensor *row = run_row(run->component->inputs, name);
    if (!stored || !row) return NULL;
    Tensor *tensor = read_input(run, stored, row->type);
    if (tensor && row->type <= RUN_IMAGE) tensor->needs_grad = run->gradients;
    return tensor;
}

Tensor *run_optional(Run *run, const char *name) {
    return run_has(run, name) ? run_tensor(run, name) : NONE;
}

int run_load_params(Run *run, ParamSet *set) {
    if (set->failed) return -1;
    if (run->gradients) params_train(set, "");
    return weights_load_from(set, &run->in, 1, "param.");
}

// ---- outputs ------------------------------------------------------------------------------------

// Takes `values`.
static int add_output(Run *run, const char *name, SafeType type, int ndim, const int64_t *shape,
                      void *values) {
    char *copy = values ? string_copy(name) : NULL;
    if (!copy || array_grow(&run->outputs, &run->output_room, run->output_count,
                            sizeof *run->outputs) != 0) {
        free(copy);
        free(values);
        return -1;
    }
    SafeEntry *entry = &run->outputs[run->output_count++];
    *entry = (SafeEntry){.name = copy, .type = type, .ndim = ndim, .values = values};
    memcpy(entry->shape, shape, (size_t)ndim * sizeof *shape);
    return 0;
}

int run_output_values(Run *run, const char *name, SafeType type, int ndim, const int64_t *shape,
                      const void *values) {
    size_t bytes = safe_type_size(type);
    for (int i = 0; i < ndim; i++)
        if (size_multiply(bytes, (size_t)shape[i], &bytes) != 0) return -1;
    void *copy = array_new(bytes, 1);
    if (copy && bytes > 0) memcpy(copy, values, bytes);
    return add_output(run, name, type, ndim, shape, copy);
}

// Values of a tensor in the file's layout; zeros without a tensor's values.
static int add_tensor(Run *run, const char *name, RunType type, const Tensor *tensor) {
    int64_t shape[TENSOR_MAX_DIMS];
    file_shape(tensor, type, shape);
    size_t count = (size_t)tensor_numel(tensor);
    float *values = array_new(count, sizeof *values);
    int result = values ? 0 : -1;
    if (result == 0)
        result =
            tensor->dtype == F32 ? tensor_read_float(tensor, values) : tensor_read(tensor, values);
    if (result == 0 && type == RUN_IMAGE) {
        float *own = values;
        values = array_new(count, sizeof *values);
        if (values) transpose_each(shape[0], shape[2] * shape[3], shape[1], own, values);
        free(own);
    }
    SafeType stored = type == RUN_INTEGER ? SAFE_I32 : type == RUN_BYTE ? SAFE_U8 : SAFE_F32;
    if (result != 0) free(values);
    return result == 0 ? add_output(run, name, stored, tensor->ndim, shape, values) : -1;
}

// run->loss += sum(tensor * gradient): its gradient with respect to the tensor is the given one.
static int add_to_loss(Run *run, const RunTensor *row, const char *name, Tensor *tensor) {
    char *grad_name = text_format("grad.%s", name);
    const SafeTensor *stored = grad_name ? safetensors_find(run->in, grad_name) : NULL;
    free(grad_name);
    if (!stored) return 0;
    int64_t shape[TENSOR_MAX_DIMS];
    file_shape(tensor, row->type, shape);
    if (stored->ndim != tensor->ndim ||
        memcmp(stored->shape, shape, (size_t)tensor->ndim * sizeof *shape) != 0)
        return error_int("%s: tensor %s is not of the shape of %s, which is %s",
                         safetensors_path(run->in), stored->name, name, tensor_text(tensor));
    Tensor *gradient = read_input(run, stored, row->type);
    Tensor *product = op_sum(op_mul(tensor, gradient), REDUCE_ALL);
    run->loss = run->loss ? op_add(run->loss, product) : product;
    return run->loss ? 0 : -1;
}

int run_output(Run *run, const char *name, Tensor *tensor) {
    const RunTensor *row = run_row(run->component->outputs, name);
    if (!tensor) return -1;
    if (!row) return error_int("%s has no output %s", run->component->name, name);
    if (run->gradients && row->type <= RUN_IMAGE && add_to_loss(run, row, name, tensor) != 0)
        return -1;
    return add_tensor(run, name, row->type, tensor);
}

// ---- gradients ----------------------------------------------------------------------------------

// The gradient of an input; zero when no output depends on it.
static int output_input_gradient(Run *run, const RunInput *input) {
    if (!input->tensor->needs_grad) return 0;
    if (!input->tensor->has_grad &&
        (tensor_grad_alloc(input->tensor) != 0 || tensor_fill(input->tensor->grad, 0) != 0))
        return -1;
    char *name = text_format("grad.%s", input->name);
    int result = name ? add_tensor(run, name, input->type, input->tensor->grad) : -1;
    free(name);
    return result;
}

// `tensor` NULL: zeros.
static int output_param(Run *run, const char *kind, const char *title, const Param *param,
                        const Tensor *tensor) {
    float *values = array_new((size_t)tensor_numel(param->tensor), sizeof *values);
    char *name = text_format("%s%s%s%s", kind, title, title[0] ? "." : "", param->name);
    int result = values && name ? 0 : -1;
    if (result == 0 && tensor) result = weights_in_file_layout(param, tensor, values);
    if (result == 0)
        result = add_output(run, name, SAFE_F32, param->file_ndim, param->file_shape, values);
    else
        free(values);
    free(name);
    return result;
}

static int output_param_gradients(Run *run, const ParamSet *set, const char *title) {
    for (size_t i = 0; i < set->count; i++) {
        const Param *param = &set->items[i];
        Tensor *tensor = param->tensor;
        if (!tensor->needs_grad) continue;
        if (output_param(run, "grad.param.", title, param,
                         tensor->has_grad ? tensor->grad : NULL) != 0)
            return -1;
    }
    return 0;
}

int run_backward(Run *run, ParamSet *const *sets, int count) {
    run->backward_done = true;
    if (!run->gradients) return 0;
    if (!run->loss)
        return error_int("%s: gradients are given of outputs that this run does not have",
                         safetensors_path(run->in));
    if (tape_backward(run->loss) != 0) return -1;
    for (size_t i = 0; i < run->input_count; i++)
        if (output_input_gradient(run, &run->inputs[i]) != 0) return -1;
    for (int s = 0; s < count; s++)
        if (output_param_gradients(run, sets[s], count > 1 ? sets[s]->title : "") != 0) return -1;
    return 0;
}

int run_output_params(Run *run, const ParamSet *set, const char *title) {
    for (size_t i = 0; i < set->count; i++)
        if (set->items[i].tensor->needs_grad &&
            output_param(run, "param.", title, &set->items[i], set->items[i].tensor) != 0)
            return -1;
    return 0;
}

// ---- a whole run --------------------------------------------------------------------------------

int run_begin(Run *run, const Component *component, const char *model, const char *path) {
    *run = (Run){.component = component, .model = model, .in = safetensors_open(path)};
    if (!run->in || run_check(run) != 0) return -1;
    tape_record(run->gradients);
    return 0;
}

int run_end(Run *run, const char *path) {
    if (run->gradients && !run->backward_done)
        return error_int("%s made no gradients", run->component->name);
    return safetensors_write(path, run->outputs, run->output_count, NULL, NULL);
}

void run_done(Run *run) {
    tape_reset();
    tape_record(false);
    for (size_t i = 0; i < run->input_count; i++) {
        free(run->inputs[i].name);
        tensor_free(run->inputs[i].tensor);
    }
    for (size_t i = 0; i < run->output_count; i++) {
        free((char *)run->outputs[i].name);
        free((void *)run->outputs[i].values);
    }
    free(run->inputs);
    free(run->outputs);
    safetensors_close(run->in);
    *run = (Run){0};
}
