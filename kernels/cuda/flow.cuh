/* kernels/cuda/flow.cuh - the inner product of gemm.cuh on Hopper: 128 x 256 sums at a time, without a break.
 *
 * A block stays on its multiprocessor and does tile after tile. One of its three warpgroups has the tensor memory
 * accelerator fill a ring of stages, 64 steps of k each; the two others multiply, 64 x 256 sums each, and do what is to
 * be done with the sums while the ring fills for the next tile. The second of them is kept a few stages later than the
 * first, so that one multiplies while the other is busy with its sums. The chain of an element is that of gemm.cuh, so
 * are its bits.
 *
 * Both operands must be FAST and not transposed (gemm.cuh). Hopper only. SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CUDA_FLOW_CUH
#define KERNELS_CUDA_FLOW_CUH

#include <cudaTypedefs.h>

#include "kernels/cuda/gemm.cuh"

static constexpr int FLOW_ROWS = 128;
static constexpr int FLOW_COLUMNS = 256;
static constexpr int FLOW_K = 64;
static constexpr int FLOW_STAGES = 4;
static constexpr int FLOW_THREADS = 384; /* warpgroup 0 fetches, 1 and 2 multiply */
static constexpr int FLOW_BEHIND = 3;    /* stages from the first that multiplies to the second */
static constexpr int FLOW_BARRIER = 1;   /* where the second waits for the first, once */

struct flow_stage {
    bf16 a[FLOW_ROWS * FLOW_K], b[FLOW_COLUMNS * FLOW_K];
};

struct flow_ring {
    struct flow_stage stage[FLOW_STAGES]; /* at a multiple of 1024 */
    uint64_t full[FLOW_STAGES], empty[FLOW_STAGES];
};

static constexpr size_t flow_shared_bytes()
{
    return sizeof(struct flow_ring) + 1024;
}

/* All tiles of A B^T, A [rows, depth], B [columns, depth]: tile i has rows
 * 128 (i % row_tiles), columns 256 (i / row_tiles). */
struct flow {
    CUtensorMap a, b;
    int steps, row_tiles, n_tiles; /* steps: of FLOW_K */
};

/* Sums of a thread of warpgroup g, warp w of its four, lane l: c[4 j + 2 half + i] is row 64 g + 16 w + l / 4 + 8 half,
 * column 8 j + 2 (l % 4) + i. */
struct flow_sums {
    float c[128];
};

/* Describes an array of up to three dimensions and boxes of it, 64 elements wide, permuted as wgmma reads them.
 * strides: bytes, from the second dimension on. What is outside of the array reads as 0. */
static inline CUtensorMap flow_encode(const void *p, int n, const cuuint64_t *size, const cuuint64_t *strides,
                                      const cuuint32_t *box)
{
    static PFN_cuTensorMapEncodeTiled_v12000 encode;
    if (!encode) {
        void *found = NULL;
        cudaDriverEntryPointQueryResult result;
        cuda_check(
            cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found, 12000, cudaEnableDefault, &result),
            "cuTensorMapEncodeTiled");
        cuda_check(found ? cudaSuccess : cudaErrorSymbolNotFound, "cuTensorMapEncodeTiled");
        encode = (PFN_cuTensorMapEncodeTiled_v12000)found;
    }
    CUtensorMap map;
    cuuint32_t step[3] = {1, 1, 1};
    CUresult result = encode(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, (cuuint32_t)n, (void *)p, size, strides, box, step,
                             CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                             CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    cuda_check(result == CUDA_SUCCESS ? cudaSuccess : cudaErrorInvalidValue, "cuTensorMapEncodeTiled");
    return map;
}

/* Of `lines` lines of 64 elements at a time. */
static inline CUtensorMap flow_map(const struct operand &o, int lines)
{
    cuuint64_t size[2] = {(cuuint64_t)o.depth, (cuuint64_t)o.rows}, stride[1] = {o.ld * sizeof(bf16)};
    cuuint32_t box[2] = {FLOW_K, (cuuint32_t)lines};
    return flow_encode(o.p, 2, size, stride, box);
}

static inline struct flow flow_of(const struct operand &a, const struct operand &b)
{
    struct flow f = {};
    f.a = flow_map(a, FLOW_ROWS), f.b = flow_map(b, FLOW_COLUMNS);
    f.steps = ceil_div(a.depth, FLOW_K);
    f.row_tiles = ceil_div(a.rows, FLOW_ROWS);
    f.n_tiles = f.row_tiles * ceil_div(b.rows, FLOW_COLUMNS);
    return f;
}

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

__device__ __forceinline__ void barrier_init(uint64_t *barrier, int arrivals)
{
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals));
}

__device__ __forceinline__ void barrier_arrive(uint64_t *barrier)
{
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
}

/* Arrives; the phase ends when `bytes` more have come. */
__device__ __forceinline__ void barrier_expect(uint64_t *barrier, uint32_t bytes)
{
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes)
                 : "memory");
}

/* Until the phase of this parity is over. */
__device__ __forceinline__ void barrier_wait(uint64_t *barrier, uint32_t parity)
{
    asm volatile("{\n.reg .pred over;\n"
                 "again:\n"
                 "mbarrier.try_wait.parity.shared::cta.b64 over, [%0], %1;\n"
                 "@!over bra again;\n}" ::"r"(shared_address(barrier)),
                 "r"(parity)
                 : "memory");
}

/* Elements k .. k + 63 of the map's lines from `line` on; `barrier` hears of the bytes. */
__device__ __forceinline__ void fetch_lines(bf16 *to, const CUtensorMap *map, int k, int line, uint64_t *barrier)
{
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(
            shared_address(to)),
        "l"(map), "r"(k), "r"(line), "r"(shared_address(barrier))
        : "memory");
}

/* Lines of 128 bytes, permuted, 1024 bytes from eight to the next eight (PTX ISA, wgmma: matrix descriptor). */
__device__ __forceinline__ uint64_t tile_descriptor(const bf16 *tile)
{
    uint64_t address = shared_address(tile);
    return (address & 0x3FFFF) >> 4 | (uint64_t)1 << 16 | (uint64_t)(1024 >> 4) << 32 | (uint64_t)1 << 62;
}

__device__ __forceinline__ void wgmma_begin()
{
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

__device__ __forceinline__ void wgmma_commit()
{
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

/* c += a b^T: a 64 x 16, b 256 x 16 */
__device__ __forceinline__ void wgmma16_wide(float c[128], uint64_t a, uint64_t b)
{
#define C4(i)  "+f"(c[i]), "+f"(c[i + 1]), "+f"(c[i + 2]), "+f"(c[i + 3])
#define C16(i) C4(i), C4(i + 4), C4(i + 8), C4(i + 12)
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 "
        "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,"
        "%29,%30,%31,%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54,%55,"
        "%56,%57,%58,%59,%60,%61,%62,%63,%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79,%80,%81,%82,"
        "%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95,%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,"
        "%108,%109,%110,%111,%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127}, "
        "%128, %129, 1, 1, 1, 0, 0;"
        : C16(0), C16(16), C16(32), C16(48), C16(64), C16(80), C16(96), C16(112)
        : "l"(a), "l"(b));
#undef C16
#undef C4
}

/* until at most N groups of products are under way */
template <int N> __device__ __forceinline__ void products_wait()
{
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
}

/* A place in the ring, and the parity of its phase. */
struct flow_place {
    int at;
    uint32_t parity;
};

__device__ __forceinline__ void flow_advance(struct flow_place &place)
{
    if (++place.at == FLOW_STAGES) {
        place.at = 0, place.parity ^= 1;
    }
}

/* Fetches the stages of all tiles of this block; by one thread. */
__device__ __forceinline__ void flow_fetch(const struct flow &f, struct flow_ring *ring)
{
    struct flow_place place = {0, 1}; /* all stages are empty: the phase before the first is over */
    for (int tile = (int)blockIdx.x; tile < f.n_tiles; tile += (int)gridDim.x) {
        int row = tile % f.row_tiles * FLOW_ROWS, column = tile / f.row_tiles * FLOW_COLUMNS;
        for (int i = 0; i < f.steps; i++, flow_advance(place)) {
            struct flow_stage *stage = &ring->stage[place.at];
            barrier_wait(&ring->empty[place.at], place.parity);
            barrier_expect(&ring->full[place.at], sizeof *stage);
            fetch_lines(stage->a, &f.a, i * FLOW_K, row, &ring->full[place.at]);
            fetch_lines(stage->b, &f.b, i * FLOW_K, column, &ring->full[place.at]);
        }
    }
}

/* The sums of the next tile: by warpgroup `group` of the two. `first`: of the tiles of this block. */
__device__ __forceinline__ void flow_multiply(const struct flow &f, struct flow_ring *ring, struct flow_place &place,
                                              int group, bool first, struct flow_sums &s)
{
#pragma unroll
    for (int i = 0; i < 128; i++) {
        s.c[i] = 0;
    }
    if (first && group == 1) {
        asm volatile("bar.sync %0, 256;" ::"n"(FLOW_BARRIER) : "memory");
    }
    int last = 0;
    for (int i = 0; i < f.steps; i++, flow_advance(place)) {
        struct flow_stage *stage = &ring->stage[place.at];
        barrier_wait(&ring->full[place.at], place.parity);
        uint64_t a = tile_descriptor(stage->a + group * 64 * FLOW_K), b = tile_descriptor(stage->b);
        wgmma_begin();
#pragma unroll
        for (int k = 0; k < FLOW_K / 16; k++) {
            wgmma16_wide(s.c, a + (uint64_t)(2 * k), b + (uint64_t)(2 * k));
        }
        wgmma_commit();
        products_wait<1>();
        if (i > 0 && threadIdx.x % LANES == 0) {
            barrier_arrive(&ring->empty[last]);
        }
        last = place.at;
        if (first && group == 0 && i == (FLOW_BEHIND < f.steps ? FLOW_BEHIND : f.steps) - 1) {
            asm volatile("bar.arrive %0, 256;" ::"n"(FLOW_BARRIER) : "memory");
        }
    }
    products_wait<0>();
    if (threadIdx.x % LANES == 0) {
        barrier_arrive(&ring->empty[last]);
    }
}

/* What a kernel of FLOW_THREADS threads does: `use`(sums, group, tile) gets the sums of every tile of this block. */
template <class USE> __device__ __forceinline__ void flow_run(const struct flow &f, void *shared, const USE &use)
{
    struct flow_ring *ring = reinterpret_cast<struct flow_ring *>(((uintptr_t)shared + 1023) / 1024 * 1024);
    int group = (int)threadIdx.x / 128 - 1;
    if (threadIdx.x == 0) {
        for (int i = 0; i < FLOW_STAGES; i++) {
            barrier_init(&ring->full[i], 1);
            barrier_init(&ring->empty[i], 8); /* warps that multiply */
        }
        asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    }
    __syncthreads();
    if (group < 0) { /* 128 x 40 + 256 x 232 of 65,536 registers */
        asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
        if (threadIdx.x == 0) {
            flow_fetch(f, ring);
        }
        return;
    }
    asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
    struct flow_place place = {0, 0};
    for (int tile = (int)blockIdx.x; tile < f.n_tiles; tile += (int)gridDim.x) {
        struct flow_sums s;
        flow_multiply(f, ring, place, group, tile == (int)blockIdx.x, s);
        use(s, group, tile);
    }
}

#endif
#endif
