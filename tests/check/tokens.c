/* tests/check/tokens.c - token ids of texts, for tests/check/tokenizer.py.
 *
 *   tokens MODEL.gguf | tokenizer.json
 *
 * Standard input is a text a line, in hex; standard output its ids a line. Texts of special tokens are those tokens.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/gguf_model.h"

static enum err open_tokenizer(struct tokenizer **out, const char *path)
{
    if (!str_ends(str_of(path), STR(".gguf"))) {
        return tokenizer_open(out, path);
    }
    struct gguf file;
    TRY(gguf_open(&file, path));
    enum err err = gguf_model_tokenizer(&file, out);
    gguf_close(&file);
    return err == ERR_NONE && !*out ? err_set(ERR_FORMAT, "%s: there is no tokenizer", path) : err;
}

static int digit(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* Bytes in place of their hex. */
static struct str from_hex(char *line, size_t length)
{
    for (size_t i = 0; i < length / 2; i++) {
        line[i] = (char)(16 * digit(line[2 * i]) + digit(line[2 * i + 1]));
    }
    return (struct str){line, length / 2};
}

static enum err print_ids(const struct tokenizer *tokenizer, struct str text, struct arena *arena)
{
    int32_t *ids;
    int n;
    TRY(tokenizer_encode(tokenizer, text, true, arena, &ids, &n));
    for (int i = 0; i < n; i++) {
        printf(i ? " %d" : "%d", ids[i]);
    }
    putchar('\n');
    return ERR_NONE;
}

int main(int argc, char **argv)
{
    struct tokenizer *tokenizer = NULL;
    struct arena arena = ARENA_INIT;
    char *line = NULL;
    size_t capacity = 0;
    if (argc != 2) {
        fprintf(stderr, "usage: tokens MODEL.gguf | tokenizer.json\n");
        return 2;
    }
    enum err err = open_tokenizer(&tokenizer, argv[1]);
    for (ssize_t n; err == ERR_NONE && (n = getline(&line, &capacity, stdin)) > 0;) {
        err = print_ids(tokenizer, from_hex(line, (size_t)n - (line[n - 1] == '\n')), &arena);
        arena_reset(&arena);
    }
    if (err != ERR_NONE) {
        fprintf(stderr, "%s\n", err_text());
    }
    free(line);
    tokenizer_free(tokenizer);
    arena_release(&arena);
    return err != ERR_NONE;
}
