/* SPDX-License-Identifier: Apache-2.0 */
/* store.h - the daemon's one database: the append-only event log, what goes out (outbox), and the
 * side tables of the same transaction. docs/ARCHITECTURE.md section 7.
 *
 * One turn of the daemon is one transaction. The first change begins it; store_commit() ends it
 * and makes it durable (SQLite WAL, synchronous=FULL); only then may an effect leave the process.
 *
 * Poison: when the disk or memory fails in the middle of a change or a commit, nobody can say
 * what is durable. From then on every call returns -EIO; the daemon must exit and start again.
 * Bad arguments (-EINVAL, -EMSGSIZE, -EEXIST, ...) change nothing and do not poison. */
#ifndef TREATY_STORE_H
#define TREATY_STORE_H

#include "treaty/units.h"
#include "merkle.h"

enum {
	STORE_BODY_MAX = 64 * 1024,   /* bytes of one event */
	STORE_BLOB_MAX = 1024 * 1024, /* bytes of one outbox row, body, kv value, stored answer */
	STORE_NAME_MAX = 255,         /* bytes of a key, kind, destination or principal */
	STORE_OUTBOX_MAX = 65536,     /* rows that wait */
	STORE_CHALLENGE_MAX = 65536,  /* challenges that are open */
	STORE_SCHEMA = 6,
};

enum store_flags {
	STORE_CREATE = 1, /* make the database when there is none */
	STORE_READER = 2, /* read only: no lock is taken, changes return -EROFS */
	STORE_NOSYNC = 4, /* no fsync: simulations and tests, never a daemon */
};

struct store;

/* An event as stored. */
struct store_event {
	uint64_t seq;
	const char *body; /* JCS JSON, len bytes, borrowed until the callback returns */
	size_t len;
	struct hash leaf;
	bool linked; /* the last of those written together: a replay from the next reads none twice
		      */
};

/* Where the log stands. A commit moves `durable`. chain = SHA-256(the chain before || the leaves
 * that were written together since, 64 at most); 32 zero bytes before seq 1. */
struct store_head {
	uint64_t seq; /* 0 = empty */
	struct hash chain, root;
};

/* --- open, close --- */
/* dir holds treaty.db (0600) and the lock. The writer verifies the whole log and the ledger.
 * -EBUSY: another process (named) is the writer. -EUCLEAN: damage; the text says the first bad
 * sequence number, why, and which tool to run. -ENOENT without STORE_CREATE. -EPROTO: another
 * application's database or another schema version. */
int store_open(const char *dir, unsigned flags, struct store **ret, struct err *e) must_check;
struct store *store_free(struct store *s); /* rolls an open turn back; NULL in, NULL out */

/* --- the turn --- */
/* Called after each successful commit that changed something: release the outbox. It may not
 * change the store. */
typedef void (*store_commit_fn)(void *arg, uint64_t durable_seq);
void store_on_commit(struct store *s, store_commit_fn fn, void *arg);

uint64_t store_next_seq(const struct store *s); /* what the next event's seq will be */
/* Appends one event to the turn; body must be JSON text of 1..STORE_BODY_MAX bytes whose member
 * "seq", when present, equals store_next_seq(). ret (may be NULL) gets seq and hashes. */
int store_stage(struct store *s, const char *body, size_t len, struct store_event *ret,
		struct err *e) must_check;
/* Hands SQLite what the turn holds so far, for who waits for something before it commits: the
 * commit has less to do. Errors as store_commit(). */
int store_write(struct store *s, struct err *e) must_check;
/* Durable on 0. A negative return poisons the store: exit. Nothing open = 0 without an fsync. */
int store_commit(struct store *s, struct err *e) must_check;
int store_rollback(struct store *s, struct err *e) must_check;
bool store_in_turn(const struct store *s);
bool store_poisoned(const struct store *s);
struct store_head store_head(struct store *s); /* staged events included */
uint64_t store_durable(const struct store *s); /* last committed sequence number */
struct store_head store_durable_head(const struct store *s);
/* Moves the WAL into the database; commit also does so when the WAL has grown. 0 or -EIO. */
int store_checkpoint(struct store *s, struct err *e) must_check;

/* --- reading the log --- */
/* Calls fn for every event with seq >= from (1 = all), verifying as it goes: a leaf before its
 * event is handed out, a link of the chain where it stands. Stops at fn's first non-zero return and
 * returns it. -EUCLEAN on damage. */
typedef int (*store_event_fn)(void *arg, const struct store_event *ev);
int store_replay(struct store *s, uint64_t from, store_event_fn fn, void *arg,
		 struct err *e) must_check;
/* Event `seq`, found in the log; *ret_body is malloc'd, 0-terminated, the caller frees it.
 * -ENOENT. */
int store_get(struct store *s, uint64_t seq, char **ret_body, size_t *ret_len,
	      struct err *e) must_check;

/* Merkle proofs about the log; sizes are event counts, leaf index = seq - 1. -ERANGE beyond. */
int store_root_at(struct store *s, uint64_t size, struct hash *ret, struct err *e) must_check;
int store_prove_inclusion(struct store *s, uint64_t seq, uint64_t size, struct merkle_proof *ret,
			  struct err *e) must_check;
int store_prove_consistency(struct store *s, uint64_t old, uint64_t size, struct merkle_proof *ret,
			    struct err *e) must_check;

/* Many inclusion proofs of the tree of `size` events: memory 64 bytes an event, time linear once
 * and then logarithmic. -EFBIG above STORE_PROVER_MAX. */
enum { STORE_PROVER_MAX = 4 * 1000 * 1000 };
struct store_prover;
int store_prover_new(struct store *s, uint64_t size, struct store_prover **ret,
		     struct err *e) must_check;
int store_prover_inclusion(const struct store_prover *p, uint64_t seq,
			   struct merkle_proof *ret) must_check;
struct store_prover *store_prover_free(struct store_prover *p); /* NULL in, NULL out */

/* --- verification --- */
enum store_fault {
	STORE_SOUND,
	STORE_FAULT_FILE,   /* SQLite's own integrity check */
	STORE_FAULT_SCHEMA, /* a table or trigger is missing or altered; seq 0 */
	STORE_FAULT_GAP,    /* seq does not follow */
	STORE_FAULT_JSON,   /* not JSON, or its "seq" is another */
	STORE_FAULT_LEAF,   /* body does not hash to the leaf */
	STORE_FAULT_CHAIN,  /* a link does not follow from those since the one before */
	STORE_FAULT_LEDGER, /* journal chain broken, or counters differ from it; seq = journal row
			     */
	STORE_FAULT_MAX_
};

struct store_report {
	enum store_fault fault;
	uint64_t seq; /* first bad one */
	char why[ERR_TEXT_MAX];
	struct store_head head; /* of the sound prefix */
	uint64_t journal;       /* ledger journal rows seen */
};

const char *store_fault_name(enum store_fault f);
/* Full read-only verification of the database in dir; a writer may be running. 0 whenever the
 * report was made (look at ret->fault); negative errno when it could not be made. */
int store_verify(const char *dir, struct store_report *ret, struct err *e) must_check;

/* Anti-rollback: the other side witnessed our tree (size, root). 0 = we extend it; -ESTALE = our
 * log is shorter (a restored backup); -EUCLEAN = it never was a prefix of ours (a fork). Stay
 * read-only on both. */
int store_backup_check(struct store *s, uint64_t size, const struct hash *root,
		       struct err *e) must_check;

/* --- outbox: at least once, consumers drop duplicates by id --- */
struct store_out {
	uint64_t id, seq;        /* seq of the event that caused it, >= 1 */
	const char *kind, *dest; /* borrowed */
	const void *body;
	size_t len;
};

/* Within the turn; o->id is ignored, *ret_id gets it. -ENOBUFS when STORE_OUTBOX_MAX wait. */
int store_out_put(struct store *s, const struct store_out *o, uint64_t *ret_id,
		  struct err *e) must_check;
/* Calls fn for each waiting row with id > after, oldest first; only rows that are durable when
 * no turn is open. fn's non-zero return stops it and is returned; fn may not change the store. */
typedef int (*store_out_fn)(void *arg, const struct store_out *o);
int store_out_pending(struct store *s, uint64_t after, store_out_fn fn, void *arg,
		      struct err *e) must_check;
/* Within a turn: delivered, or given up (kept as failed, never re-sent). The body is dropped.
 * -ENOENT when it does not wait. */
int store_out_done(struct store *s, uint64_t id, bool delivered, struct err *e) must_check;

/* --- side tables --- */
/* Small named values. Get: malloc'd copy, 0-terminated; -ENOENT. Put replaces. */
int store_kv_put(struct store *s, const char *key, const void *val, size_t len,
		 struct err *e) must_check;
int store_kv_get(struct store *s, const char *key, void **ret, size_t *ret_len,
		 struct err *e) must_check;

/* Bodies that may be erased later without touching the log: the event names the digest. They are
 * encrypted with a key of the consumer whom they are about (a name of 1..STORE_NAME_MAX bytes), a
 * file below DIR/consumer that a copy of the database does not hold. Put of the same digest again
 * is 0. Get: -ENOENT when it never was, -ENODATA when its consumer was erased, -EUCLEAN when
 * damaged. Erase is durable when it returns; -ENOENT when nothing of the consumer is kept. What is
 * put for it afterwards gets a new key. */
int store_body_put(struct store *s, const struct hash *digest, const char *consumer,
		   const void *body, size_t len, struct err *e) must_check;
int store_body_get(struct store *s, const struct hash *digest, void **ret, size_t *ret_len,
		   struct err *e) must_check;
int store_consumer_erase(struct store *s, const char *consumer, struct err *e) must_check;

/* Single-use challenges. Put: -EEXIST for a known value, -ENOBUFS when too many are open. Use:
 * 0 with *ret = REFUSE_NONE exactly once per challenge, by its peer, while now < expires; else
 * REFUSE_WALLET_CHALLENGE. A used one is forgotten at once, which refuses it as well; one that
 * expired by store_challenge_prune(). */
int store_challenge_put(struct store *s, const char *value, const char *peer, wall_t expires,
			struct err *e) must_check;
int store_challenge_use(struct store *s, const char *value, const char *peer, wall_t now,
			enum refusal *ret, struct err *e) must_check;
/* *ret: that store_challenge_use() would succeed now; nothing is used up. */
int store_challenge_known(struct store *s, const char *value, const char *peer, wall_t now,
			  bool *ret, struct err *e) must_check;
int store_challenge_prune(struct store *s, wall_t now, struct err *e) must_check;

/* Idempotency of mutating calls. Look before acting: *ret_why = REFUSE_DUPLICATE when the key was
 * used with another request; *ret_answer = malloc'd stored answer, or NULL when the key is new.
 * Put the answer in the same turn: -EEXIST when the key is taken. */
int store_idem_get(struct store *s, const char *principal, const char *key,
		   const struct hash *request, enum refusal *ret_why, void **ret_answer,
		   size_t *ret_len, struct err *e) must_check;
int store_idem_put(struct store *s, const char *principal, const char *key,
		   const struct hash *request, const void *answer, size_t len,
		   struct err *e) must_check;

#endif
