/* The arithmetic of _rows.py for CPUs: one row at a time while it is in the cache.
 *
 * A row is read into a buffer of fp32 logits x = scale * z (or left where it is, if it is that already); the kept set
 * is found by selection, never by a sort; one pass of exponentials gives every sum. Letters as in _rows.py.
 *
 * Plain C, no intrinsics: the loops are written so that a compiler turns them into vector code. Sums run in fp32 over
 * BLOCK logits and in double beyond, which keeps entropies of 150 000 tokens good to 1e-6.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#define BLOCK 4096
#define SAMPLE 2048
#define STRIP 1024
#define FLOOR (-104.0f) /* exp of less is no fp32 number */
#define BANNED (-1e30f)
#define IGNORED (-100)

enum { FP32 = 0, BF16 = 1 };
enum { KEEP_ALL = 0, BY_COUNT = 1, BY_MASS = 2 };
enum { LOGPROB, ENTROPY, CLAMPED, MASS, LOG_Z, LOG_Z_KEPT, TAU, TIE_WEIGHT, WATCHED, OUTPUTS };
enum { C_LOG_Z, C_TAU, C_TIE_WEIGHT, C_G1, C_A, C_B, C_C, C_D, COEFFICIENTS };

static inline float as_float(uint32_t bits) { float f; memcpy(&f, &bits, 4); return f; }
static inline uint32_t as_bits(float f) { uint32_t bits; memcpy(&bits, &f, 4); return bits; }

static inline float from_bf16(uint16_t h) { return as_float((uint32_t)h << 16); }

static inline uint16_t to_bf16(float f) { /* to nearest, ties to even */
    uint32_t bits = as_bits(f);
    uint16_t rounded = (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
    return f == f ? rounded : (uint16_t)0x7fc0;
}

/* exp for x <= 0 (or barely above): x = n log 2 + r, a polynomial in r, n put into the exponent. NaN stays NaN. */
static inline float exp_(float x) {
    float y = x < -87.0f ? -87.0f : x;
    float shifted = y * 1.44269504088896341f + 12582912.0f; /* adding 1.5 * 2^23 rounds to an integer */
    float n = shifted - 12582912.0f;
    float r = y - n * 0.693359375f + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + (r + 1.0f);
    float power = as_float((as_bits(shifted) + (127u - 0x4b400000u)) << 23);
    return x < -87.0f ? 0.0f : p * power;
}

/* Integers in the order of the floats, so that a threshold can be found by bisection on 32 bits. */
static inline int64_t key_of(float f) { int32_t i = (int32_t)as_bits(f); return i < 0 ? i ^ 0x7fffffff : i; }
static inline float of_key(int64_t key) { int32_t i = (int32_t)key; return as_float((uint32_t)(i < 0 ? i ^ 0x7fffffff : i)); }

static int64_t count_below(const float *x, int64_t n, float edge) {
    int64_t total = 0;
    for (int64_t from = 0; from < n; from += 1 << 20) {
        int64_t to = from + (1 << 20) < n ? from + (1 << 20) : n;
        int32_t count = 0;
#pragma omp simd reduction(+ : count)
        for (int64_t j = from; j < to; j++) count += x[j] < edge;
        total += count;
    }
    return total;
}

/* Copy what lies in [low, high]; n <= STRIP. The comparisons are vector code; the copy has no branch to mispredict. */
static int64_t copy_inside(const float *x, int64_t n, float low, float high, float *inside) {
    int32_t taken[STRIP];
    int64_t count = 0;
#pragma omp simd
    for (int64_t j = 0; j < n; j++) taken[j] = (x[j] >= low) & (x[j] <= high);
    for (int64_t j = 0; j < n; j++) {
        inside[count] = x[j];
        count += taken[j];
    }
    return count;
}

static void range(const float *x, int64_t n, float *low, float *high) {
    float least = INFINITY, most = -INFINITY;
#pragma omp simd reduction(min : least) reduction(max : most)
    for (int64_t j = 0; j < n; j++) {
        least = x[j] < least ? x[j] : least;
        most = x[j] > most ? x[j] : most;
    }
    *low = least;
    *high = most;
}

static float least_from(const float *x, int64_t n, float edge) {
    float least = INFINITY;
#pragma omp simd reduction(min : least)
    for (int64_t j = 0; j < n; j++) {
        float value = x[j] >= edge ? x[j] : INFINITY;
        least = value < least ? value : least;
    }
    return least;
}

/* The value of ascending rank `rank` (from 0) among x, known to lie in [low, high]: the largest t that at most `rank`
 * values are below. Guesses by interpolation, aimed to either side in turn, until one value is left between the bounds;
 * where ties or gaps stop that, bisection on the keys finishes. Every step only counts. */
static float select_within(const float *x, int64_t n, int64_t rank, float low, float high) {
    int64_t below_low = 0, below_high = n; /* below_low <= rank < below_high; the value is in [low, high] */
    for (int guess = 0; guess < 16 && low < high && high - low < INFINITY; guess++) {
        double gap = (double)(below_high - below_low), aim = (double)(rank - below_low) + 0.5, margin = 0.5 * sqrt(gap);
        double share = (guess % 4 == 3) ? 0.5 : (aim + (guess & 1 ? margin : -margin)) / gap;
        share = share < 0.01 ? 0.01 : share > 0.99 ? 0.99 : share;
        float edge = (float)(low + share * ((double)high - low));
        if (!(edge > low && edge <= high)) break;
        int64_t below = count_below(x, n, edge);
        if (below <= rank) {
            low = edge;
            below_low = below;
        } else {
            high = edge; /* the value is less, but a bound too wide by one float is harmless */
            below_high = below;
        }
        if (below_high - below_low == 1) return least_from(x, n, low);
    }
    int64_t least = key_of(low), most = key_of(high);
    while (least < most) {
        int64_t middle = least + (most - least + 1) / 2;
        if (count_below(x, n, of_key(middle)) <= rank) least = middle; else most = middle - 1;
    }
    return of_key(least);
}

static float select_rank(const float *x, int64_t n, int64_t rank) {
    float low, high;
    range(x, n, &low, &high);
    return low <= high ? select_within(x, n, rank, low, high) : NAN;
}

/* The same for a long row: a sample brackets the value, one pass counts the values below the bracket and copies those
 * inside, and the rest is a selection among these few. A bracket that misses costs time, never exactness. */
static float select_long(const float *x, int64_t n, int64_t rank, float *inside) {
    float sample[SAMPLE], low = -INFINITY, high = INFINITY;
    int64_t step = n / SAMPLE;
    for (int64_t i = 0; i < SAMPLE; i++) sample[i] = x[i * step + (int64_t)(((uint64_t)i * 2654435761u >> 7) % (uint64_t)step)];
    double share = (double)rank / (double)n, slack = 5 * sqrt(SAMPLE * share * (1 - share)) + 2;
    int64_t rank_low = (int64_t)floor(SAMPLE * share - slack), rank_high = (int64_t)(SAMPLE * share + slack) + 1;
    if (rank_low >= 0) low = select_rank(sample, SAMPLE, rank_low);
    if (rank_high < SAMPLE) high = select_rank(sample, SAMPLE, rank_high);
    int64_t below = 0, count = 0;
    for (int64_t from = 0; from < n; from += STRIP) {
        int64_t to = from + STRIP < n ? from + STRIP : n;
        below += count_below(x + from, to - from, low);
        count += copy_inside(x + from, to - from, low, high, inside + count);
    }
    if (rank < below || rank >= below + count) return select_rank(x, n, rank);
    return select_rank(inside, count, rank - below);
}

static double mass_above(const float *x, const float *e, int64_t n, float edge) {
    double total = 0;
    for (int64_t from = 0; from < n; from += BLOCK) {
        int64_t to = from + BLOCK < n ? from + BLOCK : n;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t j = from; j < to; j++) sum += x[j] > edge ? e[j] : 0.0f;
        total += sum;
    }
    return total;
}

/* The lowest token of the nucleus: the least t above which there is less than `top_p * z` (mass relative to the peak).
 * Tokens less likely than (1 - top_p) / n cannot hold 1 - top_p together, so the nucleus has none of them, and only the
 * few others are copied. */
static float select_mass(const float *x, int64_t n, float peak, double z, double top_p, float *inside, float *e) {
    float least = peak + (float)log((1 - top_p) * z / (double)n) - 1e-3f;
    int64_t count = 0;
    for (int64_t from = 0; from < n; from += STRIP) {
        int64_t to = from + STRIP < n ? from + STRIP : n;
        count += copy_inside(x + from, to - from, least, INFINITY, inside + count);
    }
#pragma omp simd
    for (int64_t j = 0; j < count; j++) e[j] = exp_(inside[j] - peak);
    float low, high;
    range(inside, count, &low, &high);
    if (!(low <= high)) return NAN;
    int64_t from = key_of(low), to = key_of(high);
    while (from < to) {
        int64_t middle = from + (to - from) / 2;
        if (mass_above(inside, e, count, of_key(middle)) < top_p * z) to = middle; else from = middle + 1;
    }
    return of_key(from);
}

typedef struct {
    double z, moment, z_kept, moment_kept, watched;
    int64_t above, tied;
} Sums;

/* One pass of exponentials. Every caller passes `cut` and `watch` as constants, so the compiler makes a loop for each. */
static inline __attribute__((always_inline)) Sums sum_row(
    const float *x, int64_t n, float peak, int cut, float tau, int watch, const float *watched) {
    Sums sums = {0};
    for (int64_t from = 0; from < n; from += BLOCK) {
        int64_t to = from + BLOCK < n ? from + BLOCK : n;
        float z = 0, moment = 0, z_kept = 0, moment_kept = 0, seen = 0;
        int32_t above = 0, tied = 0;
#pragma omp simd reduction(+ : z, moment, z_kept, moment_kept, seen, above, tied)
        for (int64_t j = from; j < to; j++) {
            float d = x[j] - peak;
            d = d < FLOOR ? FLOOR : d;
            float e = exp_(d), ed = e * d;
            z += e;
            moment += ed;
            if (cut) {
                z_kept += x[j] > tau ? e : 0.0f;
                moment_kept += x[j] > tau ? ed : 0.0f;
                above += x[j] > tau;
                tied += x[j] == tau;
            }
            if (watch) seen += e * watched[j];
        }
        sums.z += z;
        sums.moment += moment;
        sums.z_kept += z_kept;
        sums.moment_kept += moment_kept;
        sums.watched += seen;
        sums.above += above;
        sums.tied += tied;
    }
    return sums;
}

static Sums sum_any(const float *x, int64_t n, float peak, int cut, float tau, const float *watched) {
    if (cut) return watched ? sum_row(x, n, peak, 1, tau, 1, watched) : sum_row(x, n, peak, 1, tau, 0, watched);
    return watched ? sum_row(x, n, peak, 0, tau, 1, watched) : sum_row(x, n, peak, 0, tau, 0, watched);
}

static const float *read_row(const void *z, int kind, int64_t row, int64_t stride, int64_t n, float scale, float *buffer) {
    if (kind == BF16) {
        const uint16_t *from = (const uint16_t *)z + row * stride;
#pragma omp simd
        for (int64_t j = 0; j < n; j++) buffer[j] = scale * from_bf16(from[j]);
        return buffer;
    }
    const float *from = (const float *)z + row * stride;
    if (scale == 1.0f) return from;
#pragma omp simd
    for (int64_t j = 0; j < n; j++) buffer[j] = scale * from[j];
    return buffer;
}

static inline double not_negative(double value) { return value < 0 ? 0 : value; /* NaN stays */ }

/* Statistics of the rows [first, last). `scratch` holds 3 * n floats. */
void entrostat_forward(const void *z, int kind, int64_t stride, int64_t first, int64_t last, int64_t n, float scale,
                       const int64_t *targets, int rule, int64_t kept, double top_p, const float *watched,
                       float *scratch, float *const *out) {
    float *inside = scratch + n, *e = scratch + 2 * n;
    for (int64_t row = first; row < last; row++) {
        const float *x = read_row(z, kind, row, stride, n, scale, scratch);
        float low, peak;
        range(x, n, &low, &peak);
        int64_t target = targets ? targets[row] : IGNORED;
        float target_x = target == IGNORED ? 0.0f : x[target];
        if (peak <= BANNED / 2) { /* every token banned; a NaN, which no comparison finds, must show in the outputs */
            float nothing = 0;
            for (int64_t j = 0; j < n; j++) nothing = x[j] == x[j] ? nothing : NAN;
            for (int output = 0; output < OUTPUTS; output++) out[output][row] = nothing;
            out[LOGPROB][row] = target == IGNORED ? 0.0f : nothing - INFINITY;
            out[LOG_Z][row] = out[LOG_Z_KEPT][row] = nothing + BANNED;
            continue;
        }
        float tau = peak;
        if (rule == BY_COUNT) {
            int64_t rank = n - kept;
            tau = n > 4 * SAMPLE ? select_long(x, n, rank, inside)
                                 : select_within(x, n, rank, low, peak);
        } else if (rule == BY_MASS) {
            tau = select_mass(x, n, peak, sum_any(x, n, peak, 0, tau, 0).z, top_p, inside, e);
        }
        Sums sums = sum_any(x, n, peak, rule != KEEP_ALL, tau, watched);
        double z_kept = sums.z, moment_kept = sums.moment, tie_weight = 1;
        if (rule != KEEP_ALL) {
            double d = tau - peak < FLOOR ? FLOOR : tau - peak, at_tau = exp_((float)d), places = (double)(kept - sums.above);
            if (rule == BY_MASS) places = ceil((top_p * sums.z - sums.z_kept) / at_tau);
            if (places > (double)sums.tied) places = (double)sums.tied;
            if (places < 1) places = 1;
            tie_weight = places / (double)(sums.tied ? sums.tied : 1);
            z_kept = sums.z_kept + places * at_tau;
            moment_kept = sums.moment_kept + places * at_tau * d;
        }
        double log_z = peak + log(sums.z);
        out[LOGPROB][row] = target == IGNORED ? 0.0f : target_x <= BANNED / 2 ? -INFINITY : (float)(target_x - log_z);
        out[ENTROPY][row] = (float)not_negative(log(sums.z) - sums.moment / sums.z);
        out[CLAMPED][row] = (float)not_negative(log(z_kept) - moment_kept / z_kept);
        out[MASS][row] = (float)(z_kept > sums.z ? 1 : z_kept / sums.z); /* rounding must not make it more than 1 */
        out[LOG_Z][row] = (float)log_z;
        out[LOG_Z_KEPT][row] = (float)(peak + log(z_kept));
        out[TAU][row] = tau;
        out[TIE_WEIGHT][row] = (float)tie_weight;
        out[WATCHED][row] = (float)(sums.watched / sums.z);
    }
}

/* (a + b l + w (c + d l)) p * scale for one row, to fp32 or bf16; every caller passes `cut` and `half` as constants. */
static inline __attribute__((always_inline)) void write_row(
    const float *x, int64_t n, float scale, const float *k, int cut, int half, void *to) {
    float log_z = k[C_LOG_Z], tau = k[C_TAU];
    float a = k[C_A] * scale, b = k[C_B] * scale;
    float a_kept = a + k[C_C] * scale, b_kept = b + k[C_D] * scale;
    float a_tied = a + k[C_TIE_WEIGHT] * k[C_C] * scale, b_tied = b + k[C_TIE_WEIGHT] * k[C_D] * scale;
#pragma omp simd
    for (int64_t j = 0; j < n; j++) {
        float value = x[j], l = value - log_z;
        l = l < FLOOR ? FLOOR : l;
        float offset = a, slope = b;
        if (cut) {
            offset = value > tau ? a_kept : value == tau ? a_tied : a;
            slope = value > tau ? b_kept : value == tau ? b_tied : b;
        }
        float gradient = (offset + slope * l) * exp_(l);
        if (half) ((uint16_t *)to)[j] = to_bf16(gradient); else ((float *)to)[j] = gradient;
    }
}

/* The derivative by z of the rows [first, last), to `out`, which may be z. `scratch` holds n floats. */
void entrostat_backward(const void *z, int kind, int64_t stride, int64_t first, int64_t last, int64_t n, float scale,
                        const int64_t *targets, int cut, const float *const *coefficients, float *scratch, void *out,
                        int64_t out_stride) {
    for (int64_t row = first; row < last; row++) {
        const float *x = read_row(z, kind, row, stride, n, scale, scratch);
        float k[COEFFICIENTS];
        for (int i = 0; i < COEFFICIENTS; i++) k[i] = coefficients[i] ? coefficients[i][row] : 0.0f;
        int64_t target = targets ? targets[row] : IGNORED;
        float at_target = 0;
        if (target != IGNORED) { /* read before the row is overwritten; its neighbours' formula, then the 1[j = t] g1 */
            write_row(x + target, 1, scale, k, cut, 0, &at_target);
            at_target += k[C_G1] * scale;
        }
        if (kind == BF16) {
            uint16_t *to = (uint16_t *)out + row * out_stride;
            if (cut) write_row(x, n, scale, k, 1, 1, to); else write_row(x, n, scale, k, 0, 1, to);
            if (target != IGNORED) to[target] = to_bf16(at_target);
        } else {
            float *to = (float *)out + row * out_stride;
            if (cut) write_row(x, n, scale, k, 1, 0, to); else write_row(x, n, scale, k, 0, 0, to);
            if (target != IGNORED) to[target] = at_target;
        }
    }
}
