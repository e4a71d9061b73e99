/* rl/run/manifest.c - each file is mapped and hashed, and the list of them is hashed in one fixed form.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "rl/run/manifest.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
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

static enum err no_memory(const char *folder)
{
    return err_set(ERR_LIMIT, "%s: no memory for its manifest", folder);
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

/* Of the list in one fixed form, so that an entry that is changed, added or removed is seen. */
static enum err hash_list(const json_t *files, const char *folder, char hash[17])
{
    char *text = json_dumps(files, JSON_COMPACT | JSON_SORT_KEYS);
    if (!text) {
        return no_memory(folder);
    }
    snprintf(hash, 17, "%016llx", (unsigned long long)XXH3_64bits(text, strlen(text)));
    free(text);
    return ERR_NONE;
}

static enum err write_list(const char *folder, json_t *files)
{
    char path[FILE_PATH_BYTES], hash[17];
    TRY(file_join(path, sizeof path, folder, "MANIFEST.json"));
    TRY(hash_list(files, folder, hash));
    json_t *document = json_pack("{s:i, s:O, s:s}", "format", 2, "files", files, "files_xxh3", hash);
    char *text = document ? json_dumps(document, JSON_INDENT(1) | JSON_SORT_KEYS) : NULL;
    enum err result = text ? file_write_atomic(path, text, strlen(text)) : no_memory(folder);
    json_decref(document);
    free(text);
    return result;
}

enum err manifest_write(const char *folder)
{
    json_t *files = json_object();
    enum err result = files ? add_folder(files, folder, "") : no_memory(folder);
    if (result == ERR_NONE) {
        result = add_folder(files, folder, "state");
    }
    if (result == ERR_NONE) {
        result = write_list(folder, files);
    }
    json_decref(files);
    return result;
}

/* Format 1, of earlier versions, has no hash of the list. */
static enum err check_list(const json_t *document, const char *folder)
{
    char hash[17];
    const json_t *files = json_object_get(document, "files");
    json_int_t format = json_integer_value(json_object_get(document, "format"));
    if (format != 1 && format != 2) {
        return err_set(ERR_STATE, "%s/MANIFEST.json: not of format 1 or 2: damaged, or written by another version",
                       folder);
    }
    if (!json_is_object(files) || json_object_size(files) == 0) {
        return err_set(ERR_STATE, "%s/MANIFEST.json names no files", folder);
    }
    TRY(hash_list(files, folder, hash));
    const char *want = json_string_value(json_object_get(document, "files_xxh3"));
    if (format == 2 && (!want || strcmp(want, hash) != 0)) {
        return err_set(ERR_STATE, "%s/MANIFEST.json is not as it was written: its list of files was changed", folder);
    }
    return ERR_NONE;
}

enum err manifest_read(json_t **files, const char *folder)
{
    char path[FILE_PATH_BYTES];
    json_t *document;
    TRY(file_join(path, sizeof path, folder, "MANIFEST.json"));
    TRY(json_parse_file(&document, path, (size_t)1 << 20));
    enum err result = check_list(document, folder);
    if (result == ERR_NONE) {
        *files = json_incref(json_object_get(document, "files"));
    }
    json_decref(document);
    return result;
}

bool manifest_lists(const char *folder, const char *name)
{
    json_t *files;
    if (manifest_read(&files, folder) != ERR_NONE) {
        return false;
    }
    bool listed = json_object_get(files, name) != NULL;
    json_decref(files);
    return listed;
}

static enum err verify_file(const char *folder, const char *name, const json_t *entry)
{
    char path[FILE_PATH_BYTES], hash[17];
    uint64_t size;
    const char *want = json_string_value(json_object_get(entry, "xxh3"));
    TRY(file_join(path, sizeof path, folder, name));
    TRY(hash_file(path, &size, hash));
    if (!want || (json_int_t)size != json_integer_value(json_object_get(entry, "size")) || strcmp(hash, want) != 0) {
        return err_set(ERR_STATE, "%s is not what its manifest says (%llu bytes, XXH3 %s): the file is damaged", path,
                       (unsigned long long)size, hash);
    }
    return ERR_NONE;
}

enum err manifest_verify(const char *folder)
{
    json_t *files, *entry;
    const char *name;
    enum err result = ERR_NONE;
    TRY(manifest_read(&files, folder));
    json_object_foreach(files, name, entry)
    {
        result = result == ERR_NONE ? verify_file(folder, name, entry) : result;
    }
    json_decref(files);
    return result;
}
