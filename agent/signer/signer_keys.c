/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a key: loaded, active, rotated away, compromised. What the state file says is final:
 * a file that is put back does not bring a key back. */
#include "signer_int.h"

#include <errno.h>
#include <sodium.h>

static const char *const roles[KEY_MAX_] = { [KEY_WALLET] = "wallet",
					     [KEY_PRESENTATION] = "presentation",
					     [KEY_AGREEMENT] = "agreement",
					     [KEY_CHECKPOINT] = "checkpoint" };

static bool dead(const struct signer *s, const uint8_t public[KEY_PUBLIC_LEN])
{
	return sstate_last(s->state, SIGN_STATE_DEAD, public).revision != 0;
}

static void lineage_of(enum cfg_key_kind role, uint8_t ret[SIGN_LINEAGE_LEN])
{
	memset(ret, 0, SIGN_LINEAGE_LEN);
	ret[0] = (uint8_t)(role + 1);
}

static bool same(const struct key_pair *k, const uint8_t public[KEY_PUBLIC_LEN])
{
	return k && !memcmp(k->public, public, KEY_PUBLIC_LEN);
}

/* The loaded key with this public half, or NULL. */
static const struct key_pair *find(const struct signer *s, uint32_t role,
				   const uint8_t public[KEY_PUBLIC_LEN])
{
	for (int i = 0; i < 2; i++)
		if (same(s->loaded[role][i], public))
			return s->loaded[role][i];
	return NULL;
}

/* The one that the state names; before the first act, the configured one. */
static int pick(struct signer *s, uint32_t role, struct err *e)
{
	uint8_t lineage[SIGN_LINEAGE_LEN];
	struct sign_last last;

	lineage_of(role, lineage);
	last = sstate_last(s->state, SIGN_STATE_KEY, lineage);
	s->generation[role] = last.revision ? last.revision : 1;
	s->key[role] = last.revision ? find(s, role, last.digest) : s->loaded[role][0];
	if (s->key[role] && dead(s, s->key[role]->public))
		s->key[role] = NULL;
	else if (!s->key[role] && s->loaded[role][0] &&
		 !sodium_is_zero(last.digest, sizeof(last.digest)))
		return err_set(e, -EACCES,
			       "keys.%s: is not the key that the state names, nor is keys.next-%s",
			       roles[role], roles[role]);
	return 0;
}

int keys_open(struct signer *s, struct err *e)
{
	int r = 0;

	for (uint32_t i = 0; i < KEY_MAX_ && !r; i++) {
		if (s->c->keys.file[i][0])
			r = key_load(&s->loaded[i][0], s->c->keys.file[i], e);
		if (!r && s->c->keys.next[i][0])
			r = key_load(&s->loaded[i][1], s->c->keys.next[i], e);
		if (!r)
			r = pick(s, i, e);
	}
	return r;
}

void keys_close(struct signer *s)
{
	for (uint32_t i = 0; i < KEY_MAX_; i++) {
		s->key[i] = NULL;
		s->loaded[i][0] = key_free(s->loaded[i][0]);
		s->loaded[i][1] = key_free(s->loaded[i][1]);
	}
}

/* A key that a rotation could make the active one. */
static const struct key_pair *standby(const struct signer *s, uint32_t role)
{
	for (int i = 1; i >= 0; i--) {
		const struct key_pair *k = s->loaded[role][i];

		if (k && k != s->key[role] && !dead(s, k->public))
			return k;
	}
	return NULL;
}

int keys_on_pubkey(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e)
{
	const struct pubkey_req *q = req;
	const struct signer *s = ctx;
	const struct key_pair *k;
	struct pubkey_rep *p = rep;

	(void)ret_fd;
	if (q->key >= KEY_MAX_ || q->which > SIGNER_STANDBY)
		return err_set(e, -EPROTO, "key: unknown");
	k = q->which == SIGNER_ACTIVE ? s->key[q->key] : standby(s, q->key);
	if (!k)
		return err_set(e, -ENOKEY, "key: this side has no %skey of role %s",
			       q->which == SIGNER_ACTIVE ? "" : "next ", roles[q->key]);
	memcpy(p->public, k->public, sizeof(p->public));
	p->generation = s->generation[q->key];
	return 0;
}

static int record_key(struct signer *s, uint32_t role, const struct key_pair *k, struct err *e)
{
	struct sstate_new n = { .kind = SIGN_STATE_KEY, .now.revision = s->generation[role] + 1 };
	int r;

	lineage_of(role, n.lineage);
	if (k)
		memcpy(n.now.digest, k->public, sizeof(n.now.digest));
	r = sstate_add(s->state, &n, 1, e);
	if (r)
		return r;
	s->generation[role] = n.now.revision;
	s->key[role] = k;
	return 0;
}

static int rotate(struct signer *s, uint32_t role, const uint8_t public[KEY_PUBLIC_LEN],
		  struct err *e)
{
	const struct key_pair *k = find(s, role, public);

	if (!k)
		return err_set(e, -ENOKEY, "key: is not loaded: keys.next-%s", roles[role]);
	if (dead(s, public))
		return err_set(e, -EACCES, "key: is compromised");
	return k == s->key[role] ? 0 : record_key(s, role, k, e);
}

/* Dead first: after a crash between the two records it is not picked up again. */
static int compromise(struct signer *s, uint32_t role, const uint8_t public[KEY_PUBLIC_LEN],
		      struct err *e)
{
	struct sstate_new n = { .kind = SIGN_STATE_DEAD, .now.revision = 1 };
	int r = 0;

	if (!dead(s, public)) {
		memcpy(n.lineage, public, sizeof(n.lineage));
		memcpy(n.now.digest, public, sizeof(n.now.digest));
		r = sstate_add(s->state, &n, 1, e);
	}
	return !r && same(s->key[role], public) ? record_key(s, role, NULL, e) : r;
}

int keys_on_act(void *ctx, const void *req, void *rep, int *ret_fd, struct err *e)
{
	const struct key_req *q = req;
	struct key_rep *p = rep;
	struct signer *s = ctx;
	int r;

	(void)ret_fd;
	if (q->key >= KEY_MAX_ || (q->act != SIGNER_ROTATE && q->act != SIGNER_COMPROMISE) ||
	    sodium_is_zero(q->public, sizeof(q->public)))
		return err_set(e, -EPROTO, "key: unknown key or act");
	if (!s->attested)
		return err_set(e, -EACCES, "state: the log has not confirmed it");
	r = q->act == SIGNER_ROTATE ? rotate(s, q->key, q->public, e)
				    : compromise(s, q->key, q->public, e);
	if (r)
		return r;
	p->generation = s->generation[q->key];
	p->count = sstate_count(s->state);
	return sstate_head(s->state, p->count, p->head);
}
