/* rl/train_plan.c - sums, pages, and what would make a run fit.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/train_plan.h"

#include <limits.h>
#include <string.h>

#include "rl/method.h"
#include "rollout/kvcache.h"
#include "rollout/rollout.h"

#define GIB         ((double)(1 << 30))
#define MARGIN      16 /* 1/16 of the device stays free */
#define CPU_SHARE   2  /* pages fill the CPU's memory to 1/2 */
#define CHANGES     3
#define TOKENS_STEP 64 /* changes of tokens are multiples of it */

/* ---- sums ---- */

static size_t usable(const struct train_plan *plan)
{
    return plan->memory - plan->memory / MARGIN;
}

bool train_plan_fits(const struct train_plan *plan)
{
    return plan->memory == 0 || device_plan_bytes(plan->made.device) <= usable(plan);
}

/* Sequences of the largest rollout or evaluation. */
static int64_t sequences_max(const struct recipe *r)
{
    int64_t samples = (int64_t)recipe_prompts_per_iteration(r) * r->rollout.num_generations;
    int64_t held_out = (int64_t)r->eval.eval_num_prompts * r->eval.eval_num_generations;
    if (r->data.eval_dataset_name[0] && r->eval.eval_num_prompts == 0) {
        held_out = INT_MAX; /* all that there are */
    }
    return samples > held_out || !r->data.eval_dataset_name[0] ? samples : held_out;
}

/* Pages beyond this number would stay empty. */
static int pages_wanted(const struct recipe *r, int max_length)
{
    int64_t n = sequences_max(r);
    n = n < r->rollout.max_sequences ? n : r->rollout.max_sequences;
    int rows = rollout_rows(r->rollout.max_batch_tokens, r->rollout.max_sequences);
    n = n < rows ? n : rows;
    return kvcache_wanted((int)n, max_length);
}

/* Pages that the memory holds, if `min` of them are in the sums already. */
static int pages_that_fit(const struct train_plan *plan, int min)
{
    const struct device *device = plan->made.device;
    size_t page = kv_page_bytes(plan->made.policy), always = device->cut[DEVICE_ALWAYS];
    size_t max = device->kind->shares_memory ? plan->memory / CPU_SHARE : usable(plan);
    size_t room = max > always ? max - always : 0, others = device->cut[DEVICE_ROLLOUT] - (size_t)min * page;
    room = room > device->cut[DEVICE_TRAINING] ? room : device->cut[DEVICE_TRAINING];
    size_t n = room > others ? (room - others) / page : 0;
    return n < (size_t)plan->kv_pages_wanted ? (int)n : plan->kv_pages_wanted;
}

static enum err add_up(struct train_plan *plan, const struct model_config *config, const char *source)
{
    struct train *t = &plan->made;
    const struct recipe *r = t->recipe;
    int longest = method_of(r)->max_length(r);
    TRY(model_plan(&t->policy, config, source, t->device, longest, train_has_masters(r)));
    struct device_limits limits = train_limits(t);
    device_alloc_slots(t->device, &limits);
    if (train_has_reference(r)) {
        TRY(train_make_reference(t));
    }
    if (method_of(r)->samples) {
        int one = kvcache_pages(longest), min = r->rollout.kv_pages > 0 ? r->rollout.kv_pages : one;
        plan->kv_pages_wanted = r->rollout.kv_pages > 0 ? r->rollout.kv_pages : pages_wanted(r, longest);
        plan->kv_pages = min;
    }
    TRY(train_alloc(t, plan->kv_pages));
    if (method_of(r)->samples && plan->kv_pages < plan->kv_pages_wanted) {
        int min = plan->kv_pages, n = plan->memory > 0 ? pages_that_fit(plan, min) : plan->kv_pages_wanted;
        plan->kv_pages = n > min ? n : min;
        rollout_close(t->rollout);
        t->rollout = NULL;
        TRY(train_open_rollout(t, plan->kv_pages));
    }
    return ERR_NONE;
}

enum err train_plan_make_config(struct train_plan *plan, struct recipe *recipe, const struct model_config *config,
                                const char *source, const char *device, size_t memory)
{
    *plan = (struct train_plan){.made.recipe = recipe, .memory = memory};
    TRY(device_open_planning(&plan->made.device, device, memory));
    return add_up(plan, config, source);
}

enum err train_plan_make(struct train_plan *plan, struct recipe *recipe, const char *path, const char *device,
                         size_t memory)
{
    struct model_config config;
    *plan = (struct train_plan){0};
    TRY(model_open_config(&config, path));
    if (config.lora.r > 0) {
        return err_set(ERR_USAGE,
                       "%s is an adapter; train on its base, or on what 'strop convert --merge' makes of both", path);
    }
    config.lora = recipe->lora.lora;
    return train_plan_make_config(plan, recipe, &config, path, device, memory);
}

void train_plan_release(struct train_plan *plan)
{
    train_close(&plan->made);
}

/* ---- the table ---- */

void train_plan_print(const struct train_plan *plan, FILE *out)
{
    const struct device *device = plan->made.device;
    fprintf(out, "memory on %s:\n", device->ops->name);
    device_report(device, out);
    if (plan->kv_pages > 0) {
        fprintf(out, "  the key/value cache has %d pages of %d positions; %d could be of use\n", plan->kv_pages,
                OPS_PAGE, plan->kv_pages_wanted);
    }
    if (plan->memory > 0) {
        fprintf(out, "  %.2f GiB of %.2f GiB, of which %.2f GiB can be planned\n",
                (double)device_plan_bytes(device) / GIB, (double)plan->memory / GIB, (double)usable(plan) / GIB);
    }
}

/* ---- what would make it fit ---- */

/* Changes are tried on the recipe itself, and taken back. */
struct changes {
    const struct train_plan *plan; /* that does not fit */
    struct recipe *recipe;
    struct model_config config;
    const char *device;
    size_t memory;
    FILE *out;
    int n; /* reported so far */
};

/* Whether the changed recipe fits; *bytes: how many it takes. */
static bool fits(const struct changes *c, size_t *bytes)
{
    struct train_plan plan;
    bool good = train_plan_make_config(&plan, c->recipe, &c->config, "", c->device, c->memory) == ERR_NONE &&
                train_plan_fits(&plan);
    if (good) {
        *bytes = device_plan_bytes(plan.made.device);
    }
    train_plan_release(&plan);
    return good;
}

static void report_change(struct changes *c, const char *change, size_t bytes)
{
    fprintf(c->out, "  %-62s %8.2f GiB\n", change, (double)bytes / GIB);
    c->n++;
}

/* Finds the largest multiple of `step`, at least `min`, with which the run fits. */
static void try_number(struct changes *c, const char *key, int *value, int min, int step)
{
    int now = *value, low = (min + step - 1) / step, high = (now - 1) / step;
    size_t bytes = 0;
    char text[64];
    if (c->n == CHANGES || low > high) {
        return;
    }
    *value = low * step;
    if (!fits(c, &bytes)) {
        *value = now;
        return;
    }
    while (low < high) {
        int middle = high - (high - low) / 2;
        *value = middle * step;
        if (fits(c, &bytes)) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    *value = low * step;
    fits(c, &bytes);
    *value = now;
    snprintf(text, sizeof text, "--%s=%d", key, low * step);
    report_change(c, text, bytes);
}

/* Tries max_completion_length as one number in place of its schedule. */
static void try_completion_length(struct changes *c)
{
    struct recipe_schedule_entry one = {0, recipe_schedule_max(&c->recipe->rollout.max_completion_length)};
    struct recipe_schedule now = c->recipe->rollout.max_completion_length;
    c->recipe->rollout.max_completion_length = (struct recipe_schedule){&one, 1};
    try_number(c, "max_completion_length", &one.value, 1, one.value > TOKENS_STEP ? TOKENS_STEP : 1);
    c->recipe->rollout.max_completion_length = now;
}

static void try_batch_tokens(struct changes *c)
{
    struct rollout_recipe *r = &c->recipe->rollout;
    int now = r->max_batch_tokens;
    r->max_batch_tokens = rollout_rows(now, r->max_sequences);
    try_number(c, "max_batch_tokens", &r->max_batch_tokens, 16, 16);
    r->max_batch_tokens = now;
}

static void try_without_reference(struct changes *c)
{
    double now = c->recipe->loss.policy.beta;
    size_t bytes = 0;
    if (c->n == CHANGES || !train_has_reference(c->recipe)) {
        return;
    }
    c->recipe->loss.policy.beta = 0;
    if (fits(c, &bytes)) {
        report_change(c, "--beta=0 (no reference model)", bytes);
    }
    c->recipe->loss.policy.beta = now;
}

/* Tries the keys that save memory for one more forward pass, or by rounding moments. */
static void try_thrift(struct changes *c)
{
    bool *checkpointing = &c->recipe->run.gradient_checkpointing, kept = *checkpointing;
    enum optim_kind *optim = &c->recipe->optim.kind, kind = *optim;
    size_t bytes = 0;
    *checkpointing = true;
    if (c->n < CHANGES && !kept && fits(c, &bytes)) {
        report_change(c, "--gradient_checkpointing=true", bytes);
    }
    *checkpointing = kept;
    *optim = OPTIM_ADAMW_BF16_SR;
    if (c->n < CHANGES && kind != OPTIM_ADAMW_BF16_SR && fits(c, &bytes)) {
        report_change(c, "--optim=adamw_bf16_sr", bytes);
    }
    *optim = kind;
}

static double parameters_of(const struct model_config *config)
{
    struct device *device = NULL;
    struct model *model = NULL;
    double n = 0;
    if (device_open_planning(&device, "cuda", 0) == ERR_NONE &&
        model_plan(&model, config, "", device, 1, false) == ERR_NONE) {
        n = (double)model->params.n;
        model_close(model);
    }
    device_close(device);
    return n;
}

/* Tries the network with fewer layers; `with` is appended to the sentence. */
static void try_smaller_model(struct changes *c, const char *with)
{
    int now = c->config.n_layers;
    size_t bytes = 0;
    char text[96];
    while (c->n < CHANGES && c->config.n_layers > 1) {
        c->config.n_layers--;
        if (fits(c, &bytes)) {
            snprintf(text, sizeof text, "a model of %.2f B parameters%s", parameters_of(&c->config) / 1e9, with);
            report_change(c, text, bytes);
            break;
        }
    }
    c->config.n_layers = now;
}

/* Finds how large the model may be with the smallest batches. */
static void try_both(struct changes *c)
{
    int *tokens = &c->recipe->run.tokens_per_micro_batch, now = *tokens,
        longest = method_of(c->recipe)->max_length(c->recipe);
    char text[64];
    if (longest < now) {
        snprintf(text, sizeof text, " and --tokens_per_micro_batch=%d", longest);
        *tokens = longest;
        try_smaller_model(c, text);
        *tokens = now;
    }
}

static void try_more_memory(struct changes *c)
{
    size_t now = c->memory, bytes = device_plan_bytes(c->plan->made.device), gib = (size_t)1 << 30;
    char text[64];
    c->memory = (bytes + bytes / (MARGIN - 1) + 2 * gib) / gib * gib;
    if (c->n < CHANGES && fits(c, &bytes)) {
        snprintf(text, sizeof text, "a device with %zu GiB", c->memory / gib);
        report_change(c, text, bytes);
    }
    c->memory = now;
}

static void report_changes(const struct train_plan *plan, FILE *out)
{
    struct recipe *r = plan->made.recipe;
    struct changes c = {
        .plan = plan,
        .recipe = r,
        .config = plan->made.policy->config,
        .device = plan->made.device->ops->name,
        .memory = plan->memory,
        .out = out,
    };
    fprintf(out, "each of these would make it fit:\n");
    try_number(&c, "tokens_per_micro_batch", &r->run.tokens_per_micro_batch, TOKENS_STEP, TOKENS_STEP);
    try_thrift(&c);
    if (method_of(r)->samples) {
        if (r->rollout.kv_pages > 0) {
            try_number(&c, "kv_pages", &r->rollout.kv_pages, kvcache_pages(method_of(r)->max_length(r)), 1);
        }
        try_completion_length(&c);
        try_without_reference(&c);
        try_batch_tokens(&c);
    } else {
        bool packs = r->data.pack_length > 0;
        try_number(&c, packs ? "pack_length" : "max_length", packs ? &r->data.pack_length : &r->data.max_length,
                   TOKENS_STEP, TOKENS_STEP);
    }
    try_smaller_model(&c, "");
    try_more_memory(&c);
    try_both(&c);
}

enum err train_plan_refuse(const struct train_plan *plan, FILE *out)
{
    train_plan_print(plan, out);
    report_changes(plan, out);
    return err_set(
        ERR_LIMIT,
        "%s does not fit on %s: %.2f GiB are needed, and of its %.2f GiB %.2f can be planned; see the table and "
        "the changes above",
        plan->made.recipe->path[0] ? plan->made.recipe->path : "the recipe", plan->made.device->ops->name,
        (double)device_plan_bytes(plan->made.device) / GIB, (double)plan->memory / GIB, (double)usable(plan) / GIB);
}
