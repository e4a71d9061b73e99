/* rl/run/tensorboard.h - the numbers of a run as TensorBoard reads them: RUN/tb/events.out.tfevents.*
 *
 *   file    records: u64 length | u32 masked CRC-32C of these 8 bytes | data | u32 masked CRC-32C of the data; little-endian
 *   mask    ((crc >> 15) | (crc << 17)) + 0xa282ead8
 *   data    a protocol buffer, tensorboard.Event: 1 wall_time double, 2 step int64, 3 file_version string ("brain.Event:2" in the
 *           first record), 5 summary; Summary: repeated 1 value; Value: 1 tag string, 2 simple_value float
 *
 * (tensorboard/compat/proto/event.proto and summary.proto, tensorboard/summary/writer/record_writer.py.)
 *
 * run.db is the truth: when a run is opened its file is written anew from it, so that nothing is in it twice and
 * nothing comes from a course that a resumed run does not take.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef RL_RUN_TENSORBOARD_H
#define RL_RUN_TENSORBOARD_H

#include "base/err.h"
#include "base/str.h"
#include "rl/metrics.h"

struct tensorboard;

/* Removes the files that this program wrote to FOLDER/tb before, and writes all steps and evaluations of
 * FOLDER/run.db to a new one. Release with tensorboard_close. */
enum err tensorboard_open(struct tensorboard **out, const char *folder);
/* Appends the metrics of a step; values that are not finite are left out. */
enum err tensorboard_add(struct tensorboard *tensorboard, int64_t step, const struct metrics *metrics);
void tensorboard_close(struct tensorboard *tensorboard); /* NULL is allowed */

/* ---- one record each; for the tests too ---- */

uint32_t tensorboard_crc32c(const void *data, size_t size); /* polynomial 0x1edc6f41, not masked */
void tensorboard_put_version(struct strbuf *out, double wall);
void tensorboard_put_scalars(struct strbuf *out, double wall, int64_t step, const struct metric *items, int n);

#endif
