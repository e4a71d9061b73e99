/* kernels/cuda/filter.cu - drawing with filters: repetition penalty, top-k, top-p, min-p, from rows of stored logits.
 *
 * Every filter keeps the largest logits, so it is a floor under their rank: a token's key is its logit, as an integer
 * of the same order, and then its number, the smaller the better. The floor is found byte by byte from the top: a
 * histogram of the keys that share the bytes found so far, weighted by 1 (top-k) or by probability (top-p).
 * Probabilities are counted in units of 2^-40, as integers, so that the order of adding does not matter. A block does a
 * row.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cuda/filter.cuh"

static constexpr int THREADS = 512;
static constexpr int BYTES = 7;                 /* of a key: 4 of the logit, 3 of the token */
static constexpr float UNIT = 1099511627776.0f; /* 2^40 */

typedef unsigned long long u64;

struct row {
    float *logits;
    int n; /* tokens that may be drawn */
    float inverse, most;
    u64 floor; /* keys below are out */
};

__device__ __forceinline__ float logit_of(const struct row &r, int token)
{
    return __fmul_rn(r.logits[token], r.inverse);
}

__device__ __forceinline__ u64 key_of(float x, int token)
{
    return (u64)ordered_bits(x) << 24 | (0xFFFFFFu - (uint32_t)token);
}

__device__ __forceinline__ u64 units_of(const struct row &r, float x)
{
    return (u64)__fmul_rn(fast_exp(__fsub_rn(x, r.most)), UNIT);
}

/* Sum, largest, of a block; in all threads. */
__device__ u64 block_total(u64 x, u64 *shared)
{
    __syncthreads();
    if (threadIdx.x == 0) {
        *shared = 0;
    }
    __syncthreads();
    atomicAdd(shared, x); /* of integers: any order gives the same */
    __syncthreads();
    return *shared;
}

__device__ u64 block_largest(u64 x, u64 *shared)
{
    __syncthreads();
    if (threadIdx.x == 0) {
        *shared = 0;
    }
    __syncthreads();
    atomicMax(shared, x);
    __syncthreads();
    return *shared;
}

/* The largest key such that the keys from it on weigh at least `target`, of those not below the floor. */
__device__ u64 find_floor(const struct row &r, bool by_mass, u64 target, u64 *bins, u64 *found)
{
    u64 prefix = 0;
    for (int byte = BYTES - 1; byte >= 0; byte--) {
        for (int i = threadIdx.x; i < 256; i += THREADS) {
            bins[i] = 0;
        }
        __syncthreads();
        int last = 0; /* neighbours often share a bin: their sum is added at once */
        u64 sum = 0;
        for (int v = threadIdx.x; v < r.n; v += THREADS) {
            float x = logit_of(r, v);
            u64 key = key_of(x, v);
            if (key >= r.floor && key >> 8 * (byte + 1) == prefix) {
                int bin = (int)(key >> 8 * byte & 255);
                if (bin != last && sum > 0) {
                    atomicAdd(&bins[last], sum);
                    sum = 0;
                }
                last = bin;
                sum += by_mass ? units_of(r, x) : 1ull;
            }
        }
        if (sum > 0) {
            atomicAdd(&bins[last], sum);
        }
        __syncthreads();
        if (threadIdx.x == 0) {
            int bin = 255;
            u64 above = 0;
            while (bin > 0 && above + bins[bin] < target) {
                above += bins[bin--];
            }
            found[0] = prefix << 8 | (u64)bin;
            found[1] = target > above ? target - above : 1;
        }
        __syncthreads();
        prefix = found[0], target = found[1];
        __syncthreads();
    }
    return prefix;
}

/* Keskar et al. 2019 (CTRL), section 4.1; each token once however often it was seen. Keeps what the logits were. */
__device__ void penalise(const struct filter &f, const int32_t *seen, float *kept, float *logits)
{
    for (int i = threadIdx.x; i < f.n_seen; i += THREADS) {
        kept[i] = logits[seen[i]];
    }
    __syncthreads();
    for (int i = threadIdx.x; i < f.n_seen; i += THREADS) {
        bool again = false;
        for (int j = 0; j < i && !again; j++) {
            again = seen[j] == seen[i];
        }
        if (!again) {
            logits[seen[i]] = kept[i] > 0 ? __fdiv_rn(kept[i], f.penalty) : __fmul_rn(kept[i], f.penalty);
        }
    }
    __syncthreads();
}

__global__ void filter_kernel(struct filter_args a)
{
    __shared__ u64 bins[256], shared, found[2];
    const struct filter f = a.filters[blockIdx.x];
    const int32_t *seen = a.seen + f.seen;
    float *kept = a.kept + f.seen;
    struct row r = {a.logits + (size_t)blockIdx.x * (size_t)a.V, a.n_valid, f.inv_temperature, 0, 0};
    if (f.penalty != 1.0f) {
        penalise(f, seen, kept, r.logits);
    }
    u64 best = 0;
    for (int v = threadIdx.x; v < r.n; v += THREADS) {
        u64 key = key_of(logit_of(r, v), v);
        best = key > best ? key : best;
    }
    best = block_largest(best, &shared);
    if (f.noisy) {
        r.most = logit_of(r, (int)(0xFFFFFFu - (uint32_t)(best & 0xFFFFFFu)));
        if (f.top_k > 0 && f.top_k < r.n) {
            r.floor = find_floor(r, false, (u64)f.top_k, bins, found);
        }
        if (f.top_p < 1.0f) {
            u64 mass = 0;
            for (int v = threadIdx.x; v < r.n; v += THREADS) {
                float x = logit_of(r, v);
                mass += key_of(x, v) >= r.floor ? units_of(r, x) : 0;
            }
            mass = block_total(mass, &shared);
            r.floor = find_floor(r, true, (u64)ceil((double)f.top_p * (double)mass), bins, found);
        }
        u64 least = (u64)((double)f.min_p * (double)UNIT);
        best = 0;
        for (int v = threadIdx.x; v < r.n; v += THREADS) {
            float x = logit_of(r, v);
            if (key_of(x, v) >= r.floor && units_of(r, x) >= least) {
                uint4 w = philox((uint32_t)v / 4, f.position, f.sequence_low, f.sequence_high, f.seed_low, f.seed_high);
                uint32_t word = v % 4 == 0 ? w.x : v % 4 == 1 ? w.y : v % 4 == 2 ? w.z : w.w;
                u64 key = key_of(__fadd_rn(x, gumbel(word)), v);
                best = key > best ? key : best;
            }
        }
        best = block_largest(best, &shared);
    }
    if (threadIdx.x == 0) {
        int token = (int)(0xFFFFFFu - (uint32_t)(best & 0xFFFFFFu));
        float logit = r.logits[token];
        for (int i = 0; f.penalty != 1.0f && i < f.n_seen; i++) {
            logit = seen[i] == token ? kept[i] : logit;
        }
        a.tokens[blockIdx.x] = token;
        a.logprob[blockIdx.x] = __fsub_rn(__fmul_rn(logit, f.inv_temperature), a.lse[blockIdx.x]);
    }
}

void filter_draw(const struct filter_args *a, int n_rows)
{
    filter_kernel<<<(unsigned)n_rows, THREADS, 0, cuda.stream>>>(*a);
    cuda_launched("filters of sampling");
}
