/* ctoml.h: toml++ behind plain C, for the config reader.
 *
 * One call parses a whole text into a flat list of nodes in pre-order: a table or an array
 * is followed by its children, each child by its own. Every node carries line and column of
 * its key and of its value, which is why this shim exists.
 *
 * Threads: no global state; different documents may be used by different threads at once.
 * Nothing is thrown across this boundary, whatever the text is.
 */
#ifndef CTOML_H
#define CTOML_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Longest text that is parsed, in bytes. */
#define CTOML_MAX_BYTES ((size_t)4 << 20)
/* Deepest table or array; the root is 0. */
#define CTOML_MAX_DEPTH 64
/* Most parts of one dotted key. */
#define CTOML_MAX_KEY_PARTS 32

/* Kinds of node. */
#define CTOML_TABLE 1
#define CTOML_ARRAY 2
#define CTOML_STRING 3
#define CTOML_INTEGER 4
#define CTOML_FLOAT 5
#define CTOML_BOOLEAN 6
#define CTOML_DATE 7      /* 2026-11-27 */
#define CTOML_TIME 8      /* 13:00:00 */
#define CTOML_DATE_TIME 9 /* both, with an offset from UTC or without */

/* A node's `text` and `key` are UTF-8 without a final zero; they belong to the document. */
typedef struct ctoml_node {
    int32_t kind;
    /* Nodes of this subtree, itself included: the next sibling is that far on. */
    uint32_t size;
    /* Lines and columns count from 1; columns count code points. */
    uint32_t line, column;
    /* 0 for the root and for elements of arrays. */
    uint32_t key_line, key_column;
    const char *key;
    size_t key_length;
    /* CTOML_STRING: the value. CTOML_FLOAT: the number as the source writes it. */
    const char *text;
    size_t text_length;
    /* CTOML_INTEGER; CTOML_BOOLEAN as 0 or 1. */
    int64_t integer;
    /* CTOML_DATE, CTOML_TIME, CTOML_DATE_TIME; the parser has checked the ranges. */
    int32_t year, month, day, hour, minute, second;
    uint32_t nanosecond;
    int32_t has_offset;
    int32_t offset_minutes;
} ctoml_node;

typedef struct ctoml_error {
    /* 0: not at a place (text too long, memory exhausted). */
    uint32_t line, column;
    /* A sentence, ended by a zero. */
    char message[512];
} ctoml_error;

typedef struct ctoml_document ctoml_document;

/* Parses `length` bytes, which are copied. Returns a document that the caller frees with
 * `ctoml_free`, or NULL with `*error` filled. Refused: what is not TOML 1.0, more than
 * CTOML_MAX_BYTES, deeper than CTOML_MAX_DEPTH. */
ctoml_document *ctoml_parse(const char *text, size_t length, ctoml_error *error);

/* The nodes, root first; valid until `ctoml_free`. There is always at least the root. */
const ctoml_node *ctoml_nodes(const ctoml_document *document, size_t *count);

/* Frees the document and all nodes and texts of it. NULL is allowed. */
void ctoml_free(ctoml_document *document);

#ifdef __cplusplus
}
#endif
#endif
