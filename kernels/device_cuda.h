/* kernels/device_cuda.h - the GPU as a device (kernels/device.h): memory, transfers, and its table of operations.
 *
 * Needs no CUDA header and no CUDA library at link time but cudart, which is in the binary; the driver and cuBLASLt are
 * opened at run time. SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_DEVICE_CUDA_H
#define KERNELS_DEVICE_CUDA_H

#include "kernels/device.h"

/* Fills ops and memory of a fresh device: GPU device->index. ERR_DEVICE with what is missing: no driver, one too old,
 * no such GPU, one that is too old, or this build has no CUDA; ERR_STATE if a GPU is open already. */
enum err device_cuda_open(struct device *device);
/* Whether device_cuda_open would find a GPU. */
bool device_cuda_found(void);

#endif
