// SPDX-License-Identifier: MIT
// Components: whole networks of a model folder.
#include "autograd/tape.h"
#include "base/text.h"
#include "cli/run.h"
#include "nn/model.h"
#include "nn/weights.h"

#include <stdio.h>
#include <stdlib.h>

// ---- what they share ----------------------------------------------------------------------------

static char *config_path(const Run *run, const char *part) {
    return text_format("%s/%s/config.json", run_model(run), part);
}

static int load(const Run *run, ParamSet *set, const char *part) {
    if (run_wants_gradients(run)) params_train(set, "");
    char *folder = text_format("%s/%s", run_model(run), part);
    int result = folder ? weights_load_folder(set, folder, MODEL_WEIGHTS_STEM) : -1;
    free(folder);
    return result;
}

static Unet *open_unet(const Run *run) {
    UnetConfig config;
    char *path = config_path(run, "unet");
    Unet *unet = path && unet_config_read(&config, path) == 0 ? unet_new(&config, F32) : NULL;
    free(path);
    if (unet && load(run, &unet->params, "unet") == 0) return unet;
    unet_free(unet);
    return NULL;
}

static ControlNet *open_controlnet(const Run *run) {
    ControlNetConfig config;
    char *path = config_path(run, "controlnet");
    bool read = path && controlnet_config_read(&config, path) == 0;
    ControlNet *control = read ? controlnet_new(&config, F32) : NULL;
    free(path);
    if (control && load(run, &control->params, "controlnet") == 0) return control;
    controlnet_free(control);
    return NULL;
}

static Vae *open_vae(const Run *run) {
    VaeConfig config;
    char *path = config_path(run, "vae");
    Vae *vae = path && vae_config_read(&config, path) == 0 ? vae_new(&config, F32) : NULL;
    free(path);
    if (vae && load(run, &vae->params, "vae") == 0) return vae;
    vae_free(vae);
    return NULL;
}

// "residual.0" ... "residual.mid", in the order of the skips.
static const char *residual_name(char *name, size_t size, int i, int count) {
    if (i == count)
        snprintf(name, size, "residual.mid");
    else
        snprintf(name, size, "residual.%d", i);
    return name;
}

// ---- unet ---------------------------------------------------------------------------------------

#define UNET_KEYS(KEY)                                                  \
    KEY(DOUBLE, timestep, "timestep", "999", "[0, 999]", "one for all") \
    KEY(BOOL, recompute, "recompute", "false", "", "blocks are computed again for gradients")
typedef struct {
    UNET_KEYS(CONFIG_FIELD)
} UnetKeys;
#define UNET_ROW(...) CONFIG_ROW(UnetKeys, __VA_ARGS__)
static const ConfigKey unet_rows[] = {UNET_KEYS(UNET_ROW)};
static const ConfigTable unet_table = {unet_rows, sizeof unet_rows / sizeof *unet_rows};

// All residuals or none.
static int read_residuals(Run *run, int count, UnetResiduals *residuals) {
    char name[32];
    residuals->count = count;
    for (int i = 0; i < count; i++)
        if (!(residuals->skips[i] = run_tensor(run, residual_name(name, sizeof name, i, count))))
            return -1;
    residuals->mid = run_tensor(run, "residual.mid");
    return residuals->mid ? 0 : -1;
}

static int unet_with(Run *run, Unet *unet, const UnetKeys *keys) {
    UnetResiduals residuals = {0};
    bool injected = run_stored_at(run, "residual.*", 0) != NULL;
    if (injected && read_residuals(run, unet_skip_count(&unet->config), &residuals) != 0) return -1;
    unet_recompute(unet, keys->recompute);
    Tensor *z = run_tensor(run, "z"), *context = run_tensor(run, "context");
    Tensor *v = unet_forward(unet, z, keys->timestep, context, injected ? &residuals : NULL);
    if (run_output(run, "v", v) != 0) return -1;
    return run_backward(run, (ParamSet *[]){&unet->params}, 1);
}

static int run_unet(Run *run, const void *keys) {
    Unet *unet = open_unet(run);
    int result = unet ? unet_with(run, unet, keys) : -1;
    tape_reset();
    unet_free(unet);
    return result;
}

// ---- controlnet ---------------------------------------------------------------------------------

#define CONTROLNET_KEYS(KEY) \
    UNET_KEYS(KEY)           \
    KEY(DOUBLE, scale, "scale", "1", "[0, 1000]", "times every residual")
typedef struct {
    CONTROLNET_KEYS(CONFIG_FIELD)
} ControlNetKeys;
#define CONTROLNET_ROW(...) CONFIG_ROW(ControlNetKeys, __VA_ARGS__)
static const ConfigKey controlnet_rows[] = {CONTROLNET_KEYS(CONTROLNET_ROW)};
static const ConfigTable controlnet_table = {controlnet_rows,
                                             sizeof controlnet_rows / sizeof *controlnet_rows};

static int controlnet_with(Run *run, ControlNet *control, const ControlNetKeys *keys) {
    UnetResiduals residuals;
    char name[32];
    controlnet_recompute(control, keys->recompute);
    Tensor *z = run_tensor(run, "z"), *context = run_tensor(run, "context");
    if (controlnet_forward(control, z, keys->timestep, context, run_tensor(run, "condition"),
                           keys->scale, &residuals) != 0)
        return -1;
    for (int i = 0; i <= residuals.count; i++)
        if (run_output(run, residual_name(name, sizeof name, i, residuals.count),
                       i < residuals.count ? residuals.skips[i] : residuals.mid) != 0)
            return -1;
    return run_backward(run, (ParamSet *[]){&control->params}, 1);
}

static int run_controlnet(Run *run, const void *keys) {
    ControlNet *control = open_controlnet(run);
    int result = control ? controlnet_with(run, control, keys) : -1;
    tape_reset();
    controlnet_free(control);
    return result;
}

// ---- vae ----------------------------------------------------------------------------------------

static int encode_with(Run *run, Vae *vae) {
    Tensor *image = run_tensor(run, "image");
    if (run_output(run, "moments", vae_encode_moments(vae, image)) != 0 ||
        run_output(run, "latent", vae_encode_mean(vae, image)) != 0)
        return -1;
    params_freeze(&vae->params, "decoder");
    params_freeze(&vae->params, "post_quant_conv");
    return run_backward(run, (ParamSet *[]){&vae->params}, 1);
}

static int decode_with(Run *run, Vae *vae) {
    if (run_output(run, "image", vae_decode(vae, run_tensor(run, "latent"))) != 0) return -1;
    params_freeze(&vae->params, "encoder");
    params_freeze(&vae->params, "quant_conv");
    return run_backward(run, (ParamSet *[]){&vae->params}, 1);
}

static int run_vae(Run *run, int (*with)(Run *run, Vae *vae)) {
    Vae *vae = open_vae(run);
    int result = vae ? with(run, vae) : -1;
    tape_reset();
    vae_free(vae);
    return result;
}

static int run_encode(Run *run, const void *keys) {
    (void)keys;
    return run_vae(run, encode_with);
}

static int run_decode(Run *run, const void *keys) {
    (void)keys;
    return run_vae(run, decode_with);
}

// ---- the table ----------------------------------------------------------------------------------

static const Component components[] = {
    {.name = "unet",
     .help = "the U-Net of DIR/unet",
     .needs_model = true,
     .gradients = true,
     .inputs = {{"z", RUN_IMAGE, "N,C,h,w", false, "latent"},
                {"context", RUN_FLOAT, "B,T,D", false, "B: N, or 1 for all images"},
                {"residual.*", RUN_IMAGE, "...", true,
                 "added to the skips (residual.0, ...) and the middle (residual.mid)"}},
     .outputs = {{"v", RUN_IMAGE, "N,C,h,w", false, NULL}},
     .keys = &unet_table,
     .keys_size = sizeof(UnetKeys),
     .run = run_unet},
    {.name = "controlnet",
     .help = "the branch of DIR/controlnet",
     .needs_model = true,
     .gradients = true,
     .inputs = {{"z", RUN_IMAGE, "N,C,h,w", false, "latent"},
                {"context", RUN_FLOAT, "B,T,D", false, "B: N, or 1 for all images"},
                {"condition", RUN_IMAGE, "N,P,H,W", false, "prompt map, 0..1"}},
     .outputs = {{"residual.*", RUN_IMAGE, "...", false, "as unet takes them"}},
     .keys = &controlnet_table,
     .keys_size = sizeof(ControlNetKeys),
     .run = run_controlnet},
    {.name = "vae.encode",
     .help = "the encoder of DIR/vae",
     .needs_model = true,
     .gradients = true,
     .inputs = {{"image", RUN_IMAGE, "N,C,H,W", false, "-1..1"}},
     .outputs = {{"moments", RUN_IMAGE, "N,D,h,w", false, "means, then log-variances, not clamped"},
                 {"latent", RUN_IMAGE, "N,L,h,w", false, "means times the scaling factor"}},
     .run = run_encode},
    {.name = "vae.decode",
     .help = "the decoder of DIR/vae",
     .needs_model = true,
     .gradients = true,
     .inputs = {{"latent", RUN_IMAGE, "N,L,h,w", false, "scaled as the encoder's"}},
     .outputs = {{"image", RUN_IMAGE, "N,C,H,W", false, "not clamped"}},
     .run = run_decode},
};

const ComponentGroup components_network = {components, sizeof components / sizeof components[0]};
