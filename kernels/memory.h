/* kernels/memory.h - how one kind of device allocates and copies: what kernels/device.h is made of.
 *
 * Private to kernels/. SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_MEMORY_H
#define KERNELS_MEMORY_H

#include <stddef.h>

#include "kernels/slots.h"
#include "kernels/device.h"

struct device_memory {
    void *(*alloc)(size_t bytes); /* zeroed, aligned to 64; NULL if there is none left */
    void (*free)(void *data);
    void (*write)(void *to, const void *from, size_t bytes); /* host to device; `from` is free at once */
    void (*read)(void *to, const void *from, size_t bytes);  /* device to host, done when it returns */
    void (*copy)(void *to, const void *from, size_t bytes);
    void (*fill)(void *to, int byte, size_t bytes);
    size_t (*free_bytes)(void);
    /* Keeps that for the operations' own use; NULL: they need none. */
    void (*set_slot)(enum cuda_slot slot, enum device_phase phase, void *data, size_t bytes);
    void (*close)(void); /* NULL: nothing to do */
};

/* Gives all slices back, and what was reserved (kernels/memory.c). */
void device_release(struct device *device);

#endif
