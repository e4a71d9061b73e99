/* tests/gpu/torch_grads.c - what torch_grads.py compares with PyTorch: torch_grads cuda|cpu FOLDER
 *
 * For each small network of fixture_model.h: FOLDER/NAME, the model as transformers opens it, and FOLDER/NAME.safetensors: the
 * batch, what the loss's gradient is taken to be, and the log-probabilities, entropies and gradients that come out. All of it
 * is F32, whole numbers too.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>

#include "base/file.h"
#include "model/safetensors.h"
#include "tests/gpu/fixture_model.h"

#define INV_TEMPERATURE 1.1f
#define MOST_TENSORS    64

static void must(enum err result)
{
    if (result != ERR_NONE) {
        fprintf(stderr, "%s\n", err_text());
        exit(1);
    }
}

/* ---- the file ---- */

struct dump {
    struct tensor_source sources[MOST_TENSORS];
    float *data[MOST_TENSORS];
    int n;
};

/* Takes the numbers over. The name is borrowed. */
static void dump_add(struct dump *dump, const char *name, float *data, int rows, int cols)
{
    BUG_ON(dump->n == MOST_TENSORS);
    dump->sources[dump->n] = (struct tensor_source){name, cols ? 2 : 1, {rows, cols}, false};
    dump->data[dump->n++] = data;
}

static void dump_add_ints(struct dump *dump, const char *name, const int32_t *ints, int rows, int cols)
{
    size_t n = (size_t)rows * (size_t)(cols ? cols : 1);
    float *data = zeros(n);
    for (size_t i = 0; i < n; i++) {
        data[i] = (float)ints[i];
    }
    dump_add(dump, name, data, rows, cols);
}

static void dump_read(void *context, int i, uint64_t at, uint64_t n, float *out)
{
    const struct dump *dump = context;
    memcpy(out, dump->data[i] + at, n * sizeof *out);
}

static void dump_write(struct dump *dump, const char *path)
{
    must(safetensors_write(path, dump->sources, dump->n, DTYPE_F32, dump_read, dump));
    for (int i = 0; i < dump->n; i++) {
        free(dump->data[i]);
    }
}

/* ---- a model ---- */

static void dump_batch(struct dump *dump, const struct model_batch *m)
{
    static_assert(sizeof model_contexts == sizeof(int32_t) * 4 * MODEL_CONTEXTS, "prefix_row, n_prefix, row, n_rows");
    dump_add_ints(dump, "contexts", &model_contexts[0].prefix_row, MODEL_CONTEXTS, 4);
    dump_add_ints(dump, "tokens", m->tokens, MODEL_ROWS, 0);
    dump_add_ints(dump, "target_rows", m->rows, MODEL_ROWS, 0);
    dump_add_ints(dump, "targets", m->targets, MODEL_ROWS, 0);
    dump_add(dump, "d_logprob", copy_of(m->d_logprob, MODEL_ROWS), MODEL_ROWS, 0);
    dump_add(dump, "d_entropy", copy_of(m->d_entropy, MODEL_ROWS), MODEL_ROWS, 0);
}

/* Forward and backward; what comes out. */
static void dump_results(struct dump *dump, struct model *model, const struct model_batch *m)
{
    struct activations *acts = activations_new(model, MODEL_ROWS, MODEL_ROWS, 8, 512, false);
    float *grads = device_alloc(model->device, model->params.n * sizeof *grads, "gradients");
    float *logprob = zeros(MODEL_ROWS), *lse = zeros(MODEL_ROWS), *entropy = zeros(MODEL_ROWS);
    model_forward(model, &m->batch, acts);
    model_target_logprobs(model, &m->batch, acts, INV_TEMPERATURE, logprob, lse, entropy);
    model->params.grads = grads;
    model_backward(model, &m->batch, acts, INV_TEMPERATURE, lse, entropy, m->d_logprob, m->d_entropy);
    dump_add(dump, "logprob", logprob, MODEL_ROWS, 0);
    dump_add(dump, "entropy", entropy, MODEL_ROWS, 0);
    for (int i = 0; i < model->params.n_parts; i++) {
        struct part w = part_of(model, i);
        dump_add(dump, w.name, model_rows_from(model, grads, &w), w.rows, w.cols);
    }
    free(lse);
    device_free(model->device, grads);
    activations_free(acts, model);
}

static void dump_model(int i, struct device *device, const char *folder)
{
    char path[FILE_PATH_BYTES];
    struct model *model = NULL;
    struct model_batch m;
    struct dump dump = {.n = 0};
    must(model_new(&model, &model_configs[i], NULL, device, 512, 1));
    model_set_weights(model);
    must(file_join(path, sizeof path, folder, model_names[i]));
    must(file_make_folders(path));
    must(model_save(model, path, "float32"));
    float *about = zeros(2);
    about[0] = INV_TEMPERATURE;
    about[1] = (float)device->element_bytes;
    dump_add(&dump, "about", about, 2, 0);
    model_batch_make(&m, i);
    dump_batch(&dump, &m);
    dump_results(&dump, model, &m);
    snprintf(path, sizeof path, "%s/%s.safetensors", folder, model_names[i]);
    dump_write(&dump, path);
    model_batch_free(&m);
    model_close(model);
}

int main(int argc, char **argv)
{
    struct device *device = NULL;
    if (argc != 3) {
        fprintf(stderr, "usage: torch_grads cuda|cpu FOLDER\n");
        return 2;
    }
    must(device_open(&device, argv[1]));
    for (int i = 0; i < DENSE_MODELS; i++) {
        dump_model(i, device, argv[2]);
    }
    device_close(device);
    return 0;
}
