/* SPDX-License-Identifier: Apache-2.0 */
/* witness_file.h - small texts beside the database, on disk when the call returns. */
#ifndef TREATY_WITNESS_FILE_H
#define TREATY_WITNESS_FILE_H

#include "agent/crypto/note.h"

struct store;

/* Our newest checkpoint with the other side's cosignature. */
#define WITNESS_FILE "cosigned.note"

/* Replaces DIR/name at once. */
int witness_file_put(const char *dir, const char *name, const char *text, struct err *e) must_check;
/* -EEXIST when it is there already. */
int witness_file_new(const char *dir, const char *name, const char *text, struct err *e) must_check;
/* -ENOENT; -EMSGSIZE when it does not fit. */
int witness_file_get(const char *dir, const char *name, char ret[NOTE_MAX],
		     struct err *e) must_check;
/* The newest checkpoint of the log in st, which lies in dir: the cosigned one when it covers that
 * many events, else the one that only we signed. -ENOENT: none does. */
int witness_newest(struct store *st, const char *dir, uint64_t covers, char ret[NOTE_MAX],
		   struct checkpoint *cp, struct err *e) must_check;

#endif
