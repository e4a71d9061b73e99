/* reward/code/report.c - checks the length of the frame, then that the counts are whole numbers.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/code/report.h"

#include "base/json.h"

bool frame_read(struct str answer, struct str *text)
{
    const unsigned char *b = (const unsigned char *)answer.data;
    if (answer.length < 4) {
        return false;
    }
    size_t length = (size_t)b[0] << 24 | (size_t)b[1] << 16 | (size_t)b[2] << 8 | b[3];
    *text = (struct str){answer.data + 4, answer.length - 4};
    return length == answer.length - 4;
}

/* A count of assertions; -1 if it is none. */
static double count_of(const json_t *report, const char *name)
{
    const json_t *value = json_object_get(report, name);
    return json_is_integer(value) && json_integer_value(value) >= 0 ? (double)json_integer_value(value) : -1;
}

bool code_report_read(struct code_report *report, struct str answer, struct arena *arena)
{
    struct str text;
    json_t *said = NULL;
    if (!frame_read(answer, &text) || json_parse(&said, text, "the tests' report") != ERR_NONE) {
        return false;
    }
    double passed = count_of(said, "passed"), failed = count_of(said, "failed"), planned = count_of(said, "planned");
    double all = passed + failed > planned ? passed + failed : planned;
    const char *fault = json_string_value(json_object_get(said, "fault"));
    *report = (struct code_report){.share = all > 0 && failed + passed > 0 ? passed / all : 0,
                                   .all = passed > 0 && failed == 0,
                                   .done = json_is_true(json_object_get(said, "done")),
                                   .gone = json_is_true(json_object_get(said, "gone")),
                                   .fault = fault ? arena_strdup(arena, fault) : NULL};
    json_decref(said);
    return passed >= 0 && failed >= 0 && planned >= 0;
}
