/* model/rope_config.c - the rotary embedding as config.json describes it, in either spelling.
 *
 * "rope_parameters" (transformers 5) and "rope_scaling" (before) are combined as transformers 5 combines them: a rope_scaling that
 * is not empty takes the whole place of rope_parameters, and the theta in there is lost.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "model/config.h"

static enum err parse_type(struct rope_config *r, const json_t *scaling, const char *name)
{
    static const char *const names[] = {"default", "linear", "llama3", "yarn"};
    struct str type = STR("default");
    TRY(json_want_text(scaling, "type", name, &type));
    TRY(json_want_text(scaling, "rope_type", name, &type));
    for (int i = 0; i < 4; i++) {
        if (str_equal(type, str_of(names[i]))) {
            r->type = (enum rope_type)i;
            return ERR_NONE;
        }
    }
    return err_set(ERR_FORMAT, "%s: rope type '%.*s' is not supported; strop knows default, linear, llama3 and yarn",
                   name, (int)type.length, type.data);
}

static enum err refuse_partial(const json_t *object, const char *name)
{
    double share = 1;
    TRY(json_want_double(object, "partial_rotary_factor", name, &share));
    return share < 1 || share > 1
               ? err_set(ERR_FORMAT, "%s: a partial_rotary_factor other than 1 is not supported", name)
               : ERR_NONE;
}

static enum err refuse_untruncated(const json_t *scaling, const char *name)
{
    bool truncate = true;
    TRY(json_want_bool(scaling, "truncate", name, &truncate));
    return truncate ? ERR_NONE : err_set(ERR_FORMAT, "%s: truncate = false is not supported", name);
}

/* What a type cannot do without. A null factor of yarn is the ratio of the two context lengths. */
static enum err check_needed(struct rope_config *r, const json_t *scaling, int max_positions, const char *name)
{
    static const char *const needed[] = {"factor", "low_freq_factor", "high_freq_factor"};
    int n = r->type == ROPE_DEFAULT ? 0 : r->type == ROPE_LLAMA3 ? 3 : 1;
    if (r->type == ROPE_YARN && json_is_null(json_object_get(scaling, "factor"))) {
        r->factor = max_positions / r->original_max_positions;
        n = 0;
    }
    for (int i = 0; i < n; i++) {
        if (!json_is_number(json_object_get(scaling, needed[i]))) {
            return err_set(ERR_FORMAT, "%s: the scaling of the rotary embedding has no '%s'", name, needed[i]);
        }
    }
    return ERR_NONE;
}

/* What would divide by zero or take the logarithm of a negative number. */
static enum err check_values(const struct rope_config *r, const char *name)
{
    const struct {
        const char *key;
        bool good;
    } checks[] = {
        {"factor", r->factor > 0},
        {"original_max_position_embeddings", r->original_max_positions >= 1},
        {"beta_fast", r->beta_fast > 0},
        {"beta_slow", r->beta_slow > 0},
        {"low_freq_factor", r->low_freq_factor > 0},
        {"high_freq_factor", r->high_freq_factor > r->low_freq_factor},
    };
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        if (!checks[i].good) {
            return err_set(ERR_FORMAT, "%s: '%s' of the rotary embedding has a value that cannot be", name,
                           checks[i].key);
        }
    }
    return ERR_NONE;
}

/* Absent, null and 0 are the default, as in Python's `or`. */
static enum err want_beta(const json_t *scaling, const char *key, const char *name, double *out)
{
    double value = 0;
    TRY(json_want_double(scaling, key, name, &value));
    *out = value < 0 || value > 0 ? value : *out;
    return ERR_NONE;
}

static enum err parse_scaling(struct rope_config *r, const json_t *document, const json_t *scaling, int max_positions,
                              const char *name)
{
    TRY(parse_type(r, scaling, name));
    TRY(json_want_double(scaling, "rope_theta", name, &r->theta));
    TRY(json_want_double(scaling, "factor", name, &r->factor));
    TRY(json_want_double(scaling, "low_freq_factor", name, &r->low_freq_factor));
    TRY(json_want_double(scaling, "high_freq_factor", name, &r->high_freq_factor));
    TRY(json_want_double(scaling, "original_max_position_embeddings", name, &r->original_max_positions));
    TRY(json_want_double(document, "original_max_position_embeddings", name, &r->original_max_positions));
    TRY(want_beta(scaling, "beta_fast", name, &r->beta_fast));
    TRY(want_beta(scaling, "beta_slow", name, &r->beta_slow));
    TRY(json_want_double(scaling, "attention_factor", name, &r->attention_factor));
    r->has_attention_factor = json_is_number(json_object_get(scaling, "attention_factor"));
    TRY(json_want_double(scaling, "mscale", name, &r->mscale));
    TRY(json_want_double(scaling, "mscale_all_dim", name, &r->mscale_all_dim));
    if (r->type == ROPE_DEFAULT && json_object_get(scaling, "factor")) {
        log_warning_once(
            "%s: the rotary embedding has a 'factor' but no 'rope_type'; it is not scaled, as in transformers", name);
    }
    TRY(refuse_partial(scaling, name));
    TRY(refuse_untruncated(scaling, name));
    return check_needed(r, scaling, max_positions, name);
}

/* An object of the document that is there and not empty, else NULL: of one for each kind of layer, that of full attention. */
static enum err find_object(const json_t *document, const char *key, const char *name, const json_t **out)
{
    const json_t *value = json_object_get(document, key), *full = json_object_get(value, "full_attention");
    if (value && !json_is_null(value) && !json_is_object(value)) {
        return err_set(ERR_FORMAT, "%s: '%s' must be an object", name, key);
    }
    *out = json_is_object(full) ? full : json_object_size(value) > 0 ? value : NULL;
    return ERR_NONE;
}

enum err rope_config_parse(struct rope_config *out, const json_t *document, int max_positions, const char *name)
{
    struct rope_config r = {.theta = 10000,
                            .factor = 1,
                            .low_freq_factor = 1,
                            .high_freq_factor = 4,
                            .beta_fast = 32,
                            .beta_slow = 1,
                            .original_max_positions = max_positions};
    const json_t *parameters, *scaling;
    double lost_theta = 0;
    TRY(find_object(document, "rope_parameters", name, &parameters));
    TRY(find_object(document, "rope_scaling", name, &scaling));
    TRY(refuse_partial(document, name));
    TRY(json_want_double(document, "rope_theta", name, &r.theta));
    if (scaling || parameters) {
        TRY(parse_scaling(&r, document, scaling ? scaling : parameters, max_positions, name));
    }
    if (!(r.theta > 1)) {
        return err_set(ERR_FORMAT, "%s: 'rope_theta' is %g, but must be greater than 1", name, r.theta);
    }
    TRY(check_values(&r, name));
    if (scaling && parameters) {
        TRY(json_want_double(parameters, "rope_theta", name, &lost_theta));
    }
    if (lost_theta > 0 && (lost_theta < r.theta || lost_theta > r.theta)) {
        log_warning_once(
            "%s: rope_scaling takes the place of rope_parameters, so that the rope_theta %g in there is lost and "
            "%g is used, as in transformers; if that is not meant, write \"rope_theta\": %g into rope_scaling",
            name, lost_theta, r.theta, lost_theta);
    }
    *out = r;
    return ERR_NONE;
}

static json_t *yarn_to_json(json_t *scaling, const struct rope_config *r)
{
    json_object_set_new(scaling, "beta_fast", json_real(r->beta_fast));
    json_object_set_new(scaling, "beta_slow", json_real(r->beta_slow));
    if (r->has_attention_factor) {
        json_object_set_new(scaling, "attention_factor", json_real(r->attention_factor));
    }
    if (r->mscale < 0 || r->mscale > 0) {
        json_object_set_new(scaling, "mscale", json_real(r->mscale));
    }
    if (r->mscale_all_dim < 0 || r->mscale_all_dim > 0) {
        json_object_set_new(scaling, "mscale_all_dim", json_real(r->mscale_all_dim));
    }
    return scaling;
}

json_t *rope_config_to_json(const struct rope_config *r)
{
    static const char *const types[] = {NULL, "linear", "llama3", "yarn"};
    if (r->type == ROPE_DEFAULT) {
        return json_null();
    }
    json_t *scaling = json_pack("{s:s, s:f}", "rope_type", types[r->type], "factor", r->factor);
    if (r->type != ROPE_LINEAR) {
        json_object_set_new(scaling, "original_max_position_embeddings",
                            json_integer((json_int_t)r->original_max_positions));
    }
    if (r->type == ROPE_LLAMA3) {
        json_object_set_new(scaling, "low_freq_factor", json_real(r->low_freq_factor));
        json_object_set_new(scaling, "high_freq_factor", json_real(r->high_freq_factor));
    }
    return r->type == ROPE_YARN ? yarn_to_json(scaling, r) : scaling;
}
