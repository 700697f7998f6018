/* SPDX-License-Identifier: Apache-2.0
 *
 * What S3 answers in XML: lists and errors. Sole includer of expat. Private to common/io. */
#ifndef TUTTI_BLOB_XML_H
#define TUTTI_BLOB_XML_H

#include "common/base/buf.h"
#include "common/base/err.h"

struct blob_xml {
    char **keys; /* of the objects and of the common prefixes; owned */
    size_t key_count, key_cap;
    bool truncated;
    int64_t newest_ms; /* wall; 0: no time was named */
    char code[64];     /* of an error, or "" */
    char message[160];
};

/* Reads a ListBucketResult or an Error; other elements are passed over. ERR_INVALID: no well-formed
 * XML, a document type, or nothing that S3 says. */
MUST_CHECK bool blob_xml_parse(struct bytes text, struct blob_xml *ret, struct err *e);
void blob_xml_done(struct blob_xml *x);

#endif
