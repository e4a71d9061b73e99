/* kernels/cuda/device.c - what every kernel needs: checks, memory by purpose, and transfers that do not wait.
 *
 * Uploads go through a ring of pinned memory: a copy from ordinary memory would wait for the stream.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "kernels/cuda/cuda.h"

struct cuda cuda;

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
struct cuda_times {
    struct {
        char *kernel;
        double seconds;
        long n;
    } of[256];
    double last_seen;
};

static void add_time(const char *kernel)
{
    cuda.times = cuda.times ? cuda.times : mem_zero(sizeof *cuda.times);
    struct cuda_times *t = cuda.times;
    double now = clock_seconds();
    t->last_seen = t->last_seen > 0 ? t->last_seen : now;
    for (size_t i = 0; i < sizeof t->of / sizeof *t->of; i++) {
        if (!t->of[i].kernel || strcmp(t->of[i].kernel, kernel) == 0) {
            t->of[i].kernel = t->of[i].kernel ? t->of[i].kernel : mem_strdup(kernel);
            t->of[i].seconds += now - t->last_seen;
            t->of[i].n++;
            break;
        }
    }
    t->last_seen = clock_seconds();
}

void cuda_times_close(void)
{
    struct cuda_times *t = cuda.times;
    if (!t) {
        return;
    }
    fprintf(stderr, "%-44s %10s %10s %12s\n", "kernel", "calls", "seconds", "us per call");
    for (size_t i = 0; i < sizeof t->of / sizeof *t->of && t->of[i].kernel; i++) {
        fprintf(stderr, "%-44s %10ld %10.3f %12.1f\n", t->of[i].kernel, t->of[i].n, t->of[i].seconds,
                1e6 * t->of[i].seconds / (double)t->of[i].n);
        free(t->of[i].kernel);
    }
    fprintf(stderr, "%d allocations\n", cuda.device->n_allocations);
    free(t);
    cuda.times = NULL;
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

void cuda_slot_set(enum cuda_slot slot, enum device_phase phase, void *data, size_t bytes)
{
    cuda.slots[phase][slot].data = data;
    cuda.slots[phase][slot].bytes = bytes;
}

/* Where the slot is now: in a place of its own, or in that of the active phase. */
static enum device_phase phase_of(enum cuda_slot slot)
{
    return cuda.slots[DEVICE_ALWAYS][slot].bytes > 0 || !cuda.device->region ? DEVICE_ALWAYS : cuda.device->phase;
}

void *cuda_slot(enum cuda_slot slot, size_t bytes)
{
    enum device_phase phase = phase_of(slot);
    size_t now = cuda.slots[phase][slot].bytes;
    if (now < bytes) {
        if (cuda.slots[phase][slot].data) {
            device_free(cuda.device, cuda.slots[phase][slot].data);
        }
        size_t more = now + (cuda.device->region ? 0 : now / 4); /* so that it grows a few times only */
        more = more > bytes ? more : bytes;
        /* of what was reserved, this says what is missing and stops */
        cuda_slot_set(slot, phase, device_alloc_in(cuda.device, phase, more, cuda_slot_label(slot)), more);
    }
    return cuda.slots[phase][slot].data;
}

void *cuda_borrow(size_t bytes)
{
    enum device_phase phase = phase_of(CUDA_SLOT_TRIAL);
    void *data = NULL;
    if (bytes <= cuda.slots[phase][CUDA_SLOT_TRIAL].bytes) {
        return cuda.slots[phase][CUDA_SLOT_TRIAL].data;
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
    if (data != cuda.slots[phase_of(CUDA_SLOT_TRIAL)][CUDA_SLOT_TRIAL].data) {
        cuda_check(cudaStreamSynchronize(cuda.stream), "waiting");
        cuda_check(cudaFree(data), "cudaFree");
    }
}

/* ---- transfers ---- */

void cuda_upload(void *to, const void *from, size_t bytes)
{
    const char *next = from;
    while (bytes > 0) {
        size_t part = bytes < CUDA_RING_BYTES ? bytes : CUDA_RING_BYTES;
        if (cuda.ring_at + part >
            CUDA_RING_BYTES) { /* the ring is used again from its start: what it holds must be gone */
            cuda_check(cudaStreamSynchronize(cuda.stream), "waiting");
            cuda.ring_at = 0;
        }
        memcpy(cuda.ring + cuda.ring_at, next, part);
        cuda_check(cudaMemcpyAsync(to, cuda.ring + cuda.ring_at, part, cudaMemcpyHostToDevice, cuda.stream),
                   "an upload");
        cuda.ring_at += (part + 255) / 256 * 256;
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
