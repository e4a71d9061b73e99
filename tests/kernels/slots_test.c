/* tests/kernels/slots_test.c - the GPU's workspaces, from the limits of a run.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernels/slots.h"

#include <stdbool.h>

#include "kernels/device.h"
#include "tests/kernels/fixture.h"

/* Qwen2.5-0.5B: 2 prompts x 4 completions, prompts of 512 and completions of 128 tokens, micro-batches of 1024. */
static struct device_limits small_run(void)
{
    return (struct device_limits){
        .shapes = {.n_products = 4,
                   .products = {{1152, 896, true}, {896, 896, false}, {9728, 896, false}, {896, 4864, false}},
                   .n_norms = 1,
                   .norms = {{1, 896}},
                   .n_attentions = 1,
                   .attentions = {{14, 2, 64, 64}}},
        .d = 896,
        .V = 151936,
        .n_weights = 494032768,
        .rollout_rows = 512,
        .rollout_sequences = 256,
        .max_length = 640,
        .tokens = 1024,
        .targets = 1024 + 8,
        .contexts = 17,
        .groups = 2,
        .group_size = 4,
        .max_prefix = 512,
    };
}

/* Each number worked out by hand from what the kernel asks for. */
static void sizes_are_those_that_kernels_ask_for(void **state)
{
    (void)state;
    struct device_limits l = small_run();
    size_t bytes[DEVICE_PHASES][CUDA_SLOTS], *training = bytes[DEVICE_TRAINING], *rollout = bytes[DEVICE_ROLLOUT];
    cuda_slots_plan(&l, bytes);
    assert_int_equal(training[CUDA_SLOT_ROWS], 1032 * 4);                /* scatter_add of the targets */
    assert_int_equal(training[CUDA_SLOT_DELTA], 1024 * 14 * 4);          /* a number a row and head */
    assert_int_equal(training[CUDA_SLOT_TILES], 1032 * (1187 * 24 + 4)); /* tiles of 128 tokens */
    assert_int_equal(training[CUDA_SLOT_LOGITS], 1032ull * 151936 * 2);  /* all rows at once */
    assert_int_equal(training[CUDA_SLOT_PARTS], 160 * 128 * 128 * 4);    /* a product in parts */
    assert_int_equal(training[CUDA_SLOT_SAMPLING], 0);
    assert_int_equal(rollout[CUDA_SLOT_TILES], 256 * (1187 * 24 + 4));
    assert_int_equal(rollout[CUDA_SLOT_LOGITS], 0); /* logits stay on the chip */
    assert_int_equal(rollout[CUDA_SLOT_SAMPLING], 2048 * 28);
    assert_int_equal(rollout[CUDA_SLOT_PARTS], 0);
    assert_int_equal(bytes[DEVICE_ALWAYS][CUDA_SLOT_WIDE], 64 * 4864 * 4);
    assert_int_equal(bytes[DEVICE_ALWAYS][CUDA_SLOT_BLAS], 64 << 20);
    l.filtered = true;
    cuda_slots_plan(&l, bytes);
    assert_int_equal(rollout[CUDA_SLOT_LOGITS], 256ull * 151936 * 4);
    assert_true(rollout[CUDA_SLOT_SAMPLING] >= 256 * (52 + 2 * 640 * 4));
    l.tokens = l.targets = 100000;
    cuda_slots_plan(&l, bytes);
    assert_int_equal(training[CUDA_SLOT_LOGITS], 4096ull * 151936 * 2); /* a pass of the head at a time */
    assert_int_equal(training[CUDA_SLOT_TILES], 2048 * (1187 * 24 + 4));
}

static void squares_of_many_weights_have_room(void **state)
{
    (void)state;
    struct device_limits l = small_run();
    size_t bytes[DEVICE_PHASES][CUDA_SLOTS];
    l.n_weights = (size_t)70e9;
    cuda_slots_plan(&l, bytes);
    assert_int_equal(bytes[DEVICE_TRAINING][CUDA_SLOT_PARTS], (l.n_weights / 4096 + 2) * 8);
}

/* What a product's trial takes (kernels/cuda/blas.c): the head's gradient of hidden rows is the largest. */
static void trials_hold_the_largest_product(void **state)
{
    (void)state;
    struct device_limits l = small_run();
    size_t bytes[DEVICE_PHASES][CUDA_SLOTS];
    cuda_slots_plan(&l, bytes);
    size_t rows = 1536; /* 1032 targets: the range ends there */
    size_t dlogits = 2 * rows * 151936, w = 2 * 151936ull * 896, dx = 3 * 2 * rows * 896;
    assert_true(bytes[DEVICE_TRAINING][CUDA_SLOT_TRIAL] >= dlogits + w + dx);
    assert_true(bytes[DEVICE_TRAINING][CUDA_SLOT_TRIAL] < (dlogits + w + dx) * 11 / 10);
    size_t x = 2 * 576 * 896, gate_up = 2 * 9728 * 896, y = 3 * 2 * 576 * 9728;
    assert_true(bytes[DEVICE_ROLLOUT][CUDA_SLOT_TRIAL] >= x + gate_up + y);
    assert_true(bytes[DEVICE_ROLLOUT][CUDA_SLOT_TRIAL] < (x + gate_up + y) * 2);
}

static void what_is_not_done_takes_nothing(void **state)
{
    (void)state;
    struct device_limits l = small_run();
    size_t bytes[DEVICE_PHASES][CUDA_SLOTS];
    l.rollout_rows = l.rollout_sequences = 0;
    cuda_slots_plan(&l, bytes);
    for (enum cuda_slot slot = CUDA_SLOT_ROWS; slot < CUDA_SLOTS; slot++) {
        assert_int_equal(bytes[DEVICE_ROLLOUT][slot], 0);
        assert_non_null(cuda_slot_label(slot));
    }
    l = small_run();
    l.tokens = l.targets = l.contexts = l.groups = 0;
    cuda_slots_plan(&l, bytes);
    for (enum cuda_slot slot = CUDA_SLOT_ROWS; slot < CUDA_SLOTS; slot++) {
        assert_int_equal(bytes[DEVICE_TRAINING][slot], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_those_that_kernels_ask_for),
        cmocka_unit_test(squares_of_many_weights_have_room),
        cmocka_unit_test(trials_hold_the_largest_product),
        cmocka_unit_test(what_is_not_done_takes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
