/* reward/math/text.c - a table from code points to LaTeX, and one pass that merges raised and lowered runs.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "reward/math/text.h"

#include <string.h>
#include <strings.h>

#define GROWTH 8 /* "½", two bytes, is eleven; the braces of a raised run */

/* One character and what is written for it, by code point. */
struct sign {
    uint32_t code;
    const char *ascii;
};

static const struct sign signs[] = {
    {0x00A2, "\\text{cents}"},
    {0x00A3, "\\pounds "},
    {0x00A5, "\\yen "},
    {0x00B0, "^\\circ "},
    {0x00B1, "\\pm "},
    {0x00B5, "\\mu "},
    {0x00B7, "\\cdot "},
    {0x00BC, "\\frac{1}{4}"},
    {0x00BD, "\\frac{1}{2}"},
    {0x00BE, "\\frac{3}{4}"},
    {0x00D7, "\\times "},
    {0x00F7, "\\div "},
    {0x02D7, "-"},
    {0x03D5, "\\phi "},
    {0x2010, "-"},
    {0x2011, "-"},
    {0x2012, "-"},
    {0x2013, "-"},
    {0x2014, "-"},
    {0x2015, "-"},
    {0x2016, "|"},
    {0x2018, "'"},
    {0x2019, "'"},
    {0x201C, "\""},
    {0x201D, "\""},
    {0x2026, "\\ldots "},
    {0x2032, "'"},
    {0x2033, "''"},
    {0x2044, "/"},
    {0x20AC, "\\euro "},
    {0x2102, "\\mathbb{C}"},
    {0x2115, "\\mathbb{N}"},
    {0x211A, "\\mathbb{Q}"},
    {0x211D, "\\mathbb{R}"},
    {0x2124, "\\mathbb{Z}"},
    {0x2150, "\\frac{1}{7}"},
    {0x2151, "\\frac{1}{9}"},
    {0x2152, "\\frac{1}{10}"},
    {0x2153, "\\frac{1}{3}"},
    {0x2154, "\\frac{2}{3}"},
    {0x2155, "\\frac{1}{5}"},
    {0x2156, "\\frac{2}{5}"},
    {0x2157, "\\frac{3}{5}"},
    {0x2158, "\\frac{4}{5}"},
    {0x2159, "\\frac{1}{6}"},
    {0x215A, "\\frac{5}{6}"},
    {0x215B, "\\frac{1}{8}"},
    {0x215C, "\\frac{3}{8}"},
    {0x215D, "\\frac{5}{8}"},
    {0x215E, "\\frac{7}{8}"},
    {0x2190, " "},
    {0x2192, "\\to "},
    {0x21D2, "\\to "},
    {0x21D4, "\\to "},
    {0x2205, "\\emptyset "},
    {0x2208, "\\in "},
    {0x2209, "\\notin "},
    {0x220F, "\\prod "},
    {0x2211, "\\sum "},
    {0x2212, "-"},
    {0x2213, "\\mp "},
    {0x2215, "/"},
    {0x2216, "\\setminus "},
    {0x2217, "*"},
    {0x2218, "\\circ "},
    {0x2219, "\\cdot "},
    {0x221A, "\\sqrt "},
    {0x221B, "\\sqrt[3] "},
    {0x221C, "\\sqrt[4] "},
    {0x221E, "\\infty "},
    {0x2220, "\\angle "},
    {0x2223, "|"},
    {0x2227, "\\land "},
    {0x2228, "\\lor "},
    {0x2229, "\\cap "},
    {0x222A, "\\cup "},
    {0x222B, "\\int "},
    {0x2236, ":"},
    {0x2245, "\\cong "},
    {0x2248, "\\approx "},
    {0x2260, "\\ne "},
    {0x2261, "\\equiv "},
    {0x2264, "\\le "},
    {0x2265, "\\ge "},
    {0x2282, "\\subset "},
    {0x2286, "\\subseteq "},
    {0x22A5, "\\perp "},
    {0x22C5, "\\cdot "},
    {0x22EF, "\\cdots "},
    {0x2308, "\\lceil "},
    {0x2309, "\\rceil "},
    {0x230A, "\\lfloor "},
    {0x230B, "\\rfloor "},
    {0x25B3, "\\triangle "},
    {0x25E6, "\\circ "},
    {0x2713, " "},
    {0x2795, "+"},
    {0x2796, "-"},
    {0x27E8, "\\langle "},
    {0x27E9, "\\rangle "},
    {0x2A7D, "\\le "},
    {0x2A7E, "\\ge "},
    {0x3001, ","},
    {0x3002, "."},
    {0xFE58, "-"},
    {0xFE62, "+"},
    {0xFE63, "-"},
};

static const char *const greek[] = {/* U+03B1 on */
                                    "alpha", "beta",   "gamma",   "delta", "epsilon", "zeta", "eta",  "theta", "iota",
                                    "kappa", "lambda", "mu",      "nu",    "xi",      "o",    "pi",   "rho",   "sigma",
                                    "sigma", "tau",    "upsilon", "phi",   "chi",     "psi",  "omega"};
static const char *const greek_capital[] = {/* U+0391 on; those that look Latin are Latin */
                                            "A",        "B",     "\\Gamma ", "\\Delta ",  "E",        "Z", "H",
                                            "\\Theta ", "I",     "K",        "\\Lambda ", "M",        "N", "\\Xi ",
                                            "O",        "\\Pi ", "P",        " ",         "\\Sigma ", "T", "\\Upsilon ",
                                            "\\Phi ",   "X",     "\\Psi ",   "\\Omega "};

#define COUNT(table) (sizeof(table) / sizeof *(table))

static char raised(uint32_t c)
{
    switch (c) {
    case 0x00B9: return '1';
    case 0x00B2: return '2';
    case 0x00B3: return '3';
    case 0x207A: return '+';
    case 0x207B: return '-';
    case 0x207D: return '(';
    case 0x207E: return ')';
    case 0x207F: return 'n';
    case 0x02E3: return 'x';
    default: return c == 0x2070 || (c >= 0x2074 && c <= 0x2079) ? (char)('0' + (c - 0x2070)) : '\0';
    }
}

static char lowered(uint32_t c)
{
    return c >= 0x2080 && c <= 0x2089 ? (char)('0' + (c - 0x2080)) : c == 0x2099 ? 'n' : '\0';
}

static bool blank(uint32_t c)
{
    return c == 0x00A0 || (c >= 0x2000 && c <= 0x200A) || c == 0x202F || c == 0x205F || c == 0x3000;
}

static bool no_width(uint32_t c)
{
    return (c >= 0x200B && c <= 0x200F) || (c >= 0x2060 && c <= 0x2064) || c == 0xFEFF || c == 0x00AD ||
           (c >= 0xFE00 && c <= 0xFE0F);
}

static const char *sign_find(uint32_t code)
{
    size_t low = 0, high = COUNT(signs);
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (signs[middle].code == code) {
            return signs[middle].ascii;
        }
        if (signs[middle].code < code) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

struct writer {
    char *data;
    size_t length;
    char run; /* '^' or '_' while raised or lowered characters follow each other, else 0 */
};

static void put(struct writer *w, const char *text, size_t length)
{
    memcpy(w->data + w->length, text, length);
    w->length += length;
}

static void put_text(struct writer *w, const char *text)
{
    put(w, text, strlen(text));
}

static void end_run(struct writer *w)
{
    if (w->run) {
        put_text(w, "}");
        w->run = 0;
    }
}

static void put_moved(struct writer *w, char where, char c)
{
    if (w->run != where) {
        end_run(w);
        put(w, &where, 1);
        put_text(w, "{");
        w->run = where;
    }
    put(w, &c, 1);
}

/* One character that is not ASCII. */
static void put_code(struct writer *w, uint32_t code, const char *bytes, size_t length)
{
    char up = raised(code), down = lowered(code);
    const char *ascii = sign_find(code);
    if (up || down) {
        put_moved(w, up ? '^' : '_', up ? up : down);
        return;
    }
    end_run(w);
    if (ascii) {
        put_text(w, ascii);
    } else if (code >= 0x03B1 && code < 0x03B1 + COUNT(greek)) {
        put_text(w, "\\");
        put_text(w, greek[code - 0x03B1]);
        put_text(w, " ");
    } else if (code >= 0x0391 && code < 0x0391 + COUNT(greek_capital)) {
        put_text(w, greek_capital[code - 0x0391]);
    } else if (code >= 0xFF01 && code <= 0xFF5E) {
        char c = (char)(code - 0xFEE0);
        put(w, &c, 1);
    } else if (blank(code)) {
        put_text(w, " ");
    } else if (code == 0xFFFD) {
        put_text(w, "?");
    } else if (!no_width(code)) {
        put(w, bytes, length);
    }
}

static struct str from_unicode(struct str text, struct arena *arena)
{
    size_t at = 0;
    while (at < text.length && (unsigned char)text.data[at] < 0x80) {
        at++;
    }
    if (at == text.length) {
        return text;
    }
    struct writer w = {.data = arena_alloc(arena, text.length * GROWTH + 2)};
    put(&w, text.data, at);
    while (at < text.length) {
        if ((unsigned char)text.data[at] < 0x80) {
            end_run(&w);
            put(&w, text.data + at++, 1);
            continue;
        }
        size_t length;
        uint32_t code = str_utf8_next(text, at, &length);
        put_code(&w, code, text.data + at, length);
        at += length;
    }
    end_run(&w);
    return (struct str){w.data, w.length};
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Does the text have commands, each with two backslashes? */
static bool doubled(struct str text)
{
    bool any = false;
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] != '\\') {
            continue;
        }
        size_t begin = i;
        while (i < text.length && text.data[i] == '\\') {
            i++;
        }
        if ((i - begin) % 2) {
            return false;
        }
        any |= i < text.length && (is_letter(text.data[i]) || strchr("!$%{}", text.data[i]));
    }
    return any;
}

struct str math_text_clean(struct str text, struct arena *arena)
{
    if (text.length == 0) {
        return text;
    }
    text = from_unicode(text, arena);
    if (!memchr(text.data, '\\', text.length) || !doubled(text)) {
        return text;
    }
    struct writer w = {.data = arena_alloc(arena, text.length)};
    for (size_t i = 0; i < text.length; i++) {
        i += text.data[i] == '\\';
        put(&w, text.data + i, 1);
    }
    return (struct str){w.data, w.length};
}

static bool article(struct str word)
{
    static const char *const names[] = {"a", "an", "the"};
    for (size_t i = 0; i < COUNT(names); i++) {
        if (word.length == strlen(names[i]) && strncasecmp(word.data, names[i], word.length) == 0) {
            return true;
        }
    }
    return false;
}

static bool word_byte(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9') || (unsigned char)c >= 0x80;
}

struct str math_text_fold(struct str text, struct arena *arena)
{
    struct writer w = {.data = arena_alloc(arena, text.length + 1)};
    for (size_t i = 0; i < text.length; i++) {
        size_t begin = i;
        while (i < text.length && word_byte(text.data[i])) {
            i++;
        }
        struct str word = str_slice(text, begin, i);
        if (article(word) && word.length < text.length) {
            continue;
        }
        for (size_t k = 0; k < word.length; k++) {
            char c = word.data[k] >= 'A' && word.data[k] <= 'Z' ? (char)(word.data[k] + 32) : word.data[k];
            put(&w, &c, 1);
        }
    }
    return (struct str){w.data, w.length};
}
