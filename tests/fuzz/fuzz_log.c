/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of the log as a damaged or hostile file may hold them: 1 byte of sizes, seq, hashes, body.
 */
#include "agent/store/db.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct log_at at = { .n = 0 };
	struct log_row row = { .json = true };

	if (size < 1 + 8 + 3 * HASH_LEN)
		return 0;
	memcpy(&row.seq, data + 1, 8);
	if (row.seq > 0)
		at.tree.size = (uint64_t)row.seq - 1;
	at.n = data[0] >> 5; /* of leaves since a link, 56..63 too, so that the last fits */
	at.n += at.n ? MERKLE_MANY - 8 : 0;
	row.shaped = (data[0] & 16) == 0;
	row.leaf = data[0] & 1 ? data + 9 : NULL;
	row.prev = data[0] & 2 ? data + 9 + HASH_LEN : NULL;
	row.chain = data[0] & 4 ? data + 9 + 2 * HASH_LEN : NULL;
	row.json = (data[0] & 8) != 0;
	row.body = data + 9 + 3 * HASH_LEN;
	row.len = size - 9 - 3 * HASH_LEN;
	if (db_row_check(&at, &row) == STORE_SOUND &&
	    (at.tree.size != (uint64_t)row.seq || at.n >= MERKLE_MANY))
		abort();
	return 0;
}
