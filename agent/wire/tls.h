/* SPDX-License-Identifier: Apache-2.0 */
/* tls.h - TLS 1.3 only, both sides show a certificate of the configured CA, and the certificate's
 * one URI SAN is the DID of who holds it. */
#ifndef TREATY_TLS_H
#define TREATY_TLS_H

#include "wire.h"

struct ssl_st;
struct ssl_ctx_st;
struct tls_id;

/* Reads the CA certificates and our own certificate chain and key (PEM files). The key file must
 * not be readable by others: -EPERM. Our own certificate must name a DID: -EINVAL. */
int tls_id_new(struct tls_id **ret, const char *ca_file, const char *cert_file,
	       const char *key_file, struct err *e) must_check;
struct tls_id *tls_id_free(struct tls_id *id);
/* From now on a peer's certificate must not be on the list of its authority (RFC 5280 section 5):
 * all
 * *.pem files of dir are read, now and whenever they have changed (tls_refresh()). A list that has
 * run out, or an authority without one, refuses everybody. -ENOENT, -EBADMSG naming the file. */
int tls_crl_dir(struct tls_id *id, const char *dir, struct err *e) must_check;
/* Before a connection: looks at the directory again, once a second at most. */
void tls_refresh(const struct tls_id *id);
const char *tls_id_did(const struct tls_id *id); /* our own DID */

/* A server's context: asks for a client certificate and fails the handshake without a good one.
 * Free with tls_ctx_free(). */
int tls_server_ctx(struct ssl_ctx_st **ret, const struct tls_id *id, struct err *e) must_check;
/* The same, but who shows no certificate at all is let in, and is nobody. */
int tls_open_ctx(struct ssl_ctx_st **ret, const struct tls_id *id, struct err *e) must_check;
struct ssl_ctx_st *tls_ctx_free(struct ssl_ctx_st *ctx);

/* Makes any client context (libcurl's, say) ours: TLS 1.3, our certificate, our CA alone, and the
 * server's DID must be want_did (borrowed while the context lives; NULL: any DID of the CA). */
int tls_client_setup(struct ssl_ctx_st *ctx, const struct tls_id *id, const char *want_did);

/* After the handshake: fills did and name. -EACCES when the peer's certificate has none. */
int tls_peer(const struct ssl_st *ssl, struct peer *ret) must_check;

#endif
