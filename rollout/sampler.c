/* rollout/sampler.c - gathers rows, makes keys, calls the head.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/sampler.h"

#include <stdlib.h>

#include "model/tokenizer.h"

void sampler_init(struct sampler *s, struct model *model, int capacity)
{
    struct device *device = model->device;
    size_t n = (size_t)capacity;
    *s = (struct sampler){.model = model, .capacity = capacity, .n_valid = model->config.V};
    if (model->tokenizer && tokenizer_size(model->tokenizer) < s->n_valid) {
        s->n_valid = tokenizer_size(model->tokenizer); /* a padded vocabulary ends in rows that mean nothing */
    }
    s->hidden = device_alloc_in(device, DEVICE_ROLLOUT, n * (size_t)model->config.d * device->element_bytes,
                                "rollout: rows to draw from");
    s->device_rows = device_alloc_in(device, DEVICE_ROLLOUT, n * sizeof *s->device_rows, "rollout: drawn tokens");
    s->device_tokens = device_alloc_in(device, DEVICE_ROLLOUT, n * sizeof *s->device_tokens, "rollout: drawn tokens");
    s->device_numbers =
        device_alloc_in(device, DEVICE_ROLLOUT, 3 * n * sizeof *s->device_numbers, "rollout: drawn tokens");
    s->rows = mem_alloc(n * sizeof *s->rows);
    s->tokens = mem_alloc(n * sizeof *s->tokens);
    s->numbers = mem_alloc(3 * n * sizeof *s->numbers);
    s->sampling = mem_alloc(n * sizeof *s->sampling);
}

void sampler_release(struct sampler *s)
{
    struct device *device = s->model->device;
    device_free(device, s->hidden);
    device_free(device, s->device_rows);
    device_free(device, s->device_tokens);
    device_free(device, s->device_numbers);
    free(s->rows);
    free(s->tokens);
    free(s->numbers);
    free(s->sampling);
    *s = (struct sampler){0};
}

static struct sampling sampling_of(const struct sequence *q)
{
    struct sampling sampling = q->group->sampling;
    sampling.sequence = q->key;
    sampling.position = (uint32_t)q->n_tokens;
    sampling.seen = q->tokens;
    sampling.n_seen = q->n_tokens;
    return sampling;
}

/* At most `capacity` jobs. */
static void draw_some(struct sampler *s, const void *hidden, const struct draw_job *jobs, int n, struct draw *draws)
{
    const struct model *model = s->model;
    size_t rows = (size_t)n, stride = (size_t)s->capacity;
    for (int i = 0; i < n; i++) {
        s->rows[i] = jobs[i].row;
        s->sampling[i] = sampling_of(jobs[i].sequence);
    }
    device_write(model->device, s->device_rows, s->rows, rows * sizeof *s->rows);
    model->device->ops->gather_rows(&(struct rows_args){
        .n_rows = n, .width = model->config.d, .rows = s->device_rows, .x = hidden, .y = s->hidden});
    model->device->ops->head_sample(&(struct head_sample_args){
        .n_rows = n,
        .d = model->config.d,
        .V = model->config.V,
        .n_valid = s->n_valid,
        .hidden = s->hidden,
        .w = params_at(&model->params, model->weights.head),
        .sampling = s->sampling,
        .tokens = s->device_tokens,
        .logprob = s->device_numbers,
        .lse = s->device_numbers + stride,
        .entropy = s->device_numbers + 2 * stride,
    });
    device_read(model->device, s->tokens, s->device_tokens, rows * sizeof *s->tokens);
    device_read(model->device, s->numbers, s->device_numbers, (2 * stride + rows) * sizeof *s->numbers);
    for (size_t i = 0; i < rows; i++) {
        draws[i] = (struct draw){s->tokens[i], s->numbers[i], s->numbers[stride + i], s->numbers[2 * stride + i]};
    }
}

void sampler_draw(struct sampler *s, const void *hidden, const struct draw_job *jobs, int n, struct draw *draws)
{
    for (int i = 0; i < n; i += s->capacity) {
        draw_some(s, hidden, jobs + i, n - i < s->capacity ? n - i : s->capacity, draws + i);
    }
}
