/* rl/run/manifest.c
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/run/manifest.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "base/json.h"

static enum err hash_file(const char *path, uint64_t *size, char hash[17])
{
    struct file_map map;
    TRY(file_map_open(&map, path));
    *size = map.size;
    snprintf(hash, 17, "%016llx", (unsigned long long)XXH3_64bits(map.data ? (const void *)map.data : "", map.size));
    file_map_close(&map);
    return ERR_NONE;
}

static enum err add_file(json_t *files, const char *folder, const char *name)
{
    char path[FILE_PATH_BYTES], hash[17];
    uint64_t size;
    TRY(file_join(path, sizeof path, folder, name));
    TRY(hash_file(path, &size, hash));
    json_t *entry = json_pack("{s:I, s:s}", "size", (json_int_t)size, "xxh3", hash);
    return json_object_set_new(files, name, entry) == 0
               ? ERR_NONE
               : err_set(ERR_STATE, "%s cannot be listed in MANIFEST.json: its name is not UTF-8", path);
}

/* Files of FOLDER/PART; PART is "" or "state". */
static enum err add_folder(json_t *files, const char *folder, const char *part)
{
    char path[FILE_PATH_BYTES];
    TRY(file_join(path, sizeof path, folder, part));
    DIR *listing = opendir(path);
    if (!listing) {
        return err_set(ERR_IO, "cannot list %s", path);
    }
    enum err result = ERR_NONE;
    for (struct dirent *entry; result == ERR_NONE && (entry = readdir(listing));) {
        char name[300], child[FILE_PATH_BYTES];
        snprintf(name, sizeof name, "%s%s%s", part, part[0] ? "/" : "", entry->d_name);
        result = file_join(child, sizeof child, folder, name);
        if (result == ERR_NONE && !file_is_folder(child) && strcmp(name, "MANIFEST.json") != 0) {
            result = add_file(files, folder, name);
        }
    }
    closedir(listing);
    return result;
}

enum err manifest_write(const char *folder)
{
    char path[FILE_PATH_BYTES];
    json_t *files = json_object();
    enum err result = add_folder(files, folder, "");
    if (result == ERR_NONE) {
        result = add_folder(files, folder, "state");
    }
    json_t *document = json_pack("{s:i, s:o}", "format", 1, "files", files);
    char *text = json_dumps(document, JSON_INDENT(1) | JSON_SORT_KEYS);
    json_decref(document);
    if (result == ERR_NONE) {
        result = file_join(path, sizeof path, folder, "MANIFEST.json");
    }
    if (result == ERR_NONE) {
        result = file_write_atomic(path, text, strlen(text));
    }
    free(text);
    return result;
}

static enum err verify_files(const json_t *files, const char *folder)
{
    const char *name;
    json_t *entry;
    if (!json_is_object(files) || json_object_size(files) == 0) {
        return err_set(ERR_STATE, "%s: MANIFEST.json names no files", folder);
    }
    json_object_foreach((json_t *)(uintptr_t)files, name, entry)
    {
        char path[FILE_PATH_BYTES], hash[17];
        uint64_t size;
        const char *want = json_string_value(json_object_get(entry, "xxh3"));
        TRY(file_join(path, sizeof path, folder, name));
        TRY(hash_file(path, &size, hash));
        if (!want || (json_int_t)size != json_integer_value(json_object_get(entry, "size")) ||
            strcmp(hash, want) != 0) {
            return err_set(ERR_STATE, "%s is not what its manifest says (%llu bytes, XXH3 %s): the file is damaged",
                           path, (unsigned long long)size, hash);
        }
    }
    return ERR_NONE;
}

enum err manifest_verify(const char *folder)
{
    char path[FILE_PATH_BYTES];
    json_t *document;
    TRY(file_join(path, sizeof path, folder, "MANIFEST.json"));
    TRY(json_parse_file(&document, path, (size_t)1 << 20));
    enum err result = json_integer_value(json_object_get(document, "format")) == 1
                          ? verify_files(json_object_get(document, "files"), folder)
                          : err_set(ERR_STATE, "%s: not of format 1: damaged, or written by another version", path);
    json_decref(document);
    return result;
}
