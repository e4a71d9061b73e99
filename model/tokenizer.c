/* model/tokenizer.c - tokenizer.json, and encoding and decoding with it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "model/tokenizer.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/file.h"
#include "base/json.h"
#include "model/bpe.h"
#include "model/pretokenize.h"

#define TOKENIZER_MOST_BYTES ((size_t)256 << 20)
#define MOST_TOKENS          (1 << 22)

struct added_token {
    struct str text;
    int32_t id;
    bool special, lstrip, rstrip;
};

struct tokenizer {
    struct arena arena;
    struct str *texts; /* by id: bytes; empty where the id stands for nothing */
    bool *special;
    int size;
    struct bpe *bpe;
    struct pretokenizer *pretokenizer;
    struct added_token *added; /* longest first */
    int n_added;
    bool first_bytes[256]; /* that begin an added token */
    bool nfc, ignore_merges;
    struct str chat_template;
};

/* The byte that a character of the byte-level alphabet stands for (Radford et al. 2019: printable bytes stand for themselves,
 * the others are counted up from 256); -1 for a character outside of it. */
static int alphabet_byte(uint32_t c)
{
    if ((c >= '!' && c <= '~') || (c >= 0xA1 && c <= 0xAC) || (c >= 0xAE && c <= 0xFF)) {
        return (int)c;
    }
    if (c < 256 || c > 323) {
        return -1;
    }
    int n = (int)c - 256;
    return n < 33 ? n : n < 67 ? 127 + n - 33 : 0xAD;
}

/* The bytes that a vocabulary entry stands for; false if it is not in the alphabet. */
static bool alphabet_decode(struct arena *arena, struct str text, struct str *out)
{
    char *bytes = arena_alloc(arena, text.length + 1);
    size_t n = 0;
    for (size_t at = 0, length; at < text.length; at += length) {
        int byte = alphabet_byte(str_utf8_next(text, at, &length));
        if (byte < 0) {
            return false;
        }
        bytes[n++] = (char)byte;
    }
    *out = (struct str){bytes, n};
    return true;
}

static void grow(struct tokenizer *t, int size)
{
    if (size <= t->size) {
        return;
    }
    t->texts = mem_grow(t->texts, (size_t)size * sizeof *t->texts);
    t->special = mem_grow(t->special, (size_t)size * sizeof *t->special);
    for (int i = t->size; i < size; i++) {
        t->texts[i] = (struct str){0};
        t->special[i] = false;
    }
    t->size = size;
}

static enum err add_vocabulary(struct tokenizer *t, const json_t *vocab, const char *name)
{
    const char *key;
    json_t *value;
    if (!json_is_object(vocab) || json_object_size(vocab) == 0 || json_object_size(vocab) > MOST_TOKENS) {
        return err_set(ERR_FORMAT, "%s: model.vocab is missing or empty", name);
    }
    t->bpe = bpe_new((int)json_object_size(vocab));
    size_t length;
    json_object_keylen_foreach((json_t *)(uintptr_t)vocab, key, length, value)
    {
        json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
        struct str bytes, text = {key, length};
        if (id < 0 || id >= MOST_TOKENS) {
            return err_set(ERR_FORMAT, "%s: token '%s' has no usable id", name, key);
        }
        grow(t, (int)id + 1);
        if (!alphabet_decode(&t->arena, text, &bytes)) {
            bytes = (struct str){arena_strndup(&t->arena, key, length), length}; /* an added token, as it stands */
        }
        if (t->texts[id].length || !bpe_add_token(t->bpe, (int32_t)id, bytes)) {
            return err_set(ERR_FORMAT, "%s: id %lld or token '%s' stands twice in the vocabulary", name, (long long)id,
                           key);
        }
        t->texts[id] = bytes;
    }
    return ERR_NONE;
}

static enum err add_merge(struct tokenizer *t, struct str left, struct str right, size_t i, const char *name)
{
    struct str a, b;
    if (!alphabet_decode(&t->arena, left, &a) || !alphabet_decode(&t->arena, right, &b) ||
        !bpe_add_merge(t->bpe, a, b)) {
        return err_set(ERR_FORMAT, "%s: merge %zu joins what is not in the vocabulary", name, i);
    }
    return ERR_NONE;
}

static enum err add_merge_text(struct tokenizer *t, struct str text, size_t i, const char *name)
{
    ptrdiff_t space = str_find(text, STR(" "), 0);
    if (space < 0) {
        return err_set(ERR_FORMAT, "%s: merge %zu is not two tokens", name, i);
    }
    return add_merge(t, str_slice(text, 0, (size_t)space), str_slice(text, (size_t)space + 1, text.length), i, name);
}

static struct str text_of(const json_t *value)
{
    return (struct str){json_string_value(value), json_string_length(value)};
}

static enum err add_merges(struct tokenizer *t, const json_t *merges, const char *name)
{
    if (json_array_size(merges) == 0) {
        return err_set(ERR_FORMAT, "%s: there are no merges; a byte-level BPE tokenizer needs them", name);
    }
    for (size_t i = 0; i < json_array_size(merges); i++) {
        const json_t *merge = json_array_get(merges, i);
        if (json_is_string(merge)) {
            TRY(add_merge_text(t, text_of(merge), i, name));
        } else if (json_array_size(merge) == 2 && json_is_string(json_array_get(merge, 0)) &&
                   json_is_string(json_array_get(merge, 1))) {
            TRY(add_merge(t, text_of(json_array_get(merge, 0)), text_of(json_array_get(merge, 1)), i, name));
        } else {
            return err_set(ERR_FORMAT, "%s: merge %zu is not two tokens", name, i);
        }
    }
    return ERR_NONE;
}

static int longest_first(const void *a, const void *b)
{
    const struct added_token *x = a, *y = b;
    if (x->text.length != y->text.length) {
        return x->text.length > y->text.length ? -1 : 1;
    }
    return x->id < y->id ? -1 : x->id > y->id;
}

static void register_added(struct tokenizer *t, struct added_token token)
{
    grow(t, token.id + 1);
    t->texts[token.id] = token.text;
    t->special[token.id] = token.special;
    t->first_bytes[(unsigned char)token.text.data[0]] = true;
    t->added[t->n_added++] = token;
}

static enum err add_added(struct tokenizer *t, const json_t *list, const char *name)
{
    t->added = mem_zero((json_array_size(list) + 1) * sizeof *t->added);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        struct added_token token = {0};
        int64_t id = -1;
        bool single_word = false;
        TRY(json_get_int(item, "id", name, &id));
        TRY(json_get_text(item, "content", name, &token.text));
        TRY(json_want_bool(item, "special", name, &token.special));
        TRY(json_want_bool(item, "lstrip", name, &token.lstrip));
        TRY(json_want_bool(item, "rstrip", name, &token.rstrip));
        TRY(json_want_bool(item, "single_word", name, &single_word));
        if (id < 0 || id >= MOST_TOKENS || token.text.length == 0 || single_word) {
            return err_set(ERR_FORMAT, "%s: added token %zu is empty, has no usable id, or is a single_word one", name,
                           i);
        }
        token.id = (int32_t)id;
        token.text.data = arena_strndup(&t->arena, token.text.data, token.text.length);
        register_added(t, token);
    }
    qsort(t->added, (size_t)t->n_added, sizeof *t->added, longest_first);
    return ERR_NONE;
}

static enum err parse_normalizer(struct tokenizer *t, const json_t *normalizer, const char *name)
{
    if (!normalizer || json_is_null(normalizer)) {
        return ERR_NONE;
    }
    struct str type;
    TRY(json_get_text(normalizer, "type", name, &type));
    if (str_equal(type, STR("NFC"))) {
        t->nfc = true;
        return ERR_NONE;
    }
    const json_t *parts = json_object_get(normalizer, "normalizers");
    if (!str_equal(type, STR("Sequence")) || json_array_size(parts) > 4) {
        return err_set(ERR_FORMAT, "%s: the normalizer '%.*s' is not supported; NFC is", name, (int)type.length,
                       type.data);
    }
    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *part = json_array_get(parts, i);
        if (json_object_get(part, "normalizers")) {
            return err_set(ERR_FORMAT, "%s: normalizers inside normalizers are not supported", name);
        }
        TRY(parse_normalizer(t, part, name));
    }
    return ERR_NONE;
}

static enum err check_model(const json_t *model, const json_t *decoder, const char *name)
{
    struct str type = {0}, decoder_type = STR("ByteLevel");
    bool fallback = false;
    if (!json_is_object(model)) {
        return err_set(ERR_FORMAT, "%s: not a tokenizer.json (there is no 'model')", name);
    }
    TRY(json_want_text(model, "type", name, &type));
    TRY(json_want_bool(model, "byte_fallback", name, &fallback));
    TRY(json_want_text(decoder, "type", name, &decoder_type));
    if (!str_equal(type, STR("BPE")) || fallback || !str_equal(decoder_type, STR("ByteLevel"))) {
        return err_set(ERR_FORMAT, "%s: only byte-level BPE is supported; this is %.*s%s with the decoder %.*s", name,
                       (int)type.length, type.data, fallback ? " with byte_fallback" : "", (int)decoder_type.length,
                       decoder_type.data);
    }
    return ERR_NONE;
}

static enum err parse_document(struct tokenizer *t, const json_t *document, const char *name)
{
    const json_t *model = json_object_get(document, "model");
    TRY(check_model(model, json_object_get(document, "decoder"), name));
    TRY(json_want_bool(model, "ignore_merges", name, &t->ignore_merges));
    TRY(add_vocabulary(t, json_object_get(model, "vocab"), name));
    TRY(add_merges(t, json_object_get(model, "merges"), name));
    int missing = bpe_missing_byte(t->bpe);
    if (missing >= 0) {
        return err_set(ERR_FORMAT, "%s: no token stands for the byte 0x%02x, so not every text can be encoded", name,
                       (unsigned)missing);
    }
    TRY(add_added(t, json_object_get(document, "added_tokens"), name));
    TRY(parse_normalizer(t, json_object_get(document, "normalizer"), name));
    return pretokenizer_parse(&t->pretokenizer, json_object_get(document, "pre_tokenizer"), name);
}

enum err tokenizer_parse(struct tokenizer **out, struct str text, const char *name)
{
    json_t *document;
    TRY(json_parse(&document, text, name));
    struct tokenizer *t = mem_zero(sizeof *t);
    enum err result = json_is_object(document) ? parse_document(t, document, name)
                                               : err_set(ERR_FORMAT, "%s: not a tokenizer.json", name);
    json_decref(document);
    if (result != ERR_NONE) {
        tokenizer_close(t);
        return result;
    }
    *out = t;
    return ERR_NONE;
}

enum err tokenizer_from_parts(struct tokenizer **out, const struct tokenizer_parts *parts, const char *name)
{
    struct tokenizer *t = mem_zero(sizeof *t);
    enum err result = ERR_NONE;
    grow(t, parts->n_tokens);
    t->bpe = bpe_new(parts->n_tokens);
    t->added = mem_zero(((size_t)parts->n_tokens + 1) * sizeof *t->added);
    for (int i = 0; i < parts->n_tokens; i++) {
        struct str text = {arena_strndup(&t->arena, parts->tokens[i].data, parts->tokens[i].length),
                           parts->tokens[i].length};
        if ((parts->types[i] == 3 || parts->types[i] == 4) && text.length) {
            register_added(t, (struct added_token){.text = text, .id = i, .special = parts->types[i] == 3});
        } else if (alphabet_decode(&t->arena, text, &t->texts[i])) {
            bpe_add_token(t->bpe, i, t->texts[i]);
        }
    }
    qsort(t->added, (size_t)t->n_added, sizeof *t->added, longest_first);
    for (int i = 0; i < parts->n_merges && result == ERR_NONE; i++) {
        result = add_merge_text(t, parts->merges[i], (size_t)i, name);
    }
    if (result == ERR_NONE && (parts->n_merges == 0 || bpe_missing_byte(t->bpe) >= 0)) {
        result = err_set(ERR_FORMAT, "%s: the tokenizer has no merges, or no token for some byte", name);
    }
    if (result == ERR_NONE) {
        result = pretokenizer_named(&t->pretokenizer, parts->pre, name);
    }
    if (result != ERR_NONE) {
        tokenizer_close(t);
        return result;
    }
    t->nfc = str_equal(parts->pre, STR("qwen2")) || str_equal(parts->pre, STR("deepseek-r1-qwen"));
    t->ignore_merges = str_equal(parts->pre, STR("llama-bpe"));
    t->chat_template = (struct str){arena_strndup(&t->arena, parts->chat_template.data, parts->chat_template.length),
                                    parts->chat_template.length};
    *out = t;
    return ERR_NONE;
}

void tokenizer_close(struct tokenizer *t)
{
    if (!t) {
        return;
    }
    bpe_free(t->bpe);
    pretokenizer_free(t->pretokenizer);
    free(t->texts);
    free(t->special);
    free(t->added);
    arena_release(&t->arena);
    free(t);
}

/* The template's text from the files beside tokenizer.json; none is no error. */
static enum err read_chat_template(struct tokenizer *t, const char *path)
{
    char folder[FILE_PATH_BYTES], file[FILE_PATH_BYTES];
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;
    BUG_ON(length >= sizeof folder);
    memcpy(folder, path, length);
    memcpy(folder + length, slash ? "" : ".", slash ? 1 : 2);
    TRY(file_join(file, sizeof file, folder, "chat_template.jinja"));
    if (file_exists(file)) {
        struct strbuf text = STRBUF_INIT;
        enum err result = file_read(&text, file, (size_t)1 << 20);
        t->chat_template = (struct str){arena_strndup(&t->arena, text.data, text.length), text.length};
        strbuf_release(&text);
        return result;
    }
    TRY(file_join(file, sizeof file, folder, "tokenizer_config.json"));
    if (file_exists(file)) {
        json_t *document;
        TRY(json_parse_file(&document, file, (size_t)64 << 20));
        const json_t *value = json_object_get(document, "chat_template");
        if (json_is_string(value)) {
            struct str text = text_of(value);
            t->chat_template = (struct str){arena_strndup(&t->arena, text.data, text.length), text.length};
        }
        json_decref(document);
    }
    return ERR_NONE;
}

enum err tokenizer_open(struct tokenizer **out, const char *path)
{
    struct strbuf text = STRBUF_INIT;
    struct tokenizer *t = NULL;
    enum err result = file_read(&text, path, TOKENIZER_MOST_BYTES);
    if (result == ERR_NONE) {
        result = tokenizer_parse(&t, strbuf_view(&text), path);
    }
    strbuf_release(&text);
    if (result == ERR_NONE) {
        result = read_chat_template(t, path);
    }
    if (result != ERR_NONE) {
        tokenizer_close(t);
        return result;
    }
    *out = t;
    return ERR_NONE;
}

/* ---- encoding ---- */

/* How many bytes of a broken sequence one replacement character stands for: its longest part that could have gone on
 * (Unicode 15, section 3.9, "maximal subpart"). */
static size_t broken_length(struct str text, size_t at)
{
    const unsigned char *s = (const unsigned char *)text.data + at;
    size_t left = text.length - at;
    unsigned low = 0x80, high = 0xBF, need;
    if (s[0] < 0xC2 || s[0] > 0xF4) {
        return 1;
    }
    need = s[0] < 0xE0 ? 1 : s[0] < 0xF0 ? 2 : 3;
    low = s[0] == 0xE0 ? 0xA0 : s[0] == 0xF0 ? 0x90 : low;
    high = s[0] == 0xED ? 0x9F : s[0] == 0xF4 ? 0x8F : high;
    size_t n = 1;
    for (; n <= need && n < left && s[n] >= low && s[n] <= high; n++) {
        low = 0x80;
        high = 0xBF;
    }
    return n;
}

static struct str replace_broken(struct str text, struct arena *arena)
{
    if (str_utf8_prefix(text) == text.length) {
        return text;
    }
    struct strbuf out = STRBUF_INIT;
    for (size_t at = 0, length; at < text.length; at += length) {
        uint32_t c = str_utf8_next(text, at, &length);
        if (c == 0xFFFD && length == 1) {
            length = broken_length(text, at);
        }
        strbuf_put_utf8(&out, c);
    }
    struct str copy = {arena_strndup(arena, out.data, out.length), out.length};
    strbuf_release(&out);
    return copy;
}

static struct str normalise(struct str text, struct arena *arena)
{
    utf8proc_uint8_t *composed = NULL;
    utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)text.data, (utf8proc_ssize_t)text.length, &composed,
                                      UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (n < 0) {
        return text; /* not UTF-8: cannot be, it was mended */
    }
    struct str copy = {arena_strndup(arena, (const char *)composed, (size_t)n), (size_t)n};
    free(composed);
    return copy;
}

struct encoder {
    const struct tokenizer *tokenizer;
    struct arena *arena;
    int32_t *ids;
    int n, capacity;
};

static int32_t *encoder_room(struct encoder *e, size_t more)
{
    if ((size_t)e->n + more > (size_t)e->capacity) {
        int capacity = 2 * e->capacity + (int)more;
        int32_t *ids = ARENA_NEW(e->arena, int32_t, capacity);
        memcpy(ids, e->ids, (size_t)e->n * sizeof *ids);
        e->ids = ids;
        e->capacity = capacity;
    }
    return e->ids;
}

static enum err encode_plain(struct encoder *e, struct str text)
{
    if (text.length == 0) {
        return ERR_NONE;
    }
    const struct tokenizer *t = e->tokenizer;
    struct arena scratch = ARENA_INIT;
    struct str *pieces;
    int n_pieces;
    text = t->nfc ? normalise(text, &scratch) : text;
    enum err result = pretokenizer_run(t->pretokenizer, text, &scratch, &pieces, &n_pieces);
    encoder_room(e, text.length);
    for (int i = 0; i < n_pieces && result == ERR_NONE; i++) {
        bpe_encode(t->bpe, pieces[i], t->ignore_merges, &scratch, e->ids, &e->n);
    }
    arena_release(&scratch);
    return result;
}

static const struct added_token *added_at(const struct tokenizer *t, struct str text, size_t at)
{
    if (!t->first_bytes[(unsigned char)text.data[at]]) {
        return NULL;
    }
    struct str rest = str_slice(text, at, text.length);
    for (int i = 0; i < t->n_added; i++) {
        if (str_starts(rest, t->added[i].text)) {
            return &t->added[i];
        }
    }
    return NULL;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

enum err tokenizer_encode(const struct tokenizer *t, struct str text, bool parse_added, struct arena *arena,
                          int32_t **ids, int *n)
{
    struct encoder e = {.tokenizer = t, .arena = arena};
    text = replace_broken(text, arena);
    size_t from = 0, at = 0;
    while (parse_added && at < text.length) {
        const struct added_token *added = added_at(t, text, at);
        if (!added) {
            at++;
            continue;
        }
        size_t end = at, next = at + added->text.length;
        while (added->lstrip && end > from && is_space(text.data[end - 1])) {
            end--;
        }
        while (added->rstrip && next < text.length && is_space(text.data[next])) {
            next++;
        }
        TRY(encode_plain(&e, str_slice(text, from, end)));
        encoder_room(&e, 1)[e.n] = added->id;
        e.n++;
        from = at = next;
    }
    TRY(encode_plain(&e, str_slice(text, from, text.length)));
    *ids = encoder_room(&e, 1);
    *n = e.n;
    return ERR_NONE;
}

void tokenizer_decode(const struct tokenizer *t, const int32_t *ids, int n, struct strbuf *out)
{
    for (int i = 0; i < n; i++) {
        strbuf_add_str(out, tokenizer_text(t, ids[i]));
    }
}

int tokenizer_size(const struct tokenizer *t)
{
    return t->size;
}

int32_t tokenizer_id(const struct tokenizer *t, struct str text)
{
    for (int i = 0; i < t->n_added; i++) {
        if (str_equal(t->added[i].text, text)) {
            return t->added[i].id;
        }
    }
    return bpe_find(t->bpe, text);
}

struct str tokenizer_text(const struct tokenizer *t, int32_t id)
{
    return id >= 0 && id < t->size ? t->texts[id] : (struct str){0};
}

bool tokenizer_is_special(const struct tokenizer *t, int32_t id)
{
    return id >= 0 && id < t->size && t->special[id];
}

struct str tokenizer_chat_template(const struct tokenizer *t)
{
    return t->chat_template;
}
