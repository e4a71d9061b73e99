/* model/jinja/macro.h - macros, and the blocks that a call block hands to one.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef MODEL_JINJA_MACRO_H
#define MODEL_JINJA_MACRO_H

#include "model/jinja/run.h"

/* A NODE_MACRO in the present scope, which it keeps. */
struct jvalue jmacro_new(struct jrun *run, const struct jnode *node);
/* A NODE_CALL_BLOCK: the call, with the block as its `caller`. */
struct jvalue jmacro_call_block(struct jrun *run, const struct jnode *node);

#endif
