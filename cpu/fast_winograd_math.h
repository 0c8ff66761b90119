// SPDX-License-Identifier: MIT
// The transforms and the product of Winograd's convolution (fast_winograd.h), on registers whose
// lanes are channels. A transform of one side is written once and run over columns, then rows.
#ifndef CPU_FAST_WINOGRAD_MATH_H
#define CPU_FAST_WINOGRAD_MATH_H

#include "cpu/fast_vec.h"

#define WINO_A 0.625f
#define WINO_B 1.5f
#define WINO_A2 (WINO_A * WINO_A)
#define WINO_B2 (WINO_B * WINO_B)

// v = B' d: six values to six.
INLINED void wino_input(const Vec d[6], Vec v[6]) {
    Vec a = vec_all(WINO_A), b = vec_all(WINO_B), a2 = vec_all(-WINO_A2), b2 = vec_all(-WINO_B2);
    Vec both = vec_all(WINO_A2 * WINO_B2), sum = vec_all(-(WINO_A2 + WINO_B2));
    Vec even_a = vec_multiply_add(b2, d[2], d[4]), odd_a = a * vec_multiply_add(b2, d[1], d[3]);
    Vec even_b = vec_multiply_add(a2, d[2], d[4]), odd_b = b * vec_multiply_add(a2, d[1], d[3]);
    v[0] = vec_multiply_add(both, d[0], vec_multiply_add(sum, d[2], d[4]));
    v[1] = even_a + odd_a;
    v[2] = even_a - odd_a;
    v[3] = even_b + odd_b;
    v[4] = even_b - odd_b;
    v[5] = vec_multiply_add(both, d[1], vec_multiply_add(sum, d[3], d[5]));
}

// y = A' m: six values to four.
INLINED void wino_output(const Vec m[6], Vec y[4]) {
    Vec a = vec_all(WINO_A), b = vec_all(WINO_B), a2 = vec_all(WINO_A2), b2 = vec_all(WINO_B2);
    Vec a3 = vec_all(WINO_A2 * WINO_A), b3 = vec_all(WINO_B2 * WINO_B);
    Vec even_a = m[1] + m[2], odd_a = m[1] - m[2], even_b = m[3] + m[4], odd_b = m[3] - m[4];
    y[0] = m[0] + even_a + even_b;
    y[1] = vec_multiply_add(a, odd_a, b * odd_b);
    y[2] = vec_multiply_add(a2, even_a, b2 * even_b);
    y[3] = vec_multiply_add(a3, odd_a, vec_multiply_add(b3, odd_b, m[5]));
}

// z = A dy: four values to six.
INLINED void wino_gradient(const Vec d[4], Vec z[6]) {
    Vec a = vec_all(WINO_A), b = vec_all(WINO_B), a2 = vec_all(WINO_A2), b2 = vec_all(WINO_B2);
    Vec even_a = vec_multiply_add(a2, d[2], d[0]), odd_a = a * vec_multiply_add(a2, d[3], d[1]);
    Vec even_b = vec_multiply_add(b2, d[2], d[0]), odd_b = b * vec_multiply_add(b2, d[3], d[1]);
    z[0] = d[0];
    z[1] = even_a + odd_a;
    z[2] = even_a - odd_a;
    z[3] = even_b + odd_b;
    z[4] = even_b - odd_b;
    z[5] = d[3];
}

// What the rows of G divide by, for the points 0, a and b.
#define WINO_N0 (WINO_A2 * WINO_B2)
#define WINO_NA (2 * WINO_A2 * (WINO_A2 - WINO_B2))
#define WINO_NB (2 * WINO_B2 * (WINO_B2 - WINO_A2))

// u = G g: three values to six.
INLINED void wino_weight(const Vec g[3], Vec u[6]) {
    Vec even_a = vec_multiply_add(vec_all(WINO_A2 / WINO_NA), g[2], vec_all(1 / WINO_NA) * g[0]);
    Vec even_b = vec_multiply_add(vec_all(WINO_B2 / WINO_NB), g[2], vec_all(1 / WINO_NB) * g[0]);
    Vec odd_a = vec_all(WINO_A / WINO_NA) * g[1], odd_b = vec_all(WINO_B / WINO_NB) * g[1];
    u[0] = vec_all(1 / WINO_N0) * g[0];
    u[1] = even_a + odd_a;
    u[2] = even_a - odd_a;
    u[3] = even_b + odd_b;
    u[4] = even_b - odd_b;
    u[5] = g[2];
}

// g = G' u: six values to three.
INLINED void wino_weight_back(const Vec u[6], Vec g[3]) {
    Vec even_a = u[1] + u[2], odd_a = u[1] - u[2], even_b = u[3] + u[4], odd_b = u[3] - u[4];
    g[0] = vec_multiply_add(
        vec_all(1 / WINO_N0), u[0],
        vec_multiply_add(vec_all(1 / WINO_NA), even_a, vec_all(1 / WINO_NB) * even_b));
    g[1] = vec_multiply_add(vec_all(WINO_A / WINO_NA), odd_a, vec_all(WINO_B / WINO_NB) * odd_b);
    g[2] = vec_multiply_add(vec_all(WINO_A2 / WINO_NA), even_a,
                            vec_multiply_add(vec_all(WINO_B2 / WINO_NB), even_b, u[5]));
}

// out [rows,rows] = T in T', in [columns,columns]; T is one of the functions above.
#define WINO_BOTH_SIDES(transform, columns, rows, in, out)                           \
    do {                                                                             \
        Vec half[columns][rows];                                                     \
        UNROLL(6) for (int j_ = 0; j_ < columns; j_++) {                             \
            Vec column_[columns];                                                    \
            UNROLL(6) for (int i_ = 0; i_ < columns; i_++) column_[i_] = in[i_][j_]; \
            transform(column_, half[j_]);                                            \
        }                                                                            \
        UNROLL(6) for (int i_ = 0; i_ < rows; i_++) {                                \
            Vec row_[columns];                                                       \
            UNROLL(6) for (int j_ = 0; j_ < columns; j_++) row_[j_] = half[j_][i_];  \
            transform(row_, out[i_]);                                                \
        }                                                                            \
    } while (0)

// ---- product ------------------------------------------------------------------------------------

// Rows of one product for panels of 1, 2 or 3 registers: as many as there are registers for.
#if defined(__AVX512F__)
enum { WINO_ROWS_1 = 14, WINO_ROWS_2 = 14, WINO_ROWS_3 = 8 };
#else
enum { WINO_ROWS_1 = 8, WINO_ROWS_2 = 6, WINO_ROWS_3 = 4 };
#endif

// c [rows,width*LANES] (rows c_stride apart) = a b, or added: a(r, k) at a[r row + k step], b
// [depth,width*LANES] without gaps.
INLINED void wino_product(const float *a, int64_t row, int64_t step, const float *b, int64_t depth,
                          bool add, float *c, int64_t c_stride, const int rows, const int width) {
    Vec sums[14][3];
    const float *at[5] = {a, a + 3 * row, a + 6 * row, a + 9 * row, a + 12 * row};
    UNROLL(14)
    for (int r = 0; r < rows; r++) UNROLL(3)
    for (int v = 0; v < width; v++)
        sums[r][v] = add ? vec_load(c + r * c_stride + v * LANES) : vec_all(0);
    for (int64_t k = 0; k < depth; k++) {
        Vec right[3];
        UNROLL(3)
        for (int v = 0; v < width; v++) right[v] = vec_load(b + v * LANES);
        UNROLL(14)
        for (int r = 0; r < rows; r++) {
            Vec left = vec_all(at[r / 3][r % 3 * row]);
            UNROLL(3)
            for (int v = 0; v < width; v++)
                sums[r][v] = vec_multiply_add(left, right[v], sums[r][v]);
        }
        b += width * LANES;
        UNROLL(5)
        for (int i = 0; i < 5; i++) at[i] += step;
    }
    UNROLL(14)
    for (int r = 0; r < rows; r++) UNROLL(3)
    for (int v = 0; v < width; v++) vec_store(c + r * c_stride + v * LANES, sums[r][v]);
}

#endif
