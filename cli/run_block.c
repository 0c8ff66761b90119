// SPDX-License-Identifier: MIT
// Components: every block of the networks alone. Parameters come with the inputs as param.NAME and
// their shapes say how wide the block is.
#include "autograd/tape.h"
#include "base/error.h"
#include "base/text.h"
#include "cli/run.h"
#include "nn/unet.h"
#include "nn/vae.h"

#include <stdio.h>

// ---- what they share ----------------------------------------------------------------------------

#define BLOCK_KEYS(KEY)                                                                           \
    KEY(INT, groups, "groups", "32", "[1, 65536]", "of the group norms")                          \
    KEY(DOUBLE, eps, "eps", "1e-5", "(0, 1]", "of the residual blocks' norms; 1e-6 in the VAE's") \
    KEY(INT, heads, "heads", "0", "[0, 1024]", "of the transformers; 0: the level has none")      \
    KEY(INT, layers, "layers", "2", "[1, 4]", "residual blocks; an up block has one more")        \
    KEY(BOOL, sampler, "sampler", "true", "", "the level ends with a change of resolution")
typedef struct {
    BLOCK_KEYS(CONFIG_FIELD)
} BlockKeys;
#define BLOCK_ROW(...) CONFIG_ROW(BlockKeys, __VA_ARGS__)
static const ConfigKey block_rows[] = {BLOCK_KEYS(BLOCK_ROW)};
static const ConfigTable block_table = {block_rows, sizeof block_rows / sizeof *block_rows};

typedef int (*BlockBody)(Run *run, ParamSet *set, const void *keys);

static int with_params(Run *run, const void *keys, BlockBody body) {
    ParamSet set = {0};
    int result = params_begin(&set, "block", F32) == 0 ? body(run, &set, keys) : -1;
    tape_reset();
    params_done(&set);
    return result;
}

// Side `side` of a parameter; -1 and an error when it is not there.
static int64_t side_of(Run *run, const char *param, int side) {
    const SafeTensor *stored = run_stored(run, param);
    if (!stored) return -1;
    if (stored->ndim > side && stored->shape[side] > 0) return stored->shape[side];
    return error_int("tensor %s has no side %d", param, side);
}

// Whether the transformers' projections stand in the file as [C,C] and not as 1 x 1 convolutions.
static bool is_linear(Run *run, const char *proj_in) {
    return run_has(run, proj_in) && run_stored(run, proj_in)->ndim == 2;
}

static int64_t width_of(const Tensor *time) {
    return time && time != NONE ? time->shape[1] : 0;
}

static int finish(Run *run, ParamSet *set, const char *name, Tensor *y) {
    return run_output(run, name, y) == 0 ? run_backward(run, &set, 1) : -1;
}

// ---- residual block, transformer, attention -----------------------------------------------------

static int resnet(Run *run, ParamSet *set, const void *given) {
    const BlockKeys *keys = given;
    ResnetBlock block;
    int64_t out = side_of(run, "param.conv1.weight", 0), in = side_of(run, "param.conv1.weight", 1);
    Tensor *x = run_tensor(run, "x"), *time = run_optional(run, "time");
    if (out < 0 || in < 0) return -1;
    resnet_declare(set, &block, "", in, out, width_of(time), (int)keys->groups, keys->eps);
    if (run_load_params(run, set) != 0) return -1;
    return finish(run, set, "y", resnet_forward(&block, x, time));
}

static int transformer(Run *run, ParamSet *set, const void *given) {
    const BlockKeys *keys = given;
    TransformerBlock block;
    Tensor *x = run_tensor(run, "x"), *context = run_tensor(run, "context");
    if (!x || !context) return -1;
    if (keys->heads < 1 || x->shape[3] % keys->heads != 0)
        return error_int("heads is %lld; expected a divisor of the %lld channels",
                         (long long)keys->heads, (long long)x->shape[3]);
    transformer_declare(set, &block, "", x->shape[3], context->shape[2], (int)keys->heads,
                        (int)keys->groups, is_linear(run, "param.proj_in.weight"));
    if (run_load_params(run, set) != 0) return -1;
    return finish(run, set, "y", transformer_forward(&block, x, context));
}

static int attention(Run *run, ParamSet *set, const void *given) {
    const BlockKeys *keys = given;
    AttentionBlock block;
    Tensor *x = run_tensor(run, "x");
    if (!x) return -1;
    attention_declare(set, &block, "", x->shape[3], (int)keys->groups, keys->eps);
    if (run_load_params(run, set) != 0) return -1;
    return finish(run, set, "y", attention_forward(&block, x));
}

// ---- change of resolution, time -----------------------------------------------------------------

#define DOWN_KEYS(KEY) \
    KEY(CHOICE, form, "form", "unet", "unet|vae", "padding all around, or below and to the right")
#define UP_KEYS(KEY)                                                           \
    KEY(INT, height, "height", "0", "[0, 65536]", "of the result; 0: doubled") \
    KEY(INT, width, "width", "0", "[0, 65536]", "of the result; 0: doubled")
#define TIME_KEYS(KEY) KEY(DOUBLE, timestep, "timestep", "999", "[0, 999]", "one for all")
typedef struct {
    DOWN_KEYS(CONFIG_FIELD)
} DownKeys;
typedef struct {
    UP_KEYS(CONFIG_FIELD)
} UpKeys;
typedef struct {
    TIME_KEYS(CONFIG_FIELD)
} TimeKeys;
#define DOWN_ROW(...) CONFIG_ROW(DownKeys, __VA_ARGS__)
#define UP_ROW(...) CONFIG_ROW(UpKeys, __VA_ARGS__)
#define TIME_ROW(...) CONFIG_ROW(TimeKeys, __VA_ARGS__)
static const ConfigKey down_rows[] = {DOWN_KEYS(DOWN_ROW)};
static const ConfigKey up_rows[] = {UP_KEYS(UP_ROW)};
static const ConfigKey time_rows[] = {TIME_KEYS(TIME_ROW)};
static const ConfigTable down_table = {down_rows, 1};
static const ConfigTable up_table = {up_rows, 2};
static const ConfigTable time_table = {time_rows, 1};

static int sampler(Run *run, ParamSet *set, Conv *conv) {
    int64_t out = side_of(run, "param.conv.weight", 0), in = side_of(run, "param.conv.weight", 1);
    if (out < 0 || in < 0) return -1;
    conv_declare(set, conv, "conv", in, out, 3, START_UNIFORM);
    return run_load_params(run, set);
}

static int downsample(Run *run, ParamSet *set, const void *given) {
    const DownKeys *keys = given;
    Conv conv;
    if (sampler(run, set, &conv) != 0) return -1;
    Tensor *x = run_tensor(run, "x");
    return finish(run, set, "y",
                  keys->form == 0 ? conv_down(&conv, x) : conv_down_shifted(&conv, x));
}

static int upsample(Run *run, ParamSet *set, const void *given) {
    const UpKeys *keys = given;
    Conv conv;
    Tensor *x = run_tensor(run, "x");
    if (!x || sampler(run, set, &conv) != 0) return -1;
    int64_t height = keys->height ? keys->height : 2 * x->shape[1];
    int64_t width = keys->width ? keys->width : 2 * x->shape[2];
    return finish(run, set, "y", conv_up(&conv, x, height, width));
}

static int time_embedding(Run *run, ParamSet *set, const void *given) {
    const TimeKeys *keys = given;
    UnetEncoder encoder = {.time_inputs = side_of(run, "param.linear_1.weight", 1)};
    int64_t width = side_of(run, "param.linear_1.weight", 0);
    if (width < 0 || encoder.time_inputs < 0) return -1;
    if (encoder.time_inputs % 2 != 0) return error_int("param.linear_1.weight has an odd side");
    linear_declare(set, &encoder.time1, "linear_1", encoder.time_inputs, width, true);
    linear_declare(set, &encoder.time2, "linear_2", width, width, true);
    if (run_load_params(run, set) != 0) return -1;
    int result = finish(run, set, "time", unet_encoder_time(&encoder, keys->timestep));
    tape_reset();
    unet_encoder_done(&encoder);
    return result;
}

// ---- levels of the U-Net ------------------------------------------------------------------------

// A config whose level 1 is the one that is wanted, between `outside` and `inside`.
static int level_config(Run *run, const BlockKeys *keys, const Tensor *context, UnetConfig *config,
                        int64_t outside, int64_t out, int64_t inside) {
    if (outside < 0 || out < 0 || inside < 0) return -1;
    if (keys->heads > 0 && (context == NONE || out % keys->heads != 0))
        return error_int("heads is %lld; expected a context and a divisor of the %lld channels",
                         (long long)keys->heads, (long long)out);
    bool linear = is_linear(run, "param.attentions.0.proj_in.weight");
    *config = (UnetConfig){.levels = 3,
                           .channels = {outside, out, inside},
                           .heads = {1, keys->heads, 1},
                           .attention = {false, keys->heads > 0, false},
                           .up_attention = {false, keys->heads > 0, false},
                           .layers = keys->layers,
                           .context_width = context == NONE ? 1 : context->shape[2],
                           .groups = keys->groups,
                           .eps = keys->eps,
                           .linear_projection = linear};
    return 0;
}

static int down(Run *run, ParamSet *set, const void *given) {
    const BlockKeys *keys = given;
    UnetConfig config;
    UnetLevel level;
    UnetFeatures features = {0};
    char name[32];
    Tensor *x = run_tensor(run, "x"), *time = run_tensor(run, "time");
    Tensor *context = run_optional(run, "context");
    int64_t out = side_of(run, "param.resnets.0.conv1.weight", 0);
    if (!x || !time || !context) return -1;
    if (level_config(run, keys, context, &config, x->shape[3], out, out) != 0) return -1;
    config.levels = keys->sampler ? 3 : 2;
    unet_down_declare(set, &level, "", &config, 1, width_of(time));
    if (run_load_params(run, set) != 0) return -1;
    if (!unet_down_forward(&level, x, time, context, &features)) return -1;
    for (int i = 0; i < features.count; i++) {
        snprintf(name, sizeof name, "skip.%d", i);
        if (run_output(run, name, features.skips[i]) != 0) return -1;
    }
    return run_backward(run, &set, 1);
}

static int middle(Run *run, ParamSet *set, const void *given) {
    const BlockKeys *keys = given;
    UnetConfig config;
    UnetMiddle block;
    Tensor *x = run_tensor(run, "x"), *time = run_tensor(run, "time");
    Tensor *context = run_tensor(run, "context");
    if (!x || !time || !context) return -1;
    if (keys->heads < 1) return error_int("heads is 0; the middle has a transformer");
    int64_t channels = x->shape[3];
    if (level_config(run, keys, context, &config, channels, channels, channels) != 0) return -1;
    config.levels = 2;
    unet_middle_declare(set, &block, "", &config, width_of(time));
    if (run_load_params(run, set) != 0) return -1;
    return finish(run, set, "y", unet_middle_forward(&block, x, time, context));
}

// skip.0 is the outermost; with a sampler one skip more stands below, whose size is met.
static int read_skips(Run *run, int count, UnetFeatures *features) {
    char name[32];
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "skip.%d", i);
        features->skips[i] = run_tensor(run, name);
        if (!features->skips[i]) return -1;
    }
    features->count = count;
    return 0;
}

static int up(Run *run, ParamSet *set, const void *given) {
    const BlockKeys *keys = given;
    UnetConfig config;
    UnetLevel level;
    UnetFeatures features = {0};
    Tensor *x = run_tensor(run, "x"), *time = run_tensor(run, "time");
    Tensor *context = run_optional(run, "context");
    int next = (int)keys->layers + 1 + keys->sampler;
    int64_t out = side_of(run, "param.resnets.0.conv1.weight", 0);
    if (!x || !time || !context || read_skips(run, next, &features) != 0) return -1;
    int64_t outside = features.skips[keys->sampler]->shape[3];
    if (level_config(run, keys, context, &config, outside, out, x->shape[3]) != 0) return -1;
    if (!keys->sampler) { // the outermost level
        config.levels = 2;
        config.channels[0] = out;
        config.channels[1] = x->shape[3];
        config.heads[0] = keys->heads;
    }
    unet_up_declare(set, &level, "", &config, 1, width_of(time));
    if (run_load_params(run, set) != 0) return -1;
    Scope chain = scope_begin();
    return finish(run, set, "y",
                  unet_up_forward(&level, x, time, context, &features, NULL, &next, chain));
}

// ---- levels of the auto-encoder -----------------------------------------------------------------

static int vae_level(Run *run, ParamSet *set, const BlockKeys *keys, bool is_up) {
    VaeLevel level = {
        .layers = (int)keys->layers + is_up, .has_sampler = keys->sampler, .up = is_up};
    Tensor *x = run_tensor(run, "x");
    int64_t out = side_of(run, "param.resnets.0.conv1.weight", 0);
    if (!x || out < 0) return -1;
    vae_level_declare(set, &level, "", x->shape[3], out, (int)keys->groups);
    if (run_load_params(run, set) != 0) return -1;
    return finish(run, set, "y", vae_level_forward(&level, x, scope_begin()));
}

static int vae_down(Run *run, ParamSet *set, const void *keys) {
    return vae_level(run, set, keys, false);
}

static int vae_up(Run *run, ParamSet *set, const void *keys) {
    return vae_level(run, set, keys, true);
}

static int vae_middle(Run *run, ParamSet *set, const void *given) {
    const BlockKeys *keys = given;
    VaeMiddle block;
    Tensor *x = run_tensor(run, "x");
    if (!x) return -1;
    vae_middle_declare(set, &block, "", x->shape[3], (int)keys->groups);
    if (run_load_params(run, set) != 0) return -1;
    return finish(run, set, "y", vae_middle_forward(&block, x, scope_begin()));
}

// ---- the table ----------------------------------------------------------------------------------

#define BODY(name)                                      \
    static int run_##name(Run *run, const void *keys) { \
        return with_params(run, keys, name);            \
    }
BODY(resnet)
BODY(transformer)
BODY(attention)
BODY(downsample)
BODY(upsample)
BODY(time_embedding)
BODY(down)
BODY(middle)
BODY(up)
BODY(vae_down)
BODY(vae_up)
BODY(vae_middle)
#undef BODY

#define X \
    { "x", RUN_IMAGE, "N,C,h,w", false, NULL }
#define Y \
    { "y", RUN_IMAGE, "N,E,H,W", false, NULL }
#define TIME \
    { "time", RUN_FLOAT, "1,W", false, "SiLU of the time embedding, one for all" }
#define MAYBE_TIME \
    { "time", RUN_FLOAT, "1,W", true, "SiLU of the time embedding, one for all" }
#define CONTEXT \
    { "context", RUN_FLOAT, "B,T,D", false, "B: N, or 1 for all images" }
#define MAYBE_CONTEXT \
    { "context", RUN_FLOAT, "B,T,D", true, "B: N, or 1 for all images" }
#define PARAMS \
    { "param.*", RUN_FLOAT, "...", false, "the block's parameters by their names in it" }
#define SKIPS(text) \
    { "skip.*", RUN_IMAGE, "...", false, text }
#define KEYS(Struct, table) .gradients = true, .keys = &table, .keys_size = sizeof(Struct)

// clang-format off
static const Component components[] = {
    {"block.resnet", "residual block (ResnetBlock2D)", .inputs = {X, MAYBE_TIME, PARAMS},
     .outputs = {Y}, KEYS(BlockKeys, block_table), .run = run_resnet},
    {"block.transformer", "transformer block (Transformer2DModel)", .inputs = {X, CONTEXT, PARAMS},
     .outputs = {Y}, KEYS(BlockKeys, block_table), .run = run_transformer},
    {"block.attention", "the VAE's attention (Attention)", .inputs = {X, PARAMS},
     .outputs = {Y}, KEYS(BlockKeys, block_table), .run = run_attention},
    {"block.downsample", "half the resolution (Downsample2D)", .inputs = {X, PARAMS},
     .outputs = {Y}, KEYS(DownKeys, down_table), .run = run_downsample},
    {"block.upsample", "twice the resolution (Upsample2D)", .inputs = {X, PARAMS},
     .outputs = {Y}, KEYS(UpKeys, up_table), .run = run_upsample},
    {"block.time", "time embedding (Timesteps, TimestepEmbedding, SiLU)", .inputs = {PARAMS},
     .outputs = {{"time", RUN_FLOAT, "1,W", false, NULL}}, KEYS(TimeKeys, time_table),
     .run = run_time_embedding},
    {"block.down", "level of the encoder (CrossAttnDownBlock2D, DownBlock2D)",
     .inputs = {X, TIME, MAYBE_CONTEXT, PARAMS},
     .outputs = {SKIPS("after every layer and after the sampler")},
     KEYS(BlockKeys, block_table), .run = run_down},
    {"block.mid", "the middle (UNetMidBlock2DCrossAttn)", .inputs = {X, TIME, CONTEXT, PARAMS},
     .outputs = {Y}, KEYS(BlockKeys, block_table), .run = run_middle},
    {"block.up", "level of the decoder (CrossAttnUpBlock2D, UpBlock2D)",
     .inputs = {X, TIME, MAYBE_CONTEXT, PARAMS,
                SKIPS("taken from the last on; with a sampler skip.0 only tells the size to meet")},
     .outputs = {Y}, KEYS(BlockKeys, block_table), .run = run_up},
    {"block.vae_down", "level of the VAE's encoder (DownEncoderBlock2D)", .inputs = {X, PARAMS},
     .outputs = {Y}, KEYS(BlockKeys, block_table), .run = run_vae_down},
    {"block.vae_up", "level of the VAE's decoder (UpDecoderBlock2D)", .inputs = {X, PARAMS},
     .outputs = {Y}, KEYS(BlockKeys, block_table), .run = run_vae_up},
    {"block.vae_mid", "the VAE's middle (UNetMidBlock2D)", .inputs = {X, PARAMS},
     .outputs = {Y}, KEYS(BlockKeys, block_table), .run = run_vae_middle},
};
// clang-format on

const ComponentGroup components_block = {components, sizeof components / sizeof components[0]};
