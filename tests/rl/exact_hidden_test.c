/* tests/rl/exact_hidden_test.c - the set of hidden states knows a row from one with another bit, layer or position.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/exact_hidden.h"

#include <math.h>

#include "tests/model_parts.h"
#include "tests/rl/iteration_fixture.h"

/* Rows are found by layer, position and bytes, however many there are. */
static void a_hidden_bit_is_found(void **state)
{
    struct device *device;
    struct model *model;
    struct hidden_set set = {0};
    const struct model_config config = {.family = &model_families[FAMILY_LLAMA],
                                        .n_layers = 2,
                                        .d = 16,
                                        .F = 16,
                                        .H = 1,
                                        .J = 1,
                                        .D = 16,
                                        .V = 20,
                                        .norm_eps = 1e-6f,
                                        .rope = {.type = ROPE_DEFAULT, .theta = 1e4},
                                        .max_positions = 8,
                                        .bos_id = -1};
    float x[2][16] = {{1, 2, 3}, {4, 5, 6}};
    const int32_t positions[] = {3, 4}, swapped[] = {4, 3};
    (void)state;
    ASSERT_OK(device_open(&device, "cpu"));
    ASSERT_OK(model_new(&model, &config, NULL, device, 0, 1));
    hidden_note(&set, model);
    for (int layer = 0; layer < 300; layer++) { /* the set grows on the way */
        model->watch.see(model->watch.context, model, layer, 2, positions, x);
    }
    hidden_look(&set, model);
    model->watch.see(model->watch.context, model, 1, 2, positions, x);
    assert_int_equal(set.compared, 2);
    assert_int_equal(set.different, 0);
    model->watch.see(model->watch.context, model, 300, 2, positions, x);
    assert_int_equal(set.different, 2); /* no such layer */
    model->watch.see(model->watch.context, model, 1, 2, swapped, x);
    assert_int_equal(set.different, 4);
    x[1][15] = nextafterf(x[1][15], 1);
    model->watch.see(model->watch.context, model, 1, 2, positions, x);
    assert_int_equal(set.different, 5);
    hidden_clear(&set);
    model->watch.see(model->watch.context, model, 1, 1, positions, x);
    assert_int_equal(set.different, 6);
    hidden_release(&set);
    model_close(model);
    device_close(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_hidden_bit_is_found)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
