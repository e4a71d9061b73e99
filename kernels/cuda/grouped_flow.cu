/* kernels/cuda/grouped_flow.cu - grouped products on Hopper: a pipeline over the tiles of all experts.
 *
 * A block stays on its multiprocessor and takes every n-th tile of 128 x 256 sums; what a tile belongs to follows from the
 * table that each block makes of the experts' rows. Of its three warpgroups two multiply, 64 x 256 sums each. Of the third a
 * thread has the tensor memory accelerator fill a ring of stages, 64 steps of k each, and a warp has it take rows of y and dx
 * away: a warpgroup writes them to shared memory and goes on with the next tile.
 *
 * Rows of other experts in a tile are multiplied and not stored; where rows are what is summed over, they are made zeros
 * first. The chains are those of kernels/cuda/grouped.cu, and so are the bits, but for subnormal sums in dW,
 * which the additions of the memory may make zeros.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cuda/grouped.cuh"
#include "kernels/cuda/wgmma.cuh"

/* Which product: y = x W^T; dx = dy W; dW += dy^T x. */
enum product { FORWARD, INPUT, WEIGHTS };

static constexpr int FLOW_EXPERTS = 256; /* at most; grouped.cu takes more */
static constexpr int OUT_LINE =
    FLOW_COLUMNS + 8; /* elements of a line of `out`, so that eight lines meet no bank twice */

struct grouped_flow {
    CUtensorMap a, b;
    struct grouped g;
    int row_tiles;    /* WEIGHTS: of a matrix */
    int column_tiles; /* of an expert */
};

struct grouped_shared {
    struct flow_ring ring;          /* at a multiple of 1024 */
    bf16 out[64 * OUT_LINE];        /* rows of a warpgroup, on their way to memory */
    uint64_t landed[FLOW_STAGES];   /* WEIGHTS: stages that are not full before a part of them is cleared */
    uint64_t written[2], handed[2]; /* of each warpgroup: its sums are in `out`; `out` is free for it */
    int first[FLOW_EXPERTS + 1];    /* place of each expert's first row */
    uint16_t
        by[FLOW_EXPERTS + 1]; /* row tiles before each expert (count_tiles); WEIGHTS: experts, from many rows to few */
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

static constexpr int HALF = 64 * FLOW_K; /* elements of a box of 64 lines */
static constexpr int BAND = 16;          /* row tiles whose columns are done one after the other */

/* A tile: rows row .. row + n_rows - 1 of c, 256 columns from `column` on, `depth` steps of k from `from` on. */
struct piece {
    int expert, row, n_rows, column, from, depth;
};

/* The block's tile of this round; piece->expert is that of the round before, or 0. False: there are no more. Gradients of weights are
 * dealt out back and forth, as those of many rows come first. */
template <int KIND>
__device__ __forceinline__ bool take_piece(const struct grouped_flow &f, const struct grouped_shared *sh, int n,
                                           int round, struct piece *piece)
{
    int blocks = (int)gridDim.x, block = (int)blockIdx.x, e = piece->expert;
    if constexpr (KIND == WEIGHTS) {
        int tile = round * blocks + (round % 2 ? blocks - 1 - block : block);
        int per = f.row_tiles * f.column_tiles, line = tile / per, at = tile % per, row = at % f.row_tiles * FLOW_ROWS;
        if (line >= n) {
            return false;
        }
        e = sh->by[line];
        *piece = {e, row, f.g.N - row, at / f.row_tiles * FLOW_COLUMNS, sh->first[e], sh->first[e + 1] - sh->first[e]};
    } else {
        int tile = round * blocks + block, line = tile / f.column_tiles;
        if (line >= n) {
            return false;
        }
        while (sh->by[e + 1] <= line) {
            e++;
        }
        int tiles = sh->by[e + 1] - sh->by[e], at = tile - sh->by[e] * f.column_tiles,
            band = at / (BAND * f.column_tiles);
        at -= band * BAND * f.column_tiles, tiles = min(BAND, tiles - band * BAND);
        int row = sh->first[e] + (band * BAND + at % tiles) * FLOW_ROWS;
        *piece = {e, row, sh->first[e + 1] - row, at / tiles * FLOW_COLUMNS, 0, f.g.K};
    }
    return true;
}

/* Fills the tables; how many lines of tiles there are: row tiles, or experts with rows. By all threads. */
template <int KIND> __device__ __forceinline__ int make_tables(const struct grouped_flow &f, struct grouped_shared *sh)
{
    int e = (int)threadIdx.x, E = f.g.E, rank = 0;
    if (e <= E) {
        sh->first[e] = f.g.offsets[e];
    }
    __syncthreads();
    if (KIND != WEIGHTS) {
        count_tiles<FLOW_ROWS>(E, sh->first, sh->by);
        return sh->by[E];
    }
    int rows = e < E ? sh->first[e + 1] - sh->first[e] : 0;
    for (int i = 0; i < E && rows > 0; i++) {
        int others = sh->first[i + 1] - sh->first[i];
        rank += others > rows || (others == rows && i < e);
    }
    if (rows > 0) {
        sh->by[rank] = (uint16_t)e;
    }
    return __syncthreads_count(rows > 0);
}

/* ---- what the third warpgroup does ---- */

__device__ __forceinline__ void fetch_of_expert(bf16 *to, const CUtensorMap *map, int element, int line, int expert,
                                                uint64_t *barrier)
{
    asm volatile(
        "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4}], "
        "[%5];" ::"r"(shared_address(to)),
        "l"(map), "r"(element), "r"(line), "r"(expert), "r"(shared_address(barrier))
        : "memory");
}

/* Fetches a stage: steps k .. k + 63. Of at most 64 rows, half. */
template <int KIND>
__device__ __forceinline__ void fetch_stage(const struct grouped_flow &f, const struct piece &piece, int k,
                                            struct flow_stage *stage, uint64_t *there)
{
    bool both = KIND == WEIGHTS || piece.n_rows > 64;
    barrier_expect(there, (uint32_t)(both ? sizeof *stage : sizeof *stage - HALF * sizeof(bf16)));
    for (int i = 0; i < (both ? 2 : 1); i++) {
        if (KIND == WEIGHTS) {
            fetch_lines(stage->a + i * HALF, &f.a, piece.row + 64 * i, k, there);
        } else {
            fetch_lines(stage->a + i * HALF, &f.a, k, piece.row + 64 * i, there);
        }
    }
#pragma unroll
    for (int i = 0; i < (KIND == FORWARD ? 1 : FLOW_COLUMNS / 64); i++) {
        bf16 *to = stage->b + i * HALF;
        if (KIND == FORWARD) {
            fetch_of_expert(to, &f.b, k, piece.column, piece.expert, there);
        } else if (KIND == INPUT) {
            fetch_of_expert(to, &f.b, piece.column + 64 * i, k, piece.expert, there);
        } else {
            fetch_lines(to, &f.b, piece.column + 64 * i, k, there);
        }
    }
}

/* By one thread. */
template <int KIND>
__device__ __forceinline__ void fetch_all(const struct grouped_flow &f, struct grouped_shared *sh, int n)
{
    struct flow_place place = {0, 1}; /* all are empty: the phase before the first is over */
    struct piece piece = {};
    for (int round = 0; take_piece<KIND>(f, sh, n, round, &piece); round++) {
        for (int k = 0; k < piece.depth; k += FLOW_K, flow_advance(place)) {
            bool part = KIND == WEIGHTS && piece.depth - k < FLOW_K;
            barrier_wait(&sh->ring.empty[place.at], place.parity);
            fetch_stage<KIND>(f, piece, piece.from + k, &sh->ring.stage[place.at],
                              part ? &sh->landed[place.at] : &sh->ring.full[place.at]);
        }
    }
}

/* Makes zeros of the steps from `there` on of a stage; by one warp. */
__device__ __forceinline__ void clear_rest(struct flow_stage *stage, int there)
{
    constexpr int COLUMNS = (FLOW_ROWS + FLOW_COLUMNS) / 64, RUNS = COLUMNS * 8; /* of 16 bytes, in a line */
    for (int i = (int)threadIdx.x % LANES; i < (FLOW_K - there) * RUNS; i += LANES) {
        bf16 *to = stage->a + i / 8 % COLUMNS * HALF + (there + i / RUNS) * 64 + i % 8 * 8; /* b follows a */
        *reinterpret_cast<uint4 *>(to) = make_uint4(0, 0, 0, 0);
    }
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncwarp();
}

/* Of the last stages of experts: waits until one has landed, clears what is not of the expert, and calls it full. */
__device__ __forceinline__ void clear_all(const struct grouped_flow &f, struct grouped_shared *sh, int n)
{
    struct piece piece = {};
    uint32_t stages = 0, over = 0; /* over: the parity of each place */
    for (int round = 0; take_piece<WEIGHTS>(f, sh, n, round, &piece); round++) {
        stages += (uint32_t)((piece.depth + FLOW_K - 1) / FLOW_K);
        if (piece.depth % FLOW_K == 0) {
            continue;
        }
        uint32_t at = (stages - 1) % FLOW_STAGES;
        barrier_wait(&sh->landed[at], over >> at & 1);
        over ^= 1u << at;
        clear_rest(&sh->ring.stage[at], piece.depth % FLOW_K);
        if (threadIdx.x % LANES == 0) {
            barrier_arrive(&sh->ring.full[at]);
        }
    }
}

/* Takes the rows of all tiles away, those of the first warpgroup and those of the second in turn; by one warp. */
template <int KIND>
__device__ __forceinline__ void send_all(const struct grouped_flow &f, struct grouped_shared *sh, int n)
{
    int lane = (int)threadIdx.x % LANES;
    struct piece piece = {};
    for (int round = 0; take_piece<KIND>(f, sh, n, round, &piece); round++) {
        int bytes = min(FLOW_COLUMNS, f.g.N - piece.column) * (int)sizeof(bf16);
        for (int group = 0; group < 2; group++) {
            barrier_wait(&sh->written[group], (uint32_t)round & 1);
#pragma unroll
            for (int line = lane; line < 64; line += LANES) {
                int row = 64 * group + line;
                bf16 *to = (bf16 *)f.g.c + (size_t)(piece.row + row) * (size_t)f.g.N + (size_t)piece.column;
                if (row < piece.n_rows) {
                    asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(to),
                                 "r"(shared_address(sh->out + line * OUT_LINE)), "r"(bytes)
                                 : "memory");
                }
            }
            asm volatile("cp.async.bulk.commit_group;\ncp.async.bulk.wait_group.read 0;" ::: "memory");
            __syncwarp();
            if (lane == 0) {
                barrier_arrive(&sh->handed[1 - group]);
            }
        }
    }
    asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
}

/* ---- what the others do ---- */

/* c += a b^T with either factor transposed in memory: a 64 x 16, b 256 x 16 */
template <int AT, int BT> __device__ __forceinline__ void wgmma16_either(float c[128], uint64_t a, uint64_t b)
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
        "%128, %129, 1, 1, 1, %130, %131;"
        : C16(0), C16(16), C16(32), C16(48), C16(64), C16(80), C16(96), C16(112)
        : "l"(a), "l"(b), "n"(AT), "n"(BT));
#undef C16
#undef C4
}

/* Of lines that are steps of k, in groups of 64 columns (kernels/cuda/wgmma.cuh). */
__device__ __forceinline__ uint64_t columns_descriptor(const bf16 *tile)
{
    uint64_t address = shared_address(tile);
    return (address & 0x3FFFF) >> 4 | (uint64_t)(HALF * sizeof(bf16) >> 4) << 16 | (uint64_t)(1024 >> 4) << 32 |
           (uint64_t)1 << 62;
}

/* Begins the products of a stage, for 64 rows. */
template <int KIND>
__device__ __forceinline__ void multiply_stage_of(struct flow_sums &s, const struct flow_stage *stage, int group)
{
    constexpr int AT = KIND == WEIGHTS, BT = KIND != FORWARD,
                  LINES = 16 * 128 >> 4; /* 16 lines, as descriptors count */
    const bf16 *half = stage->a + group * HALF;
    uint64_t a = AT ? columns_descriptor(half) : tile_descriptor(half),
             b = BT ? columns_descriptor(stage->b) : tile_descriptor(stage->b);
#pragma unroll
    for (int k = 0; k < FLOW_K / 16; k++) {
        wgmma16_either<AT, BT>(s.c, a + (uint64_t)(k * (AT ? LINES : 2)), b + (uint64_t)(k * (BT ? LINES : 2)));
    }
}

/* By a lane of each warp, when all lanes have come: one that still waited could miss a phase. */
__device__ __forceinline__ void warp_arrive(uint64_t *barrier)
{
    __syncwarp();
    if (threadIdx.x % LANES == 0) {
        barrier_arrive(barrier);
    }
}

/* The sums of a tile, by warpgroup `group` of the two. After stage `ahead` the second warpgroup may begin. */
template <int KIND>
__device__ __forceinline__ void multiply_piece(const struct piece &piece, struct grouped_shared *sh,
                                               struct flow_place &place, int group, int ahead, struct flow_sums &s)
{
    int steps = (piece.depth + FLOW_K - 1) / FLOW_K, last = 0;
#pragma unroll
    for (int i = 0; i < 128; i++) {
        s.c[i] = 0;
    }
    for (int i = 0; i < steps; i++, flow_advance(place)) {
        barrier_wait(&sh->ring.full[place.at], place.parity);
        wgmma_begin();
        multiply_stage_of<KIND>(s, &sh->ring.stage[place.at], group);
        wgmma_commit();
        products_wait<1>();
        if (i > 0) {
            warp_arrive(&sh->ring.empty[last]);
        }
        last = place.at;
        if (i == ahead) {
            asm volatile("bar.arrive %0, 256;" ::"n"(FLOW_BARRIER) : "memory");
        }
    }
    products_wait<0>();
    sums_written(s.c);
    warp_arrive(&sh->ring.empty[last]);
}

/* Lets the stages of a tile pass that has no rows for this warpgroup. */
template <int KIND>
__device__ __forceinline__ void let_pass(const struct piece &piece, struct grouped_shared *sh, struct flow_place &place)
{
    for (int k = 0; k < piece.depth; k += FLOW_K, flow_advance(place)) {
        barrier_wait(&sh->ring.full[place.at], place.parity);
        warp_arrive(&sh->ring.empty[place.at]);
    }
}

__device__ __forceinline__ void store_matrices(void *row, uint32_t r0, uint32_t r1, uint32_t r2, uint32_t r3)
{
    asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1,%2,%3,%4};" ::"r"(shared_address(row)), "r"(r0),
                 "r"(r1), "r"(r2), "r"(r3)
                 : "memory");
}

/* Sums to `out`, for send_all. */
__device__ __forceinline__ void write_rows(bf16 *out, const struct flow_sums &s)
{
    int lane = (int)threadIdx.x % LANES, warp = (int)threadIdx.x % 128 / LANES;
    bf16 *to = out + (16 * warp + lane % 16) * OUT_LINE + lane / 16 * 8;
#pragma unroll
    for (int i = 0; i < 128; i += 8, to += 16) {
        store_matrices(to, pack_bf16(s.c[i], s.c[i + 1]), pack_bf16(s.c[i + 2], s.c[i + 3]),
                       pack_bf16(s.c[i + 4], s.c[i + 5]), pack_bf16(s.c[i + 6], s.c[i + 7]));
    }
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncwarp();
}

/* c += x by the memory, which need not be waited for: the one addition to these elements by this kernel. */
__device__ __forceinline__ void add_four(float *c, float x0, float x1, float x2, float x3)
{
    asm volatile("red.global.add.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(c), "f"(x0), "f"(x1), "f"(x2), "f"(x3)
                 : "memory");
}

/* Gradients of a tile, four columns per lane: K is a multiple of 8. */
__device__ __forceinline__ void add_weights(const struct grouped &g, const struct piece &piece, int group,
                                            const struct flow_sums &s)
{
    int thread = (int)threadIdx.x % 128, line = group * 64 + thread / LANES * 16 + thread % LANES / 4;
    bool odd = thread % 2;
    float *to = (float *)g.c + ((size_t)piece.expert * (size_t)g.N + (size_t)(piece.row + line)) * (size_t)g.K;
#pragma unroll
    for (int half = 0; half < 2; half++, to += 8 * (size_t)g.K) {
        bool there = line + 8 * half < piece.n_rows;
#pragma unroll
        for (int i = 2 * half; i < 128; i += 8) { /* columns of i and, in the next eight, of i + 4 */
            float give0 = odd ? s.c[i] : s.c[i + 4], give1 = odd ? s.c[i + 1] : s.c[i + 5];
            float got0 = __shfl_xor_sync(0xFFFFFFFFu, give0, 1), got1 = __shfl_xor_sync(0xFFFFFFFFu, give1, 1);
            float keep0 = odd ? s.c[i + 4] : s.c[i], keep1 = odd ? s.c[i + 5] : s.c[i + 1];
            int column = piece.column + 2 * (i - 2 * half) + (odd ? 8 : 0) + thread % 4 / 2 * 4;
            if (there && column < g.K) {
                add_four(to + column, odd ? got0 : keep0, odd ? got1 : keep1, odd ? keep0 : got0, odd ? keep1 : got1);
            }
        }
    }
}

template <int KIND>
__device__ __forceinline__ void multiply_all(const struct grouped_flow &f, struct grouped_shared *sh, int n, int group)
{
    struct flow_place place = {0, 0};
    struct piece piece = {};
    for (int round = 0; take_piece<KIND>(f, sh, n, round, &piece); round++) {
        int steps = (piece.depth + FLOW_K - 1) / FLOW_K;
        if (round == 0 && group == 1) {
            asm volatile("bar.sync %0, 256;" ::"n"(FLOW_BARRIER) : "memory");
        }
        if (KIND != WEIGHTS && piece.n_rows <= 64 * group) {
            let_pass<KIND>(piece, sh, place);
            barrier_wait(&sh->handed[group], (uint32_t)round & 1);
            warp_arrive(&sh->written[group]);
            continue;
        }
        struct flow_sums s;
        multiply_piece<KIND>(piece, sh, place, group, round == 0 && group == 0 ? min(FLOW_BEHIND, steps) - 1 : -1, s);
        if (KIND == WEIGHTS) {
            add_weights(f.g, piece, group, s);
        } else {
            barrier_wait(&sh->handed[group], (uint32_t)(round + 1 - group) & 1);
            write_rows(sh->out, s);
            warp_arrive(&sh->written[group]);
        }
    }
}

template <int KIND> __device__ __forceinline__ void run(const struct grouped_flow &f, void *shared)
{
    struct grouped_shared *sh = reinterpret_cast<struct grouped_shared *>(shared);
    int group = (int)threadIdx.x / 128 - 1, warp = (int)threadIdx.x / LANES;
    if (threadIdx.x == 0) {
        if (shared_address(shared) % 1024 != 0) {
            __trap();
        }
        for (int i = 0; i < FLOW_STAGES; i++) {
            barrier_init(&sh->ring.full[i], 1);
            barrier_init(&sh->ring.empty[i], 8); /* warps that multiply */
            barrier_init(&sh->landed[i], 1);
        }
        for (int i = 0; i < 2; i++) {
            barrier_init(&sh->written[i], 4);
            barrier_init(&sh->handed[i], 1);
        }
        asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    }
    int n = make_tables<KIND>(f, sh);
    if (group < 0) { /* 128 x 40 + 256 x 232 of 65,536 registers */
        asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
        if (threadIdx.x == 0) {
            fetch_all<KIND>(f, sh, n);
        } else if (warp == 1) {
            if constexpr (KIND == WEIGHTS) {
                clear_all(f, sh, n);
            } else {
                send_all<KIND>(f, sh, n);
            }
        }
        return;
    }
    asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
    multiply_all<KIND>(f, sh, n, group);
}

#endif

template <int KIND>
__global__ void __launch_bounds__(FLOW_THREADS, 1) grouped_flow_kernel(const __grid_constant__ struct grouped_flow f)
{
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
    extern __shared__ __align__(1024) char shared[];
    run<KIND>(f, shared);
#endif
}

/* ---- launching ---- */

/* Boxes of 64 elements of rows [n_rows, width] or, of E matrices, [E][n_rows, width]. */
static CUtensorMap map_rows(const bf16 *p, int width, int n_rows)
{
    struct operand o = {p, (size_t)width, n_rows, width};
    return flow_map(o, 64);
}

static CUtensorMap map_matrices(const bf16 *p, int width, int n_rows, int E, int lines)
{
    cuuint64_t size[3] = {(cuuint64_t)width, (cuuint64_t)n_rows, (cuuint64_t)E};
    cuuint64_t strides[2] = {(cuuint64_t)width * sizeof(bf16), (cuuint64_t)width * (cuuint64_t)n_rows * sizeof(bf16)};
    cuuint32_t box[3] = {FLOW_K, (cuuint32_t)lines, 1};
    return flow_encode(p, 3, size, strides, box);
}

static constexpr int MOST_PLACES = 1 << 22; /* their tiles are counted in 16 bits */

static bool fits(const struct grouped *g)
{
    bool aligned = ((uintptr_t)g->a | (uintptr_t)g->b | (uintptr_t)g->c) % 16 == 0;
    return wgmma_usable() && aligned && g->E <= FLOW_EXPERTS && g->n_places < MOST_PLACES && g->N % 8 == 0 &&
           g->K % 8 == 0;
}

template <int KIND> static void launch(const struct grouped_flow *f)
{
    constexpr size_t bytes = sizeof(struct grouped_shared);
    allow_shared<grouped_flow_kernel<KIND>>(bytes);
    grouped_flow_kernel<KIND><<<(unsigned)cuda.n_processors, FLOW_THREADS, bytes, cuda.stream>>>(*f);
    cuda_launched(f->g.what);
}

bool grouped_flow_rows(const struct grouped *g, bool transposed)
{
    if (!fits(g)) {
        return false;
    }
    struct grouped_flow f = {};
    f.g = *g;
    f.a = map_rows(g->a, g->K, g->n_places);
    f.column_tiles = ceil_div(g->N, FLOW_COLUMNS);
    if (transposed) {
        f.b = map_matrices(g->b, g->N, g->K, g->E, FLOW_K);
        launch<INPUT>(&f);
    } else {
        f.b = map_matrices(g->b, g->K, g->N, g->E, FLOW_COLUMNS);
        launch<FORWARD>(&f);
    }
    return true;
}

bool grouped_flow_weights(const struct grouped *g)
{
    if (!fits(g)) {
        return false;
    }
    struct grouped_flow f = {};
    f.g = *g;
    f.a = map_rows(g->a, g->N, g->n_places);
    f.b = map_rows(g->b, g->K, g->n_places);
    f.row_tiles = ceil_div(g->N, FLOW_ROWS), f.column_tiles = ceil_div(g->K, FLOW_COLUMNS);
    launch<WEIGHTS>(&f);
    return true;
}
