/* SPDX-License-Identifier: Apache-2.0 */
/* json_pool.h - where the agents' process keeps the trees of JSON (docs/decisions/0181). */
#ifndef TREATY_CODEC_JSON_POOL_H
#define TREATY_CODEC_JSON_POOL_H

#include "treaty/base.h"

enum {
	JSON_POOL_LARGEST = 256,           /* bytes of a piece; larger ones are malloc()'s */
	JSON_POOL_BYTES = 16 * 1024 * 1024 /* at most; what goes beyond is malloc()'s too */
};

/* From here on jansson takes its memory from the pool, for the rest of the process and from one
 * thread only. What it took before goes back to where it came from. A text of json_dumps() is not
 * for free() then: json_dump_new() (json.h). Without the address space for the pool, or under
 * AddressSanitizer, which would not see into it, nothing changes. */
void json_pool_use(void);

#endif
