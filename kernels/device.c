/* kernels/device.c - choosing a GPU or an instruction set, the memory of the CPU, and transfers.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/device.h"

#include <omp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "kernels/device_cuda.h"
#include "kernels/memory.h"

#define HOST_ALIGNMENT 64

extern const struct ops ops_cpu_scalar;
#if defined(__x86_64__)
extern const struct ops ops_cpu_avx2, ops_cpu_avx512;
#endif

static const struct ops *device_best(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512bw")) {
        return &ops_cpu_avx512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        return &ops_cpu_avx2;
    }
#endif
    return &ops_cpu_scalar;
}

/* The tables that this machine can run, from the plainest to the best; NULL at the end. */
static const struct ops *device_table(const char *name)
{
    const struct ops *best = device_best();
    const struct ops *tables[] = {
        &ops_cpu_scalar,
#if defined(__x86_64__)
        &ops_cpu_avx2,
        &ops_cpu_avx512,
#endif
    };
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        if (strcmp(tables[i]->name, name) == 0) {
            return tables[i];
        }
        if (tables[i] == best) {
            break;
        }
    }
    return NULL;
}

/* ---- the memory of the CPU ---- */

struct host_head {
    char *raw;
};

/* From calloc, which hands out large pieces as pages that are zero until they are written: what is never used is never
 * there. The start of the piece is stored before the data. */
static void *host_alloc(size_t bytes)
{
    struct host_head head = {calloc(1, bytes + HOST_ALIGNMENT + sizeof head)};
    if (!head.raw) {
        return NULL;
    }
    char *data = head.raw + sizeof head + HOST_ALIGNMENT - 1;
    data -= (uintptr_t)data % HOST_ALIGNMENT;
    memcpy(data - sizeof head, &head, sizeof head);
    return data;
}

static void host_free(void *data)
{
    struct host_head head;
    memcpy(&head, (char *)data - sizeof head, sizeof head);
    free(head.raw);
}

static void host_copy(void *to, const void *from, size_t bytes)
{
    if (bytes) {
        memcpy(to, from, bytes);
    }
}

static void host_fill(void *to, int byte, size_t bytes)
{
    memset(to, byte, bytes);
}

/* What the system could hand out without swapping. */
static size_t host_free_bytes(void)
{
    FILE *file = fopen("/proc/meminfo", "r");
    unsigned long long kib = 0;
    char line[128];
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1) {
            break;
        }
    }
    if (file) {
        fclose(file);
    }
    return (size_t)kib * 1024;
}

static const struct device_memory host_memory = {
    .alloc = host_alloc,
    .free = host_free,
    .write = host_copy,
    .read = host_copy,
    .copy = host_copy,
    .fill = host_fill,
    .free_bytes = host_free_bytes,
};

/* ---- kinds ---- */

const struct device_kind device_cpu = {.name = "cpu", .element_bytes = sizeof(float), .shares_memory = true};

/* The limits: attention's blocks (kernels/cuda/attention.cu), pairs of elements in norms (kernels/cuda/rmsnorm.cu), experts that are
 * counted in shared memory (kernels/cuda/experts.cu). */
const struct device_kind device_gpu = {
    .name = "cuda",
    .element_bytes = 2,
    .has_slots = true,
    .limits = {.max_D = 128, .max_group = 64, .multiple_d = 2, .max_experts = 512},
};

/* A GPU whose operations take any shape. */
static const struct device_kind any_gpu = {.name = "cuda", .element_bytes = 2, .has_slots = true};

/* ---- open and close ---- */

static enum err open_cpu(struct device *device, const char *name)
{
    bool any = strcmp(name, "auto") == 0 || strcmp(name, "cpu") == 0;
    device->ops = any ? device_best() : device_table(name);
    device->memory = &host_memory;
    if (!device->ops) {
        return err_set(ERR_DEVICE,
                       "there is no device '%s' here; use auto, cuda, cuda:N, cpu, or one of cpu/scalar .. %s", name,
                       device_best()->name);
    }
    return ERR_NONE;
}

bool device_names_gpu(const char *name, int *index)
{
    static const char prefix[] = "cuda:";
    if (strcmp(name, "cuda") == 0) {
        *index = 0;
        return true;
    }
    if (strncmp(name, prefix, strlen(prefix)) != 0) {
        return false;
    }
    const char *number = name + strlen(prefix);
    size_t digits = strspn(number, "0123456789");
    if (digits == 0 || digits > 4 || number[digits] != '\0') {
        return false;
    }
    *index = (int)strtol(number, NULL, 10);
    return true;
}

/* The kind that a name means, and which one of it. */
static const struct device_kind *kind_of(const char *name, int *index)
{
    bool gpu = device_names_gpu(name, index) || (strcmp(name, "auto") == 0 && device_cuda_found());
    return gpu ? &device_gpu : &device_cpu;
}

static struct device *device_new(const char *name)
{
    struct device *device = mem_zero(sizeof *device);
    device->kind = kind_of(name, &device->index);
    device->element_bytes = device->kind->element_bytes;
    return device;
}

enum err device_open(struct device **out, const char *name)
{
    struct device *device = device_new(name);
    enum err result = device->kind == &device_gpu ? device_cuda_open(device) : open_cpu(device, name);
    if (result != ERR_NONE) {
        free(device);
        return result;
    }
    *out = device;
    return ERR_NONE;
}

/* The operations of a GPU that may not exist: a plan asks only for their sizes. */
static size_t gpu_matrix_elements(int N, int K)
{
    return cuda_elements(N, K);
}

static void never(const struct repeat_args *args)
{
    (void)args;
    BUG_ON(true);
}

static const struct ops planning_gpu = {
    .name = "cuda",
    .matrix_elements = gpu_matrix_elements,
    .repeat = never, /* but it could: that takes a spare page of the cache (model/forward_cached.c) */
};

enum err device_open_planning(struct device **out, const char *name, size_t capacity)
{
    struct device *device = device_new(name);
    device->kind = strcmp(name, "gpu") == 0 ? &any_gpu : device->kind;
    device->element_bytes = device->kind->element_bytes;
    if (device->kind == &device_gpu || device->kind == &any_gpu) {
        device->ops = &planning_gpu;
    } else if (open_cpu(device, name) != ERR_NONE) {
        free(device);
        return ERR_DEVICE;
    }
    device->memory = NULL;
    device->capacity = capacity;
    *out = device;
    return ERR_NONE;
}

bool device_plans(const struct device *device)
{
    return device->memory == NULL;
}

void device_close(struct device *device)
{
    if (!device) {
        return;
    }
    device_release(device);
    if (device->memory && device->memory->close) {
        device->memory->close();
    }
    free(device);
}

/* ---- transfers ---- */

void device_write(struct device *device, void *to, const void *from, size_t bytes)
{
    if (device->memory) {
        device->memory->write(to, from, bytes);
    }
}

void device_read(struct device *device, void *to, const void *from, size_t bytes)
{
    BUG_ON(!device->memory); /* there is nothing to read */
    device->memory->read(to, from, bytes);
}

void device_copy(struct device *device, void *to, const void *from, size_t bytes)
{
    if (device->memory) {
        device->memory->copy(to, from, bytes);
    }
}

void device_zero(struct device *device, void *to, size_t bytes)
{
    if (device->memory) {
        device->memory->fill(to, 0, bytes);
    }
}

void device_set_threads(int n_threads)
{
    omp_set_num_threads(n_threads > 0 ? n_threads : omp_get_num_procs());
}

int device_threads(void)
{
    return omp_get_max_threads();
}
