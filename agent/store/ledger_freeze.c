/* SPDX-License-Identifier: Apache-2.0 */
/* ledger_freeze.c - marks beside the ledger, in the same transaction: what a compromised key or a
 * ledger that is not trusted stops. Kept as named values, so that the journal's rows stay money. */
#include <errno.h>
#include <stdio.h>
#include "ledger_int.h"

static const char *const stops[LEDGER_STOP_MAX_] = {
	[LEDGER_STOP_LEDGER] = "frozen:ledger", [LEDGER_STOP_KEY] = "frozen:key"
};

static void hold_mark(char ret[STORE_NAME_MAX], enum ledger_side side, const char *hold_id)
{
	(void)snprintf(ret, STORE_NAME_MAX, "frozen:%d:%s", (int)side, hold_id);
}

#define LATE "frozen:late" /* ms, decimal */

/* 0 = never. */
static int late_get(struct store *s, int64_t *ret, struct err *e)
{
	auto_free char *v = NULL;
	struct err none = { 0 };
	char text[24] = "";
	size_t n = 0;
	int r = store_kv_get(s, LATE, (void **)&v, &n, &none);

	*ret = 0;
	if (r == -ENOENT)
		return 0;
	if (r < 0 || n >= sizeof(text))
		return err_set(e, r < 0 ? r : -EUCLEAN, LATE ": %s", none.text);
	memcpy(text, v, n);
	*ret = strtoll(text, NULL, 10);
	return 0;
}

int ledger_late_freeze(struct store *s, wall_t now, struct err *e)
{
	char text[24];
	int64_t last;
	int r = late_get(s, &last, e);

	if (r || now.ms <= last)
		return r;
	s->frozen = 1;
	(void)snprintf(text, sizeof(text), "%lld", (long long)now.ms);
	return store_kv_put(s, LATE, text, strlen(text), e);
}

static int marked(struct store *s, const char *name, struct err *e)
{
	auto_free void *v = NULL;
	struct err none = { 0 };
	size_t n = 0;
	int r = store_kv_get(s, name, &v, &n, &none);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_set(e, r, "%s", none.text);
	return n == 1 && *(const char *)v == '1';
}

int ledger_stop(struct store *s, enum ledger_stop stop, bool on, struct err *e)
{
	if ((unsigned)stop >= LEDGER_STOP_MAX_)
		return err_set(e, -EINVAL, "stop: ledger or key");
	s->frozen = 1;
	return store_kv_put(s, stops[stop], on ? "1" : "0", 1, e);
}

int ledger_hold_freeze(struct store *s, enum ledger_side side, const char *hold_id, struct err *e)
{
	char name[STORE_NAME_MAX];
	int r = lg_hold_id(side, hold_id, e);

	hold_mark(name, side, hold_id);
	s->frozen = 1;
	return r ? r : store_kv_put(s, name, "1", 1, e);
}

bool ledger_hold_frozen(struct store *s, enum ledger_side side, const char *hold_id)
{
	char name[STORE_NAME_MAX];

	hold_mark(name, side, hold_id);
	return marked(s, name, NULL) != 0; /* a store that fails is no reason to go on */
}

/* Nothing was ever frozen on most machines: then no operation pays for the question. What this
 * process froze may not be written yet, so it is not asked of the table. */
static int any(struct store *s, struct err *e)
{
	int64_t n = 0;
	int r = 0;

	if (s->frozen < 0) {
		r = db_int(s, "SELECT count(*) FROM kv WHERE key>='frozen:' AND key<'frozen;'", &n,
			   e);
		if (!r)
			s->frozen = n > 0;
	}
	return r ? r : s->frozen;
}

int lg_frozen(struct op *o, enum ledger_side side, const char *hold_id)
{
	int r = any(o->s, o->e);

	if (r <= 0)
		return r;
	for (unsigned i = 0; i < LEDGER_STOP_MAX_; i++) {
		r = marked(o->s, stops[i], o->e);
		if (r)
			return r < 0 ? r
				     : lg_refuse(o, i == LEDGER_STOP_LEDGER
							    ? REFUSE_LEDGER_FROZEN
							    : REFUSE_KEY_COMPROMISED);
	}
	return hold_id && ledger_hold_frozen(o->s, side, hold_id)
		       ? lg_refuse(o, REFUSE_KEY_COMPROMISED)
		       : 0;
}

int lg_late(struct op *o, wall_t ended)
{
	int64_t last = 0;
	int r = any(o->s, o->e);

	if (r > 0)
		r = late_get(o->s, &last, o->e);
	return r < 0 ? r : ended.ms <= last ? lg_refuse(o, REFUSE_KEY_COMPROMISED) : 0;
}

int ledger_check(struct store *s, struct err *e)
{
	struct store_report rep = { .fault = STORE_SOUND };
	struct store_pos pos = { .jseq = 0 };
	int r = db_turn(s, e); /* what this turn holds is written first */

	if (!r)
		r = ledger_flush(s, e);
	if (!r)
		r = journal_write(s, e);
	if (!r)
		r = ledger_audit(s, &pos, &rep, e);
	if (!r && rep.fault != STORE_SOUND)
		r = err_set(e, -EUCLEAN, "ledger: journal row %llu: %s",
			    (unsigned long long)rep.seq, rep.why);
	return r;
}
