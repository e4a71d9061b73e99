/* kernels/cuda/device.c - opening the GPU, its memory, and transfers that do not wait.
 *
 * cudart is linked in and looks for the driver itself, when it is first called; so the same program runs where there is none.
 * Uploads go through a ring of pinned memory: a copy from ordinary memory would wait for the stream.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "kernels/cuda/cuda.h"
#include "kernels/device_cuda.h"
#include "kernels/memory.h"

#define RING_BYTES  ((size_t)32 << 20)
#define LEAST_MAJOR 8 /* compute capability 8.0: bf16 tensor cores, cp.async */

struct cuda cuda;

static struct {
    char *data; /* pinned */
    size_t at;
} ring;

static struct {
    void *data;
    size_t bytes;
} slots[DEVICE_PHASES][CUDA_SLOTS];

/* ---- failure ---- */

void cuda_check(cudaError_t result, const char *what)
{
    if (result == cudaSuccess) {
        return;
    }
    fprintf(stderr, "strop: the GPU failed in %s: %s (%s). In use:\n", what, cudaGetErrorString(result),
            cudaGetErrorName(result));
    if (cuda.device) {
        device_report(cuda.device, stderr);
    }
    exit(1);
}

/* Time of each kind of kernel, with the wait for it and what the host did before it. */
static struct {
    char *kernel;
    double seconds;
    long n;
} times[256];
static double last_seen;

static void add_time(const char *kernel)
{
    double now = clock_seconds();
    last_seen = last_seen > 0 ? last_seen : now;
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        if (!times[i].kernel || strcmp(times[i].kernel, kernel) == 0) {
            times[i].kernel = times[i].kernel ? times[i].kernel : mem_strdup(kernel);
            times[i].seconds += now - last_seen;
            times[i].n++;
            break;
        }
    }
    last_seen = clock_seconds();
}

static void print_times(void)
{
    fprintf(stderr, "%-44s %10s %10s %12s\n", "kernel", "calls", "seconds", "us a call");
    for (size_t i = 0; i < sizeof times / sizeof *times && times[i].kernel; i++) {
        fprintf(stderr, "%-44s %10ld %10.3f %12.1f\n", times[i].kernel, times[i].n, times[i].seconds,
                1e6 * times[i].seconds / (double)times[i].n);
        free(times[i].kernel);
    }
    fprintf(stderr, "%d allocations\n", cuda.device->n_allocations);
    memset(times, 0, sizeof times);
}

void cuda_launched(const char *kernel)
{
    cuda_check(cudaGetLastError(), kernel);
    if (cuda.wait_each) {
        cuda_check(cudaStreamSynchronize(cuda.stream), kernel);
    }
    if (cuda.time_each) {
        add_time(kernel);
    }
}

/* ---- memory ---- */

static void *gpu_alloc(size_t bytes)
{
    void *data = NULL;
    if (cudaMalloc(&data, bytes ? bytes : 1) != cudaSuccess) {
        cudaGetLastError();
        return NULL;
    }
    cuda_check(cudaMemsetAsync(data, 0, bytes ? bytes : 1, cuda.stream), "a memory fill");
    return data;
}

static void gpu_free(void *data)
{
    cuda_repeat_forget();
    cuda_check(cudaStreamSynchronize(cuda.stream), "waiting");
    cuda_check(cudaFree(data), "cudaFree");
}

static void gpu_set_slot(enum cuda_slot slot, enum device_phase phase, void *data, size_t bytes)
{
    slots[phase][slot].data = data;
    slots[phase][slot].bytes = bytes;
}

/* Where the slot is now: in a place of its own, or in that of the active phase. */
static enum device_phase phase_of(enum cuda_slot slot)
{
    return slots[DEVICE_ALWAYS][slot].bytes > 0 || !cuda.device->region ? DEVICE_ALWAYS : cuda.device->phase;
}

void *cuda_slot(enum cuda_slot slot, size_t bytes)
{
    enum device_phase phase = phase_of(slot);
    size_t now = slots[phase][slot].bytes;
    if (now < bytes) {
        if (slots[phase][slot].data) {
            device_free(cuda.device, slots[phase][slot].data);
        }
        size_t more = now + (cuda.device->region ? 0 : now / 4); /* so that it grows a few times only */
        more = more > bytes ? more : bytes;
        /* of what was reserved, this says what is missing and stops */
        gpu_set_slot(slot, phase, device_alloc_in(cuda.device, phase, more, cuda_slot_label(slot)), more);
    }
    return slots[phase][slot].data;
}

void *cuda_borrow(size_t bytes)
{
    enum device_phase phase = phase_of(CUDA_SLOT_TRIAL);
    void *data = NULL;
    if (bytes <= slots[phase][CUDA_SLOT_TRIAL].bytes) {
        return slots[phase][CUDA_SLOT_TRIAL].data;
    }
    if (cudaMalloc(&data, bytes) != cudaSuccess) {
        cudaGetLastError();
        return NULL;
    }
    cuda.device->n_allocations++;
    return data;
}

void cuda_give_back(void *data)
{
    if (data != slots[phase_of(CUDA_SLOT_TRIAL)][CUDA_SLOT_TRIAL].data) {
        cuda_check(cudaStreamSynchronize(cuda.stream), "waiting");
        cuda_check(cudaFree(data), "cudaFree");
    }
}

static size_t gpu_free_bytes(void)
{
    size_t left = 0, all = 0;
    cuda_check(cudaMemGetInfo(&left, &all), "cudaMemGetInfo");
    return left;
}

/* ---- transfers ---- */

void cuda_upload(void *to, const void *from, size_t bytes)
{
    const char *next = from;
    while (bytes > 0) {
        size_t part = bytes < RING_BYTES ? bytes : RING_BYTES;
        if (ring.at + part > RING_BYTES) { /* the ring is used again from its start: what it holds must be gone */
            cuda_check(cudaStreamSynchronize(cuda.stream), "waiting");
            ring.at = 0;
        }
        memcpy(ring.data + ring.at, next, part);
        cuda_check(cudaMemcpyAsync(to, ring.data + ring.at, part, cudaMemcpyHostToDevice, cuda.stream), "an upload");
        ring.at += (part + 255) / 256 * 256;
        next += part;
        to = (char *)to + part;
        bytes -= part;
    }
}

void cuda_download(void *to, const void *from, size_t bytes)
{
    if (bytes > 0) {
        cuda_check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, cuda.stream), "a download");
    }
    cuda_check(cudaStreamSynchronize(cuda.stream), "waiting for the GPU");
    if (cuda.time_each) {
        add_time("host and downloads");
    }
}

static void gpu_copy(void *to, const void *from, size_t bytes)
{
    cuda_check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, cuda.stream), "a copy");
}

static void gpu_fill(void *to, int byte, size_t bytes)
{
    cuda_check(cudaMemsetAsync(to, byte, bytes, cuda.stream), "a memory fill");
}

/* ---- open and close ---- */

static void gpu_close(void)
{
    if (cuda.time_each) {
        print_times();
    }
    cuda_repeat_forget();
    cuda_blas_close();
    cuda_plan_forget();
    cuda_check(cudaFreeHost(ring.data), "cudaFreeHost");
    cuda_check(cudaStreamDestroy(cuda.stream), "cudaStreamDestroy");
    ring.data = NULL;
    ring.at = 0;
    memset(slots, 0, sizeof slots);
    cuda = (struct cuda){0};
}

static const struct device_memory gpu_memory = {
    .alloc = gpu_alloc,
    .free = gpu_free,
    .write = cuda_upload,
    .read = cuda_download,
    .copy = gpu_copy,
    .fill = gpu_fill,
    .free_bytes = gpu_free_bytes,
    .set_slot = gpu_set_slot,
    .close = gpu_close,
};

bool device_cuda_found(void)
{
    int n = 0;
    bool found = cudaGetDeviceCount(&n) == cudaSuccess && n > 0;
    cudaGetLastError();
    return found && !cuda.device;
}

/* What hinders, in words. */
static enum err find_gpu(int index, struct cudaDeviceProp *properties)
{
    int n = 0, driver = 0;
    cudaError_t result = cudaGetDeviceCount(&n);
    if (result == cudaErrorInsufficientDriver) {
        cudaDriverGetVersion(&driver);
        if (driver == 0) {
            return err_set(ERR_DEVICE, "there is no NVIDIA driver here; install one, or use --device=cpu");
        }
        return err_set(ERR_DEVICE, "the NVIDIA driver is for CUDA %d.%d, and CUDA %d.%d is needed; install a newer one",
                       driver / 1000, driver % 1000 / 10, CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
    }
    if (result != cudaSuccess || n == 0) {
        return err_set(ERR_DEVICE, "there is no usable NVIDIA GPU here (%s); use --device=cpu",
                       result == cudaSuccess ? "none is listed" : cudaGetErrorString(result));
    }
    if (index >= n) {
        return err_set(ERR_DEVICE, "there is no GPU %d here; the last of %d is cuda:%d", index, n, n - 1);
    }
    result = cudaGetDeviceProperties(properties, index);
    if (result != cudaSuccess) {
        return err_set(ERR_DEVICE, "the GPU does not answer: %s", cudaGetErrorString(result));
    }
    if (properties->major < LEAST_MAJOR) {
        return err_set(ERR_DEVICE, "%s has compute capability %d.%d, and %d.0 is needed (Ampere or newer)",
                       properties->name, properties->major, properties->minor, LEAST_MAJOR);
    }
    return ERR_NONE;
}

enum err device_cuda_open(struct device *device)
{
    struct cudaDeviceProp properties;
    if (cuda.device) {
        return err_set(ERR_STATE, "the GPU is open already; one device at a time");
    }
    TRY(find_gpu(device->index, &properties));
    if (cudaSetDevice(device->index) != cudaSuccess ||
        cudaStreamCreateWithFlags(&cuda.stream, cudaStreamNonBlocking) != cudaSuccess ||
        cudaMallocHost((void **)&ring.data, RING_BYTES) != cudaSuccess) {
        return err_set(ERR_DEVICE, "%s cannot be used: %s", properties.name, cudaGetErrorString(cudaGetLastError()));
    }
    const char *wait = getenv("STROP_CUDA_WAIT");
    cuda.device = device;
    cuda.n_processors = properties.multiProcessorCount;
    cuda.capability = properties.major * 10 + properties.minor;
    cuda.time_each = wait && strcmp(wait, "time") == 0;
    cuda.wait_each = cuda.time_each || (wait && strcmp(wait, "1") == 0);
    snprintf(cuda.name, sizeof cuda.name, "%.63s", properties.name);
    device->ops = &ops_cuda;
    device->memory = &gpu_memory;
    return ERR_NONE;
}

/* ---- the table ---- */

const struct ops ops_cuda = {
    .name = "cuda",
    .matrix_elements = cuda_matrix_elements,
    .matrix_import = cuda_matrix_import,
    .matrix_export = cuda_matrix_export,
    .wide_import = cuda_wide_import,
    .wide_export = cuda_wide_export,
    .bf16_import = cuda_bf16_import,
    .bf16_export = cuda_bf16_export,
    .embedding = cuda_embedding,
    .embedding_grad = cuda_embedding_grad,
    .rmsnorm = cuda_rmsnorm,
    .rmsnorm_grad = cuda_rmsnorm_grad,
    .matmul = cuda_matmul,
    .matmul_input_grad = cuda_matmul_input_grad,
    .matmul_weight_grad = cuda_matmul_weight_grad,
    .rope = cuda_rope,
    .kv_store = cuda_kv_store,
    .kv_copy = cuda_kv_copy,
    .attention = cuda_attention,
    .attention_grad = cuda_attention_grad,
    .swiglu = cuda_swiglu,
    .swiglu_grad = cuda_swiglu_grad,
    .gather_rows = cuda_gather_rows,
    .scatter_add_rows = cuda_scatter_add_rows,
    .head = cuda_head,
    .head_sample = cuda_head_sample,
    .head_grad = cuda_head_grad,
    .adamw = cuda_adamw,
    .sum_squares = cuda_sum_squares,
    .mix = cuda_mix,
    .repeat = cuda_repeat,
};
