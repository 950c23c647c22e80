/* SPDX-License-Identifier: Apache-2.0 */
/* The DID is checked inside the handshake, by the verify callback at depth 0: a connection that
 * exists is a connection to someone with a name. No resumption: every connection proves itself. */
#include "tls.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#define CHAIN_MAX 4
#define CRL_AGE   1 /* s: how old the look at the directory may be */

/* Lists of revoked certificates: a directory, since a file is replaced by another one. */
struct crls {
	char dir[256];
	uint64_t mark; /* of what is there: names aside, each file's number, size and time */
	time_t looked;
};

struct tls_id {
	X509 *cert;
	STACK_OF(X509) * chain;
	EVP_PKEY *key;
	X509_STORE *ca;
	STACK_OF(X509_NAME) * ca_names;
	struct crls *crls; /* NULL: not asked for */
	struct peer self;
};

static int want_index = -1;
static pthread_once_t want_once = PTHREAD_ONCE_INIT;

static void want_init(void)
{
	want_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

static int ssl_fail(struct err *e, int code, const char *what)
{
	char text[120] = "no reason given";
	unsigned long n = ERR_get_error();

	if (n)
		ERR_error_string_n(n, text, sizeof(text));
	ERR_clear_error();
	return err_set(e, code, "%s: %s", what, text);
}

/* Exactly one URI name, and it is a DID: two names would let the two sides of a wire pick one each.
 */
static int cert_did(X509 *cert, char did[WIRE_DID_MAX])
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	int r = -EACCES;
	int found = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
		const char *s;
		size_t len;

		if (n->type != GEN_URI)
			continue;
		s = (const char *)ASN1_STRING_get0_data(n->d.uniformResourceIdentifier);
		len = (size_t)ASN1_STRING_length(n->d.uniformResourceIdentifier);
		r = -EACCES;
		if (++found > 1)
			break;
		if (len < 8 || len >= WIRE_DID_MAX || memchr(s, 0, len) || memcmp(s, "did:", 4))
			break;
		memset(did, 0, WIRE_DID_MAX);
		memcpy(did, s, len);
		r = 0;
	}
	GENERAL_NAMES_free(names);
	return r;
}

static int cert_peer(X509 *cert, struct peer *ret)
{
	struct peer p = { 0 };
	int r = cert_did(cert, p.did);

	if (r)
		return r;
	if (X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, p.name,
				      sizeof(p.name)) < 0)
		p.name[0] = 0;
	p.certified = X509_digest(cert, EVP_sha256(), p.x5t, NULL) == 1;
	*ret = p;
	return 0;
}

int tls_peer(const struct ssl_st *ssl, struct peer *ret)
{
	X509 *cert = SSL_get1_peer_certificate(ssl);
	int r = cert ? cert_peer(cert, ret) : -EACCES;

	X509_free(cert);
	return r;
}

static int on_verify(int ok, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	const char *want = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), want_index);
	char did[WIRE_DID_MAX];

	if (!ok || X509_STORE_CTX_get_error_depth(store) > 0)
		return ok;
	if (cert_did(X509_STORE_CTX_get_current_cert(store), did) || (want && strcmp(want, did))) {
		X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
		return 0;
	}
	return 1;
}

static int load_ca(struct tls_id *id, const char *file, struct err *e)
{
	id->ca = X509_STORE_new();
	if (!id->ca || X509_STORE_load_file(id->ca, file) != 1)
		return ssl_fail(e, -EINVAL, file);
	id->ca_names = SSL_load_client_CA_file(file);
	return id->ca_names ? 0 : ssl_fail(e, -EINVAL, file);
}

static int load_cert(struct tls_id *id, const char *file, struct err *e)
{
	FILE *f = fopen(file, "re");
	X509 *x;

	if (!f)
		return err_set(e, -errno, "%s: cannot open", file);
	id->cert = PEM_read_X509(f, NULL, NULL, NULL);
	id->chain = sk_X509_new_null();
	while (id->chain && sk_X509_num(id->chain) < CHAIN_MAX &&
	       (x = PEM_read_X509(f, NULL, NULL, NULL)))
		if (!sk_X509_push(id->chain, x))
			X509_free(x);
	(void)fclose(f);
	if (!id->cert || !id->chain)
		return ssl_fail(e, -EINVAL, file);
	ERR_clear_error(); /* the end of the file is an error too */
	if (cert_peer(id->cert, &id->self))
		return err_set(e, -EINVAL, "%s: one URI SAN with a DID is needed", file);
	return 0;
}

static int load_key(struct tls_id *id, const char *file, struct err *e)
{
	auto_close int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	FILE *f;

	if (fd < 0 || fstat(fd, &st))
		return err_set(e, -errno, "%s: cannot open", file);
	if (st.st_mode & (S_IRWXG | S_IRWXO))
		return err_set(e, -EPERM, "%s: a key must be mode 0600", file);
	f = fdopen(fd, "r");
	if (!f)
		return err_set(e, -errno, "%s: cannot read", file);
	fd = -1;
	id->key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
	(void)fclose(f);
	if (!id->key || X509_check_private_key(id->cert, id->key) != 1)
		return ssl_fail(e, -EINVAL, file);
	return 0;
}

/* --- revoked certificates -------------------------------------------------------------------- */

static bool is_pem(const char *name)
{
	size_t n = strlen(name);

	return n > 4 && !strcmp(name + n - 4, ".pem");
}

/* Adds the lists of one file; of two by one issuer OpenSSL goes by the newer. */
static int crl_file(X509_STORE *store, int dir, const char *name)
{
	auto_close int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	X509_CRL *crl;
	int n = 0;

	if (!f)
		return -errno;
	fd = -1;
	while ((crl = PEM_read_X509_CRL(f, NULL, NULL, NULL))) {
		n += X509_STORE_add_crl(store, crl) == 1;
		X509_CRL_free(crl);
	}
	(void)fclose(f);
	ERR_clear_error(); /* the end of the file is an error too */
	return n ? 0 : -EBADMSG;
}

/* fn NULL: only the mark. The first error is returned, the other files are read all the same. */
static int crl_walk(const struct tls_id *id, bool load, uint64_t *mark, char bad[256])
{
	DIR *d = opendir(id->crls->dir);
	const struct dirent *x;
	int r = d ? 0 : -errno;

	*mark = 0;
	(void)snprintf(bad, 256, "%s", id->crls->dir);
	while (d && (x = readdir(d))) {
		struct stat st;
		int k;

		if (!is_pem(x->d_name) || fstatat(dirfd(d), x->d_name, &st, 0))
			continue;
		*mark += (st.st_ino ^ (uint64_t)st.st_size << 40) * 0x9e3779b97f4a7c15u +
			 (uint64_t)st.st_mtim.tv_sec * 1000000007u + (uint64_t)st.st_mtim.tv_nsec;
		k = load ? crl_file(id->ca, dirfd(d), x->d_name) : 0;
		if (k && !r) {
			r = k;
			(void)snprintf(bad, 256, "%s", x->d_name);
		}
	}
	if (d)
		(void)closedir(d);
	return r;
}

int tls_crl_dir(struct tls_id *id, const char *dir, struct err *e)
{
	char bad[256];
	int r;

	id->crls = calloc(1, sizeof(*id->crls));
	if (!id->crls || !str_set(id->crls->dir, dir))
		return err_set(e, -ENOMEM, "tls: %s: no memory, or the name is too long", dir);
	r = crl_walk(id, true, &id->crls->mark, bad);
	if (r)
		return err_set(e, r, "%s: %s", bad,
			       r == -EBADMSG ? "no certificate revocation list in it"
					     : strerror(-r));
	X509_STORE_set_flags(id->ca, X509_V_FLAG_CRL_CHECK);
	return 0;
}

void tls_refresh(const struct tls_id *id)
{
	struct timespec ts = { 0 };
	char bad[256];
	uint64_t mark;

	if (!id->crls)
		return;
	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	if (ts.tv_sec - id->crls->looked < CRL_AGE)
		return;
	id->crls->looked = ts.tv_sec;
	if (crl_walk(id, false, &mark, bad) || mark == id->crls->mark)
		return;
	/* A file that is being written is looked at again when it has changed. */
	(void)crl_walk(id, true, &id->crls->mark, bad);
}

/* --- who we are ------------------------------------------------------------------------------ */

int tls_id_new(struct tls_id **ret, const char *ca_file, const char *cert_file,
	       const char *key_file, struct err *e)
{
	struct tls_id *id = calloc(1, sizeof(*id));
	int r;

	if (!id)
		return err_set(e, -ENOMEM, "tls: no memory");
	(void)pthread_once(&want_once, want_init);
	r = load_ca(id, ca_file, e);
	if (!r)
		r = load_cert(id, cert_file, e);
	if (!r)
		r = load_key(id, key_file, e);
	if (r) {
		(void)tls_id_free(id);
		return r;
	}
	*ret = id;
	return 0;
}

struct tls_id *tls_id_free(struct tls_id *id)
{
	if (!id)
		return NULL;
	X509_free(id->cert);
	sk_X509_pop_free(id->chain, X509_free);
	EVP_PKEY_free(id->key);
	X509_STORE_free(id->ca);
	sk_X509_NAME_pop_free(id->ca_names, X509_NAME_free);
	free(id->crls);
	free(id);
	return NULL;
}

const char *tls_id_did(const struct tls_id *id)
{
	return id->self.did;
}

int tls_client_setup(struct ssl_ctx_st *ctx, const struct tls_id *id, const char *want_did)
{
	tls_refresh(id);
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION |
					 SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	(void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	(void)SSL_CTX_clear_mode(ctx, SSL_MODE_RELEASE_BUFFERS); /* libcurl has set it */
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, on_verify);
	SSL_CTX_set_verify_depth(ctx, CHAIN_MAX);
	SSL_CTX_set1_cert_store(ctx, id->ca);
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_num_tickets(ctx, 0) != 1 ||
	    SSL_CTX_use_cert_and_key(ctx, id->cert, id->key, id->chain, 1) != 1 ||
	    SSL_CTX_set_ex_data(ctx, want_index, (void *)(uintptr_t)want_did) != 1) {
		ERR_clear_error();
		return -EIO;
	}
	return 0;
}

int tls_server_ctx(struct ssl_ctx_st **ret, const struct tls_id *id, struct err *e)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	STACK_OF(X509_NAME) *names = SSL_dup_CA_list(id->ca_names);

	if (!ctx || !names || tls_client_setup(ctx, id, NULL)) {
		sk_X509_NAME_pop_free(names, X509_NAME_free);
		SSL_CTX_free(ctx);
		return ssl_fail(e, -EIO, "tls: server context");
	}
	SSL_CTX_set_client_CA_list(ctx, names);
	*ret = ctx;
	return 0;
}

int tls_open_ctx(struct ssl_ctx_st **ret, const struct tls_id *id, struct err *e)
{
	int r = tls_server_ctx(ret, id, e);

	if (!r)
		SSL_CTX_set_verify(*ret, SSL_VERIFY_PEER, on_verify);
	return r;
}

struct ssl_ctx_st *tls_ctx_free(struct ssl_ctx_st *ctx)
{
	SSL_CTX_free(ctx);
	return NULL;
}
