/* reward/plugin_helper.c - the constructor below runs before main, so the helper needs no file of its own.
 *
 * It trusts what it reads: only reward/workers.c writes to it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/plugin_helper.h"

#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "reward/dialog.h"
#include "reward/library.h"

const char plugin_helper_program[] = "/proc/self/exe";
const char plugin_helper_name[] = "strop-plugin-helper";

static struct strop_text text_of(const json_t *value)
{
    return (struct strop_text){json_string_value(value), json_string_length(value)};
}

static void answer(struct strbuf *out, const json_t *request, const struct strop_result *result)
{
    strbuf_printf(out, "{\"type\": \"scores\", \"seq\": %" JSON_INTEGER_FORMAT ", \"results\": [{\"id\": \"%s\", ",
                  json_integer_value(json_object_get(request, "seq")),
                  json_string_value(json_object_get(json_array_get(json_object_get(request, "items"), 0), "id")));
    strbuf_puts(out, result->status == STROP_ERROR ? "\"error\": \"" : "\"reason\": \"");
    strbuf_add_json(out, str_of(result->message));
    strbuf_puts(out, "\", \"extracted\": \"");
    strbuf_add_json(out, str_of(result->extracted));
    strbuf_puts(out, "\"");
    if (result->status == STROP_OK && isfinite(result->score)) {
        strbuf_printf(out, ", \"score\": %.17g", result->score);
    } else if (result->status == STROP_OK) {
        strbuf_puts(out, ", \"score\": \"not finite\""); /* JSON has no word for it */
    } else if (result->status == STROP_ABSTAIN) {
        strbuf_puts(out, ", \"score\": null");
    }
    strbuf_puts(out, "}]}\n");
}

static void judge(struct library *library, const json_t *request, struct strbuf *out)
{
    struct arena arena = ARENA_INIT;
    const json_t *item = json_array_get(json_object_get(request, "items"), 0);
    const char *finish = json_string_value(json_object_get(item, "finish"));
    double seconds = json_number_value(json_object_get(request, "deadline_ms")) / 1000;
    struct strop_item given = {
        .finish = finish && strcmp(finish, "length") == 0 ? STROP_LENGTH : STROP_STOP,
        .id = (uint64_t)json_integer_value(json_object_get(request, "seq")),
        .prompt = text_of(json_object_get(item, "prompt")),
        .completion = text_of(json_object_get(item, "completion")),
        .data_source = library_text(json_object_get(item, "data_source"), &arena),
        .ground_truth = library_text(json_object_get(item, "ground_truth"), &arena),
        .row_json = library_text(json_object_get(item, "extra"), &arena),
        .n_tokens = json_integer_value(json_object_get(item, "n_tokens")),
        .max_tokens = json_integer_value(json_object_get(item, "max_tokens")),
    };
    struct strop_result result;
    library_score(library, &given, clock_seconds() + seconds, &result);
    answer(out, request, &result);
    arena_release(&arena);
}

/* The plug-in is loaded at the hello, with its configuration. */
static enum err load(struct library **library, const char *path, const json_t *hello, struct arena *arena,
                     struct strbuf *out)
{
    struct strop_text config = library_text(json_object_get(hello, "config"), arena);
    TRY(library_open(library, path, config.data));
    strbuf_printf(out, "{\"type\": \"ready\", \"protocol\": %d}\n", DIALOG_PROTOCOL);
    return ERR_NONE;
}

static enum err serve(FILE *requests, int answers, const char *path, struct library **library, struct arena *arena)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    enum err result = ERR_NONE;
    while (result == ERR_NONE && (length = getline(&line, &capacity, requests)) > 0) {
        struct strbuf out = STRBUF_INIT;
        json_t *request = json_loadb(line, (size_t)length, JSON_ALLOW_NUL, NULL);
        if (!request) {
            result = err_set(ERR_FORMAT, "a request is no JSON");
        } else if (!*library) {
            result = load(library, path, request, arena, &out);
        } else {
            judge(*library, request, &out);
        }
        if (result == ERR_NONE) {
            result = file_write_all(answers, out.data, out.length, "standard output");
        }
        json_decref(request);
        strbuf_release(&out);
    }
    free(line);
    return result;
}

/* What the plug-in reads from stdin or prints must not get into the dialog. */
static int helper_main(const char *path)
{
    struct library *library = NULL;
    struct arena arena = ARENA_INIT;
    int asked = fcntl(0, F_DUPFD_CLOEXEC, 3), answers = fcntl(1, F_DUPFD_CLOEXEC, 3);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    dup2(null, 0);
    dup2(2, 1);
    close(null);
    FILE *requests = fdopen(asked, "r");
    if (!requests || answers < 0) {
        return 1;
    }
    enum err result = serve(requests, answers, path, &library, &arena);
    if (result != ERR_NONE) {
        fprintf(stderr, "%s\n", err_text());
    }
    library_close(library);
    fclose(requests);
    arena_release(&arena);
    return result == ERR_NONE ? 0 : 1;
}

/* glibc hands main's arguments to constructors. */
__attribute__((constructor)) static void helper_begin(int argc, char **argv)
{
    if (argc == 3 && argv && strcmp(argv[0], plugin_helper_program) == 0 && strcmp(argv[1], plugin_helper_name) == 0) {
        exit(helper_main(argv[2]));
    }
}
