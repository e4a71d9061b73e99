/* rl/method.c - the table of methods.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/method.h"

#include "rl/recipe/recipe.h"

static const struct method *const methods[] = {
    [METHOD_GRPO] = &method_grpo,
    [METHOD_SFT] = &method_sft,
};

const struct method *method_of(const struct recipe *recipe)
{
    return methods[recipe->method];
}
