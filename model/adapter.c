/* model/adapter.c - which matrices have a low-rank product, and the set of its parameters.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/adapter.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/num.h"
#include "kernels/rng.h"
#include "model/shapes.h"

#define RANK_MULTIPLE 16 /* a panel of a matrix (kernels/ops.h), and a line that a GPU fetches at its best */

/* ---- settings ---- */

static const struct {
    const char *name, *block;
    enum tensor_role role;
} linears[] = {
    {"q_proj", "self_attn", TENSOR_Q}, {"k_proj", "self_attn", TENSOR_K}, {"v_proj", "self_attn", TENSOR_V},
    {"o_proj", "self_attn", TENSOR_O}, {"gate_proj", "mlp", TENSOR_GATE}, {"up_proj", "mlp", TENSOR_UP},
    {"down_proj", "mlp", TENSOR_DOWN},
};
#define LINEARS ((int)(sizeof linears / sizeof *linears))

const char *lora_target_name(int i, unsigned *bit)
{
    if (i >= LINEARS) {
        return NULL;
    }
    *bit = 1u << linears[i].role;
    return linears[i].name;
}

unsigned lora_target(const char *name)
{
    static const char layers[] = "model.layers.";
    unsigned found = 0;
    if (strncmp(name, layers, sizeof layers - 1) == 0) { /* "model.layers.0.self_attn.q_proj" */
        const char *number = name + sizeof layers - 1;
        size_t digits = strspn(number, "0123456789");
        name = digits > 0 && number[digits] == '.' ? number + digits + 1 : name;
    }
    for (int i = 0; i < LINEARS; i++) {
        char longer[32];
        snprintf(longer, sizeof longer, "%s.%s", linears[i].block, linears[i].name);
        bool covered =
            strcmp(name, "all-linear") == 0 || strcmp(name, linears[i].name) == 0 || strcmp(name, longer) == 0;
        found |= covered ? 1u << linears[i].role : 0;
    }
    return found;
}

double lora_scale(const struct lora *lora)
{
    return lora->alpha / (lora->rslora ? sqrt(lora->r) : lora->r);
}

/* ---- the set ---- */

#define PEFT_PREFIX "base_model.model."

/* "model.layers.0.self_attn.q_proj.weight" to "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight" */
static char *tensor_name(const char *base, char letter)
{
    static const char ending[] = "weight";
    size_t bytes = strlen(base) + sizeof PEFT_PREFIX + sizeof "lora_A.";
    char *name = mem_alloc(bytes);
    snprintf(name, bytes, PEFT_PREFIX "%.*slora_%c.%s", (int)(strlen(base) - strlen(ending)), base, letter, ending);
    return name;
}

/* Adds A or B of the product; b: rows are the tensors' own, else `rank` of each. */
static int add(struct adapter *adapter, const struct params *base, const struct device *device,
               const struct adapter_product *product, int cols, bool b)
{
    struct param_part parts[ADAPTER_MAX_PARTS] = {{0}};
    for (int k = 0; k < product->n; k++) {
        const char *name = base->parts[product->parts[k].part].name;
        parts[k] = (struct param_part){.name = tensor_name(name, b ? 'B' : 'A'),
                                       .rows = b ? product->parts[k].rows : adapter->rank};
    }
    int number =
        params_add(&adapter->params, device, b ? adapter->rank : cols, PARAM_ELEMENT, PARAM_ZERO, parts, product->n);
    for (int k = 0; k < product->n; k++) {
        free(parts[k].name);
    }
    return number;
}

/* What of parameter i of the model is adapted. */
static void plan_product(struct adapter *adapter, const struct params *base, const struct device *device, int i)
{
    const struct param *w = &base->table[i];
    struct adapter_product *product = &adapter->of[i];
    *product = (struct adapter_product){.a = -1, .b = -1};
    for (int k = w->first_part; k < w->first_part + w->n_parts; k++) {
        const struct param_part *part = &base->parts[k];
        if (adapter->lora.targets >> part->role & 1) {
            BUG_ON(product->n == ADAPTER_MAX_PARTS);
            product->parts[product->n].part = k;
            product->parts[product->n].row = part->row;
            product->parts[product->n++].rows = part->rows;
        }
    }
    product->whole = product->n == w->n_parts;
    if (product->n > 0) {
        product->a = add(adapter, base, device, product, w->cols, false);
        product->b = add(adapter, base, device, product, w->cols, true);
        adapter->low = max_int(adapter->low, product->n * adapter->rank);
        adapter->wide = max_int(adapter->wide, w->rows);
    }
}

struct adapter *adapter_new(const struct model_config *config, const struct params *base, const struct device *device)
{
    struct adapter *adapter = mem_zero(sizeof *adapter);
    BUG_ON(config->lora.r < 1);
    adapter->lora = config->lora;
    adapter->rank = div_up(config->lora.r, RANK_MULTIPLE) * RANK_MULTIPLE;
    adapter->scale = (float)lora_scale(&config->lora);
    adapter->n_of = base->n_params;
    adapter->of = mem_zero((size_t)base->n_params * sizeof *adapter->of);
    for (int i = 0; i < base->n_params; i++) {
        plan_product(adapter, base, device, i);
    }
    return adapter;
}

void adapter_free(struct adapter *adapter, struct device *device)
{
    if (!adapter) {
        return;
    }
    params_release(&adapter->params, device);
    free(adapter->of);
    free(adapter);
}

size_t adapter_b_at(const struct adapter *adapter, const struct adapter_product *product, int k,
                    const struct device *device)
{
    const struct param *b = &adapter->params.table[product->b];
    int row = adapter->params.parts[b->first_part + k].row;
    return row > 0 ? device->ops->matrix_elements(row, adapter->rank) : 0;
}

void adapter_init(struct adapter *adapter, struct device *device, uint64_t seed)
{
    for (int i = 0; i < adapter->params.n_parts && !device_plans(device); i++) {
        const struct param_part *part = &adapter->params.parts[i];
        const struct param *p = &adapter->params.table[part->param];
        struct rng rng = rng_stream(seed ^ RNG_ADAPTER, (uint64_t)i);
        size_t cols = (size_t)p->cols, n = (size_t)part->rows * cols;
        float *rows = mem_zero(n * sizeof *rows);
        bool is_a = part->param % 2 == 0; /* A and B are added in turn */
        for (size_t k = 0; is_a && k < (size_t)adapter->lora.r * cols; k++) {
            rows[k] = (float)((2 * rng_double(&rng) - 1) / sqrt((double)cols));
        }
        params_import(&adapter->params, device, p, rows, part->row, part->rows);
        free(rows);
    }
}

/* ---- merging ---- */

#define MERGE_ROWS 64

/* rows [n, cols] += s B A;  b [n, rank], a [rank, cols] */
static void merge_rows(float *rows, const float *a, const float *b, int n, int cols, int rank, float scale)
{
#pragma omp parallel for schedule(static)
    for (int i = 0; i < n; i++) {
        float *w = rows + (size_t)i * (size_t)cols;
        for (int j = 0; j < rank; j++) {
            const float *from = a + (size_t)j * (size_t)cols, factor = scale * b[(size_t)i * (size_t)rank + (size_t)j];
#pragma omp simd
            for (int k = 0; k < cols; k++) {
                w[k] += factor * from[k];
            }
        }
    }
}

/* Tensor k of the product of parameter w. */
static void merge_part(const struct adapter *adapter, const struct params *base, struct device *device,
                       const struct param *w, const struct adapter_product *product, int k)
{
    const struct params *set = &adapter->params;
    const struct param *a = &set->table[product->a], *b = &set->table[product->b];
    size_t cols = (size_t)w->cols, rank = (size_t)adapter->rank;
    float *low = mem_alloc(rank * cols * sizeof *low), *high = mem_alloc(MERGE_ROWS * rank * sizeof *high);
    float *rows = mem_alloc(MERGE_ROWS * cols * sizeof *rows);
    params_export(set, device, a, low, k * adapter->rank, adapter->rank);
    for (int row = 0; row < product->parts[k].rows; row += MERGE_ROWS) {
        int left = product->parts[k].rows - row, n = left < MERGE_ROWS ? left : MERGE_ROWS;
        params_export(set, device, b, high, set->parts[b->first_part + k].row + row, n);
        params_export(base, device, w, rows, product->parts[k].row + row, n);
        merge_rows(rows, low, high, n, w->cols, adapter->rank, adapter->scale);
        params_import(base, device, w, rows, product->parts[k].row + row, n);
    }
    free(low);
    free(high);
    free(rows);
}

void adapter_merge(const struct adapter *adapter, const struct params *base, struct device *device)
{
    for (int i = 0; i < adapter->n_of; i++) {
        const struct adapter_product *product = &adapter->of[i];
        for (int k = 0; k < product->n; k++) {
            merge_part(adapter, base, device, &base->table[i], product, k);
        }
    }
}

size_t adapter_size(const struct adapter *adapter)
{
    size_t n = 0;
    for (int i = 0; i < adapter->params.n_params; i++) {
        const struct param *p = &adapter->params.table[i];
        n += i % 2 == 0 ? (size_t)p->n_parts * (size_t)adapter->lora.r * (size_t)p->cols
                        : (size_t)p->rows * (size_t)adapter->lora.r;
    }
    return n;
}

/* ---- for passes ---- */

/* Layers are alike, so a shape that is listed already is not listed again. */
static void add_shape(struct device_shapes *shapes, int N, int K)
{
    for (int i = 0; i < shapes->n_products; i++) {
        if (shapes->products[i].N == N && shapes->products[i].K == K) {
            return;
        }
    }
    shapes_add_product(shapes, N, K, false);
}

void adapter_shapes(const struct adapter *adapter, const struct params *base, struct device_shapes *shapes)
{
    for (int i = 0; i < adapter->n_of; i++) {
        const struct adapter_product *product = &adapter->of[i];
        for (int k = 0; k < product->n; k++) {
            add_shape(shapes, product->n * adapter->rank, base->table[i].cols);
            add_shape(shapes, product->parts[k].rows, adapter->rank);
        }
    }
}

void adapter_scratch_take(struct adapter_scratch *scratch, const struct adapter *adapter, struct device *device,
                          int max_rows, bool training)
{
    enum device_phase phase = training ? DEVICE_TRAINING : DEVICE_ROLLOUT;
    *scratch = (struct adapter_scratch){0};
    if (!adapter || adapter->low == 0) {
        return;
    }
    size_t rows = max_rows < ADAPTER_ROWS ? (size_t)max_rows : ADAPTER_ROWS, row = rows * device->element_bytes;
    scratch->low = device_alloc_in(device, phase, row * (size_t)adapter->low, "adapter: x A");
    scratch->delta = device_alloc_in(device, phase, row * (size_t)adapter->wide, "adapter: what it adds");
    if (training) {
        scratch->dlow = device_alloc_in(device, phase, row * (size_t)adapter->low, "gradient: adapter's x A");
    }
}

void adapter_scratch_release(struct adapter_scratch *scratch, struct device *device)
{
    device_free(device, scratch->low);
    device_free(device, scratch->delta);
    device_free(device, scratch->dlow);
    *scratch = (struct adapter_scratch){0};
}
