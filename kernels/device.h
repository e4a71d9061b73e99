/* kernels/device.h - a place to compute: its operations (device.c) and its memory (memory.c).
 *
 *   struct device *device;
 *   TRY(device_open(&device, "auto"));
 *   void *x = device_alloc(device, bytes, "weights");
 *
 * Every slice of memory has a name, and device_report prints the table.
 *
 * Phases. Sampling and training alternate, so what only one of them needs shares one place:
 *
 *   | DEVICE_ALWAYS: weights, moments ... | DEVICE_ROLLOUT: key/value cache, forward scratch ...              |
 *   |                                     | DEVICE_TRAINING: gradients, activations ...            | (free) |
 *
 * device_use begins a phase; what slices of the other one held is lost. A run is laid out before anything is taken: the
 * same calls are made on a device that only adds up (device_open_planning), then device_reserve takes the sum in one
 * piece, and the slices are cut from it. From then on the system is not asked for memory again. Without device_reserve
 * each slice is an allocation of its own, and nothing is shared.
 *
 * A device is used by one thread at a time. SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_DEVICE_H
#define KERNELS_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/err.h"
#include "kernels/ops.h"

struct device_memory; /* how a kind of device allocates and copies (kernels/memory.h) */

/* What is true of every device of a kind, also of one that only plans. */
struct device_kind {
    const char *name;         /* "cpu", "cuda" */
    size_t element_bytes;     /* of a weight or an activation: 4 on the CPU, 2 (bf16) on a GPU */
    bool shares_memory;       /* with all else that runs on the machine */
    bool has_slots;           /* its operations need memory of their own (kernels/slots.h) */
    struct ops_limits limits; /* shapes that its operations take */
};

extern const struct device_kind device_cpu, device_gpu;

/* When a slice is in use. */
enum device_phase { DEVICE_ALWAYS, DEVICE_ROLLOUT, DEVICE_TRAINING, DEVICE_PHASES };

struct device {
    const struct device_kind *kind;
    int index;                          /* of the GPU among those of the machine */
    const struct ops *ops;              /* planning: only sizes and what it can do */
    const struct device_memory *memory; /* NULL: it only adds up */
    size_t element_bytes;               /* kind->element_bytes */
    size_t capacity;                    /* planning: bytes that the device is taken to have */
    struct device_slice *slices;        /* newest first */
    enum device_phase phase;            /* the active one; at first DEVICE_ALWAYS: none */
    size_t cut[DEVICE_PHASES];          /* bytes of the slices of each phase, with what alignment takes */
    size_t reserved[DEVICE_PHASES];     /* bytes that may be cut */
    char *region;                       /* what device_reserve took; NULL: nothing */
    int n_allocations;                  /* requested from the system */
    size_t taken, max_taken;            /* bytes from the system: now, and at most */
};

/* name: "auto" (a GPU if there is one), "cuda" or "cuda:N" (the first, or GPU N counted from 0), "cpu", or one
 * instruction set of the CPU: "cpu/scalar", "cpu/avx2", "cpu/avx512". ERR_DEVICE, with what there is, if the machine
 * lacks it. Release with device_close. */
enum err device_open(struct device **out, const char *name);
/* The same kind of device with `capacity` bytes, to add up what would be allocated: it has no memory, its slices are
 * addresses that nobody may follow, and copies do nothing. "cuda:N" is there on every machine, and so is "gpu", which takes
 * models of any shape, whatever the operations here take. */
enum err device_open_planning(struct device **out, const char *name, size_t capacity);
/* Whether a name is "cuda" or "cuda:N", and then N. */
bool device_names_gpu(const char *name, int *index);
bool device_plans(const struct device *device);
void device_close(struct device *device);

/* Takes from the system what `plan` added up. ERR_DEVICE if it has not that much. */
enum err device_reserve(struct device *device, const struct device *plan);
/* Always + the larger of the two phases. */
size_t device_plan_bytes(const struct device *plan);

/* Zeroed and aligned to 64 bytes. Ends the program with a sentence and the table if there is no memory left. Of what
 * was reserved, more than was planned is a bug. */
void *device_alloc(struct device *device, size_t bytes, const char *label);
/* Of one phase: where memory was reserved, contents are undefined after device_use. */
void *device_alloc_in(struct device *device, enum device_phase phase, size_t bytes, const char *label);
/* What was reserved stays so. */
void device_free(struct device *device, void *data);
/* From here on the slices of `phase` may be used, and those of the other may not. Nothing happens if it is active
 * already. In builds for debugging (MODE=asan, MODE=debug) they are filled with 0xFF, not-a-numbers; under ASan, the
 * others are poisoned. */
void device_use(struct device *device, enum device_phase phase);
/* Whether the slices of `phase` may be used. */
bool device_holds(const struct device *device, enum device_phase phase);

/* The operations of a network's layers by their shapes: what each row of a batch goes through. */
enum { DEVICE_MAX_SHAPES = 16 };
struct device_shapes {
    int n_products, n_norms, n_attentions, n_experts;
    struct device_product {
        int N, K; /* a matrix [N, K] */
        bool bias;
    } products[DEVICE_MAX_SHAPES];
    struct device_norm {
        int n_heads, width;
    } norms[DEVICE_MAX_SHAPES];
    struct device_attention {
        int H, J, D, Dv;
    } attentions[DEVICE_MAX_SHAPES];
    struct device_experts {
        int E, k, d, F; /* k of E experts of width F */
    } experts[DEVICE_MAX_SHAPES];
};

/* The largest batches that the operations will see, to size what they need for themselves. */
struct device_limits {
    struct device_shapes shapes; /* of the layers */
    int d, V;                    /* of the residual stream and the head */
    size_t n_weights;
    int rollout_rows, rollout_sequences; /* rows of a pass; sequences that run at once. 0: there is no rollout */
    bool filtered;                       /* draws need whole rows of logits (top_k, top_p, min_p, a penalty) */
    int max_length;                      /* positions of a sequence */
    int tokens, targets, contexts;       /* of a training batch. 0: there is no training */
    int groups, group_size, max_prefix;  /* prefixes that it shares, by how many contexts each, rows of one */
};
/* A GPU's operations get their memory (kernels/slots.h); without this call they take it as they come to need it. The
 * CPU's use a little memory of their threads instead (kernels/scratch.h). */
void device_alloc_slots(struct device *device, const struct device_limits *limits);

size_t device_bytes(const struct device *device);      /* of the slices */
size_t device_free_bytes(const struct device *device); /* what could still be allocated; 0 if the system does not say */
void device_report(const struct device *device, FILE *out);

/* From and to host memory. On the CPU, memory copies. On a GPU device_read waits for all work before it. */
void device_write(struct device *device, void *to, const void *from, size_t bytes);
void device_read(struct device *device, void *to, const void *from, size_t bytes);
/* Inside the device's memory. */
void device_copy(struct device *device, void *to, const void *from, size_t bytes);
void device_zero(struct device *device, void *to, size_t bytes);

/* Threads that operations may use; results never depend on it. 0: one per core. */
void device_set_threads(int n_threads);
int device_threads(void);

#endif
