/* tests/fuzz/recipe_fuzz.c - any bytes as a recipe; one that is accepted must read back as itself.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "rl/recipe/recipe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    log_set_level(LOG_ERROR);
    struct recipe recipe, again;
    if (recipe_parse(&recipe, (struct str){(const char *)data, size}, "fuzz.yaml") != ERR_NONE) {
        BUG_ON(err_text()[0] == '\0');
        return 0;
    }
    if (recipe_finish(&recipe) == ERR_NONE) {
        struct strbuf first = STRBUF_INIT, second = STRBUF_INIT;
        recipe_write(&recipe, &first);
        BUG_ON(recipe_parse(&again, strbuf_view(&first), "fuzz.yaml") != ERR_NONE);
        recipe_write(&again, &second);
        BUG_ON(!str_equal(strbuf_view(&first), strbuf_view(&second)));
        recipe_release(&again);
        strbuf_release(&first);
        strbuf_release(&second);
    }
    recipe_release(&recipe);
    return 0;
}
