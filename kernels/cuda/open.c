/* kernels/cuda/open.c - opening a GPU: its memory and its table of operations.
 *
 * cudart is linked in and looks for the driver itself, when it is first called; so the same program runs where there is
 * none.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/cuda.h"
#include "kernels/device_cuda.h"
#include "kernels/memory.h"

#define LEAST_MAJOR 8 /* compute capability 8.0: bf16 tensor cores, cp.async */

/* ---- the table ---- */

static const struct ops ops_cuda = {
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
    .matmul_wide = cuda_matmul_wide,
    .matmul_input_grad = cuda_matmul_input_grad,
    .matmul_weight_grad = cuda_matmul_weight_grad,
    .rope = cuda_rope,
    .kv_store = cuda_kv_store,
    .kv_copy = cuda_kv_copy,
    .attention = cuda_attention,
    .attention_grad = cuda_attention_grad,
    .swiglu = cuda_swiglu,
    .swiglu_grad = cuda_swiglu_grad,
    .route = cuda_route,
    .route_grad = cuda_route_grad,
    .expert_order = cuda_expert_order,
    .grouped_matmul = cuda_grouped_matmul,
    .grouped_input_grad = cuda_grouped_input_grad,
    .grouped_weight_grad = cuda_grouped_weight_grad,
    .combine = cuda_combine,
    .weighted_swiglu_grad = cuda_weighted_swiglu_grad,
    .gather_rows = cuda_gather_rows,
    .scatter_add_rows = cuda_scatter_add_rows,
    .head = cuda_head,
    .head_sample = cuda_head_sample,
    .head_grad = cuda_head_grad,
    .adamw = cuda_adamw,
    .sum_squares = cuda_sum_squares,
    .mix = cuda_mix,
    .add = cuda_add,
    .scale = cuda_scale,
    .repeat = cuda_repeat,
};

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
    cuda.n_freed++;
    cuda_check(cudaStreamSynchronize(cuda.stream), "waiting");
    cuda_check(cudaFree(data), "cudaFree");
}

static size_t gpu_free_bytes(void)
{
    size_t left = 0, all = 0;
    cuda_check(cudaMemGetInfo(&left, &all), "cudaMemGetInfo");
    return left;
}

static void gpu_copy(void *to, const void *from, size_t bytes)
{
    cuda_check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, cuda.stream), "a copy");
}

static void gpu_fill(void *to, int byte, size_t bytes)
{
    cuda_check(cudaMemsetAsync(to, byte, bytes, cuda.stream), "a memory fill");
}

/* ---- close ---- */

static void gpu_close(void)
{
    cuda_times_close();
    cuda_repeat_close();
    cuda_blas_close();
    cuda_plan_close();
    cuda_check(cudaFreeHost(cuda.ring), "cudaFreeHost");
    cuda_check(cudaStreamDestroy(cuda.stream), "cudaStreamDestroy");
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
    .set_slot = cuda_slot_set,
    .close = gpu_close,
};

/* ---- open ---- */

bool device_cuda_found(void)
{
    int n = 0;
    bool found = cudaGetDeviceCount(&n) == cudaSuccess && n > 0;
    cudaGetLastError();
    return found && !cuda.device;
}

/* ERR_DEVICE with the reason, if GPU `index` cannot be used. */
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

/* The stream and the ring; nothing is left of them after an error. */
static cudaError_t open_stream(int index)
{
    cudaError_t result = cudaSetDevice(index);
    if (result == cudaSuccess) {
        result = cudaStreamCreateWithFlags(&cuda.stream, cudaStreamNonBlocking);
    }
    if (result == cudaSuccess) {
        result = cudaMallocHost((void **)&cuda.ring, CUDA_RING_BYTES);
        if (result != cudaSuccess) {
            cudaStreamDestroy(cuda.stream);
        }
    }
    if (result != cudaSuccess) {
        cudaGetLastError();
        cuda = (struct cuda){0};
    }
    return result;
}

enum err device_cuda_open(struct device *device)
{
    struct cudaDeviceProp properties;
    if (cuda.device) {
        return err_set(ERR_STATE, "the GPU is open already; one device at a time");
    }
    TRY(find_gpu(device->index, &properties));
    cudaError_t result = open_stream(device->index);
    if (result != cudaSuccess) {
        return err_set(ERR_DEVICE, "%s cannot be used: %s", properties.name, cudaGetErrorString(result));
    }
    const char *wait = getenv("STROP_CUDA_WAIT");
    cuda.device = device;
    cuda.index = device->index;
    cuda.n_processors = properties.multiProcessorCount;
    cuda.capability = properties.major * 10 + properties.minor;
    cuda.time_each = wait && strcmp(wait, "time") == 0;
    cuda.wait_each = cuda.time_each || (wait && strcmp(wait, "1") == 0);
    snprintf(cuda.name, sizeof cuda.name, "%.63s", properties.name);
    device->ops = &ops_cuda;
    device->memory = &gpu_memory;
    return ERR_NONE;
}
