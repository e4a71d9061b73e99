/* model/jinja/filter.h - the tables of filters: on texts and numbers, and on lists.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_JINJA_FILTER_H
#define MODEL_JINJA_FILTER_H

#include "model/jinja/text.h"

#define FILTER(name) static struct jvalue name(struct jrun *run, const struct jvalue *args, const struct jcall *call)

/* Both end with a NULL name. */
extern const struct jfunction jfilters_of_values[];
extern const struct jfunction jfilters_of_lists[];

#endif
