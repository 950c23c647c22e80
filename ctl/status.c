/* SPDX-License-Identifier: Apache-2.0 */
/* Status lists are signed where wallets are: offline, with the issuer's key. */
#include "ctl.h"

#include "agent/codec/status_list.h"
#include "agent/crypto/crypto.h"
#include "agent/signer/keyfile.h"
#include "signing.h"

#include <errno.h>
#include <stdio.h>

#define DAY_MS 86400000LL

/* A new list: everything that the options say, all bits clear. */
static int fresh(const struct ctl *c, struct status_list *l, struct err *e)
{
	const char *id = opt_get(c, "id"), *purpose = opt_get(c, "purpose");
	int64_t entries = STATUS_ENTRIES_MIN;
	int r;

	if (!id || !str_set(l->id, id))
		return err_set(e, -EINVAL, "--id: the list's https URL is required");
	if (status_purpose_parse(purpose ? purpose : "revocation", &l->purpose))
		return err_set(e, -EINVAL, "--purpose: revocation or suspension");
	r = opt_int(c, "entries", STATUS_ENTRIES_MIN, STATUS_ENTRIES_MAX, &entries, e);
	if (r < 0)
		return r;
	if (entries % 8)
		return err_set(e, -EINVAL, "--entries: a multiple of 8");
	l->entries = (uint32_t)entries;
	l->bits = calloc(1, l->entries / 8);
	return l->bits ? 0 : err_set(e, -ENOMEM, "status list");
}

/* --index and --clear, each as often as wanted; revocation is for ever. */
static int change(const struct ctl *c, struct status_list *l, struct err *e)
{
	static const char *const names[] = { "clear", "index" };
	const char *v;

	for (int on = 0; on < 2; on++)
		for (size_t i = 0; (v = opt_nth(c, names[on], i)); i++) {
			size_t digits = strspn(v, "0123456789");

			if (!digits || digits > 9 || v[digits] ||
			    strtoul(v, NULL, 10) >= l->entries)
				return err_set(e, -EINVAL, "--%s: 0..%u required", names[on],
					       l->entries - 1);
			if (!on && l->purpose == STATUS_REVOCATION)
				return err_set(e, -EINVAL,
					       "--clear: a revocation is not taken back");
			status_list_set(l, (uint32_t)strtoul(v, NULL, 10), on);
		}
	return 0;
}

static int times(const struct ctl *c, struct status_list *l, wall_t now, struct err *e)
{
	int64_t length = DAY_MS, ttl = 0;
	int r = opt_span(c, "valid-for", &length, e);

	r = r < 0 ? r : opt_span(c, "ttl", &ttl, e);
	if (r < 0)
		return r;
	if (r)
		l->ttl_ms = ttl;
	l->valid_from = (wall_t){ now.ms / 1000 * 1000 };
	l->valid_until = (wall_t){ l->valid_from.ms + length };
	return 0;
}

/* The key's own list only: it is verified before it is changed. */
static int reopen(const char *file, const struct key_pair *k, const char *method,
		  struct status_list **ret, struct err *e)
{
	struct signing_key own = { method, k->public };
	struct did_resolver keys = { signing_resolve, &own };
	auto_json json_t *vc = NULL;
	auto_free char *text = NULL;
	size_t n;

	if (file_text(file, 262144, &text, &n))
		return err_set(e, -EIO, "%.80s: cannot be read", file);
	if (json_read(&vc, text, n, &JSON_LIMITS_STATUS, e))
		return -EINVAL;
	return status_list_verify(ret, vc, &keys, e);
}

static int make(struct ctl *c, const struct key_pair *k, struct status_list **l, struct err *e)
{
	struct sign_port port = { .sign = signing_sign, .arg = (void *)(uintptr_t)k };
	bool new = !strcmp(c->arg[0], "new");
	auto_json json_t *vc = NULL;
	auto_free char *text = NULL;
	char issuer[DID_MAX] = "";
	wall_t now = wall_clock();
	const char *did = opt_get(c, "issuer");
	int r;

	if (did && !str_set(issuer, did))
		return err_set(e, -EINVAL, "--issuer: at most %d characters", DID_MAX - 1);
	r = signing_method(issuer, k, &port, e);
	if (!r && new) {
		*l = calloc(1, sizeof(**l));
		r = *l ? fresh(c, *l, e) : err_set(e, -ENOMEM, "status list");
	} else if (!r) {
		r = reopen(c->arg[1], k, port.method, l, e);
	}
	if (!r && new)
		memcpy((*l)->issuer, issuer, sizeof(issuer));
	r = r ? r : change(c, *l, e);
	r = r ? r : times(c, *l, now, e);
	r = r ? r : status_list_issue(*l, now, &port, &vc, e);
	if (r)
		return r;
	text = json_dumps(vc, JSON_INDENT(2));
	return text && !file_put(opt_get(c, "out"), text) ? 0
							  : err_set(e, -EIO, "cannot be written");
}

int ctl_status_list(struct ctl *c)
{
	struct status_list *l = NULL;
	struct err e = { 0 };
	struct key_pair *k;
	int r;

	if (crypto_init())
		return fail(CTL_FAILED, "libsodium");
	if (strcmp(c->arg[0], "new") != 0 && strcmp(c->arg[0], "set") != 0)
		return fail(CTL_USAGE, "status-list: new or set required");
	if ((c->n_args == 2) != !strcmp(c->arg[0], "set"))
		return fail(CTL_USAGE, "status-list: a FILE for set, none for new");
	if (!opt_get(c, "key"))
		return fail(CTL_USAGE, "--key: the issuer's key file is required");
	r = key_load(&k, opt_get(c, "key"), &e);
	if (r) {
		say_err(&e);
		return CTL_FAILED;
	}
	r = make(c, k, &l, &e);
	l = status_list_free(l);
	(void)key_free(k);
	if (!r)
		return CTL_OK;
	say_err(&e);
	return r == -EINVAL || r == -EPERM ? CTL_USAGE : CTL_FAILED;
}
