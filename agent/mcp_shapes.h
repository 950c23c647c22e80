/* SPDX-License-Identifier: Apache-2.0 */
/* mcp_shapes.h - what each tool answers, as JSON Schema. Kept as one table of short texts, so that
 * it can be read whole; tests hold real answers against it. */
#ifndef TREATY_MCP_SHAPES_H
#define TREATY_MCP_SHAPES_H

#include <jansson.h>

/* The output schema of a tool (a new object of type object), NULL when the table has none or on
 * ENOMEM. */
json_t *mcp_shape(const char *tool);
/* One text of the table's grammar; NULL when it is none. For tests. */
json_t *mcp_shape_parse(const char *text);

#endif
