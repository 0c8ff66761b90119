#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Shows that the fidelity suite finds faults: changes one constant after another in copies of our
# sources and expects the component that it names to fail.
#   scripts/fidelity/break.sh BUILD [NAME...]    BUILD: a folder built with Ninja; NAME: some faults
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "$1" && pwd)
shift
only=" $* "
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
missed=0

# Compiles the changed file as the build does (once for every type and instruction set) and links the
# program with the objects in front.
build_with() {
    local file=$1 command link objects=""
    while read -r command; do
        objects="$objects $work/changed-${#objects}.o"
        command=$(sed -E "s# -o [^ ]+# -o ${objects##* }#; s# -M[TF] [^ ]+##g; s# -MD##; s# -Werror##" <<<"$command")
        (cd "$build" && bash -c "${command/ -c $root\/$file/ -c $work\/${file##*/}}") >"$work/log" 2>&1 || return 1
    done < <(ninja -C "$build" -t commands p2s | grep -F " -c $root/$file" | sort -u)
    link=$(ninja -C "$build" -t commands p2s | tail -n 1)
    (cd "$build" && bash -c "$(sed -E "s# -o p2s #$objects -o $work/p2s #" <<<"$link")") >"$work/log" 2>&1
}

# fault NAME FILE SED COMPONENT [KERNELS]
fault() {
    local name=$1 file=$2 change=$3 component=$4 kernels=${5:-fast}
    [[ $only == "  " || $only == *" $name "* ]] || return 0
    sed -E "$change" "$root/$file" >"$work/${file##*/}"
    if cmp -s "$root/$file" "$work/${file##*/}"; then
        echo "FAIL    $name: nothing in $file to change" >&3
        missed=1
    elif ! build_with "$file"; then
        echo "FAIL    $name does not compile: $(tail -n 5 "$work/log")" >&3
        missed=1
    else
        mv "$work/p2s" "$work/p2s-$name"
        echo "$name $component $kernels $work/p2s-$name"
    fi
    rm -f "$work/${file##*/}"
}

faults() {
    fault resnet-eps nn/resnet_block.c 's/block->groups, block->eps, true/block->groups, 1e-6, true/' block.resnet
    fault transformer-eps nn/transformer_block.c 's/ENTRY_EPS = 1e-6/ENTRY_EPS = 1e-5/' block.transformer
    fault layer-norm-eps nn/transformer_block.c 's/TOKEN_EPS = 1e-5/TOKEN_EPS = 1e-6/' block.transformer
    fault vae-eps nn/vae.c 's/EPS = 1e-6/EPS = 1e-5/' block.vae_mid
    fault geglu-order cpu/fast_elementwise.c 's/value\[i\] \* gate\[i\] \* vector_normal_cdf\(gate\[i\]/gate[i] * value[i] * vector_normal_cdf(value[i]/' block.transformer
    fault geglu-order-reference cpu/elementwise.c 's/value_half\[c\] \* gate\[c\] \* normal_cdf\(gate\[c\]\)/gate[c] * value_half[c] * normal_cdf(value_half[c])/' block.transformer reference
    fault padding nn/layers.c 's/\{2, 0, 0, 1, 1, false\}/{2, 1, 1, 0, 0, false}/' block.downsample
    fault heads nn/unet_level.c 's/\(int\)config->heads\[place\]/(int)config->heads[place] * 2/' unet.miniature
    fault attention-scale nn/transformer_block.c 's/1 \/ sqrt\(\(double\)channels \/ heads\)/1 \/ sqrt((double)channels)/' block.transformer
    fault time-order nn/unet_encoder.c 's/values\[k\] = cosf/values[k] = sinf/; s/half \+ k\] = sinf/half + k] = cosf/' block.time
    fault skip-order nn/unet_level.c 's/op_concat\(h, skip, 3\)/op_concat(skip, h, 3)/' block.up
    fault silu-of-branch nn/controlnet.c 's/op_silu\(conv_forward\(&control->embed_in, condition, NONE\)\)/conv_forward(\&control->embed_in, condition, NONE)/' controlnet.3
    fault latent-scale nn/vae.c 's/op_affine\(latent, 1 \/ /op_affine(latent, 1.01 \/ /' vae.decode
    fault huber-delta cpu/fast_coloring_loss.c 's/d > 1 \? 1 : d/d > 2 ? 2 : d/' loss.coloring.prompted
    fault huber-delta-reference cpu/coloring_loss.c 's/fabs\(x\) < 1 \? 0\.5 \* x \* x : fabs\(x\) - 0\.5/fabs(x) < 2 ? 0.5 * x * x : 2 * fabs(x) - 2/' loss.coloring.prompted reference
    fault huber-gradient cpu/fast_coloring_loss.c 's/weight \* clipped\)/1.001 * weight * clipped)/' step.prompt2seg
    fault separation-factor autograd/coloring_loss.c 's/COLORING_PAPER \? 1 : 10/COLORING_PAPER ? 1 : 30/' loss.coloring.code
    fault cap autograd/coloring_loss.c 's/1251/1250/' loss.coloring.code
    fault normalise-eps cpu/minmax.c 's/shift \+ 1e-5/shift + 1e-2/' normalise
    fault beta nn/schedule.c 's/\(float\)\(SCHEDULE_STEPS - 1\);/(float)SCHEDULE_STEPS;/' schedule
    fault clean-latent nn/model.c 's/, -\(double\)model->schedule\.noise/, (double)model->schedule.noise/' v_to_x0
    fault clip cpu/backend.c 's/found->square\) \+ 1e-6/found->square) + 1e-2/' adamw
    fault warm-up train/schedule.c 's/peak \* \(double\)step \/ /peak * (double)(step + 1) \/ /' lr
    fault text-heads nn/text_encoder.c 's/\(int\)encoder->config\.heads;/(int)encoder->config.heads \/ 2;/' text.narrow
    fault text-activation nn/text_encoder.c 's/encoder->config\.quick_gelu \?/true ?/' text.narrow
    fault text-layer-norm-eps nn/text_encoder.c 's/norm->bias, encoder->config\.eps\)/norm->bias, 1e-6)/' text.narrow
    fault text-causal nn/text_encoder.c 's/heads, scale, true\)/heads, scale, false)/' text.narrow
    fault token-digits nn/tokenizer.c 's/kind != DIGIT && length/length/' tokenize
    fault token-composition nn/tokenizer.c 's/UNINORM_NFC/UNINORM_NFD/' tokenize
    fault token-map nn/tokenizer_files.c 's/\(old \|\| !in_config\)/!in_config/' empty_prompt
    fault prompt-map nn/prompt_map.c 's/-0\.5 \* distance/-0.6 * distance/' step.prompt2seg
    fault resize-weights data/resample.c 's/return \(int32_t\)\(scaled < 0\.0 \? scaled - 0\.5 : scaled \+ 0\.5\);/return 2 * (int32_t)(scaled < 0.0 ? scaled \/ 2 - 0.5 : scaled \/ 2 + 0.5);/' resize
    fault bilateral-rounding eval/joint_bilateral.c 's/rintf\(numerator \* \(1.0f \/ denominator\)\)/floorf(numerator * (1.0f \/ denominator) + 0.5f)/; s/_mm256_cvtps_epi32\(value\)/_mm256_cvttps_epi32(_mm256_add_ps(value, _mm256_set1_ps(0.5f)))/' joint_bilateral
    fault edge-direction eval/edges.c 's/13573/13239/' edges
    fault edge-ties eval/edges.c 's/g\.square > square_at\(field, x - 1, y\) \&\&/g.square >= square_at(field, x - 1, y) \&\&/' edges
    fault query-sigma eval/gaussian_query.c 's/1 \/ \(sqrt\(2\) \* sigma\)/1 \/ (2 * sigma)/' gaussian_query
    fault polygon-rounding data/polygon.c 's/5\.0 \* xy\[0\] \+ 0\.5/5.0 * xy[0] + 0.4/' polygon
    fault next-point-ties eval/prompter.c 's/squared\[i\] > squared\[best\]/squared[i] >= squared[best]/' next_point
    fault component-neighbours eval/components.c 's/int y0 = y > 0 \? y - 1 : 0, y1 = y \+ 1 < f->height \? y \+ 1 : y;/int y0 = y, y1 = y;/' components
    fault prediction-padding eval/predictor.c 's/: geometry->inner_width - 1;/: 0;/' interop.predict
    fault prediction-latent eval/predictor.c 's/settings->x0 == PREDICT_X0_IMAGE/settings->x0 != PREDICT_X0_IMAGE/' interop.predict
    return "$missed"
}

# One program is tried while the next is built.
exec 3>&1
export P2S_PROGRAM=$build/p2s
faults | "$root/scripts/fidelity.sh" --faults
