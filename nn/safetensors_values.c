// SPDX-License-Identifier: MIT
// Element types of safetensors files, converted from and to float. See safetensors.h.
#include "nn/safetensors.h"

#include "autograd/tensor.h"

#include <math.h>
#include <string.h>

// ---- half and bfloat16 --------------------------------------------------------------------------

static float from_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t to_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float half_to_float(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31;
    uint32_t fraction = half & 0x3ff;
    if (exponent == 31) return from_bits(sign | 0x7f800000u | fraction << 13);
    if (exponent > 0) return from_bits(sign | (exponent + 112) << 23 | fraction << 13);
    float value = (float)fraction * 0x1p-24f;
    return sign ? -value : value;
}

static uint16_t float_to_half(float value) {
    uint32_t bits = to_bits(value), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return (uint16_t)(sign | 0x7e00);
    if (magnitude >= 0x477ff000u) return (uint16_t)(sign | 0x7c00); // 65520 and above round to inf
    if (magnitude < 0x38800000u) { // below 2^-14: a multiple of 2^-24
        float scaled = from_bits(magnitude) * 0x1p24f;
        return (uint16_t)(sign | (uint32_t)nearbyintf(scaled));
    }
    uint32_t rounded = magnitude + 0xfffu + (magnitude >> 13 & 1);
    return (uint16_t)(sign | (rounded - (112u << 23)) >> 13);
}

// ---- reading ------------------------------------------------------------------------------------

// One element of an unaligned array, as double; exact for all types but I64 beyond 2^53.
static double element(const SafeTensor *tensor, int64_t index) {
    const unsigned char *at =
        (const unsigned char *)tensor->data + (size_t)index * safe_type_size(tensor->type);
    uint16_t bits16;
    int32_t int32;
    int64_t int64;
    float f32;
    double f64;
    switch (tensor->type) {
    case SAFE_F64:
        memcpy(&f64, at, sizeof f64);
        return f64;
    case SAFE_F32:
        memcpy(&f32, at, sizeof f32);
        return f32;
    case SAFE_F16:
        memcpy(&bits16, at, sizeof bits16);
        return half_to_float(bits16);
    case SAFE_BF16:
        memcpy(&bits16, at, sizeof bits16);
        return bf16_to_float(bits16);
    case SAFE_I64:
        memcpy(&int64, at, sizeof int64);
        return (double)int64;
    case SAFE_I32:
        memcpy(&int32, at, sizeof int32);
        return int32;
    default:
        return *at;
    }
}

void safetensors_read_float(const SafeTensor *tensor, float *values) {
    if (tensor->type == SAFE_F32) {
        if (tensor->bytes > 0) memcpy(values, tensor->data, tensor->bytes);
        return;
    }
    for (int64_t i = 0; i < tensor->numel; i++) values[i] = (float)element(tensor, i);
}

void safetensors_read_double(const SafeTensor *tensor, double *values) {
    for (int64_t i = 0; i < tensor->numel; i++) values[i] = element(tensor, i);
}

// ---- converting for writing ---------------------------------------------------------------------

static double clamped(float value, double low, double high) {
    double rounded = isnan(value) ? 0 : nearbyint((double)value);
    return rounded < low ? low : rounded > high ? high : rounded;
}

void safetensors_from_float(SafeType type, const float *values, size_t count, void *bytes) {
    for (size_t i = 0; i < count; i++) {
        switch (type) {
        case SAFE_F64:
            ((double *)bytes)[i] = (double)values[i];
            break;
        case SAFE_F32:
            ((float *)bytes)[i] = values[i];
            break;
        case SAFE_F16:
            ((uint16_t *)bytes)[i] = float_to_half(values[i]);
            break;
        case SAFE_BF16:
            ((uint16_t *)bytes)[i] = float_to_bf16(values[i]);
            break;
        case SAFE_I64: // floats next to 2^63 are 2^40 apart
            ((int64_t *)bytes)[i] = (int64_t)clamped(values[i], -0x1p62, 0x1p62);
            break;
        case SAFE_I32:
            ((int32_t *)bytes)[i] = (int32_t)clamped(values[i], INT32_MIN, INT32_MAX);
            break;
        default:
            ((uint8_t *)bytes)[i] = (uint8_t)clamped(values[i], 0, 255);
            break;
        }
    }
}
