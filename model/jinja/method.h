/* model/jinja/method.h - methods: of texts, and of all else.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_JINJA_METHOD_H
#define MODEL_JINJA_METHOD_H

#include "model/jinja/text.h"

#define METHOD(name) static struct jvalue name(struct jrun *run, const struct jvalue *args, const struct jcall *call)

extern const struct jfunction jmethods_of_text[]; /* ends with a NULL name */

#endif
